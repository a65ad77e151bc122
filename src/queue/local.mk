src/queue/functions.c: src/queue/functions.lua contrib/embed src/queue/$(am__dirstamp)
	$(AM_V_GEN)cd $(srcdir) && sh contrib/embed queue_functions \
		src/queue/functions.lua > $(abs_builddir)/$@-t && \
		mv $(abs_builddir)/$@-t $(abs_builddir)/$@
src/queue/shaping_default.c: etc/shaping.conf contrib/embed src/queue/$(am__dirstamp)
	$(AM_V_GEN)cd $(srcdir) && sh contrib/embed shaping_default \
		etc/shaping.conf > $(abs_builddir)/$@-t && \
		mv $(abs_builddir)/$@-t $(abs_builddir)/$@
CLEANFILES += src/queue/functions.c src/queue/functions.c-t \
	src/queue/shaping_default.c src/queue/shaping_default.c-t
EXTRA_DIST += src/queue/functions.lua

noinst_LIBRARIES += src/queue/libqueue.a
nodist_src_queue_libqueue_a_SOURCES = src/queue/functions.c \
	src/queue/shaping_default.c
src_queue_libqueue_a_SOURCES = \
	%reldir%/ask.c %reldir%/queue_priv.h \
	%reldir%/depth.c include/queue/depth.h \
	%reldir%/giveback.c %reldir%/giveback.h \
	%reldir%/lane.c include/queue/lane.h \
	%reldir%/member.c include/queue/member.h \
	%reldir%/published.c include/queue/published.h \
	%reldir%/queue.c include/queue/queue.h \
	%reldir%/reap.c include/queue/reap.h \
	%reldir%/rules.c %reldir%/rules_list.c include/queue/rules.h \
	%reldir%/shaping.c include/queue/shaping.h \
	%reldir%/unpark.c include/queue/unpark.h \
	%reldir%/walk.c include/queue/walk.h

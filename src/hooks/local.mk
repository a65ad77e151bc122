noinst_LIBRARIES += src/hooks/libhooks.a
src_hooks_libhooks_a_SOURCES = \
	%reldir%/dispatch.c \
	%reldir%/hooks.c include/hooks/hooks.h %reldir%/hooks_priv.h \
	%reldir%/payload.c include/hooks/payload.h \
	%reldir%/post.c \
	%reldir%/results.c \
	%reldir%/schedule.c include/hooks/schedule.h

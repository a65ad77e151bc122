noinst_LIBRARIES += src/base/libbase.a
src_base_libbase_a_SOURCES = \
	%reldir%/arena.c include/base/arena.h \
	include/base/attr.h \
	%reldir%/clock.c include/base/clock.h \
	%reldir%/error.c include/base/error.h \
	include/base/list.h \
	%reldir%/log.c include/base/log.h \
	%reldir%/mem.c include/base/mem.h \
	%reldir%/slice.c include/base/slice.h \
	%reldir%/strbuf.c include/base/strbuf.h

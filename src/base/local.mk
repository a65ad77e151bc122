noinst_LIBRARIES += src/base/libbase.a
src_base_libbase_a_SOURCES = \
	%reldir%/arena.c include/base/arena.h \
	include/base/attr.h \
	%reldir%/clock.c include/base/clock.h \
	%reldir%/config.c include/base/config.h \
	%reldir%/config_value.c %reldir%/config_priv.h \
	%reldir%/crash.c include/base/crash.h \
	%reldir%/crypto.c include/base/crypto.h \
	%reldir%/encode.c include/base/encode.h \
	%reldir%/error.c include/base/error.h \
	%reldir%/hash.c include/base/hash.h \
	%reldir%/json_read.c include/base/json.h \
	%reldir%/json_scan.h \
	%reldir%/json_write.c \
	include/base/list.h \
	%reldir%/log.c include/base/log.h \
	%reldir%/mem.c include/base/mem.h \
	%reldir%/random.c \
	%reldir%/slice.c include/base/slice.h \
	%reldir%/strbuf.c include/base/strbuf.h \
	%reldir%/utf8.c

noinst_LIBRARIES += src/intake/libintake.a
src_intake_libintake_a_SOURCES = \
	%reldir%/answer.c include/intake/answer.h \
	%reldir%/authorize.c \
	%reldir%/cache.c %reldir%/cache.h \
	%reldir%/check.c include/intake/check.h \
	%reldir%/commit.c \
	%reldir%/domains.c \
	%reldir%/intake.c include/intake/intake.h \
	%reldir%/intake_priv.h \
	%reldir%/large.c \
	%reldir%/pressure.c %reldir%/pressure.h \
	%reldir%/push.c

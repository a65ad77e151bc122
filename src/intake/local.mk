noinst_LIBRARIES += src/intake/libintake.a
src_intake_libintake_a_SOURCES = \
	%reldir%/answer.c include/intake/answer.h \
	%reldir%/check.c include/intake/check.h \
	include/intake/intake.h

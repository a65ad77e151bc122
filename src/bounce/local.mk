noinst_LIBRARIES += src/bounce/libbounce.a
src_bounce_libbounce_a_SOURCES = \
	%reldir%/match.c include/bounce/match.h \
	%reldir%/parse.c include/bounce/parse.h \
	%reldir%/parser.c include/bounce/parser.h \
	%reldir%/parser_link.c %reldir%/parser_link.h \
	%reldir%/report.c include/bounce/report.h \
	%reldir%/sandbox.c %reldir%/sandbox.h
src_bounce_libbounce_a_CFLAGS = $(AM_CFLAGS) $(GMIME_CFLAGS) $(SECCOMP_CFLAGS)

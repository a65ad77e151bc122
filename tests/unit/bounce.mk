if HAVE_TEST_LIBS
bounce_test_libs = src/bounce/libbounce.a src/net/libnet.a \
	src/mail/libmail.a src/model/libmodel.a src/base/libbase.a \
	$(GMIME_LIBS) $(SECCOMP_LIBS) $(EVENT_LIBS) $(OPENDKIM_LIBS) \
	$(OPENSSL_LIBS) $(IDN2_LIBS) $(CARES_LIBS) $(CURL_LIBS) \
	$(CMOCKA_LIBS)
bounce_tests = tests/unit/test_bounce_report tests/unit/test_bounce_parse \
	tests/unit/test_bounce_parser tests/unit/test_bounce_match
check_PROGRAMS += $(bounce_tests) tests/unit/bounce_tool
TESTS += $(bounce_tests) tests/unit/bounce_corpus.py
tests_unit_test_bounce_report_SOURCES = tests/unit/test_bounce_report.c \
	tests/unit/test.h
tests_unit_test_bounce_report_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bounce_report_LDADD = $(bounce_test_libs)
tests_unit_test_bounce_parse_SOURCES = tests/unit/test_bounce_parse.c \
	tests/unit/test.h
tests_unit_test_bounce_parse_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bounce_parse_LDADD = $(bounce_test_libs)
tests_unit_test_bounce_parser_SOURCES = tests/unit/test_bounce_parser.c \
	tests/unit/test.h
tests_unit_test_bounce_parser_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bounce_parser_LDADD = $(bounce_test_libs)
# The store and the outcome writer are played by the test.
tests_unit_test_bounce_match_SOURCES = tests/unit/test_bounce_match.c \
	tests/unit/test.h
tests_unit_test_bounce_match_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bounce_match_LDADD = $(bounce_test_libs)
# Prints what is read from files, for bounce_corpus.py.
tests_unit_bounce_tool_SOURCES = tests/unit/bounce_tool.c
tests_unit_bounce_tool_LDADD = $(bounce_test_libs)
endif

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_outcome_verdict
TESTS += tests/unit/test_outcome_verdict
tests_unit_test_outcome_verdict_SOURCES = \
	tests/unit/test_outcome_verdict.c tests/unit/test.h
tests_unit_test_outcome_verdict_LDADD = src/outcome/liboutcome.a \
	src/smtp/libsmtp.a src/mail/libmail.a src/base/libbase.a \
	$(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_outcome_verdict_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

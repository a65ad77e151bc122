if HAVE_TEST_LIBS
smtp_test_libs = src/smtp/libsmtp.a src/mail/libmail.a src/base/libbase.a \
	$(OPENDKIM_LIBS) $(OPENSSL_LIBS) $(IDN2_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_smtp_client
TESTS += tests/unit/test_smtp_client
tests_unit_test_smtp_client_SOURCES = tests/unit/test_smtp_client.c tests/unit/test.h
tests_unit_test_smtp_client_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_client_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

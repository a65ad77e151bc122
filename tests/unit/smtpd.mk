if HAVE_TEST_LIBS
# The store's functions are the test's own.
check_PROGRAMS += tests/unit/test_smtpd
TESTS += tests/unit/test_smtpd
tests_unit_test_smtpd_SOURCES = tests/unit/test_smtpd.c tests/unit/test.h \
	tests/unit/talk.h
tests_unit_test_smtpd_LDADD = src/smtpd/libsmtpd.a src/smtp/libsmtp.a \
	src/model/libmodel.a src/net/libnet.a src/mail/libmail.a \
	src/base/libbase.a $(OPENDKIM_LIBS) $(EVENT_LIBS) $(CARES_LIBS) \
	$(CURL_LIBS) $(OPENSSL_LIBS) $(IDN2_LIBS) $(CMOCKA_LIBS)
tests_unit_test_smtpd_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

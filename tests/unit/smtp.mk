if HAVE_TEST_LIBS
smtp_tests = \
	tests/unit/test_smtp_client \
	tests/unit/test_smtp_client_limits \
	tests/unit/test_smtp_reply \
	tests/unit/test_smtp_server \
	tests/unit/test_smtp_stuff \
	tests/unit/test_smtp_transcript
smtp_test_libs = src/smtp/libsmtp.a src/mail/libmail.a src/base/libbase.a \
	$(OPENDKIM_LIBS) $(OPENSSL_LIBS) $(IDN2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += $(smtp_tests)
TESTS += $(smtp_tests)

tests_unit_test_smtp_client_SOURCES = tests/unit/test_smtp_client.c \
	tests/unit/test.h tests/unit/smtp_peer.h
tests_unit_test_smtp_client_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_client_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_smtp_client_limits_SOURCES = \
	tests/unit/test_smtp_client_limits.c tests/unit/test.h \
	tests/unit/smtp_peer.h
tests_unit_test_smtp_client_limits_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_client_limits_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_smtp_reply_SOURCES = tests/unit/test_smtp_reply.c tests/unit/test.h
tests_unit_test_smtp_reply_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_reply_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_smtp_server_SOURCES = tests/unit/test_smtp_server.c tests/unit/test.h
tests_unit_test_smtp_server_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_server_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_smtp_stuff_SOURCES = tests/unit/test_smtp_stuff.c tests/unit/test.h
tests_unit_test_smtp_stuff_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_stuff_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_smtp_transcript_SOURCES = \
	tests/unit/test_smtp_transcript.c tests/unit/test.h
tests_unit_test_smtp_transcript_LDADD = $(smtp_test_libs)
tests_unit_test_smtp_transcript_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_outcome_classify
TESTS += tests/unit/test_outcome_classify
tests_unit_test_outcome_classify_SOURCES = \
	tests/unit/test_outcome_classify.c tests/unit/test.h
tests_unit_test_outcome_classify_LDADD = src/outcome/liboutcome.a \
	src/smtp/libsmtp.a src/mail/libmail.a src/base/libbase.a \
	$(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_outcome_classify_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_outcome_verdict
TESTS += tests/unit/test_outcome_verdict
tests_unit_test_outcome_verdict_SOURCES = \
	tests/unit/test_outcome_verdict.c tests/unit/test.h
tests_unit_test_outcome_verdict_LDADD = src/outcome/liboutcome.a \
	src/smtp/libsmtp.a src/mail/libmail.a src/base/libbase.a \
	$(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_outcome_verdict_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_outcome_consequences
TESTS += tests/unit/test_outcome_consequences
tests_unit_test_outcome_consequences_SOURCES = \
	tests/unit/test_outcome_consequences.c tests/unit/test.h
tests_unit_test_outcome_consequences_LDADD = src/outcome/liboutcome.a \
	src/model/libmodel.a src/smtp/libsmtp.a src/mail/libmail.a \
	src/base/libbase.a $(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_outcome_consequences_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_outcome_waiting
TESTS += tests/unit/test_outcome_waiting
tests_unit_test_outcome_waiting_SOURCES = \
	tests/unit/test_outcome_waiting.c tests/unit/test.h
tests_unit_test_outcome_waiting_LDADD = src/outcome/liboutcome.a \
	src/store/libstore.a src/model/libmodel.a src/net/libnet.a \
	src/mail/libmail.a src/base/libbase.a $(PQ_LIBS) $(HIREDIS_LIBS) \
	$(EVENT_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_outcome_waiting_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

# Without libstore: the test is the store.
check_PROGRAMS += tests/unit/test_outcome_writer
TESTS += tests/unit/test_outcome_writer
tests_unit_test_outcome_writer_SOURCES = \
	tests/unit/test_outcome_writer.c tests/unit/test.h
tests_unit_test_outcome_writer_LDADD = src/outcome/liboutcome.a \
	src/model/libmodel.a src/smtp/libsmtp.a src/mail/libmail.a \
	src/net/libnet.a src/base/libbase.a $(EVENT_LIBS) $(IDN2_LIBS) \
	$(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_outcome_writer_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

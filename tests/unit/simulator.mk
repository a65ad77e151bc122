if HAVE_TEST_LIBS
# The store's functions are the test's own.
simulator_test_libs = src/simulator/libsimulator.a src/smtpd/libsmtpd.a \
	src/smtp/libsmtp.a \
	src/model/libmodel.a src/net/libnet.a src/mail/libmail.a \
	src/base/libbase.a $(OPENDKIM_LIBS) $(EVENT_LIBS) $(CARES_LIBS) \
	$(CURL_LIBS) $(OPENSSL_LIBS) $(IDN2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_simulator tests/unit/test_simulator_script
TESTS += tests/unit/test_simulator tests/unit/test_simulator_script

tests_unit_test_simulator_SOURCES = tests/unit/test_simulator.c \
	tests/unit/test.h tests/unit/talk.h
tests_unit_test_simulator_LDADD = $(simulator_test_libs)
tests_unit_test_simulator_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_simulator_script_SOURCES = tests/unit/test_simulator_script.c \
	tests/unit/test.h
tests_unit_test_simulator_script_LDADD = src/simulator/libsimulator.a \
	src/model/libmodel.a src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_simulator_script_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

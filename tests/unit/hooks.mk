if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_hooks_schedule tests/unit/test_hooks_payload
TESTS += tests/unit/test_hooks_schedule tests/unit/test_hooks_payload

hooks_test_libs = src/hooks/libhooks.a src/model/libmodel.a \
	src/mail/libmail.a src/base/libbase.a $(IDN2_LIBS) $(OPENSSL_LIBS) \
	$(CMOCKA_LIBS)

tests_unit_test_hooks_schedule_SOURCES = tests/unit/test_hooks_schedule.c \
	tests/unit/test.h
tests_unit_test_hooks_schedule_LDADD = $(hooks_test_libs)
tests_unit_test_hooks_schedule_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_hooks_payload_SOURCES = tests/unit/test_hooks_payload.c \
	tests/unit/test.h
tests_unit_test_hooks_payload_LDADD = $(hooks_test_libs)
tests_unit_test_hooks_payload_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

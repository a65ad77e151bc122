if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_base_log
TESTS += tests/unit/test_base_log
tests_unit_test_base_log_SOURCES = tests/unit/test_base_log.c tests/unit/test.h
tests_unit_test_base_log_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_log_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

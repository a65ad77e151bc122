if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_intake_cache
TESTS += tests/unit/test_intake_cache
tests_unit_test_intake_cache_SOURCES = tests/unit/test_intake_cache.c \
	tests/unit/test.h
tests_unit_test_intake_cache_LDADD = src/intake/libintake.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_intake_cache_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_api_octets
TESTS += tests/unit/test_api_octets
tests_unit_test_api_octets_SOURCES = tests/unit/test_api_octets.c \
	tests/unit/test.h
tests_unit_test_api_octets_LDADD = src/api/libapi.a src/base/libbase.a \
	$(CMOCKA_LIBS)
tests_unit_test_api_octets_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_delivery_limit
TESTS += tests/unit/test_delivery_limit
tests_unit_test_delivery_limit_SOURCES = tests/unit/test_delivery_limit.c \
	tests/unit/test.h
tests_unit_test_delivery_limit_LDADD = src/delivery/libdelivery.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_limit_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_delivery_slot
TESTS += tests/unit/test_delivery_slot
tests_unit_test_delivery_slot_SOURCES = tests/unit/test_delivery_slot.c \
	tests/unit/test.h
tests_unit_test_delivery_slot_LDADD = src/delivery/libdelivery.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_slot_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_delivery_message
TESTS += tests/unit/test_delivery_message
tests_unit_test_delivery_message_SOURCES = \
	tests/unit/test_delivery_message.c tests/unit/test.h
tests_unit_test_delivery_message_LDADD = src/delivery/libdelivery.a \
	src/model/libmodel.a src/mail/libmail.a src/base/libbase.a \
	$(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_message_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

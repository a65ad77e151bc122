if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_delivery_message
TESTS += tests/unit/test_delivery_message
tests_unit_test_delivery_message_SOURCES = \
	tests/unit/test_delivery_message.c tests/unit/test.h
tests_unit_test_delivery_message_LDADD = src/delivery/libdelivery.a \
	src/model/libmodel.a src/mail/libmail.a src/base/libbase.a \
	$(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_message_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
check_PROGRAMS += tests/unit/test_delivery_slot
TESTS += tests/unit/test_delivery_slot
tests_unit_test_delivery_slot_SOURCES = tests/unit/test_delivery_slot.c \
	tests/unit/test.h
tests_unit_test_delivery_slot_LDADD = src/delivery/libdelivery.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_slot_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

# Without the rest of the engine and store: the tests are those.
check_PROGRAMS += tests/unit/test_delivery_claim tests/unit/test_delivery_quota
TESTS += tests/unit/test_delivery_claim tests/unit/test_delivery_quota
tests_unit_test_delivery_claim_SOURCES = tests/unit/test_delivery_claim.c \
	tests/unit/test.h
tests_unit_test_delivery_claim_LDADD = src/delivery/libdelivery.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_claim_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_delivery_quota_SOURCES = tests/unit/test_delivery_quota.c \
	tests/unit/test.h
tests_unit_test_delivery_quota_LDADD = src/delivery/libdelivery.a \
	src/queue/libqueue.a src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_quota_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

# Without the rest of the engine and net/conn: the test is those.
check_PROGRAMS += tests/unit/test_delivery_session
TESTS += tests/unit/test_delivery_session
tests_unit_test_delivery_session_SOURCES = \
	tests/unit/test_delivery_session.c tests/unit/test.h
tests_unit_test_delivery_session_LDADD = src/delivery/libdelivery.a \
	src/outcome/liboutcome.a src/smtp/libsmtp.a src/model/libmodel.a \
	src/mail/libmail.a src/net/libnet.a src/base/libbase.a $(EVENT_LIBS) $(IDN2_LIBS) \
	$(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_session_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
check_PROGRAMS += tests/unit/test_delivery_limit
TESTS += tests/unit/test_delivery_limit
tests_unit_test_delivery_limit_SOURCES = tests/unit/test_delivery_limit.c \
	tests/unit/test.h
tests_unit_test_delivery_limit_LDADD = src/delivery/libdelivery.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_limit_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
# Without the rest of the engine and the resolver, or store: the test is those.
check_PROGRAMS += tests/unit/test_delivery_route
TESTS += tests/unit/test_delivery_route
tests_unit_test_delivery_route_SOURCES = tests/unit/test_delivery_route.c \
	tests/unit/test.h
tests_unit_test_delivery_route_LDADD = src/delivery/libdelivery.a \
	src/net/libnet.a src/base/libbase.a $(EVENT_LIBS) $(OPENSSL_LIBS) \
	$(CMOCKA_LIBS)
tests_unit_test_delivery_route_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
check_PROGRAMS += tests/unit/test_delivery_content
TESTS += tests/unit/test_delivery_content
tests_unit_test_delivery_content_SOURCES = \
	tests/unit/test_delivery_content.c tests/unit/test.h
tests_unit_test_delivery_content_LDADD = src/delivery/libdelivery.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_delivery_content_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

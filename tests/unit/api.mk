if HAVE_TEST_LIBS
api_test_pure = src/api/libapi.a src/intake/libintake.a src/mail/libmail.a \
	src/base/libbase.a $(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_api_octets tests/unit/test_api_email_json \
	tests/unit/test_api_large tests/unit/test_api_absent
TESTS += tests/unit/test_api_octets tests/unit/test_api_email_json \
	tests/unit/test_api_large tests/unit/test_api_absent
tests_unit_test_api_octets_SOURCES = tests/unit/test_api_octets.c \
	tests/unit/test.h
tests_unit_test_api_octets_LDADD = $(api_test_pure)
tests_unit_test_api_octets_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_api_email_json_SOURCES = tests/unit/test_api_email_json.c \
	tests/unit/test.h
tests_unit_test_api_email_json_LDADD = $(api_test_pure)
tests_unit_test_api_email_json_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_api_absent_SOURCES = tests/unit/test_api_absent.c \
	tests/unit/http_world.h tests/unit/test.h
tests_unit_test_api_absent_LDADD = src/api/libapi.a src/intake/libintake.a \
	src/http/libhttp.a src/net/libnet.a src/base/libbase.a $(EVENT_LIBS) \
	$(OPENSSL_LIBS) $(CARES_LIBS) $(CURL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_api_absent_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_api_large_SOURCES = tests/unit/test_api_large.c \
	tests/unit/test.h
tests_unit_test_api_large_LDADD = src/api/libapi.a src/intake/libintake.a \
	src/net/libnet.a src/mail/libmail.a src/base/libbase.a \
	$(EVENT_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_api_large_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

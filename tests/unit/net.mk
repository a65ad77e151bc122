if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_net_addr tests/unit/test_net_loop \
	tests/unit/test_net_conn tests/unit/test_net_dns \
	tests/unit/test_net_fetch_url tests/unit/test_net_half_close
TESTS += tests/unit/test_net_addr tests/unit/test_net_loop \
	tests/unit/test_net_conn tests/unit/test_net_dns \
	tests/unit/test_net_fetch_url tests/unit/test_net_half_close

net_test_libs = src/net/libnet.a src/base/libbase.a $(EVENT_LIBS) \
	$(OPENSSL_LIBS) $(CARES_LIBS) $(CURL_LIBS) $(CMOCKA_LIBS)

tests_unit_test_net_addr_SOURCES = tests/unit/test_net_addr.c tests/unit/test.h
tests_unit_test_net_addr_LDADD = $(net_test_libs)
tests_unit_test_net_addr_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_net_loop_SOURCES = tests/unit/test_net_loop.c tests/unit/test.h
tests_unit_test_net_loop_LDADD = $(net_test_libs)
tests_unit_test_net_loop_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_net_conn_SOURCES = tests/unit/test_net_conn.c tests/unit/test.h
tests_unit_test_net_conn_LDADD = $(net_test_libs)
tests_unit_test_net_conn_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_net_dns_SOURCES = tests/unit/test_net_dns.c tests/unit/test.h
tests_unit_test_net_dns_LDADD = $(net_test_libs)
tests_unit_test_net_dns_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_net_fetch_url_SOURCES = tests/unit/test_net_fetch_url.c \
	tests/unit/test.h
tests_unit_test_net_fetch_url_LDADD = $(net_test_libs)
tests_unit_test_net_fetch_url_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_net_half_close_SOURCES = tests/unit/test_net_half_close.c \
	tests/unit/test.h
tests_unit_test_net_half_close_LDADD = $(net_test_libs)
tests_unit_test_net_half_close_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

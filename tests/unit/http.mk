if HAVE_TEST_LIBS
http_test_libs = src/http/libhttp.a src/net/libnet.a src/base/libbase.a \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(CARES_LIBS) $(CURL_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_http_head tests/unit/test_http_chunked \
	tests/unit/test_http_router tests/unit/test_http_server \
	tests/unit/test_http_session
TESTS += tests/unit/test_http_head tests/unit/test_http_chunked \
	tests/unit/test_http_router tests/unit/test_http_server \
	tests/unit/test_http_session

tests_unit_test_http_head_SOURCES = tests/unit/test_http_head.c \
	tests/unit/test.h
tests_unit_test_http_head_LDADD = $(http_test_libs)
tests_unit_test_http_head_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_http_chunked_SOURCES = tests/unit/test_http_chunked.c \
	tests/unit/test.h
tests_unit_test_http_chunked_LDADD = $(http_test_libs)
tests_unit_test_http_chunked_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_http_router_SOURCES = tests/unit/test_http_router.c \
	tests/unit/test.h
tests_unit_test_http_router_LDADD = $(http_test_libs)
tests_unit_test_http_router_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_http_server_SOURCES = tests/unit/test_http_server.c \
	tests/unit/http_world.h tests/unit/test.h
tests_unit_test_http_server_LDADD = $(http_test_libs)
tests_unit_test_http_server_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

tests_unit_test_http_session_SOURCES = tests/unit/test_http_session.c \
	tests/unit/http_world.h tests/unit/test.h
tests_unit_test_http_session_LDADD = $(http_test_libs)
tests_unit_test_http_session_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

# Against private servers (tests/servers): it skips when there are none.
if HAVE_TEST_LIBS
check_PROGRAMS += tests/integration/test_queue
TESTS += tests/integration/test_queue

tests_integration_test_queue_SOURCES = \
	tests/integration/test_queue.c tests/integration/servers.h
tests_integration_test_queue_LDADD = $(store_test_libs)
tests_integration_test_queue_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) \
	-I$(srcdir)
endif

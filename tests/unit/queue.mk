# Against private servers (tests/servers): they skip when there are none.
if HAVE_TEST_LIBS
check_PROGRAMS += tests/integration/test_queue tests/integration/test_walk
TESTS += tests/integration/test_queue tests/integration/test_walk

tests_integration_test_queue_SOURCES = tests/integration/test_queue.c \
	tests/integration/servers.h tests/integration/queue_world.h
tests_integration_test_queue_LDADD = $(store_test_libs)
tests_integration_test_queue_CFLAGS = $(store_test_cflags)

tests_integration_test_walk_SOURCES = tests/integration/test_walk.c \
	tests/integration/servers.h tests/integration/queue_world.h
tests_integration_test_walk_LDADD = $(store_test_libs)
tests_integration_test_walk_CFLAGS = $(store_test_cflags)

check_PROGRAMS += tests/unit/test_queue_rules
TESTS += tests/unit/test_queue_rules
tests_unit_test_queue_rules_SOURCES = tests/unit/test_queue_rules.c \
	tests/unit/test.h
tests_unit_test_queue_rules_LDADD = src/queue/libqueue.a \
	src/mail/libmail.a src/base/libbase.a $(IDN2_LIBS) $(OPENSSL_LIBS) \
	$(CMOCKA_LIBS)
tests_unit_test_queue_rules_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

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
endif

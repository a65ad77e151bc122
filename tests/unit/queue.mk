# Against private servers (tests/servers): they skip when there are none.
if HAVE_TEST_LIBS
queue_tests = tests/integration/test_queue tests/integration/test_walk \
	tests/integration/test_queue_functions tests/integration/test_queue_model
check_PROGRAMS += $(queue_tests)
TESTS += $(queue_tests)

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

tests_integration_test_queue_functions_SOURCES = \
	tests/integration/test_queue_functions.c \
	tests/integration/model/schedule.c tests/integration/model/schedule.h \
	tests/integration/model/clock.h tests/integration/model/cluster.h \
	tests/integration/model/dice.h tests/integration/servers.h \
	tests/integration/queue_world.h
tests_integration_test_queue_functions_LDADD = $(store_test_libs)
tests_integration_test_queue_functions_CFLAGS = $(store_test_cflags)

tests_integration_test_queue_model_SOURCES = \
	tests/integration/test_queue_model.c tests/integration/model/world.c \
	tests/integration/model/world.h tests/integration/model/check.c \
	tests/integration/model/keeper.c tests/integration/model/life.c \
	tests/integration/model/outcome.c tests/integration/model/process.c \
	tests/integration/model/sending.c tests/integration/model/doors.c \
	tests/integration/model/engine.c tests/integration/model/engine.h \
	tests/integration/model/rules.c \
	tests/integration/model/limits.c \
	tests/integration/model/clock.h tests/integration/model/dice.h \
	tests/integration/servers.h
tests_integration_test_queue_model_LDADD = src/delivery/libdelivery.a \
	src/outcome/liboutcome.a \
	src/smtp/libsmtp.a src/mail/libmail.a $(store_test_libs) $(IDN2_LIBS)
tests_integration_test_queue_model_CFLAGS = $(store_test_cflags)
# Answers about blocks of a daily limit get lost there.
tests_integration_test_queue_model_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=store_quota_take
check_PROGRAMS += tests/unit/test_queue_shaping
TESTS += tests/unit/test_queue_shaping
tests_unit_test_queue_shaping_SOURCES = tests/unit/test_queue_shaping.c \
	tests/unit/test.h
tests_unit_test_queue_shaping_LDADD = src/queue/libqueue.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_queue_shaping_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

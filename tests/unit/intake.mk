if HAVE_TEST_LIBS
intake_test_pure = src/intake/libintake.a src/mail/libmail.a \
	src/base/libbase.a $(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
# The store and the queue are functions of the test itself.
intake_test_loop = src/intake/libintake.a src/store/libstore.a src/net/libnet.a \
	src/model/libmodel.a src/mail/libmail.a src/base/libbase.a \
	$(EVENT_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_intake_cache tests/unit/test_intake_check \
	tests/unit/test_intake_commit tests/unit/test_intake_intake \
	tests/unit/test_intake_pressure
TESTS += tests/unit/test_intake_cache tests/unit/test_intake_check \
	tests/unit/test_intake_commit tests/unit/test_intake_intake \
	tests/unit/test_intake_pressure
tests_unit_test_intake_cache_SOURCES = tests/unit/test_intake_cache.c \
	tests/unit/test.h
tests_unit_test_intake_cache_LDADD = $(intake_test_pure)
tests_unit_test_intake_cache_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_intake_check_SOURCES = tests/unit/test_intake_check.c \
	tests/unit/test.h
tests_unit_test_intake_check_LDADD = $(intake_test_pure)
tests_unit_test_intake_check_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_intake_commit_SOURCES = tests/unit/test_intake_commit.c \
	tests/unit/intake_world.h tests/unit/test.h
tests_unit_test_intake_commit_LDADD = $(intake_test_loop)
tests_unit_test_intake_commit_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_intake_intake_SOURCES = tests/unit/test_intake_intake.c \
	tests/unit/intake_world.h tests/unit/test.h
tests_unit_test_intake_intake_LDADD = $(intake_test_loop)
tests_unit_test_intake_intake_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_intake_pressure_SOURCES = \
	tests/unit/test_intake_pressure.c tests/unit/test.h
tests_unit_test_intake_pressure_LDADD = $(intake_test_pure)
tests_unit_test_intake_pressure_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

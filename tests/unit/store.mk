# Against private servers (tests/servers): they skip when there are none.
if HAVE_TEST_LIBS
store_tests = tests/integration/test_store_pg \
	tests/integration/test_store_mail tests/integration/test_store_claim \
	tests/integration/test_store_rows tests/integration/test_store_hooks \
	tests/integration/test_store_quota tests/integration/test_store_rules
check_PROGRAMS += $(store_tests)
TESTS += $(store_tests)

store_test_libs = src/queue/libqueue.a src/store/libstore.a \
	src/model/libmodel.a src/net/libnet.a src/mail/libmail.a \
	src/base/libbase.a $(PQ_LIBS) $(IDN2_LIBS) $(HIREDIS_LIBS) \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(CARES_LIBS) $(CURL_LIBS) $(CMOCKA_LIBS)
store_test_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS) -I$(srcdir)

tests_integration_test_store_rules_SOURCES = \
	tests/integration/test_store_rules.c tests/integration/servers.h \
	tests/integration/mail_world.h
tests_integration_test_store_rules_LDADD = $(store_test_libs)
tests_integration_test_store_rules_CFLAGS = $(store_test_cflags)

tests_integration_test_store_pg_SOURCES = \
	tests/integration/test_store_pg.c tests/integration/servers.h
tests_integration_test_store_pg_LDADD = $(store_test_libs)
tests_integration_test_store_pg_CFLAGS = $(store_test_cflags)

tests_integration_test_store_mail_SOURCES = \
	tests/integration/test_store_mail.c tests/integration/servers.h \
	tests/integration/mail_world.h
tests_integration_test_store_mail_LDADD = $(store_test_libs)
tests_integration_test_store_mail_CFLAGS = $(store_test_cflags)

tests_integration_test_store_claim_SOURCES = \
	tests/integration/test_store_claim.c tests/integration/servers.h \
	tests/integration/mail_world.h
tests_integration_test_store_claim_LDADD = $(store_test_libs)
tests_integration_test_store_claim_CFLAGS = $(store_test_cflags)

tests_integration_test_store_rows_SOURCES = \
	tests/integration/test_store_rows.c tests/integration/servers.h \
	tests/integration/rows_world.h
tests_integration_test_store_rows_LDADD = $(store_test_libs)
tests_integration_test_store_rows_CFLAGS = $(store_test_cflags)

tests_integration_test_store_hooks_SOURCES = \
	tests/integration/test_store_hooks.c tests/integration/servers.h \
	tests/integration/rows_world.h
tests_integration_test_store_hooks_LDADD = $(store_test_libs)
tests_integration_test_store_hooks_CFLAGS = $(store_test_cflags)

tests_integration_test_store_quota_SOURCES = \
	tests/integration/test_store_quota.c tests/integration/servers.h
tests_integration_test_store_quota_LDADD = $(store_test_libs)
tests_integration_test_store_quota_CFLAGS = $(store_test_cflags)
endif

check_PROGRAMS += tests/unit/test_store_recent
TESTS += tests/unit/test_store_recent
tests_unit_test_store_recent_SOURCES = tests/unit/test_store_recent.c \
	tests/unit/test.h
tests_unit_test_store_recent_LDADD = src/store/libstore.a src/model/libmodel.a \
	src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_store_recent_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

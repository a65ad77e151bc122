# Real servers on loopback addresses; each file skips (77) when it lacks one.
# "make check" runs everything, check-fast leaves these out, check-integration
# runs only these (as root). The longest come first.
integration_tests = \
	tests/integration/test_queue_mutants.py \
	tests/integration/test_outage.py \
	tests/integration/test_rules.py \
	tests/integration/test_faults.py \
	tests/integration/test_nodes.py \
	tests/integration/test_limits.py \
	tests/integration/test_api.py \
	tests/integration/test_attack.py \
	tests/integration/test_backlog.py \
	tests/integration/test_bad_input.py \
	tests/integration/test_commands.py \
	tests/integration/test_content.py \
	tests/integration/test_crash.py \
	tests/integration/test_delivery.py \
	tests/integration/test_dev.py \
	tests/integration/test_dev_leftover.py \
	tests/integration/test_engine.py \
	tests/integration/test_engine_stress.py \
	tests/integration/test_fairness.py \
	tests/integration/test_handover.py \
	tests/integration/test_hooks.py \
	tests/integration/test_hostile.py \
	tests/integration/test_master.py \
	tests/integration/test_net.py \
	tests/integration/test_pressure.py \
	tests/integration/test_resend_node.py \
	tests/integration/test_retry.py \
	tests/integration/test_setup.py \
	tests/integration/test_time.py \
	tests/integration/test_transcript.py \
	tests/integration/test_webhooks.py
TESTS += $(integration_tests)
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = /usr/bin/python3
AM_PY_LOG_FLAGS = -B
AM_TESTS_ENVIRONMENT = \
	VERPOST='$(abs_top_builddir)/src/bin/verpost'; export VERPOST; \
	VERPOST_SOURCE='$(abs_top_srcdir)'; export VERPOST_SOURCE;

check-fast:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(filter-out %.py,$(TESTS))"
# Those that drive every process through its paths, for sanitized builds.
sanitized_tests = \
	tests/integration/test_api.py \
	tests/integration/test_backlog.py \
	tests/integration/test_bad_input.py \
	tests/integration/test_crash.py \
	tests/integration/test_delivery.py \
	tests/integration/test_hooks.py \
	tests/integration/test_net.py \
	tests/integration/test_time.py \
	tests/integration/test_transcript.py \
	tests/integration/test_webhooks.py
check-sanitized:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(sanitized_tests)"
# make distcheck with the tests that need no server of ours.
check-release:
	$(MAKE) $(AM_MAKEFLAGS) distcheck TESTS="$(filter-out %.py,$(TESTS))" \
		DISTCHECK_CONFIGURE_FLAGS=--enable-werror
check-integration:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(integration_tests)"
.PHONY: check-fast check-integration check-release check-sanitized

# What test_queue_mutants.py needs to build the same programs once more.
print-mutant-flags:
	@echo 'compile|$(COMPILE)'
	@echo 'link|$(CCLD) $(AM_CFLAGS) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS)'
	@echo 'model|$(tests_integration_test_queue_model_OBJECTS)|$(tests_integration_test_queue_model_LDFLAGS) $(tests_integration_test_queue_model_LDADD) $(LIBS)|$(tests_integration_test_queue_model_CFLAGS)'
	@echo 'functions|$(tests_integration_test_queue_functions_OBJECTS)|$(tests_integration_test_queue_functions_LDADD) $(LIBS)|$(tests_integration_test_queue_functions_CFLAGS)'
	@echo 'claims|$(tests_integration_test_store_claim_OBJECTS)|$(tests_integration_test_store_claim_LDADD) $(LIBS)|$(tests_integration_test_store_claim_CFLAGS)'
	@echo 'session|$(tests_unit_test_delivery_session_OBJECTS)|$(tests_unit_test_delivery_session_LDADD) $(LIBS)|$(tests_unit_test_delivery_session_CFLAGS)'
	@echo 'slot|$(tests_unit_test_delivery_slot_OBJECTS)|$(tests_unit_test_delivery_slot_LDADD) $(LIBS)|$(tests_unit_test_delivery_slot_CFLAGS)'
	@echo 'days|$(tests_unit_test_delivery_quota_OBJECTS)|$(tests_unit_test_delivery_quota_LDADD) $(LIBS)|$(tests_unit_test_delivery_quota_CFLAGS)'
	@echo 'asked|$(tests_unit_test_delivery_claim_OBJECTS)|$(tests_unit_test_delivery_claim_LDADD) $(LIBS)|$(tests_unit_test_delivery_claim_CFLAGS)'
	@echo 'quota|$(tests_integration_test_store_quota_OBJECTS)|$(tests_integration_test_store_quota_LDADD) $(LIBS)|$(tests_integration_test_store_quota_CFLAGS)'
.PHONY: print-mutant-flags

check_PROGRAMS += tests/integration/net_probe
tests_integration_net_probe_SOURCES = tests/integration/net_probe.c
tests_integration_net_probe_LDADD = src/net/libnet.a src/base/libbase.a \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(CARES_LIBS) $(CURL_LIBS)

check_PROGRAMS += tests/integration/hooks_probe
tests_integration_hooks_probe_SOURCES = tests/integration/hooks_probe.c
tests_integration_hooks_probe_LDADD = src/hooks/libhooks.a \
	src/store/libstore.a src/model/libmodel.a src/mail/libmail.a \
	src/net/libnet.a src/base/libbase.a $(EVENT_LIBS) $(CARES_LIBS) \
	$(CURL_LIBS) $(PQ_LIBS) $(HIREDIS_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS)

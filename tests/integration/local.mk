# Real servers on loopback addresses; each file skips (77) when it lacks one.
# "make check" runs everything, check-fast leaves these out, check-integration
# runs only these (as root).
integration_tests =
TESTS += $(integration_tests)
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = /usr/bin/python3
AM_PY_LOG_FLAGS = -B
AM_TESTS_ENVIRONMENT = \
	VERPOST='$(abs_top_builddir)/verpost'; export VERPOST; \
	VERPOST_SOURCE='$(abs_top_srcdir)'; export VERPOST_SOURCE;

check-fast:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(filter-out %.py,$(TESTS))"
check-integration:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(integration_tests)"
.PHONY: check-fast check-integration

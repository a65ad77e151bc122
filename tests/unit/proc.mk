if HAVE_TEST_LIBS
proc_tests = tests/unit/test_proc_settings tests/unit/test_proc_children \
	tests/unit/test_bin_args tests/unit/test_bin_dnscheck
check_PROGRAMS += $(proc_tests)
TESTS += $(proc_tests)
tests_unit_test_proc_settings_SOURCES = tests/unit/test_proc_settings.c \
	tests/unit/test.h
tests_unit_test_proc_settings_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_proc_settings_LDADD = src/proc/libproc.a src/net/libnet.a \
	src/base/libbase.a $(EVENT_OPENSSL_LIBS) $(EVENT_LIBS) \
	$(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_proc_children_SOURCES = tests/unit/test_proc_children.c \
	tests/unit/test.h
tests_unit_test_proc_children_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_proc_children_LDADD = src/proc/libproc.a src/base/libbase.a \
	$(CMOCKA_LIBS)
tests_unit_test_bin_args_SOURCES = tests/unit/test_bin_args.c \
	src/bin/args.c src/bin/command.h tests/unit/test.h
tests_unit_test_bin_args_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bin_args_LDADD = src/base/libbase.a $(OPENSSL_LIBS) \
	$(CMOCKA_LIBS)
tests_unit_test_bin_dnscheck_SOURCES = tests/unit/test_bin_dnscheck.c \
	src/bin/dnscheck.c src/bin/dnscheck.h tests/unit/test.h
tests_unit_test_bin_dnscheck_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bin_dnscheck_LDADD = src/net/libnet.a src/base/libbase.a \
	$(EVENT_OPENSSL_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
endif

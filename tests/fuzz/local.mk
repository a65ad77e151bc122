# A fuzzer per parser of foreign octets: contrib/fuzz NAME runs it with
# libFuzzer; here replay.c runs it over tests/corpus/NAME. The pattern:
#
#   check_PROGRAMS += tests/fuzz/fuzz_x
#   TESTS += tests/fuzz/fuzz_x
#   tests_fuzz_fuzz_x_SOURCES = tests/fuzz/fuzz_x.c $(fuzz_replay)
#   tests_fuzz_fuzz_x_LDADD = src/mail/libmail.a src/base/libbase.a

fuzz_replay = tests/fuzz/replay.c tests/fuzz/fuzz.h

if HAVE_TEST_LIBS
check_PROGRAMS += tests/fuzz/fuzz_json
TESTS += tests/fuzz/fuzz_json
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c $(fuzz_replay) \
	tests/fuzz/oracle_json.c tests/fuzz/oracle_json.h
tests_fuzz_fuzz_json_LDADD = src/base/libbase.a $(JANSSON_LIBS)
tests_fuzz_fuzz_json_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
endif

check_PROGRAMS += tests/fuzz/fuzz_email_json
TESTS += tests/fuzz/fuzz_email_json
tests_fuzz_fuzz_email_json_SOURCES = tests/fuzz/fuzz_email_json.c \
	$(fuzz_replay)
tests_fuzz_fuzz_email_json_LDADD = src/api/libapi.a src/intake/libintake.a \
	src/mail/libmail.a src/base/libbase.a $(IDN2_LIBS) $(OPENSSL_LIBS)

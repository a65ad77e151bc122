# A fuzzer per parser of foreign octets: contrib/fuzz NAME runs it with
# libFuzzer; here replay.c runs it over tests/corpus/NAME. The pattern:
#
#   check_PROGRAMS += tests/fuzz/fuzz_x
#   TESTS += tests/fuzz/fuzz_x
#   tests_fuzz_fuzz_x_SOURCES = tests/fuzz/fuzz_x.c $(fuzz_replay)
#   tests_fuzz_fuzz_x_LDADD = src/mail/libmail.a src/base/libbase.a

fuzz_replay = tests/fuzz/replay.c tests/fuzz/fuzz.h

if HAVE_TEST_LIBS
check_PROGRAMS += tests/unit/test_base_arena
TESTS += tests/unit/test_base_arena
tests_unit_test_base_arena_SOURCES = tests/unit/test_base_arena.c tests/unit/test.h
tests_unit_test_base_arena_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_arena_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_clock
TESTS += tests/unit/test_base_clock
tests_unit_test_base_clock_SOURCES = tests/unit/test_base_clock.c tests/unit/test.h
tests_unit_test_base_clock_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_clock_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_config
TESTS += tests/unit/test_base_config
tests_unit_test_base_config_SOURCES = tests/unit/test_base_config.c tests/unit/test.h
tests_unit_test_base_config_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_config_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_crash
TESTS += tests/unit/test_base_crash
tests_unit_test_base_crash_SOURCES = tests/unit/test_base_crash.c tests/unit/test.h
tests_unit_test_base_crash_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_crash_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_crypto
TESTS += tests/unit/test_base_crypto
tests_unit_test_base_crypto_SOURCES = tests/unit/test_base_crypto.c tests/unit/test.h
tests_unit_test_base_crypto_LDADD = src/base/libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_base_crypto_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_encode
TESTS += tests/unit/test_base_encode
tests_unit_test_base_encode_SOURCES = tests/unit/test_base_encode.c tests/unit/test.h
tests_unit_test_base_encode_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_encode_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_error
TESTS += tests/unit/test_base_error
tests_unit_test_base_error_SOURCES = tests/unit/test_base_error.c tests/unit/test.h
tests_unit_test_base_error_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_error_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_hash
TESTS += tests/unit/test_base_hash
tests_unit_test_base_hash_SOURCES = tests/unit/test_base_hash.c tests/unit/test.h
tests_unit_test_base_hash_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_hash_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_json_read
TESTS += tests/unit/test_base_json_read
tests_unit_test_base_json_read_SOURCES = tests/unit/test_base_json_read.c tests/unit/test.h
tests_unit_test_base_json_read_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_json_read_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_json_write
TESTS += tests/unit/test_base_json_write
tests_unit_test_base_json_write_SOURCES = tests/unit/test_base_json_write.c tests/unit/test.h
tests_unit_test_base_json_write_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_json_write_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_list
TESTS += tests/unit/test_base_list
tests_unit_test_base_list_SOURCES = tests/unit/test_base_list.c tests/unit/test.h
tests_unit_test_base_list_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_list_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_log
TESTS += tests/unit/test_base_log
tests_unit_test_base_log_SOURCES = tests/unit/test_base_log.c tests/unit/test.h
tests_unit_test_base_log_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_log_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_slice
TESTS += tests/unit/test_base_slice
tests_unit_test_base_slice_SOURCES = tests/unit/test_base_slice.c tests/unit/test.h
tests_unit_test_base_slice_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_slice_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

check_PROGRAMS += tests/unit/test_base_strbuf
TESTS += tests/unit/test_base_strbuf
tests_unit_test_base_strbuf_SOURCES = tests/unit/test_base_strbuf.c tests/unit/test.h
tests_unit_test_base_strbuf_LDADD = src/base/libbase.a $(CMOCKA_LIBS)
tests_unit_test_base_strbuf_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
endif

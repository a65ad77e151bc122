if HAVE_TEST_LIBS
model_test_libs = src/model/libmodel.a src/base/libbase.a $(OPENSSL_LIBS) \
	$(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_model_id tests/unit/test_model_status \
	tests/unit/test_model_token
TESTS += tests/unit/test_model_id tests/unit/test_model_status \
	tests/unit/test_model_token
tests_unit_test_model_id_SOURCES = tests/unit/test_model_id.c \
	tests/unit/test.h
tests_unit_test_model_id_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_model_id_LDADD = $(model_test_libs)
tests_unit_test_model_status_SOURCES = tests/unit/test_model_status.c \
	tests/unit/test.h
tests_unit_test_model_status_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_model_status_LDADD = $(model_test_libs)
tests_unit_test_model_token_SOURCES = tests/unit/test_model_token.c \
	tests/unit/test.h
tests_unit_test_model_token_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_model_token_LDADD = $(model_test_libs)
endif

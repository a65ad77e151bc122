if HAVE_TEST_LIBS
mail_test_libs = src/mail/libmail.a src/base/libbase.a $(OPENDKIM_LIBS) \
	$(OPENSSL_LIBS) $(IDN2_LIBS) $(CMOCKA_LIBS)
mail_tests = tests/unit/test_mail_status tests/unit/test_mail_address \
	tests/unit/test_mail_content tests/unit/test_mail_header \
	tests/unit/test_mail_mime tests/unit/test_mail_html \
	tests/unit/test_mail_dkim tests/unit/test_mail_dsn
check_PROGRAMS += $(mail_tests) tests/unit/mail_tool
TESTS += $(mail_tests) tests/unit/mail_roundtrip.py
tests_unit_test_mail_status_SOURCES = tests/unit/test_mail_status.c \
	tests/unit/test.h
tests_unit_test_mail_status_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_status_LDADD = $(mail_test_libs)
tests_unit_test_mail_address_SOURCES = tests/unit/test_mail_address.c \
	tests/unit/test.h
tests_unit_test_mail_address_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_address_LDADD = $(mail_test_libs)
tests_unit_test_mail_content_SOURCES = tests/unit/test_mail_content.c \
	tests/unit/test.h
tests_unit_test_mail_content_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_content_LDADD = $(mail_test_libs)
tests_unit_test_mail_header_SOURCES = tests/unit/test_mail_header.c \
	tests/unit/test.h
tests_unit_test_mail_header_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_header_LDADD = $(mail_test_libs)
tests_unit_test_mail_mime_SOURCES = tests/unit/test_mail_mime.c \
	tests/unit/test.h
tests_unit_test_mail_mime_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_mime_LDADD = $(mail_test_libs)
tests_unit_test_mail_html_SOURCES = tests/unit/test_mail_html.c \
	tests/unit/test.h
tests_unit_test_mail_html_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_html_LDADD = $(mail_test_libs)
tests_unit_test_mail_dkim_SOURCES = tests/unit/test_mail_dkim.c \
	tests/unit/test.h
tests_unit_test_mail_dkim_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_dkim_LDADD = $(mail_test_libs)
tests_unit_test_mail_dkim_LDFLAGS = $(AM_LDFLAGS) $(DKIM_LDFLAGS)
tests_unit_test_mail_dsn_SOURCES = tests/unit/test_mail_dsn.c \
	tests/unit/test.h
tests_unit_test_mail_dsn_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_mail_dsn_LDADD = $(mail_test_libs)
# Prints messages for the property test, which is mail_roundtrip.
tests_unit_mail_tool_SOURCES = tests/unit/mail_tool.c
tests_unit_mail_tool_LDADD = $(mail_test_libs)
tests_unit_mail_tool_LDFLAGS = $(AM_LDFLAGS) $(DKIM_LDFLAGS)
endif

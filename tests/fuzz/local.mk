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

check_PROGRAMS += tests/fuzz/fuzz_smtp_client tests/fuzz/fuzz_smtp_server
TESTS += tests/fuzz/fuzz_smtp_client tests/fuzz/fuzz_smtp_server
fuzz_smtp_libs = src/smtp/libsmtp.a src/mail/libmail.a src/base/libbase.a \
	$(OPENDKIM_LIBS) $(OPENSSL_LIBS) $(IDN2_LIBS)
tests_fuzz_fuzz_smtp_client_SOURCES = tests/fuzz/fuzz_smtp_client.c $(fuzz_replay)
tests_fuzz_fuzz_smtp_client_LDADD = $(fuzz_smtp_libs)
tests_fuzz_fuzz_smtp_server_SOURCES = tests/fuzz/fuzz_smtp_server.c $(fuzz_replay)
tests_fuzz_fuzz_smtp_server_LDADD = $(fuzz_smtp_libs)

check_PROGRAMS += tests/fuzz/fuzz_dns
TESTS += tests/fuzz/fuzz_dns
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c $(fuzz_replay)
tests_fuzz_fuzz_dns_LDADD = src/net/libnet.a src/base/libbase.a $(CARES_LIBS) \
	$(CURL_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS)

if HAVE_TEST_LIBS
check_PROGRAMS += tests/fuzz/fuzz_http
TESTS += tests/fuzz/fuzz_http
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c $(fuzz_replay)
tests_fuzz_fuzz_http_LDADD = src/http/libhttp.a src/net/libnet.a \
	src/base/libbase.a $(EVENT_LIBS) $(OPENSSL_LIBS) $(CARES_LIBS) \
	$(CURL_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_dsn tests/fuzz/fuzz_address \
	tests/fuzz/fuzz_mime tests/fuzz/fuzz_bounce
TESTS += tests/fuzz/fuzz_dsn tests/fuzz/fuzz_address tests/fuzz/fuzz_mime \
	tests/fuzz/fuzz_bounce
fuzz_mail_libs = src/mail/libmail.a src/base/libbase.a $(OPENDKIM_LIBS) \
	$(OPENSSL_LIBS) $(IDN2_LIBS)
tests_fuzz_fuzz_dsn_SOURCES = tests/fuzz/fuzz_dsn.c $(fuzz_replay)
tests_fuzz_fuzz_dsn_LDADD = src/bounce/libbounce.a $(fuzz_mail_libs)
tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c $(fuzz_replay)
tests_fuzz_fuzz_address_LDADD = $(fuzz_mail_libs)
tests_fuzz_fuzz_mime_SOURCES = tests/fuzz/fuzz_mime.c $(fuzz_replay)
tests_fuzz_fuzz_mime_LDADD = $(fuzz_mail_libs)
tests_fuzz_fuzz_bounce_SOURCES = tests/fuzz/fuzz_bounce.c $(fuzz_replay)
tests_fuzz_fuzz_bounce_LDADD = src/bounce/libbounce.a $(GMIME_LIBS) \
	$(fuzz_mail_libs)

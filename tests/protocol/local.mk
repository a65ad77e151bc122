# Scripted peers (*.smtp) and the client that meets them.
check_PROGRAMS += tests/protocol/smtp_talker
tests_protocol_smtp_talker_SOURCES = tests/protocol/smtp_talker.c
tests_protocol_smtp_talker_LDADD = src/smtp/libsmtp.a src/net/libnet.a \
	src/mail/libmail.a src/base/libbase.a $(OPENDKIM_LIBS) $(EVENT_LIBS) \
	$(CARES_LIBS) $(CURL_LIBS) $(OPENSSL_LIBS) $(IDN2_LIBS)
TESTS += tests/protocol/run

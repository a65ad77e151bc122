bin_PROGRAMS += src/bin/verpost
src_bin_verpost_SOURCES = \
	%reldir%/args.c %reldir%/command.h \
	%reldir%/backlog.c %reldir%/backlog.h \
	%reldir%/cmd_account.c \
	%reldir%/cmd_check.c \
	%reldir%/cmd_dev.c \
	%reldir%/cmd_domain.c \
	%reldir%/cmd_key.c \
	%reldir%/cmd_keyfile.c \
	%reldir%/cmd_migrate.c \
	%reldir%/cmd_queue.c \
	%reldir%/cmd_queue_rules.c \
	%reldir%/cmd_queue_show.c \
	%reldir%/cmd_serve.c \
	%reldir%/cmd_simulator.c \
	%reldir%/cmd_source.c \
	%reldir%/cmd_suppression.c \
	%reldir%/cmd_trace.c \
	%reldir%/cmd_verify.c \
	%reldir%/cmd_webhook.c \
	%reldir%/daylimits.c %reldir%/daylimits.h \
	%reldir%/destinations.c \
	%reldir%/dev_data.c %reldir%/dev.h \
	%reldir%/dev_leftover.c \
	%reldir%/dev_servers.c \
	%reldir%/dev_setup.c \
	%reldir%/dnscheck.c %reldir%/dnscheck.h \
	%reldir%/domain.c %reldir%/domain.h \
	%reldir%/main.c \
	%reldir%/poolwhy.c %reldir%/poolwhy.h \
	%reldir%/provision.c %reldir%/provision.h \
	%reldir%/rulelist.c %reldir%/rulelist.h \
	%reldir%/session.c %reldir%/session.h \
	%reldir%/table.c %reldir%/table.h
# The order of the rooms: each may lean on those behind it.
src_bin_verpost_LDADD = \
	src/proc/libproc.a \
	src/api/libapi.a \
	src/simulator/libsimulator.a \
	src/smtpd/libsmtpd.a \
	src/delivery/libdelivery.a \
	src/hooks/libhooks.a \
	src/bounce/libbounce.a \
	src/intake/libintake.a \
	src/outcome/liboutcome.a \
	src/queue/libqueue.a \
	src/store/libstore.a \
	src/http/libhttp.a \
	src/net/libnet.a \
	src/model/libmodel.a \
	src/smtp/libsmtp.a \
	src/mail/libmail.a \
	src/base/libbase.a \
	$(GMIME_LIBS) $(SECCOMP_LIBS) $(CAP_LIBS) $(SYSTEMD_LIBS) \
	$(CURL_LIBS) $(PQ_LIBS) $(HIREDIS_LIBS) $(CARES_LIBS) \
	$(OPENDKIM_LIBS) $(EVENT_OPENSSL_LIBS) $(EVENT_LIBS) \
	$(OPENSSL_LIBS) $(IDN2_LIBS)
src_bin_verpost_LDFLAGS = $(AM_LDFLAGS) $(DKIM_LDFLAGS)

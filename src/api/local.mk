noinst_LIBRARIES += src/api/libapi.a
src_api_libapi_a_SOURCES = \
	%reldir%/absent.c %reldir%/absent.h \
	%reldir%/api_priv.h \
	%reldir%/attempts.c \
	%reldir%/call.c \
	%reldir%/domains.c \
	%reldir%/email_json.c include/api/email_json.h \
	%reldir%/emails.c \
	%reldir%/emails_cancel.c \
	%reldir%/emails_read.c \
	%reldir%/health.c \
	%reldir%/httpd.c include/api/httpd.h \
	%reldir%/large.c %reldir%/large.h \
	%reldir%/members.c %reldir%/members.h \
	%reldir%/octets.c include/api/octets.h \
	%reldir%/suppressions.c \
	%reldir%/webhooks.c

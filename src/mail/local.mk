noinst_LIBRARIES += src/mail/libmail.a
src_mail_libmail_a_SOURCES = \
	%reldir%/address.c include/mail/address.h \
	%reldir%/body.c %reldir%/body_priv.h \
	%reldir%/content.c include/mail/content.h \
	%reldir%/dkim.c include/mail/dkim.h \
	%reldir%/dsn.c include/mail/dsn.h \
	%reldir%/header.c include/mail/header.h \
	%reldir%/html_priv.h %reldir%/html_text.c %reldir%/html_token.c \
	%reldir%/mime.c %reldir%/mime_type.c include/mail/mime.h \
	%reldir%/record.c include/mail/record.h \
	%reldir%/status.c include/mail/status.h

noinst_LIBRARIES += src/smtpd/libsmtpd.a
src_smtpd_libsmtpd_a_SOURCES = \
	%reldir%/hosts.c %reldir%/smtpd_priv.h \
	%reldir%/link.c include/smtpd/link.h \
	%reldir%/session.c \
	%reldir%/smtpd.c include/smtpd/smtpd.h \
	%reldir%/trace.c

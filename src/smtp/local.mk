noinst_LIBRARIES += src/smtp/libsmtp.a
src_smtp_libsmtp_a_SOURCES = \
	%reldir%/caps.c \
	%reldir%/client.c include/smtp/client.h %reldir%/client_priv.h \
	%reldir%/client_send.c \
	%reldir%/client_txn.c \
	%reldir%/reply.c include/smtp/reply.h \
	%reldir%/server.c include/smtp/server.h %reldir%/server_priv.h \
	%reldir%/server_data.c \
	%reldir%/server_path.c \
	%reldir%/stuff.c \
	%reldir%/transcript.c include/smtp/transcript.h

noinst_LIBRARIES += src/net/libnet.a
src_net_libnet_a_SOURCES = \
	%reldir%/addr.c include/net/addr.h \
	%reldir%/conn.c %reldir%/conn_priv.h include/net/conn.h \
	%reldir%/conn_input.c \
	%reldir%/conn_open.c \
	%reldir%/conn_tls.c \
	%reldir%/dns_cache.c %reldir%/dns_priv.h \
	%reldir%/dns_parse.c \
	%reldir%/fetch.c include/net/fetch.h \
	%reldir%/fetch_url.c \
	%reldir%/guard.c \
	%reldir%/listener.c \
	%reldir%/loop.c include/net/loop.h \
	%reldir%/resolver.c include/net/resolver.h \
	%reldir%/tls.c include/net/tls.h

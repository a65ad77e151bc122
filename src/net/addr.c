#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* The storage is copied, never cast: no aliasing, no alignment to doubt. */
static struct sockaddr_in
as_v4(const struct net_addr *a)
{
	struct sockaddr_in sin;

	memcpy(&sin, &a->ss, sizeof(sin));
	return sin;
}

static struct sockaddr_in6
as_v6(const struct net_addr *a)
{
	struct sockaddr_in6 sin6;

	memcpy(&sin6, &a->ss, sizeof(sin6));
	return sin6;
}

static void
set(struct net_addr *out, const void *sa, socklen_t len)
{
	memset(out, 0, sizeof(*out));
	memcpy(&out->ss, sa, len);
	out->len = len;
}

void
net_addr_from_v4(const uint8_t octets[4], uint16_t port, struct net_addr *out)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port) };

	memcpy(&sin.sin_addr, octets, 4);
	set(out, &sin, sizeof(sin));
}

void
net_addr_from_v6(const uint8_t octets[16], uint16_t port, struct net_addr *out)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };

	memcpy(&sin6.sin6_addr, octets, 16);
	set(out, &sin6, sizeof(sin6));
}

int
net_addr_parse(struct slice host, uint16_t port, struct net_addr *out,
    struct error *err)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t octets[16];

	if (host.len >= 2 && host.ptr[0] == '[' &&
	    host.ptr[host.len - 1] == ']')
		host = slice_mem(host.ptr + 1, host.len - 2);
	if (host.len == 0 || host.len >= sizeof(text) ||
	    slice_has_char(host, '\0'))
		return error_set(err, ERR_SYNTAX, "not an address: '%.*s'",
		    SLICE_FMT(slice_first(host, 80)));
	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	if (inet_pton(AF_INET, text, octets) == 1)
		net_addr_from_v4(octets, port, out);
	else if (inet_pton(AF_INET6, text, octets) == 1)
		net_addr_from_v6(octets, port, out);
	else
		return error_set(err, ERR_SYNTAX, "not an address: '%s'", text);
	return 0;
}

static int
parse_unix(struct slice path, struct net_addr *out, struct error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (path.len == 0 || slice_has_char(path, '\0'))
		return error_set(err, ERR_SYNTAX, "unix: without a path");
	if (path.len >= sizeof(sun.sun_path))
		return error_set(err, ERR_LIMIT,
		    "the path of a Unix socket has at most %zu octets: '%.*s'",
		    sizeof(sun.sun_path) - 1,
		    SLICE_FMT(slice_first(path, 120)));
	memcpy(sun.sun_path, path.ptr, path.len);
	set(out, &sun, sizeof(sun));
	return 0;
}

int
net_addr_parse_listen(struct slice text, struct net_addr *out,
    struct error *err)
{
	struct slice host = text, port_text;
	uint16_t port;
	size_t colon;

	if (slice_starts(text, SLICE("unix:")))
		return parse_unix(slice_from(text, 5), out, err);
	colon = text.len;
	while (colon > 0 && text.ptr[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return error_set(err, ERR_SYNTAX,
		    "expected address:port or unix:/path, not '%.*s'",
		    SLICE_FMT(slice_first(text, 80)));
	port_text = slice_from(text, colon);
	host.len = colon - 1;
	if (!slice_take_uint(&port_text, 5, &port) || port_text.len > 0)
		return error_set(err, ERR_SYNTAX, "bad port in '%.*s'",
		    SLICE_FMT(slice_first(text, 80)));
	if (host.len == 0)
		host = SLICE("127.0.0.1");
	else if (slice_has_char(host, ':') && host.ptr[0] != '[')
		return error_set(err, ERR_SYNTAX,
		    "an IPv6 address with a port needs brackets: '%.*s'",
		    SLICE_FMT(slice_first(text, 80)));
	return net_addr_parse(host, port, out, err);
}

void
net_addr_format(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	switch (net_addr_family(a)) {
	case AF_INET:
		sin = as_v4(a);
		inet_ntop(AF_INET, &sin.sin_addr, out, NET_ADDR_TEXT);
		return;
	case AF_INET6:
		sin6 = as_v6(a);
		inet_ntop(AF_INET6, &sin6.sin6_addr, out, NET_ADDR_TEXT);
		return;
	case AF_UNIX:
		snprintf(out, NET_ADDR_TEXT, "unix");
		return;
	default:
		snprintf(out, NET_ADDR_TEXT, "none");
		return;
	}
}

void
net_addr_format_port(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	char host[NET_ADDR_TEXT];

	net_addr_format(a, host);
	switch (net_addr_family(a)) {
	case AF_INET:
		snprintf(out, NET_ADDR_TEXT, "%.46s:%u", host,
		    (unsigned int)net_addr_port(a));
		return;
	case AF_INET6:
		snprintf(out, NET_ADDR_TEXT, "[%.46s]:%u", host,
		    (unsigned int)net_addr_port(a));
		return;
	default:
		snprintf(out, NET_ADDR_TEXT, "%.46s", host);
		return;
	}
}

uint16_t
net_addr_port(const struct net_addr *a)
{
	switch (net_addr_family(a)) {
	case AF_INET:
		return ntohs(as_v4(a).sin_port);
	case AF_INET6:
		return ntohs(as_v6(a).sin6_port);
	default:
		return 0;
	}
}

void
net_addr_set_port(struct net_addr *a, uint16_t port)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	switch (net_addr_family(a)) {
	case AF_INET:
		sin = as_v4(a);
		sin.sin_port = htons(port);
		memcpy(&a->ss, &sin, sizeof(sin));
		return;
	case AF_INET6:
		sin6 = as_v6(a);
		sin6.sin6_port = htons(port);
		memcpy(&a->ss, &sin6, sizeof(sin6));
		return;
	default:
		return;
	}
}

int
net_addr_family(const struct net_addr *a)
{
	return a->len > 0 ? a->ss.ss_family : AF_UNSPEC;
}

bool
net_addr_octets(const struct net_addr *a, uint8_t out[16], size_t *len)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	switch (net_addr_family(a)) {
	case AF_INET:
		sin = as_v4(a);
		memcpy(out, &sin.sin_addr, 4);
		*len = 4;
		return true;
	case AF_INET6:
		sin6 = as_v6(a);
		memcpy(out, &sin6.sin6_addr, 16);
		*len = 16;
		return true;
	default:
		return false;
	}
}

bool
net_addr_eq_host(const struct net_addr *a, const struct net_addr *b)
{
	uint8_t x[16], y[16];
	size_t x_len, y_len;

	return net_addr_octets(a, x, &x_len) && net_addr_octets(b, y, &y_len) &&
	    x_len == y_len && memcmp(x, y, x_len) == 0;
}

/* net/addr.h - socket addresses, and the one guard that says where our
 * connections may go. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/slice.h"

struct net_addr {
	struct sockaddr_storage ss;
	socklen_t len; /* 0: unset */
};

#define NET_ADDR_TEXT 64
/* "192.0.2.1", "2001:db8::1" or "[2001:db8::1]"; never a host name. */
int net_addr_parse(struct slice host, uint16_t port, struct net_addr *out,
    struct error *err) MUST_CHECK;
/* "host:port", "[v6]:port", ":port" (loopback), "unix:/path". */
int net_addr_parse_listen(struct slice text, struct net_addr *out,
    struct error *err) MUST_CHECK;
void net_addr_format(const struct net_addr *a, char out[NET_ADDR_TEXT]);
/* With the port: "192.0.2.1:25", "[2001:db8::1]:25". */
void net_addr_format_port(const struct net_addr *a, char out[NET_ADDR_TEXT]);
uint16_t net_addr_port(const struct net_addr *a);
void net_addr_set_port(struct net_addr *a, uint16_t port);
int net_addr_family(const struct net_addr *a); /* AF_UNSPEC when unset */
void net_addr_from_v4(const uint8_t octets[4], uint16_t port,
    struct net_addr *out);
void net_addr_from_v6(const uint8_t octets[16], uint16_t port,
    struct net_addr *out);
/* The address in network order: 4 or 16 octets; false for anything else. */
bool net_addr_octets(const struct net_addr *a, uint8_t out[16], size_t *len);
bool net_addr_eq_host(const struct net_addr *a, const struct net_addr *b);

/*
 * The guard (promise 5): may a connection of ours go there? Refuses
 * loopback, private, link-local, CGNAT, ULA, multicast, unspecified,
 * documentation, benchmarking and reserved ranges, v4-mapped and NAT64 forms
 * of those, v4-compatible, 6to4 and Teredo altogether, Unix sockets, and our
 * own addresses, unless allow lists a network that contains it. Applied at
 * connect, to the address actually used.
 *
 * A guard may be copied; the copies share own, which is freed with one of
 * them. Zeroed, it refuses what is special and knows no own addresses.
 */
struct net_own;
struct net_guard {
	bool allow_all; /* simulator and tests */
	size_t allow_count;
	struct net_block {
		struct net_addr base;
		unsigned int bits;
	} allow[32];
	struct net_own *own; /* read when first asked, then every minute */
};
/* text: "127.0.0.0/8 10.1.0.0/16 ::1", blanks between; "" allows nothing. */
int net_guard_parse(struct slice text, struct net_guard *out,
    struct error *err) MUST_CHECK;
void net_guard_fini(struct net_guard *g);
bool net_guard_allows(const struct net_guard *g, const struct net_addr *a);
/* Why it is refused: "loopback", "private", "our own"; NULL when allowed. */
const char *net_guard_refusal(const struct net_guard *g,
    const struct net_addr *a);
/* Why it is refused, e.g. "loopback", "private"; NULL when it is public. */
const char *net_addr_special(const struct net_addr *a);
/* These, and no others, are our own addresses: for tests. */
void net_guard_set_own(struct net_guard *g, const struct net_addr *addr,
    size_t n);

#endif

/*
 * The guard: which addresses a connection of ours may go to.
 *
 * IPv4: everything but the special ranges (RFC 6890 and its registry). IPv6
 * the other way round: only 2000::/3, less the special ranges in it, and the
 * well-known NAT64 prefix in front of a public IPv4 address; so a range that
 * is assigned later is refused until it stands here. 6to4 and Teredo are
 * refused whole: they lead to whatever IPv4 address is written in them, and
 * nobody receives mail there.
 *
 * Our own addresses come from getifaddrs, read again when older than a
 * minute, because a webhook to our own public address reaches what listens on
 * this machine behind its packet filter.
 */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/addr.h"

#define OWN_MAX_AGE_MS 60000
#define OWN_MAX 4096

struct net_own {
	struct net_addr *addr;
	size_t count;
	int64_t read_at_ms;
	bool is_fixed; /* given by a test */
};

struct range {
	uint8_t octets[16];
	unsigned int bits;
	const char *why;
};

static const struct range special_v4[] = {
	{ { 0 }, 8, "this network" },
	{ { 10 }, 8, "private" },
	{ { 100, 64 }, 10, "carrier NAT" },
	{ { 127 }, 8, "loopback" },
	{ { 169, 254 }, 16, "link-local" },
	{ { 172, 16 }, 12, "private" },
	{ { 192, 0, 0 }, 24, "protocol assignment" },
	{ { 192, 0, 2 }, 24, "documentation" },
	{ { 192, 88, 99 }, 24, "6to4 relay" },
	{ { 192, 168 }, 16, "private" },
	{ { 198, 18 }, 15, "benchmarking" },
	{ { 198, 51, 100 }, 24, "documentation" },
	{ { 203, 0, 113 }, 24, "documentation" },
	{ { 224 }, 4, "multicast" },
	{ { 255, 255, 255, 255 }, 32, "broadcast" },
	{ { 240 }, 4, "reserved" },
};

static const struct range special_v6[] = {
	{ { 0 }, 128, "unspecified" },
	{ { [15] = 1 }, 128, "loopback" },
	{ { 0 }, 96, "v4-compatible" },
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, "local NAT64" },
	{ { 0x01, 0x00 }, 64, "discard" },
	{ { 0x20, 0x01, 0x00, 0x00 }, 32, "Teredo" },
	{ { 0x20, 0x01, 0x00, 0x02 }, 48, "benchmarking" },
	{ { 0x20, 0x01, 0x00, 0x00 }, 23, "protocol assignment" },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, "documentation" },
	{ { 0x20, 0x02 }, 16, "6to4" },
	{ { 0x3f, 0xff, 0x00 }, 20, "documentation" },
	{ { 0xfc }, 7, "unique local" },
	{ { 0xfe, 0x80 }, 10, "link-local" },
	{ { 0xfe, 0xc0 }, 10, "site-local" },
	{ { 0xff }, 8, "multicast" },
};

static const struct range global_v6 = { { 0x20 }, 3, NULL };
static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool
prefix_eq(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 ||
	    (a[whole] >> (8 - rest)) == (b[whole] >> (8 - rest));
}

static const char *
find_range(const struct range *table, size_t n, const uint8_t *octets)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_eq(octets, table[i].octets, table[i].bits))
			return table[i].why;
	}
	return NULL;
}

/* A v4-mapped address is the IPv4 address that the kernel connects to. */
static bool
octets_of(const struct net_addr *a, uint8_t out[16], size_t *len)
{
	if (!net_addr_octets(a, out, len))
		return false;
	if (*len == 16 && memcmp(out, mapped, sizeof(mapped)) == 0) {
		memmove(out, out + 12, 4);
		*len = 4;
	}
	return true;
}

const char *
net_addr_special(const struct net_addr *a)
{
	uint8_t octets[16];
	size_t len;
	const char *why;

	if (!octets_of(a, octets, &len))
		return "not an internet address";
	if (len == 4)
		return find_range(special_v4, ARRAY_LEN(special_v4), octets);
	if (memcmp(octets, nat64, sizeof(nat64)) == 0)
		return find_range(special_v4, ARRAY_LEN(special_v4),
		    octets + 12);
	why = find_range(special_v6, ARRAY_LEN(special_v6), octets);
	if (why == NULL && !prefix_eq(octets, global_v6.octets, global_v6.bits))
		why = "reserved";
	return why;
}

static int
parse_block(struct slice word, struct net_block *out, struct error *err)
{
	bool has_bits = slice_has_char(word, '/');
	struct slice host = slice_take_until(&word, '/');
	uint16_t bits = 0;
	unsigned int most;

	if (net_addr_parse(host, 0, &out->base, err) < 0)
		return -1;
	most = net_addr_family(&out->base) == AF_INET ? 32 : 128;
	if (!has_bits)
		bits = (uint16_t)most;
	else if (!slice_take_uint(&word, 3, &bits) || word.len > 0 ||
	    bits > most)
		return error_set(err, ERR_SYNTAX,
		    "the prefix length of a network is 0 to %u", most);
	out->bits = bits;
	return 0;
}

int
net_guard_parse(struct slice text, struct net_guard *out, struct error *err)
{
	struct net_guard g = { 0 };

	for (text = slice_trim(text); text.len > 0; text = slice_trim(text)) {
		struct slice word = slice_take_until(&text, ' ');

		if (g.allow_count == ARRAY_LEN(g.allow))
			return error_set(err, ERR_LIMIT, "at most %zu networks",
			    ARRAY_LEN(g.allow));
		if (parse_block(slice_trim(word), &g.allow[g.allow_count],
			err) < 0)
			return -1;
		g.allow_count++;
	}
	g.own = xmalloc(sizeof(*g.own));
	*out = g;
	return 0;
}

void
net_guard_fini(struct net_guard *g)
{
	if (g->own != NULL)
		free(g->own->addr);
	free(g->own);
	memset(g, 0, sizeof(*g));
}

void
net_guard_set_own(struct net_guard *g, const struct net_addr *addr, size_t n)
{
	if (g->own == NULL)
		g->own = xmalloc(sizeof(*g->own));
	free(g->own->addr);
	g->own->addr = xmemdup(addr, n * sizeof(*addr));
	g->own->count = n;
	g->own->is_fixed = true;
}

static void
own_read(struct net_own *own)
{
	struct ifaddrs *all;
	size_t n = 0;

	/* Kept as it was when the kernel does not answer; asked again soon. */
	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		n++;
	n = MIN(n, OWN_MAX);
	free(own->addr);
	own->addr = xcalloc(n, sizeof(*own->addr));
	own->count = 0;
	for (struct ifaddrs *i = all; i != NULL && own->count < n;
	     i = i->ifa_next) {
		struct net_addr *a = &own->addr[own->count];
		int family =
		    i->ifa_addr != NULL ? i->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET)
			a->len = sizeof(struct sockaddr_in);
		else if (family == AF_INET6)
			a->len = sizeof(struct sockaddr_in6);
		else
			continue;
		memcpy(&a->ss, i->ifa_addr, a->len);
		own->count++;
	}
	freeifaddrs(all);
	own->read_at_ms = clock_mono_ms();
}

static bool
is_own(struct net_own *own, const struct net_addr *a)
{
	uint8_t x[16], y[16];
	size_t x_len, y_len;

	if (own == NULL || !octets_of(a, x, &x_len))
		return false;
	if (!own->is_fixed &&
	    (own->addr == NULL ||
		clock_mono_ms() - own->read_at_ms > OWN_MAX_AGE_MS))
		own_read(own);
	/* Through NAT64 we would reach our own IPv4 address just as well. */
	if (x_len == 16 && memcmp(x, nat64, sizeof(nat64)) == 0) {
		memmove(x, x + 12, 4);
		x_len = 4;
	}
	for (size_t i = 0; i < own->count; i++) {
		if (net_addr_octets(&own->addr[i], y, &y_len) &&
		    x_len == y_len && memcmp(x, y, x_len) == 0)
			return true;
	}
	return false;
}

static bool
is_listed(const struct net_guard *g, const struct net_addr *a)
{
	uint8_t x[16], y[16];
	size_t x_len, y_len;

	if (!octets_of(a, x, &x_len))
		return false;
	for (size_t i = 0; i < g->allow_count; i++) {
		if (net_addr_octets(&g->allow[i].base, y, &y_len) &&
		    x_len == y_len && prefix_eq(x, y, g->allow[i].bits))
			return true;
	}
	return false;
}

const char *
net_guard_refusal(const struct net_guard *g, const struct net_addr *a)
{
	const char *why;

	if (g->allow_all || is_listed(g, a))
		return NULL;
	why = net_addr_special(a);
	if (why == NULL && is_own(g->own, a))
		why = "our own";
	return why;
}

bool
net_guard_allows(const struct net_guard *g, const struct net_addr *a)
{
	return net_guard_refusal(g, a) == NULL;
}

/*
 * The addresses of a route in the order of trial: those of the source's
 * family, by preference of their hosts.
 */
#include "base/crypto.h"
#include "delivery/session_priv.h"

static void
add_host(struct session *s, uint8_t h)
{
	const struct route_host *host = &s->route->host[h];
	int family = net_addr_family(&s->dest->source.addr);

	for (uint8_t a = 0; a < host->addr_count; a++) {
		if (s->order_count == ARRAY_LEN(s->order))
			return;
		if (!s->route->is_simulator &&
		    net_addr_family(&host->addr[a]) != family)
			continue;
		s->order[s->order_count].host = h;
		s->order[s->order_count++].addr = a;
	}
}

/* By preference; equal ones shuffled (RFC 5321 section 5.1). */
void
session_order(struct session *s)
{
	uint8_t hosts[ROUTE_HOSTS_MAX];
	size_t n = s->route->host_count;

	for (size_t i = 0; i < n; i++)
		hosts[i] = (uint8_t)i;
	for (size_t i = 0; i + 1 < n; i++) {
		uint16_t pref = s->route->host[hosts[i]].preference;
		size_t same = 1;
		size_t pick;
		uint8_t h;

		while (i + same < n &&
		    s->route->host[hosts[i + same]].preference == pref)
			same++;
		pick = i + crypto_random_u64() % same;
		h = hosts[i];
		hosts[i] = hosts[pick];
		hosts[pick] = h;
	}
	for (size_t i = 0; i < n; i++)
		add_host(s, hosts[i]);
}

#include "queue/lane.h"

#include <stdio.h>

#include "base/attr.h"
#include "base/hash.h"

/*
 * Providers by the domains that they own themselves. Domains of customers
 * hosted there go through a hash lane: that costs order, never a limit,
 * because limits are counted after the MX is known.
 */

static const char *const providers[] = { "google", "microsoft", "yahoo",
	"apple", "gmx", "comcast", "mailru", "tencent" };

static const struct {
	const char *domain, *provider;
} owned[] = {
	{ "gmail.com", "google" },
	{ "googlemail.com", "google" },
	{ "outlook.com", "microsoft" },
	{ "hotmail.com", "microsoft" },
	{ "hotmail.co.uk", "microsoft" },
	{ "hotmail.fr", "microsoft" },
	{ "hotmail.de", "microsoft" },
	{ "hotmail.it", "microsoft" },
	{ "hotmail.es", "microsoft" },
	{ "live.com", "microsoft" },
	{ "live.co.uk", "microsoft" },
	{ "live.fr", "microsoft" },
	{ "live.nl", "microsoft" },
	{ "msn.com", "microsoft" },
	{ "outlook.de", "microsoft" },
	{ "outlook.fr", "microsoft" },
	{ "yahoo.com", "yahoo" },
	{ "yahoo.co.uk", "yahoo" },
	{ "yahoo.co.in", "yahoo" },
	{ "yahoo.fr", "yahoo" },
	{ "yahoo.de", "yahoo" },
	{ "yahoo.it", "yahoo" },
	{ "yahoo.es", "yahoo" },
	{ "yahoo.com.br", "yahoo" },
	{ "ymail.com", "yahoo" },
	{ "rocketmail.com", "yahoo" },
	{ "aol.com", "yahoo" },
	{ "icloud.com", "apple" },
	{ "me.com", "apple" },
	{ "mac.com", "apple" },
	{ "gmx.de", "gmx" },
	{ "gmx.net", "gmx" },
	{ "gmx.at", "gmx" },
	{ "gmx.ch", "gmx" },
	{ "gmx.com", "gmx" },
	{ "web.de", "gmx" },
	{ "mail.com", "gmx" },
	{ "comcast.net", "comcast" },
	{ "xfinity.com", "comcast" },
	{ "mail.ru", "mailru" },
	{ "bk.ru", "mailru" },
	{ "inbox.ru", "mailru" },
	{ "list.ru", "mailru" },
	{ "qq.com", "tencent" },
	{ "foxmail.com", "tencent" },
};

static void
set_name(struct queue_lane *lane, int pool, const char *name)
{
	lane->pool = pool;
	snprintf(lane->name, sizeof(lane->name), "%s", name);
}

static void
set_hash_name(struct queue_lane *lane, int pool, unsigned int n)
{
	lane->pool = pool;
	snprintf(lane->name, sizeof(lane->name), "h%u", n);
}

void
queue_lane_of_domain(int pool, struct slice domain, struct queue_lane *out)
{
	uint64_t hash;

	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		if (slice_eq_nocase(domain, slice_of(owned[i].domain))) {
			set_name(out, pool, owned[i].provider);
			return;
		}
	hash = hash_stable(domain.ptr, domain.len);
	/* The upper half: FNV mixes its low bits least. */
	set_hash_name(out, pool,
	    (unsigned int)((hash >> 32) % QUEUE_HASH_LANES));
}

size_t
queue_lane_count(void)
{
	return ARRAY_LEN(providers) + QUEUE_HASH_LANES;
}

void
queue_lane_nth(int pool, size_t n, struct queue_lane *out)
{
	invariant(n < queue_lane_count());
	if (n < ARRAY_LEN(providers))
		set_name(out, pool, providers[n]);
	else
		set_hash_name(out, pool,
		    (unsigned int)(n - ARRAY_LEN(providers)));
}

int
queue_lane_index(struct slice name)
{
	struct queue_lane lane;

	for (size_t i = 0; i < queue_lane_count(); i++) {
		queue_lane_nth(0, i, &lane);
		if (slice_eq_text(name, lane.name))
			return (int)i;
	}
	return -1;
}

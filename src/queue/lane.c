#include "queue/lane.h"

#include <stdio.h>

#include "base/attr.h"
#include "base/hash.h"
#include "queue/shaping.h"
#include "store/sources.h"

/*
 * Domains of a provider's customers go through a hash lane: that costs order,
 * never a limit, because limits are counted after the MX is known.
 */

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
queue_lane_of_domain(const struct shaping *s, int pool, struct slice domain,
    struct queue_lane *out)
{
	int provider = shaping_provider_of_domain(s, domain);
	uint64_t hash;

	if (provider >= 0) {
		set_name(out, pool, shaping_provider_name(s, (size_t)provider));
		return;
	}
	hash = hash_stable(domain.ptr, domain.len);
	/* The upper half: FNV mixes its low bits least. */
	set_hash_name(out, pool,
	    (unsigned int)((hash >> 32) % QUEUE_HASH_LANES));
}

size_t
queue_lane_count(const struct shaping *s)
{
	return shaping_provider_count(s) + QUEUE_HASH_LANES;
}

void
queue_lane_nth(const struct shaping *s, int pool, size_t n,
    struct queue_lane *out)
{
	size_t providers = shaping_provider_count(s);

	invariant(n < queue_lane_count(s));
	if (n < providers)
		set_name(out, pool, shaping_provider_name(s, n));
	else
		set_hash_name(out, pool, (unsigned int)(n - providers));
}

const struct store_pool *
queue_lane_of_pools(const struct shaping *s, const struct store_pool *pools,
    size_t n, struct queue_lane *out)
{
	size_t lanes = queue_lane_count(s);
	const struct store_pool *pool = &pools[n / lanes];

	queue_lane_nth(s, pool->number, n % lanes, out);
	return pool;
}

int
queue_lane_index(const struct shaping *s, struct slice name)
{
	int provider = shaping_provider_find(s, name);
	uint64_t n;

	if (provider >= 0)
		return provider;
	if (!slice_take_char(&name, 'h') || name.len > 2 ||
	    !slice_to_u64(name, &n) || n >= QUEUE_HASH_LANES ||
	    (name.len > 1 && name.ptr[0] == '0'))
		return -1;
	return (int)(shaping_provider_count(s) + n);
}

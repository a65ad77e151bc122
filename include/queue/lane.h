/*
 * queue/lane.h - the unit of the schedule: (pool, provider) or (pool, hash of
 * the recipient's domain mod 16). One lane = one hash tag = one Redis slot.
 *
 * Which providers there are is a matter of the shaping (queue/shaping.h).
 */
#ifndef QUEUE_LANE_H
#define QUEUE_LANE_H

#include "base/slice.h"

#define QUEUE_LANE_NAME_MAX 24
#define QUEUE_HASH_LANES 16

struct shaping;
struct store_pool;

struct queue_lane {
	int pool;
	char name[QUEUE_LANE_NAME_MAX]; /* "google", "h7" */
};

/*
 * The lane of a recipient domain (A-labels, lower case): a provider known by
 * its own domains (gmail.com -> google), else a hash lane. A lane is a hint: a
 * wrong one costs order, never a limit.
 */
void queue_lane_of_domain(const struct shaping *s, int pool,
    struct slice domain, struct queue_lane *out);
/* All lanes of a pool: providers and hash lanes, in a fixed order. */
size_t queue_lane_count(const struct shaping *s);
void queue_lane_nth(const struct shaping *s, int pool, size_t n,
    struct queue_lane *out);
/*
 * All lanes of many pools, one pool after the other; n is below the number of
 * pools times queue_lane_count. Returns the pool that the lane is of.
 */
const struct store_pool *queue_lane_of_pools(const struct shaping *s,
    const struct store_pool *pools, size_t n, struct queue_lane *out);
/* Index of the lane's name for queue_lane_nth, or -1. */
int queue_lane_index(const struct shaping *s, struct slice name);

#endif

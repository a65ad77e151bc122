/*
 * queue/depth.h - how many jobs the schedule holds, asked for regularly: ready,
 * later, held and parked, over all lanes of all pools; and why processes do not
 * ask for those of a lane.
 */
#ifndef QUEUE_DEPTH_H
#define QUEUE_DEPTH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct depth;
struct loop;
struct pg;
struct queue;
struct shaping;

struct depth_ops {
	/* The question leaves: what is enqueued over the same queue from now
	 * on is not in the answer. */
	void (*asked)(void *ctx);
	/* While Redis or Postgres is away nothing is told. */
	void (*counted)(void *ctx, size_t jobs);
};

/* pg (for the list of pools), queue, shaping and ops are borrowed. Costs Redis
 * about 10 us per lane and count. */
struct depth *depth_new(struct loop *l, struct pg *pg, struct queue *q,
    const struct shaping *shaping, int64_t period_ms,
    const struct depth_ops *ops, void *ctx);
void depth_free(struct depth **d);

#define DEPTH_WHY_MAX 160
/* As of the last count; "" for nothing. Borrowed until the loop turns. */
const char *depth_why(const struct depth *d, int pool, struct slice lane);
/*
 * What a lane tells (queue_lane_state.why), for people. owners: the workers
 * that could send what is in it (store_pool.owners). While one of them tells
 * nothing the lane is open, and "" is written; else the reason that is over
 * first. size: DEPTH_WHY_MAX.
 */
void depth_why_text(struct slice why, struct slice owners, char *out,
    size_t size);

#endif

#include "queue/depth.h"

#include <stdbool.h>

#include "base/mem.h"
#include "net/loop.h"
#include "queue/queue.h"
#include "store/sources.h"

/*
 * A count: the pools (asked for again now and then) -> the state of every lane
 * -> the sum. One that lacks an answer is not told.
 */

#define POOLS_AGAIN 60 /* counts */

struct depth {
	struct loop *loop;
	struct pg *pg;
	struct queue *queue;
	const struct shaping *shaping;
	const struct depth_ops *ops;
	void *ctx;
	struct timer *timer;
	int64_t period_ms;
	struct pg_tx *tx;
	int *pool;
	size_t pool_count;
	size_t open; /* lanes still to answer */
	size_t sum;
	bool has_failed;
	unsigned int counts; /* since the pools were asked for */
};

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct depth *d = ctx;

	if (err != NULL)
		d->has_failed = true;
	else
		d->sum +=
		    state->ready + state->later + state->held + state->parked;
	if (--d->open == 0 && !d->has_failed)
		d->ops->counted(d->ctx, d->sum);
}

static void
count(struct depth *d)
{
	struct queue_lane lane;

	if (d->open > 0 || d->pool_count == 0 || !queue_is_connected(d->queue))
		return;
	d->counts++;
	d->sum = 0;
	d->has_failed = false;
	d->open = d->pool_count * queue_lane_count(d->shaping);
	d->ops->asked(d->ctx);
	for (size_t p = 0; p < d->pool_count; p++)
		for (size_t i = 0; i < queue_lane_count(d->shaping); i++) {
			queue_lane_nth(d->shaping, d->pool[p], i, &lane);
			queue_state(d->queue, &lane, on_state, d);
		}
}

static void
on_pools(void *ctx, const struct store_pool *pool, size_t n,
    const struct error *err)
{
	struct depth *d = ctx;

	d->tx = NULL;
	if (err != NULL)
		return;
	free(d->pool);
	d->pool = xcalloc(n, sizeof(*d->pool));
	d->pool_count = n;
	for (size_t i = 0; i < n; i++)
		d->pool[i] = pool[i].number;
	d->counts = 0;
	count(d);
}

static void
on_time(void *ctx)
{
	struct depth *d = ctx;

	timer_set(d->timer, d->period_ms);
	if (d->tx != NULL)
		return;
	if (pg_is_up(d->pg) && (d->pool == NULL || d->counts >= POOLS_AGAIN))
		d->tx = store_pool_list(d->pg, on_pools, d);
	else
		count(d);
}

struct depth *
depth_new(struct loop *l, struct pg *pg, struct queue *q,
    const struct shaping *shaping, int64_t period_ms,
    const struct depth_ops *ops, void *ctx)
{
	struct depth *d = xmalloc(sizeof(*d));

	d->loop = l;
	d->pg = pg;
	d->queue = q;
	d->shaping = shaping;
	d->period_ms = period_ms;
	d->ops = ops;
	d->ctx = ctx;
	d->timer = timer_new(l, on_time, d);
	timer_set(d->timer, 0);
	return d;
}

void
depth_free(struct depth **dp)
{
	struct depth *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	timer_free(&d->timer);
	pg_tx_cancel(&d->tx);
	queue_forget(d->queue, d);
	free(d->pool);
	free(d);
}

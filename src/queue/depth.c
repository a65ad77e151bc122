#include "queue/depth.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop.h"
#include "queue/queue.h"
#include "store/sources.h"

/*
 * A count: the pools (asked for again now and then) -> the state of every lane
 * -> the sum. One that lacks an answer is not told; a lane that is broken
 * counts nothing.
 */

#define POOLS_AGAIN 60 /* counts */

/* A lane that is asked for its state. */
struct lane_depth {
	struct depth *depth;
	struct queue_lane lane;
	char why[DEPTH_WHY_MAX];
};

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
	struct lane_depth *lane;
	size_t lane_count;
	size_t open; /* lanes still to answer */
	size_t sum;
	bool has_failed;
	unsigned int counts; /* since the pools were asked for */
};

void
depth_why_text(struct slice why, char *out, size_t size)
{
	struct slice line = slice_take_until(&why, '\n'), until;
	char when[CLOCK_ISO_LEN];
	int64_t until_ms;
	size_t at;

	slice_take_until(&line, ' '); /* the worker */
	for (at = line.len; at > 0 && line.ptr[at - 1] != ' '; at--)
		continue;
	until = slice_from(line, at);
	if (at == 0 || !slice_to_i64(until, &until_ms)) {
		snprintf(out, size, "%.*s", SLICE_FMT(line));
		return;
	}
	line = slice_first(line, at - 1);
	if (until_ms <= clock_now_ms()) {
		/* Nobody knew, or it was told a while ago. */
		snprintf(out, size, "%.*s", SLICE_FMT(line));
		return;
	}
	clock_format_iso(until_ms, when);
	snprintf(out, size, "%.*s until %s", SLICE_FMT(line), when);
}

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct lane_depth *lane = ctx;
	struct depth *d = lane->depth;

	if (err != NULL) {
		d->has_failed = d->has_failed || !queue_lane_is_broken(err);
	} else {
		d->sum +=
		    state->ready + state->later + state->held + state->parked;
		depth_why_text(state->why, lane->why, sizeof(lane->why));
	}
	if (--d->open == 0 && !d->has_failed)
		d->ops->counted(d->ctx, d->sum);
}

static void
count(struct depth *d)
{
	if (d->open > 0 || d->lane_count == 0 || !queue_is_connected(d->queue))
		return;
	d->counts++;
	d->sum = 0;
	d->has_failed = false;
	d->open = d->lane_count;
	d->ops->asked(d->ctx);
	for (size_t i = 0; i < d->lane_count; i++)
		queue_state(d->queue, &d->lane[i].lane, on_state, &d->lane[i]);
}

static void
on_pools(void *ctx, const struct store_pool *pool, size_t n,
    const struct error *err)
{
	struct depth *d = ctx;

	d->tx = NULL;
	/* While lanes are asked they stay as they are. */
	if (err != NULL || d->open > 0)
		return;
	free(d->lane);
	d->lane_count = n * queue_lane_count(d->shaping);
	d->lane = xcalloc(d->lane_count + 1, sizeof(*d->lane));
	for (size_t i = 0; i < d->lane_count; i++) {
		d->lane[i].depth = d;
		queue_lane_of_pools(d->shaping, pool, i, &d->lane[i].lane);
	}
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
	if (pg_is_up(d->pg) && (d->lane == NULL || d->counts >= POOLS_AGAIN))
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
	for (size_t i = 0; i < d->lane_count; i++)
		queue_forget(d->queue, &d->lane[i]);
	free(d->lane);
	free(d);
}

const char *
depth_why(const struct depth *d, int pool, struct slice lane)
{
	for (size_t i = 0; i < d->lane_count; i++)
		if (d->lane[i].lane.pool == pool &&
		    slice_eq_text(lane, d->lane[i].lane.name))
			return d->lane[i].why;
	return "";
}

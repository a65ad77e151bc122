#include "queue/depth.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
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

#define POOLS_AGAIN 10 /* counts; the owners of their sources change */

/* A lane that is asked for its state. */
struct lane_depth {
	struct depth *depth;
	struct queue_lane lane;
	struct slice owners; /* of its pool */
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
	struct arena arena; /* of the list of lanes */
	struct lane_depth *lane;
	size_t lane_count;
	size_t open; /* lanes still to answer */
	size_t sum;
	bool has_failed;
	unsigned int counts; /* since the pools were asked for */
};

static bool
is_among(struct slice words, struct slice word)
{
	while (words.len > 0)
		if (slice_eq(slice_take_until(&words, ' '), word))
			return true;
	return false;
}

static size_t
count_words(struct slice words)
{
	size_t n = 0;

	while (words.len > 0)
		n += slice_take_until(&words, ' ').len > 0;
	return n;
}

/* "daily limit 1795737600000"; takes the time off, 0: soon, or not told. */
static int64_t
take_until(struct slice *text)
{
	size_t at = text->len;
	int64_t until_ms = 0;

	while (at > 0 && text->ptr[at - 1] != ' ')
		at--;
	if (at > 0 && slice_to_i64(slice_from(*text, at), &until_ms))
		*text = slice_first(*text, at - 1);
	return MAX(until_ms, 0);
}

void
depth_why_text(struct slice why, struct slice owners, char *out, size_t size)
{
	struct slice first = SLICE(""), line;
	int64_t until_ms = 0;
	size_t silent = count_words(owners);
	char when[CLOCK_ISO_LEN];

	while (why.len > 0) {
		int64_t its_ms;

		line = slice_take_until(&why, '\n');
		if (!is_among(owners, slice_take_until(&line, ' ')))
			continue;
		its_ms = take_until(&line);
		if (first.len == 0 || its_ms < until_ms) {
			first = line;
			until_ms = its_ms;
		}
		silent--;
	}
	if (silent > 0)
		first = SLICE("");
	/* A time that is over was told a while ago; what comes next is not
	 * known. */
	if (first.len == 0 || until_ms <= clock_now_ms()) {
		snprintf(out, size, "%.*s", SLICE_FMT(first));
		return;
	}
	clock_format_iso(until_ms, when);
	snprintf(out, size, "%.*s until %s", SLICE_FMT(first), when);
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
		depth_why_text(state->why, lane->owners, lane->why,
		    sizeof(lane->why));
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
	arena_fini(&d->arena);
	d->lane_count = n * queue_lane_count(d->shaping);
	d->lane = arena_calloc(&d->arena, d->lane_count + 1, sizeof(*d->lane));
	for (size_t i = 0; i < d->lane_count; i++) {
		struct lane_depth *lane = &d->lane[i];
		const struct store_pool *its =
		    queue_lane_of_pools(d->shaping, pool, i, &lane->lane);

		lane->depth = d;
		lane->owners = arena_slice(&d->arena, its->owners);
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
	arena_fini(&d->arena);
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

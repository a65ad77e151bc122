#include "bin/backlog.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bin/poolwhy.h"
#include "bin/session.h"
#include "net/loop.h"
#include "queue/depth.h"
#include "queue/queue.h"
#include "store/sources.h"

struct queue *
backlog_queue_open(struct session *s)
{
	struct queue *q =
	    queue_new(s->loop, s->settings.redis, NULL, 0, NULL, NULL);
	int64_t end_ms = clock_mono_ms() + BACKLOG_REDIS_MS;

	while (!queue_is_connected(q) && clock_mono_ms() < end_ms)
		loop_turn(s->loop, 50);
	if (queue_is_connected(q))
		return q;
	fprintf(stderr,
	    "Redis at %s does not answer: is it running? What it knows is "
	    "shown as \"-\".\n",
	    s->settings.redis);
	queue_free(&q);
	return NULL;
}

/* ---- Lanes --------------------------------------------------------------- */

struct lane_call {
	struct reading *reading;
	struct queue_lane lane;
	struct slice name;
};

struct reading {
	struct session *s;
	struct lane_depths *depths;
	struct queue *queue;
	struct poolwhy pools;
	bool by_provider;
	struct lane_call *call;
	size_t call_count, open;
};

/* Those of one name are added up. */
static struct lane_depth *
depth_for(struct lane_depths *d, struct slice name)
{
	for (size_t i = 0; i < d->count; i++)
		if (slice_eq(d->depth[i].name, name))
			return &d->depth[i];
	d->depth[d->count].name = name;
	return &d->depth[d->count++];
}

static void
answered(struct reading *r)
{
	if (--r->open == 0)
		session_end(r->s, NULL);
}

static void
on_parked(void *ctx, const int *hold, size_t count, const struct error *err)
{
	struct lane_call *call = ctx;
	struct reading *r = call->reading;
	struct lane_depth *d = depth_for(r->depths, call->name);
	int *all;

	if (err == NULL && count > 0) {
		all = arena_calloc(&r->depths->arena, d->hold_count + count,
		    sizeof(*all));
		if (d->hold_count > 0)
			memcpy(all, d->hold, d->hold_count * sizeof(*all));
		memcpy(all + d->hold_count, hold, count * sizeof(*all));
		d->hold = all;
		d->hold_count += count;
	}
	answered(r);
}

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct lane_call *call = ctx;
	struct reading *r = call->reading;
	struct lane_depth *d;
	struct slice idle;

	if (err == NULL) {
		d = depth_for(r->depths, call->name);
		d->ready += state->ready;
		d->later += state->later;
		d->held += state->held;
		d->parked += state->parked;
		idle = poolwhy_of(&r->pools, call->lane.pool);
		if (idle.len == 0 && state->why.len > 0)
			depth_why_text(state->why, d->why, sizeof(d->why));
		else if (idle.len > 0 &&
		    state->ready + state->held + state->later > 0)
			snprintf(d->why, sizeof(d->why), "%.*s",
			    SLICE_FMT(idle));
		if (state->parked > 0) {
			r->open++;
			queue_parked(r->queue, &call->lane, on_parked, call);
		}
	}
	answered(r);
}

static bool
is_hash_lane(const struct queue_lane *lane)
{
	struct slice name = slice_of(lane->name);
	uint64_t n;

	return slice_take_char(&name, 'h') && slice_to_u64(name, &n);
}

static struct slice
name_of(const struct reading *r, const struct queue_lane *lane,
    struct slice pool)
{
	struct arena *arena = &r->depths->arena;

	if (!r->by_provider)
		return slice_of(
		    arena_fmt(arena, "%.*s/%s", SLICE_FMT(pool), lane->name));
	return is_hash_lane(lane) ? SLICE("others")
				  : arena_slice(arena, slice_of(lane->name));
}

static void
got_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct reading *r = ctx;
	const struct shaping *shaping = session_shaping(r->s);
	size_t lanes = count * queue_lane_count(shaping);

	r->call = arena_calloc(&r->depths->arena, lanes + 1, sizeof(*r->call));
	r->call_count = lanes;
	for (size_t i = 0; i < lanes; i++) {
		struct lane_call *call = &r->call[i];
		const struct store_pool *its =
		    queue_lane_of_pools(shaping, pool, i, &call->lane);

		call->reading = r;
		call->name = name_of(r, &call->lane, its->name);
	}
	session_end(r->s, err);
}

static void
ask(struct reading *r)
{
	r->depths->depth = arena_calloc(&r->depths->arena, r->call_count + 1,
	    sizeof(*r->depths->depth));
	r->open = r->call_count;
	for (size_t i = 0; i < r->call_count; i++)
		queue_state(r->queue, &r->call[i].lane, on_state, &r->call[i]);
	if (r->call_count > 0)
		session_wait(r->s, "asking Redis for the lanes");
}

void
lane_depths_read(struct lane_depths *d, struct session *s, bool by_provider)
{
	struct reading *r = xmalloc(sizeof(*r));

	r->s = s;
	r->depths = d;
	r->by_provider = by_provider;
	r->queue = backlog_queue_open(s);
	if (r->queue != NULL) {
		store_pool_list(s->pg, got_pools, r);
		session_wait(s, "listing pools");
		poolwhy_read(&r->pools, s);
		ask(r);
		poolwhy_fini(&r->pools);
	}
	queue_free(&r->queue);
	free(r);
}

void
lane_depths_fini(struct lane_depths *d)
{
	arena_fini(&d->arena);
}

const struct lane_depth *
lane_depths_find(const struct lane_depths *d, struct slice name)
{
	for (size_t i = 0; i < d->count; i++)
		if (slice_eq(d->depth[i].name, name))
			return &d->depth[i];
	return NULL;
}

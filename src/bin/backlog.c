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
	struct slice name;	/* of the group it is counted in */
	struct slice full_name; /* pool/lane */
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

/* Of several lanes the largest tells; which, unless the others say the same. */
static void
add_why(const struct lane_call *call, struct lane_depth *d,
    const struct queue_lane_state *state)
{
	struct poolwhy *pools = &call->reading->pools;
	struct slice idle = poolwhy_of(pools, call->lane.pool);
	size_t jobs = state->ready + state->held + state->later;
	char why[DEPTH_WHY_MAX];

	if (jobs == 0)
		return;
	d->lanes++;
	if (idle.len > 0)
		snprintf(why, sizeof(why), "%.*s", SLICE_FMT(idle));
	else
		depth_why_text(state->why,
		    poolwhy_owners(pools, call->lane.pool), why, sizeof(why));
	if (why[0] == '\0')
		return;
	if (strcmp(why, d->why) == 0) {
		d->why_lanes++;
	} else if (jobs > d->why_jobs) {
		snprintf(d->why, sizeof(d->why), "%s", why);
		d->why_lane = call->full_name;
		d->why_lanes = 1;
		d->why_jobs = jobs;
	}
}

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct lane_call *call = ctx;
	struct reading *r = call->reading;
	struct lane_depth *d;

	if (err == NULL) {
		d = depth_for(r->depths, call->name);
		d->ready += state->ready;
		d->later += state->later;
		d->held += state->held;
		d->parked += state->parked;
		add_why(call, d, state);
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
provider_of(const struct reading *r, const struct queue_lane *lane)
{
	struct arena *arena = &r->depths->arena;

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
		call->full_name = slice_of(arena_fmt(&r->depths->arena,
		    "%.*s/%s", SLICE_FMT(its->name), call->lane.name));
		call->name = r->by_provider ? provider_of(r, &call->lane)
					    : call->full_name;
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

#include "queue/reap.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "giveback.h"
#include "store/sources.h"
#include "store/workers.h"

/*
 * A step: liveness -> pools -> who holds what, in every lane -> who is alive
 * -> give back what the others hold.
 */

#define STRANGE_MAX 64

struct reap {
	struct pg *pg;
	struct pg_tx *tx;
	/* Postgres answers: since when (0: it does not), and when it last did.
	 */
	int64_t reached_ms, last_reached_ms;
	struct queue_lane strange[STRANGE_MAX];
	size_t strange_count;
	struct giveback giveback;
	uint64_t died;
};

static const struct log_ctx reap_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "reap" } } } };

/* From now on it must be there without a break. */
void
reap_away(struct reap *r)
{
	r->reached_ms = 0;
}

static void
fail_step(struct reap *r)
{
	reap_away(r);
	giveback_end(&r->giveback, true);
}

static void
on_alive(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct reap *r = ctx;
	int *alive;

	r->tx = NULL;
	if (err != NULL) {
		fail_step(r);
		return;
	}
	alive = xcalloc(count + 1, sizeof(*alive));
	for (size_t i = 0; i < count; i++)
		alive[i] = worker[i].id;
	giveback_others(&r->giveback, alive, count);
	free(alive);
}

static void
found(void *ctx)
{
	struct reap *r = ctx;

	r->tx = store_worker_list(r->pg, on_alive, r);
}

static void
gave(const struct queue_lane *lane, int worker, size_t count)
{
	log_info(&reap_log, "reap.given_back", log_int("worker", worker),
	    log_text("lane", lane->name), log_uint("count", count));
}

static const struct giveback_ops ops = { queue_holders, queue_reap, found,
	gave };

static void
on_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct reap *r = ctx;

	r->tx = NULL;
	if (err != NULL)
		fail_step(r);
	else if (!queue_is_connected(r->giveback.queue))
		giveback_end(&r->giveback, false);
	else
		giveback_ask(&r->giveback, pool, count, r->strange,
		    r->strange_count);
}

void
reap_also(struct reap *r, const struct queue_lane *lane)
{
	for (size_t i = 0; i < r->strange_count; i++)
		if (r->strange[i].pool == lane->pool &&
		    strcmp(r->strange[i].name, lane->name) == 0)
			return;
	if (r->strange_count < STRANGE_MAX)
		r->strange[r->strange_count++] = *lane;
}

static void
on_dead(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct reap *r = ctx;

	r->tx = NULL;
	if (err != NULL) {
		fail_step(r);
		return;
	}
	for (size_t i = 0; i < count; i++)
		log_warn(&reap_log, "reap.dead",
		    log_int("worker", worker[i].id),
		    log_slice("node", worker[i].node),
		    log_slice("role", worker[i].role));
	r->died += count;
	r->tx = store_pool_list(r->pg, on_pools, r);
}

/* A process that was stopped is as one that was away. */
static bool
was_heard_lately(const struct reap *r, int64_t now_ms)
{
	return now_ms - r->last_reached_ms <
	    clock_patience_ms(3 * (int64_t)STORE_HEARTBEAT_MS);
}

void
reap_reached(struct reap *r, int64_t now_ms)
{
	if (r->reached_ms == 0 || !was_heard_lately(r, now_ms))
		r->reached_ms = now_ms;
	r->last_reached_ms = now_ms;
}

/* Nobody is declared dead by one who was away himself. */
static bool
may_judge(const struct reap *r, int64_t now_ms)
{
	return r->reached_ms != 0 && was_heard_lately(r, now_ms) &&
	    now_ms - r->reached_ms >= clock_patience_ms(STORE_UNSEEN_MS);
}

void
reap_step(struct reap *r, int64_t now_ms)
{
	if (!giveback_begin(&r->giveback))
		return;
	if (!pg_is_up(r->pg)) {
		fail_step(r);
		return;
	}
	if (may_judge(r, now_ms))
		r->tx = store_worker_set_dead_unseen(r->pg,
		    clock_patience_ms(STORE_UNSEEN_MS), on_dead, r);
	else
		r->tx = store_pool_list(r->pg, on_pools, r);
}

bool
reap_is_busy(const struct reap *r)
{
	return r->giveback.is_busy;
}

struct reap_counts
reap_counts(const struct reap *r)
{
	const struct giveback *g = &r->giveback;

	return (struct reap_counts){ r->died, g->given_back, g->steps,
		g->failures };
}

struct reap *
reap_new(struct pg *pg, struct queue *q, const struct shaping *shaping)
{
	struct reap *r = xmalloc(sizeof(*r));

	r->pg = pg;
	giveback_init(&r->giveback, q, shaping, &ops, r);
	return r;
}

void
reap_free(struct reap **rp)
{
	struct reap *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	pg_tx_cancel(&r->tx);
	giveback_fini(&r->giveback);
	free(r);
}

/* A predecessor in one's own slot. ---------------------------------------- */

/* More than a worker can have in hand. */
#define REAP_ALL 5000

void
reap_worker(struct queue *q, const struct shaping *shaping, int pool, int dead)
{
	struct queue_lane lane;

	for (size_t i = 0; i < queue_lane_count(shaping); i++) {
		queue_lane_nth(shaping, pool, i, &lane);
		queue_reap(q, &lane, dead, REAP_ALL, NULL, NULL);
	}
}

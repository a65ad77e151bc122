#include "queue/reap.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "queue/queue.h"
#include "store/sources.h"
#include "store/workers.h"

/*
 * A step: liveness -> pools -> who holds what, in every lane -> who is alive
 * -> give back what the others hold.
 *
 * Who is alive is read after who holds: a worker that registers and leases in
 * between is not in the list of holders, so nobody who is new is taken for
 * unknown.
 */

#define REAP_BATCH 100
#define STRANGE_MAX 64

/* A worker that holds jobs in a lane. */
struct holding {
	struct list node;
	struct reap *r;
	struct queue_lane lane;
	int worker;
	bool is_asked; /* reap is under way */
};

/* The question who holds jobs in this lane. */
struct question {
	struct reap *r;
	struct queue_lane lane;
};

struct reap {
	struct loop *loop;
	struct pg *pg;
	struct queue *queue;
	const struct shaping *shaping;
	bool is_busy;
	struct pg_tx *tx;
	/* Postgres answers: since when (0: it does not), and when it last did.
	 */
	int64_t reached_ms, last_reached_ms;
	struct question *question;
	struct queue_lane strange[STRANGE_MAX];
	size_t strange_count;
	size_t question_count, open;
	struct list holdings;
	bool has_failed;
	struct reap_counts counts;
};

static const struct log_ctx reap_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "reap" } } } };

static void
end_step(struct reap *r)
{
	struct list *node;

	while ((node = list_pop(&r->holdings)) != NULL)
		free(list_entry(node, struct holding, node));
	r->is_busy = false;
	r->counts.steps++;
	if (r->has_failed)
		r->counts.failures++;
}

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
	r->has_failed = true;
	end_step(r);
}

static void
count_down(struct reap *r)
{
	if (--r->open == 0)
		end_step(r);
}

/* Giving back. ------------------------------------------------------------ */

static void on_reaped(void *ctx, size_t count, const struct error *err);

static void
ask_reap(struct holding *h)
{
	h->is_asked = true;
	queue_reap(h->r->queue, &h->lane, h->worker, REAP_BATCH, on_reaped, h);
}

static void
on_reaped(void *ctx, size_t count, const struct error *err)
{
	struct holding *h = ctx;
	struct reap *r = h->r;

	h->is_asked = false;
	r->counts.given_back += count;
	if (err != NULL)
		r->has_failed = true;
	else if (count > 0) {
		log_info(&reap_log, "reap.given_back",
		    log_int("worker", h->worker),
		    log_text("lane", h->lane.name), log_uint("count", count));
		ask_reap(h);
		return;
	}
	count_down(r);
}

static bool
is_alive(const struct store_worker *worker, size_t count, int id)
{
	for (size_t i = 0; i < count; i++)
		if (worker[i].id == id)
			return true;
	return false;
}

static void
on_alive(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct reap *r = ctx;

	r->tx = NULL;
	if (err != NULL) {
		fail_step(r);
		return;
	}
	r->open = 1;
	list_each (node, &r->holdings) {
		struct holding *h = list_entry(node, struct holding, node);

		if (is_alive(worker, count, h->worker))
			continue;
		r->open++;
		ask_reap(h);
	}
	count_down(r);
}

/* Asking. ----------------------------------------------------------------- */

static void
ask_alive(struct reap *r)
{
	r->tx = store_worker_list(r->pg, on_alive, r);
}

static void
on_holders(void *ctx, const int *workers, size_t count, const struct error *err)
{
	const struct question *q = ctx;
	struct reap *r = q->r;

	if (err != NULL)
		r->has_failed = true;
	for (size_t i = 0; i < count; i++) {
		struct holding *h = xmalloc(sizeof(*h));

		h->r = r;
		h->lane = q->lane;
		h->worker = workers[i];
		list_append(&r->holdings, &h->node);
	}
	if (--r->open == 0)
		ask_alive(r);
}

static void
on_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct reap *r = ctx;
	size_t lanes = queue_lane_count(r->shaping), n = 0;

	r->tx = NULL;
	if (err != NULL) {
		fail_step(r);
		return;
	}
	if (!queue_is_connected(r->queue) || count == 0) {
		end_step(r);
		return;
	}
	free(r->question);
	r->question_count = r->open = count * lanes + r->strange_count;
	r->question = xcalloc(r->question_count, sizeof(*r->question));
	for (size_t p = 0; p < count; p++)
		for (size_t i = 0; i < lanes; i++, n++)
			queue_lane_nth(r->shaping, pool[p].number, i,
			    &r->question[n].lane);
	for (size_t i = 0; i < r->strange_count; i++, n++)
		r->question[n].lane = r->strange[i];
	for (size_t i = 0; i < n; i++) {
		r->question[i].r = r;
		queue_holders(r->queue, &r->question[i].lane, on_holders,
		    &r->question[i]);
	}
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
	r->counts.died += count;
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
reap_reached(struct reap *r)
{
	int64_t now_ms = clock_mono_ms();

	if (r->reached_ms == 0 || !was_heard_lately(r, now_ms))
		r->reached_ms = now_ms;
	r->last_reached_ms = now_ms;
}

/* Nobody is declared dead by one who was away himself. */
static bool
may_judge(const struct reap *r)
{
	int64_t now_ms = clock_mono_ms();

	return r->reached_ms != 0 && was_heard_lately(r, now_ms) &&
	    now_ms - r->reached_ms >= clock_patience_ms(STORE_UNSEEN_MS);
}

void
reap_step(struct reap *r)
{
	if (r->is_busy)
		return;
	r->is_busy = true;
	r->has_failed = false;
	if (!pg_is_up(r->pg)) {
		fail_step(r);
		return;
	}
	if (may_judge(r))
		r->tx = store_worker_set_dead_unseen(r->pg,
		    clock_patience_ms(STORE_UNSEEN_MS), on_dead, r);
	else
		r->tx = store_pool_list(r->pg, on_pools, r);
}

bool
reap_is_busy(const struct reap *r)
{
	return r->is_busy;
}

struct reap_counts
reap_counts(const struct reap *r)
{
	return r->counts;
}

struct reap *
reap_new(struct loop *l, struct pg *pg, struct queue *q,
    const struct shaping *shaping)
{
	struct reap *r = xmalloc(sizeof(*r));

	r->loop = l;
	r->pg = pg;
	r->queue = q;
	r->shaping = shaping;
	list_init(&r->holdings);
	return r;
}

void
reap_free(struct reap **rp)
{
	struct reap *r = *rp;
	struct list *node;

	if (r == NULL)
		return;
	*rp = NULL;
	pg_tx_cancel(&r->tx);
	for (size_t i = 0; i < r->question_count; i++)
		queue_forget(r->queue, &r->question[i]);
	while ((node = list_pop(&r->holdings)) != NULL) {
		struct holding *h = list_entry(node, struct holding, node);

		if (h->is_asked)
			queue_forget(r->queue, h);
		free(h);
	}
	free(r->question);
	free(r);
}

/* A predecessor in one's own slot. ---------------------------------------- */

/* More than a worker can have in hand (queue.md section 5.4). */
#define REAP_ALL 5000

void
reap_worker(struct queue *q, const struct shaping *shaping, const int *pools,
    size_t pool_count, int dead)
{
	struct queue_lane lane;

	for (size_t p = 0; p < pool_count; p++)
		for (size_t i = 0; i < queue_lane_count(shaping); i++) {
			queue_lane_nth(shaping, pools[p], i, &lane);
			queue_reap(q, &lane, dead, REAP_ALL, NULL, NULL);
		}
}

#include "queue/walk.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/queue.h"
#include "queue/rules.h"
#include "store/sources.h"

/*
 * A walk goes along the ids in steps:
 *
 *   read a page of unfinished rows
 *     -> per lane one enqueue of those that should have a job
 *     -> one drop for each that is past its max age, cancelled, or in a
 *        strange lane
 *   -> all answered: the cursor moves, or stays if one failed.
 *
 * A lane that is broken for good (queue_lane_is_broken) holds up nobody else:
 * the cursor passes it, and every round of the old walk tries it again. What
 * is past its max age there ends all the same; the claim decides.
 *
 * Young and old walk are two of these with a range and a pace of their own; at
 * most one step of each is under way.
 *
 * Marks: a lane is filled when its mark is the run id of the Redis that we
 * talk to. After a flush, a restart or a failover it is not, and the old walk
 * starts over at full speed; when it has gone through without a failure, it
 * writes the marks that it set out for.
 */

#define PAGE 1000
/* How far back the young walk looks when a keeper starts. */
#define YOUNG_START_MS (5 * 60000)
#define OLD_STEP_MS 250

enum which {
	YOUNG,
	OLD,
};

struct side {
	struct walk *walk;
	enum which which;
	struct id cursor, before;
	size_t limit;
	bool is_busy;
	struct pg_tx *tx, *moving;
	/* The step under way. */
	struct arena arena;
	struct store_unfinished *row;
	size_t count;
	struct drop *drop;
	size_t drop_count;
	struct lane_batch *batch;
	size_t batch_count;
	size_t open; /* answers still to come */
	bool has_failed;
	bool is_stale; /* started over meanwhile: the step does not count */
};

struct drop {
	struct side *side;
	const struct store_unfinished *row;
	int cancel;	 /* as in struct walk_over */
	bool is_free;	 /* no job any more */
	bool is_strange; /* its lane is not one of ours */
};

struct lane_batch {
	struct side *side;
	struct queue_lane lane;
	struct queue_job *job;
	size_t count, cap;
};

struct walk {
	struct loop *loop;
	struct pg *pg;
	struct queue *queue;
	const struct shaping *shaping;
	const struct rules *rules; /* NULL: none */
	const struct walk_ops *ops;
	void *ctx;
	struct side young, old;
	bool is_filling;
	struct walk_counts counts;

	/* The check of Redis. */
	bool is_checking;
	struct pg_tx *pools_tx;
	struct queue_lane *lane; /* all there are */
	size_t lane_count;
	char *run_id;	/* of the Redis we talk to */
	char *fill_for; /* the run id that the filling round is for */
	size_t states_open;
	bool is_marked;
};

static const struct log_ctx walk_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "walk" } } } };

static void next_page(struct side *s);

/* A step. ------------------------------------------------------------------ */

static void
set_marks(struct walk *w)
{
	for (size_t i = 0; w->fill_for != NULL && i < w->lane_count; i++)
		queue_mark(w->queue, &w->lane[i], slice_of(w->fill_for), NULL,
		    NULL);
}

/* The old walk has come to the end. */
static void
end_round(struct walk *w)
{
	w->counts.rounds++;
	w->old.cursor = (struct id){ { 0 } };
	if (!w->is_filling)
		return;
	w->is_filling = false;
	set_marks(w);
	log_info(&walk_log, "walk.filled", log_uint("added", w->counts.added),
	    log_text("run_id", w->fill_for != NULL ? w->fill_for : ""));
}

static void
on_moved(void *ctx, const struct error *err)
{
	struct side *s = ctx;

	s->moving = NULL;
	if (err != NULL)
		s->walk->counts.failures++;
}

/* Their rows say where they belong now; the next round enqueues them. */
static void
move_strangers(struct side *s)
{
	struct walk *w = s->walk;
	struct store_move *move =
	    arena_calloc(&s->arena, s->drop_count + 1, sizeof(*move));
	struct queue_lane lane;
	size_t n = 0;

	for (size_t i = 0; i < s->drop_count; i++) {
		const struct store_unfinished *row = s->drop[i].row;
		struct slice domain = row->address;

		if (!s->drop[i].is_free || !s->drop[i].is_strange)
			continue;
		while (slice_has_char(domain, '@'))
			(void)slice_take_until(&domain, '@');
		queue_lane_of_domain(w->shaping, row->pool, domain, &lane);
		move[n++] = (struct store_move){ row->id, row->lane,
			arena_slice(&s->arena, slice_of(lane.name)) };
	}
	if (n == 0 || s->moving != NULL)
		return;
	w->counts.moved += n;
	s->moving = store_walk_move(w->pg, move, n, on_moved, s);
}

static void
tell_expired(struct side *s)
{
	struct walk *w = s->walk;
	struct walk_over *over =
	    arena_calloc(&s->arena, s->drop_count + 1, sizeof(*over));
	size_t n = 0;

	for (size_t i = 0; i < s->drop_count; i++)
		if (s->drop[i].is_free && !s->drop[i].is_strange)
			over[n++] = (struct walk_over){ s->drop[i].row,
				s->drop[i].cancel };
	w->counts.expired += n;
	if (n > 0 && w->ops != NULL && w->ops->expired != NULL)
		w->ops->expired(w->ctx, over, n);
}

static void
end_step(struct side *s)
{
	struct walk *w = s->walk;
	bool is_last = s->count < s->limit;

	s->is_busy = false;
	if (s->has_failed)
		w->counts.failures++;
	if (s->has_failed || s->is_stale) {
		s->is_stale = false;
		return;
	}
	if (s->count > 0)
		s->cursor = s->row[s->count - 1].id;
	if (s->which == YOUNG)
		w->counts.young_seen += s->count;
	else
		w->counts.old_seen += s->count;
	if (s->which == OLD && is_last)
		end_round(w);
	/* The young walk and a filling round do not wait for the next beat. */
	if (!is_last && (s->which == YOUNG || w->is_filling))
		next_page(s);
	move_strangers(s);
	tell_expired(s);
}

static void
count_down(struct side *s)
{
	if (--s->open == 0)
		end_step(s);
}

static void
on_enqueued(void *ctx, size_t count, const struct error *err)
{
	struct lane_batch *b = ctx;
	struct side *s = b->side;
	struct walk *w = s->walk;

	if (err != NULL && queue_lane_is_broken(err))
		w->counts.refused += b->count - count;
	else if (err != NULL)
		s->has_failed = true;
	w->counts.added += count;
	count_down(s);
}

static void
on_dropped(void *ctx, size_t count, const struct error *err)
{
	struct drop *d = ctx;
	bool is_broken = err != NULL && queue_lane_is_broken(err);

	if (err != NULL && !is_broken)
		d->side->has_failed = true;
	d->is_free = is_broken || (err == NULL && count > 0);
	count_down(d->side);
}

static bool
lane_of(const struct store_unfinished *row, struct queue_lane *lane)
{
	if (row->lane.len >= sizeof(lane->name))
		return false;
	*lane = (struct queue_lane){ .pool = row->pool };
	memcpy(lane->name, row->lane.ptr, row->lane.len);
	return true;
}

static struct queue_member
member_of(const struct store_unfinished *row)
{
	return (struct queue_member){ row->id, row->flow, row->flags };
}

/* Few lanes: looked for one by one, the last one first. */
static struct lane_batch *
batch_for(struct side *s, const struct queue_lane *lane)
{
	for (size_t i = s->batch_count; i-- > 0;)
		if (s->batch[i].lane.pool == lane->pool &&
		    strcmp(s->batch[i].lane.name, lane->name) == 0)
			return &s->batch[i];
	s->batch[s->batch_count] =
	    (struct lane_batch){ .side = s, .lane = *lane };
	return &s->batch[s->batch_count++];
}

static void
add_job(struct side *s, const struct store_unfinished *row,
    const struct queue_lane *lane, int64_t delay_ms)
{
	struct lane_batch *b = batch_for(s, lane);

	if (b->count == b->cap) {
		size_t cap = b->cap > 0 ? b->cap * 2 : 16;
		struct queue_job *grown =
		    arena_calloc(&s->arena, cap, sizeof(*grown));

		if (b->count > 0)
			memcpy(grown, b->job, b->count * sizeof(*grown));
		b->job = grown;
		b->cap = cap;
	}
	b->job[b->count++] = (struct queue_job){ .member = member_of(row),
		.delay_ms = delay_ms };
}

/* The number of the rule that cancels it, or 0. */
static int
cancel_of(const struct walk *w, const struct store_unfinished *row,
    int64_t now_ms)
{
	struct rules_subject what = {
		.account = (int)(row->flow / 2),
		.address = row->address,
		.head = row->head,
		.accepted_at_ms = id_time_ms(row->id),
	};
	const struct store_rule *list, *found;
	size_t n;

	if (w->rules == NULL)
		return 0;
	list = rules_list(w->rules, &n);
	found = n > 0 ? rules_find(list, n, &what, now_ms) : NULL;
	return found != NULL && found->kind == RULE_CANCEL ? found->number : 0;
}

static void
tell_strange(struct walk *w, const struct queue_lane *lane)
{
	if (w->ops != NULL && w->ops->strange_lane != NULL)
		w->ops->strange_lane(w->ctx, lane);
}

static void
sort_row(struct side *s, const struct store_unfinished *row, int64_t now_ms)
{
	struct queue_lane lane;
	int64_t delay_ms = MAX(row->retry_at_ms - now_ms, (int64_t)0);
	int cancel = cancel_of(s->walk, row, now_ms);

	if (!lane_of(row, &lane)) {
		log_error(&walk_log, "walk.lane",
		    log_text("recipient", id_text(row->id).s),
		    log_slice("lane", row->lane));
		return;
	}
	if (row->expires_at_ms <= now_ms || cancel != 0) {
		s->drop[s->drop_count++] =
		    (struct drop){ .side = s, .row = row, .cancel = cancel };
		return;
	}
	if (queue_lane_index(s->walk->shaping, row->lane) < 0) {
		s->drop[s->drop_count++] =
		    (struct drop){ .side = s, .row = row, .is_strange = true };
		tell_strange(s->walk, &lane);
		return;
	}
	if (row->status == STATUS_SCHEDULED &&
	    delay_ms > WALK_SCHEDULED_AHEAD_MS)
		return;
	add_job(s, row, &lane, delay_ms);
}

static void
send_all(struct side *s)
{
	struct walk *w = s->walk;
	struct queue_lane lane;

	/* One more, so that an answer cannot end the step in between. */
	s->open = 1 + s->batch_count + s->drop_count;
	for (size_t i = 0; i < s->batch_count; i++)
		queue_enqueue(w->queue, &s->batch[i].lane, s->batch[i].job,
		    s->batch[i].count, on_enqueued, &s->batch[i]);
	for (size_t i = 0; i < s->drop_count; i++) {
		struct queue_member m = member_of(s->drop[i].row);

		if (lane_of(s->drop[i].row, &lane))
			queue_drop(w->queue, &lane, &m, on_dropped,
			    &s->drop[i]);
	}
	count_down(s);
}

static void
on_page(void *ctx, const struct store_unfinished *row, size_t count,
    const struct error *err)
{
	struct side *s = ctx;
	int64_t now_ms = clock_now_ms();

	s->tx = NULL;
	if (err != NULL) {
		s->is_busy = s->is_stale = false;
		s->walk->counts.failures++;
		return;
	}
	/* The rows outlive their reply: Redis is still to answer. */
	arena_fini(&s->arena);
	s->row = arena_calloc(&s->arena, count + 1, sizeof(*s->row));
	s->drop = arena_calloc(&s->arena, count + 1, sizeof(*s->drop));
	s->batch = arena_calloc(&s->arena, count + 1, sizeof(*s->batch));
	s->count = count;
	s->drop_count = s->batch_count = 0;
	s->has_failed = false;
	for (size_t i = 0; i < count; i++) {
		s->row[i] = row[i];
		s->row[i].lane = arena_slice(&s->arena, row[i].lane);
		s->row[i].address = arena_slice(&s->arena, row[i].address);
		sort_row(s, &s->row[i], now_ms);
		/* This one does not, and nobody needs it any more. */
		s->row[i].head = SLICE("");
	}
	send_all(s);
}

static void
next_page(struct side *s)
{
	const struct walk *w = s->walk;
	const struct store_rule *list = NULL;
	size_t n = 0;

	if (w->rules != NULL)
		list = rules_list(w->rules, &n);
	s->is_busy = true;
	s->tx = rules_want_heads(list, n)
	    ? store_walk_unfinished_heads(w->pg, s->cursor, s->before, s->limit,
		  on_page, s)
	    : store_walk_unfinished(w->pg, s->cursor, s->before, s->limit,
		  on_page, s);
}

/* Whether a step makes sense now. */
static bool
can_step(const struct side *s)
{
	return !s->is_busy && queue_is_connected(s->walk->queue) &&
	    pg_is_up(s->walk->pg);
}

void
walk_young(struct walk *w)
{
	if (!can_step(&w->young))
		return;
	w->young.before = id_floor(clock_now_ms() - WALK_YOUNG_MS);
	w->young.limit = PAGE;
	next_page(&w->young);
}

void
walk_old(struct walk *w)
{
	if (!can_step(&w->old))
		return;
	w->old.before = id_floor(clock_now_ms() - WALK_YOUNG_MS);
	w->old.limit =
	    w->is_filling ? PAGE : WALK_OLD_RATE * OLD_STEP_MS / 1000;
	next_page(&w->old);
}

void
walk_restart(struct walk *w)
{
	w->is_filling = true;
	w->old.cursor = (struct id){ { 0 } };
	w->old.is_stale = w->old.is_busy;
}

bool
walk_is_filling(const struct walk *w)
{
	return w->is_filling;
}

struct walk_counts
walk_counts(const struct walk *w)
{
	return w->counts;
}

/* Is it still the Redis that we filled? -------------------------------------
 */

static void
end_check(struct walk *w)
{
	w->is_checking = false;
	if (w->is_marked || w->is_filling)
		return;
	log_warn(&walk_log, "walk.refill", log_text("run_id", w->run_id));
	free(w->fill_for);
	w->fill_for = xstrdup(w->run_id);
	walk_restart(w);
}

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct walk *w = ctx;

	/* Away: nothing is known, the next check says more. */
	if (err == NULL && !slice_eq_text(state->mark, w->run_id))
		w->is_marked = false;
	if (--w->states_open == 0)
		end_check(w);
}

static void
on_run_id(void *ctx, struct slice run_id, const struct error *err)
{
	struct walk *w = ctx;

	if (err != NULL || run_id.len == 0 || w->lane_count == 0) {
		w->is_checking = false;
		return;
	}
	free(w->run_id);
	w->run_id = slice_dup(run_id);
	w->is_marked = true;
	w->states_open = w->lane_count;
	for (size_t i = 0; i < w->lane_count; i++)
		queue_state(w->queue, &w->lane[i], on_state, w);
}

static void
on_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct walk *w = ctx;

	w->pools_tx = NULL;
	if (err != NULL) {
		w->is_checking = false;
		return;
	}
	free(w->lane);
	w->lane_count = count * queue_lane_count(w->shaping);
	w->lane = xcalloc(w->lane_count + 1, sizeof(*w->lane));
	for (size_t i = 0; i < w->lane_count; i++)
		queue_lane_of_pools(w->shaping, pool, i, &w->lane[i]);
	queue_run_id(w->queue, on_run_id, w);
}

void
walk_check_redis(struct walk *w)
{
	if (w->is_checking || w->is_filling || !queue_is_connected(w->queue) ||
	    !pg_is_up(w->pg))
		return;
	w->is_checking = true;
	w->pools_tx = store_pool_list(w->pg, on_pools, w);
}

/* Life. ------------------------------------------------------------------- */

static void
side_init(struct side *s, struct walk *w, enum which which)
{
	s->walk = w;
	s->which = which;
	arena_init(&s->arena);
}

static void
side_fini(struct side *s)
{
	pg_tx_cancel(&s->tx);
	pg_tx_cancel(&s->moving);
	for (size_t i = 0; i < s->batch_count; i++)
		queue_forget(s->walk->queue, &s->batch[i]);
	for (size_t i = 0; i < s->drop_count; i++)
		queue_forget(s->walk->queue, &s->drop[i]);
	arena_fini(&s->arena);
}

struct walk *
walk_new(struct loop *l, struct pg *pg, struct queue *q,
    const struct shaping *shaping, const struct walk_ops *ops, void *ctx)
{
	struct walk *w = xmalloc(sizeof(*w));

	w->loop = l;
	w->pg = pg;
	w->queue = q;
	w->shaping = shaping;
	w->ops = ops;
	w->ctx = ctx;
	side_init(&w->young, w, YOUNG);
	side_init(&w->old, w, OLD);
	w->young.cursor = id_floor(clock_now_ms() - YOUNG_START_MS);
	return w;
}

void
walk_set_rules(struct walk *w, const struct rules *rules)
{
	w->rules = rules;
}

void
walk_free(struct walk **wp)
{
	struct walk *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	side_fini(&w->young);
	side_fini(&w->old);
	pg_tx_cancel(&w->pools_tx);
	queue_forget(w->queue, w);
	free(w->lane);
	free(w->run_id);
	free(w->fill_for);
	free(w);
}

#include "queue/unpark.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/queue.h"
#include "store/rules.h"
#include "store/sources.h"

/*
 * A step: pools -> for which holds something is parked, in every lane -> which
 * holds are in force -> give back what is parked for the others.
 *
 * The holds are read after what is parked: one that is issued in between has
 * parked nothing that is in the list, so nothing is given back against it.
 */

/* A call must not keep Redis busy for more than a millisecond. */
#define UNPARK_BATCH 100

/* What is parked in a lane for a hold. */
struct parking {
	struct list node;
	struct unpark *u;
	struct queue_lane lane;
	int hold;
	bool is_asked;
};

struct question {
	struct unpark *u;
	struct queue_lane lane;
};

struct unpark {
	struct pg *pg;
	struct queue *queue;
	const struct shaping *shaping;
	bool is_busy, has_failed;
	struct pg_tx *tx;
	struct question *question;
	size_t question_count, open;
	struct list parkings;
	struct unpark_counts counts;
};

static void
end_step(struct unpark *u)
{
	struct list *node;

	while ((node = list_pop(&u->parkings)) != NULL)
		free(list_entry(node, struct parking, node));
	u->is_busy = false;
	u->counts.steps++;
	if (u->has_failed)
		u->counts.failures++;
}

static void
fail_step(struct unpark *u)
{
	u->has_failed = true;
	end_step(u);
}

static void
count_down(struct unpark *u)
{
	if (--u->open == 0)
		end_step(u);
}

/* Giving back. ------------------------------------------------------------ */

static void on_unparked(void *ctx, size_t count, const struct error *err);

static void
ask_unpark(struct parking *p)
{
	p->is_asked = true;
	queue_unpark(p->u->queue, &p->lane, p->hold, UNPARK_BATCH, on_unparked,
	    p);
}

static void
on_unparked(void *ctx, size_t count, const struct error *err)
{
	struct parking *p = ctx;
	struct unpark *u = p->u;

	p->is_asked = false;
	u->counts.given_back += count;
	if (err != NULL)
		u->has_failed = true;
	else if (count > 0) {
		ask_unpark(p);
		return;
	}
	count_down(u);
}

static bool
is_in_force(const struct store_rule *rule, size_t count, int hold)
{
	for (size_t i = 0; i < count; i++)
		if (rule[i].kind == RULE_HOLD && rule[i].number == hold)
			return true;
	return false;
}

static void
on_rules(void *ctx, const struct store_rule *rule, size_t count, int generation,
    const struct error *err)
{
	struct unpark *u = ctx;

	(void)generation;
	u->tx = NULL;
	if (err != NULL) {
		fail_step(u);
		return;
	}
	/* One more, so that an answer cannot end the step in between. */
	u->open = 1;
	list_each (node, &u->parkings) {
		struct parking *p = list_entry(node, struct parking, node);

		if (is_in_force(rule, count, p->hold))
			continue;
		log_info(NULL, "hold.over", log_int("hold", p->hold),
		    log_text("lane", p->lane.name));
		u->open++;
		ask_unpark(p);
	}
	count_down(u);
}

/* Asking. ----------------------------------------------------------------- */

static void
on_parked(void *ctx, const int *holds, size_t count, const struct error *err)
{
	const struct question *q = ctx;
	struct unpark *u = q->u;

	if (err != NULL)
		u->has_failed = true;
	for (size_t i = 0; err == NULL && i < count; i++) {
		struct parking *p = xmalloc(sizeof(*p));

		*p = (struct parking){ .u = u,
			.lane = q->lane,
			.hold = holds[i] };
		list_append(&u->parkings, &p->node);
	}
	if (--u->open > 0)
		return;
	if (list_is_empty(&u->parkings))
		end_step(u);
	else
		u->tx = store_rule_list(u->pg, clock_now_ms(), on_rules, u);
}

static void
on_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct unpark *u = ctx;
	size_t lanes = queue_lane_count(u->shaping);

	u->tx = NULL;
	if (err != NULL) {
		fail_step(u);
		return;
	}
	free(u->question);
	u->question_count = u->open = count * lanes;
	u->question = xcalloc(u->question_count + 1, sizeof(*u->question));
	for (size_t i = 0; i < u->question_count; i++) {
		struct question *q = &u->question[i];

		q->u = u;
		queue_lane_nth(u->shaping, pool[i / lanes].number, i % lanes,
		    &q->lane);
		queue_parked(u->queue, &q->lane, on_parked, q);
	}
	if (u->question_count == 0)
		end_step(u);
}

void
unpark_step(struct unpark *u)
{
	if (u->is_busy)
		return;
	u->is_busy = true;
	u->has_failed = false;
	if (pg_is_up(u->pg) && queue_is_connected(u->queue))
		u->tx = store_pool_list(u->pg, on_pools, u);
	else
		fail_step(u);
}

bool
unpark_is_busy(const struct unpark *u)
{
	return u->is_busy;
}

struct unpark_counts
unpark_counts(const struct unpark *u)
{
	return u->counts;
}

struct unpark *
unpark_new(struct pg *pg, struct queue *q, const struct shaping *shaping)
{
	struct unpark *u = xmalloc(sizeof(*u));

	u->pg = pg;
	u->queue = q;
	u->shaping = shaping;
	list_init(&u->parkings);
	return u;
}

void
unpark_free(struct unpark **up)
{
	struct unpark *u = *up;
	struct list *node;

	if (u == NULL)
		return;
	*up = NULL;
	pg_tx_cancel(&u->tx);
	for (size_t i = 0; i < u->question_count; i++)
		queue_forget(u->queue, &u->question[i]);
	while ((node = list_pop(&u->parkings)) != NULL) {
		struct parking *p = list_entry(node, struct parking, node);

		if (p->is_asked)
			queue_forget(u->queue, p);
		free(p);
	}
	free(u->question);
	free(u);
}

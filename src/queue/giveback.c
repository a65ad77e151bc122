#include "giveback.h"

#include <stdlib.h>

#include "base/mem.h"

/* A call must not keep Redis busy for more than a millisecond. */
#define BATCH 100

/* Which numbers are there in this lane? */
struct giveback_question {
	struct giveback *g;
	struct queue_lane lane;
};

/* What a lane keeps under a number. */
struct kept {
	struct list node;
	struct giveback *g;
	struct queue_lane lane;
	int number;
	bool is_asked; /* giving back is under way */
	size_t given;
};

bool
giveback_begin(struct giveback *g)
{
	if (g->is_busy)
		return false;
	g->is_busy = true;
	g->has_failed = false;
	return true;
}

void
giveback_end(struct giveback *g, bool has_failed)
{
	struct list *node;

	while ((node = list_pop(&g->kept)) != NULL)
		free(list_entry(node, struct kept, node));
	g->is_busy = false;
	g->steps++;
	if (has_failed)
		g->failures++;
}

static void
count_down(struct giveback *g)
{
	if (--g->open == 0)
		giveback_end(g, g->has_failed);
}

/* Giving back. ------------------------------------------------------------ */

static void on_given(void *ctx, size_t count, const struct error *err);

static void
give(struct kept *k)
{
	k->is_asked = true;
	k->g->ops->give(k->g->queue, &k->lane, k->number, BATCH, on_given, k);
}

static void
on_given(void *ctx, size_t count, const struct error *err)
{
	struct kept *k = ctx;
	struct giveback *g = k->g;

	k->is_asked = false;
	k->given += count;
	g->given_back += count;
	if (err != NULL)
		g->has_failed = true;
	else if (count > 0) {
		give(k);
		return;
	}
	if (k->given > 0)
		g->ops->gave(&k->lane, k->number, k->given);
	count_down(g);
}

static bool
is_among(const int *numbers, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

void
giveback_others(struct giveback *g, const int *in_use, size_t count)
{
	/* One more, so that an answer cannot end the step in between. */
	g->open = 1;
	list_each (node, &g->kept) {
		struct kept *k = list_entry(node, struct kept, node);

		if (is_among(in_use, count, k->number))
			continue;
		g->open++;
		give(k);
	}
	count_down(g);
}

/* Asking. ----------------------------------------------------------------- */

static void
on_numbers(void *ctx, const int *numbers, size_t count, const struct error *err)
{
	const struct giveback_question *q = ctx;
	struct giveback *g = q->g;

	if (err != NULL)
		g->has_failed = true;
	for (size_t i = 0; err == NULL && i < count; i++) {
		struct kept *k = xmalloc(sizeof(*k));

		*k = (struct kept){ .g = g,
			.lane = q->lane,
			.number = numbers[i] };
		list_append(&g->kept, &k->node);
	}
	if (--g->open > 0)
		return;
	if (list_is_empty(&g->kept))
		giveback_end(g, g->has_failed);
	else
		g->ops->found(g->ctx);
}

void
giveback_ask(struct giveback *g, const struct store_pool *pool,
    size_t pool_count, const struct queue_lane *also, size_t also_count)
{
	size_t lanes = pool_count * queue_lane_count(g->shaping);

	free(g->question);
	g->question_count = g->open = lanes + also_count;
	g->question = xcalloc(g->question_count + 1, sizeof(*g->question));
	for (size_t i = 0; i < g->question_count; i++) {
		struct giveback_question *q = &g->question[i];

		q->g = g;
		if (i < lanes)
			queue_lane_of_pools(g->shaping, pool, i, &q->lane);
		else
			q->lane = also[i - lanes];
		g->ops->list(g->queue, &q->lane, on_numbers, q);
	}
	if (g->question_count == 0)
		giveback_end(g, false);
}

/* Life. ------------------------------------------------------------------- */

void
giveback_init(struct giveback *g, struct queue *q,
    const struct shaping *shaping, const struct giveback_ops *ops, void *ctx)
{
	*g = (struct giveback){ .queue = q,
		.shaping = shaping,
		.ops = ops,
		.ctx = ctx };
	list_init(&g->kept);
}

void
giveback_fini(struct giveback *g)
{
	struct list *node;

	for (size_t i = 0; i < g->question_count; i++)
		queue_forget(g->queue, &g->question[i]);
	while ((node = list_pop(&g->kept)) != NULL) {
		struct kept *k = list_entry(node, struct kept, node);

		if (k->is_asked)
			queue_forget(g->queue, k);
		free(k);
	}
	free(g->question);
}

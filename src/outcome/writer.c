/*
 * Group commit of outcomes. One batch is under way at a time; what comes
 * meanwhile shares the next. While Postgres is away everything waits and is
 * tried again every second. A batch that the server itself refuses is repeated
 * record by record, so that one poison row hurts nobody else.
 */
#include "outcome/outcome_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

#define BATCH_MAX 256
/* Under load a pause between commits makes batches larger: a batch of 5 costs
 * Postgres twice as much per record as one of 50. */
#define GAP_MS 5
#define GAP_FROM 8 /* records in the last batch */
#define AGAIN_MS 1000

struct outcome_writer {
	struct loop *loop;
	struct pg *pg;
	struct log_ctx log;
	struct list waiting; /* records */
	struct list batch;   /* under way */
	size_t waiting_count, batch_count;
	size_t singly; /* so many records still go one by one */
	struct pg_tx *tx;
	struct timer *timer;
	struct loop_call call;
};

static void on_send(void *ctx);

struct outcome_writer *
outcome_writer_new(struct loop *l, struct pg *pg)
{
	struct outcome_writer *w = xmalloc(sizeof(*w));

	w->loop = l;
	w->pg = pg;
	list_init(&w->waiting);
	list_init(&w->batch);
	w->timer = timer_new(l, on_send, w);
	return w;
}

static void
free_all(struct list *records)
{
	list_each_safe (node, records)
		record_free(list_entry(node, struct record, node));
}

void
outcome_writer_free(struct outcome_writer **wp)
{
	struct outcome_writer *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	pg_tx_cancel(&w->tx);
	timer_free(&w->timer);
	loop_call_cancel(&w->call);
	free_all(&w->waiting);
	free_all(&w->batch);
	free(w);
}

size_t
outcome_writer_pending(const struct outcome_writer *w)
{
	return w->waiting_count + w->batch_count;
}

/* Back in front of what waits, in the same order. */
static void
put_back(struct outcome_writer *w)
{
	while (!list_is_empty(&w->batch)) {
		struct list *last = w->batch.prev;

		list_remove(last);
		list_prepend(&w->waiting, last);
	}
	w->waiting_count += w->batch_count;
	w->batch_count = 0;
}

static void
tell(struct outcome_writer *w, const struct error *err)
{
	struct list *node;

	while ((node = list_pop(&w->batch)) != NULL) {
		struct record *r = list_entry(node, struct record, node);

		if (r->done != NULL)
			r->done(r->ctx, err);
		record_free(r);
	}
	w->batch_count = 0;
}

static void
on_written(void *ctx, const struct error *err)
{
	struct outcome_writer *w = ctx;
	size_t count = w->batch_count;
	int64_t pause = count >= GAP_FROM ? GAP_MS : 0;

	w->tx = NULL;
	if (err == NULL) {
		if (w->singly > 0)
			w->singly--;
		tell(w, NULL);
	} else if (!pg_is_refusal(err)) {
		log_warn(&w->log, "outcome.waits", log_err(err),
		    log_uint("records", outcome_writer_pending(w)));
		put_back(w);
		pause = AGAIN_MS;
	} else if (count > 1) {
		log_warn(&w->log, "outcome.batch_refused", log_err(err),
		    log_uint("records", count));
		put_back(w);
		w->singly = count;
	} else {
		if (w->singly > 0)
			w->singly--;
		tell(w, err);
	}
	if (w->waiting_count > 0 && !timer_is_set(w->timer))
		timer_set(w->timer, pause);
}

static void
on_send(void *ctx)
{
	struct outcome_writer *w = ctx;
	size_t max = w->singly > 0 ? 1 : BATCH_MAX;
	struct store_outcome rows[BATCH_MAX];
	struct list *node;

	if (w->tx != NULL || w->waiting_count == 0)
		return;
	while (w->batch_count < max && (node = list_pop(&w->waiting)) != NULL) {
		rows[w->batch_count++] =
		    list_entry(node, struct record, node)->row;
		w->waiting_count--;
		list_append(&w->batch, node);
	}
	w->tx = store_outcomes_write(w->pg, clock_now_ms(), rows,
	    w->batch_count, on_written, w);
}

static void
add(struct outcome_writer *w, struct record *r, outcome_done *done, void *ctx)
{
	r->done = done;
	r->ctx = ctx;
	list_append(&w->waiting, &r->node);
	w->waiting_count++;
	if (w->tx == NULL && !timer_is_set(w->timer))
		loop_call_schedule(w->loop, &w->call, on_send, w);
}

void
outcome_attempt(struct outcome_writer *w, const struct outcome_attempt *a,
    outcome_done *done, void *ctx)
{
	add(w, record_of_attempt(a), done, ctx);
}

void
outcome_dsn(struct outcome_writer *w, const struct outcome_dsn *d,
    outcome_done *done, void *ctx)
{
	add(w, record_of_dsn(d), done, ctx);
}

void
outcome_end(struct outcome_writer *w, const struct outcome_end *e,
    outcome_done *done, void *ctx)
{
	add(w, record_of_end(e), done, ctx);
}

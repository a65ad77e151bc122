#include "outcome/cancel.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "outcome/event_data.h"
#include "queue/queue.h"

struct outcome_cancel {
	struct queue *queue;
	struct pg_tx *tx;
	store_cancel_got *done;
	void *ctx;
};

static void
drop(struct queue *q, const struct store_canceled *c)
{
	struct queue_lane lane = { .pool = c->pool };
	struct queue_member m = { c->id, c->flow, c->flags };

	if (c->lane.len >= sizeof(lane.name))
		return;
	memcpy(lane.name, c->lane.ptr, c->lane.len);
	queue_drop(q, &lane, &m, NULL, NULL);
}

static void
on_canceled(void *ctx, const struct store_cancel_result *r,
    const struct error *err)
{
	struct outcome_cancel *c = ctx;
	store_cancel_got *done = c->done;
	void *owner = c->ctx;

	for (size_t i = 0; err == NULL && c->queue != NULL && i < r->now_count;
	     i++)
		drop(c->queue, &r->now[i]);
	free(c);
	done(owner, r, err);
}

struct outcome_cancel *
outcome_cancel_start(struct pg *pg, struct queue *q, int account,
    struct id email, store_cancel_got *done, void *ctx)
{
	struct outcome_cancel *c = xmalloc(sizeof(*c));
	struct canceled sender = { .by_operator = false };
	struct event_data data = { .canceled = &sender };
	struct strbuf text = STRBUF_INIT;
	struct store_cancel what = {
		.account = account,
		.email = email,
		.now_ms = clock_now_ms(),
	};

	event_data_write(&text, &data);
	what.data = strbuf_slice(&text);
	*c = (struct outcome_cancel){ .queue = q, .done = done, .ctx = ctx };
	c->tx = store_cancel_email(pg, &what, on_canceled, c);
	strbuf_fini(&text);
	return c;
}

void
outcome_cancel_stop(struct outcome_cancel **cp)
{
	struct outcome_cancel *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	pg_tx_cancel(&c->tx);
	free(c);
}

/*
 * api/health.c - GET /health, without a key: 200 when a message could be
 * accepted now, that is, Postgres answers and has the partitions of today. It
 * waits for Postgres less long than other calls do: who asks wants to know
 * soon.
 */
#include "api_priv.h"

#include <string.h>

#include "base/clock.h"
#include "store/partitions.h"

#define PATIENCE_MS 3000

struct health {
	struct list node; /* httpd.health_asks */
	struct api_call *call;
	struct timer *patience;
};

static void
cancel(struct api_call *c)
{
	struct health *ask = c->own;

	list_remove(&ask->node);
	timer_free(&ask->patience);
}

static void
answer(struct health *ask, bool is_good, const char *postgres)
{
	struct api_call *c = ask->call;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	cancel(c);
	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "status", is_good ? "ok" : "unavailable");
	json_cstr(&w, "postgres", postgres);
	json_end(&w);
	api_answer(c, is_good ? 200 : 503, &out);
}

/* One question for all who ask meanwhile. */
static void
answered(void *ctx, int first, int last, const struct error *err)
{
	struct httpd *h = ctx;
	int today = id_day(id_floor(clock_now_ms()));
	const char *postgres = "ok";

	OBJ_CHECK(h, HTTPD_MAGIC);
	h->health_tx = NULL;
	if (err != NULL)
		postgres = "away";
	else if (today < first || today > last)
		postgres = "has no partition for today";
	list_each_safe (node, &h->health_asks)
		answer(list_entry(node, struct health, node),
		    strcmp(postgres, "ok") == 0, postgres);
}

/* The question stays: those who come next wait for the same. */
static void
out_of_patience(void *ctx)
{
	answer(ctx, false, "does not answer");
}

void
api_health(struct http_request *r, void *ctx)
{
	struct httpd *h = ctx;
	struct api_call *c = api_open_unasked(h, r);
	struct health *ask = arena_alloc(c->arena, sizeof(*ask));

	ask->call = c;
	ask->patience = timer_new(h->loop, out_of_patience, ask);
	timer_set(ask->patience, PATIENCE_MS);
	list_append(&h->health_asks, &ask->node);
	c->own = ask;
	c->cancel = cancel;
	if (h->health_tx == NULL)
		h->health_tx = store_partitions_days(h->side, answered, h);
}

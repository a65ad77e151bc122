/*
 * api/health.c - GET /health, without a key: 200 when a message could be
 * accepted now, that is, Postgres answers and has the partitions of today.
 */
#include "api_priv.h"

#include "base/clock.h"
#include "store/partitions.h"

static void
health_answer(struct api_call *c, bool is_good, const char *postgres)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "status", is_good ? "ok" : "unavailable");
	json_cstr(&w, "postgres", postgres);
	json_end(&w);
	api_answer(c, is_good ? 200 : 503, &out);
}

static void
answered(void *ctx, int first, int last, const struct error *err)
{
	struct api_call *c = ctx;
	int today = id_day(id_floor(clock_now_ms()));

	c->tx = NULL;
	if (err != NULL)
		health_answer(c, false, "away");
	else if (today < first || today > last)
		health_answer(c, false, "has no partition for today");
	else
		health_answer(c, true, "ok");
}

void
api_health(struct http_request *r, void *ctx)
{
	struct api_call *c = api_open_unasked(ctx, r);

	c->tx = store_partitions_days(c->h->side, answered, c);
}

/*
 * api/domains.c - the sending domains of an account, to look at: they are
 * added and verified by the operator (verpost domain).
 */
#include "api_priv.h"

#include "store/domains.h"

static void
fields_write(struct json_writer *w, const struct store_domain *row)
{
	api_id(w, "id", row->id);
	json_text(w, "name", row->name);
	json_text(w, "status", row->status);
	api_time(w, "created_at", row->created_at_ms);
}

static void
found(void *ctx, const struct store_domain *row, size_t count,
    const struct error *err)
{
	struct api_call *c = ctx;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	(void)count;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Domain", err);
		return;
	}
	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "object", "domain");
	fields_write(&w, row);
	/* jsonb gave it out, so it is JSON. */
	json_raw(&w, "records", row->checks);
	json_end(&w);
	api_answer(c, 200, &out);
}

static void
get_go(struct api_call *c)
{
	struct id id;

	if (api_param_id(c, 0, &id))
		c->tx = store_domain_find_id(c->h->side, c->account.number, id,
		    found, c);
}

void
api_domain_get(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, get_go);
}

static void
listed(void *ctx, const struct store_domain *row, size_t count,
    const struct error *err)
{
	struct api_call *c = ctx;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Domains", err);
		return;
	}
	api_list_begin(&w, &out, false);
	for (size_t i = 0; i < count; i++) {
		json_begin_object(&w, NULL);
		fields_write(&w, &row[i]);
		json_end(&w);
	}
	api_list_end(&w);
	api_answer(c, 200, &out);
}

/* Whole: an account has few domains. */
static void
list_go(struct api_call *c)
{
	c->tx = store_domain_list(c->h->side, c->account.number, listed, c);
}

void
api_domain_list(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, list_go);
}

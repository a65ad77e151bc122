/*
 * api/suppressions.c - addresses that are not written to (reference A.5). An
 * entry is named by its id or by its address.
 */
#include "api_priv.h"

#include "base/clock.h"
#include "intake/check.h"
#include "store/suppressions.h"

#define ALL_STREAMS (-1)

static void
fields_write(struct json_writer *w, const struct store_suppression *row)
{
	json_cstr(w, "object", "suppression");
	api_id(w, "id", row->id);
	json_text(w, "email", row->address);
	json_text(w, "origin", row->origin);
	if (id_is_zero(row->recipient))
		json_null(w, "source_id");
	else
		api_id(w, "source_id", id_email_of(row->recipient));
	api_time(w, "created_at", row->created_at_ms);
	api_time(w, "expires_at", row->expires_at_ms);
	json_text(w, "reason", row->reason);
}

/* The form in which suppressions compare, in the request's arena. */
static struct slice
key_of(struct api_call *c, const struct mail_address *a)
{
	struct strbuf key = STRBUF_INIT;
	struct slice copy;

	mail_address_add_key(&key, a);
	copy = arena_slice(c->arena, strbuf_slice(&key));
	strbuf_fini(&key);
	return copy;
}

/* ---- POST ---------------------------------------------------------------- */

static void
added(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	struct api_call *c = ctx;

	(void)has_more;
	(void)count;
	c->tx = NULL;
	if (err != NULL)
		api_answer_err(c, "Suppression", err);
	else
		api_answer_id(c, 201, "suppression", row->id, false);
}

static void
post_go(struct api_call *c)
{
	const struct json *body;
	struct mail_address address;
	struct intake_answer no;
	struct slice text;
	struct store_suppression row;
	int64_t now_ms = clock_now_ms();

	if (!api_body_object(c, &body))
		return;
	text = json_get_text(body, "email");
	if (text.ptr == NULL) {
		api_refuse(c, ANSWER_FIELD_MISSING, "Missing `email` field.");
		return;
	}
	if (check_address(c->arena, "email", -1, text, &address, &no) < 0) {
		api_answer_no(c, &no);
		return;
	}
	row = (struct store_suppression){
		.id = id_new(now_ms),
		.account = c->account.number,
		.address = key_of(c, &address),
		.scope = ALL_STREAMS,
		.origin = SLICE("manual"),
		.reason = SLICE("added over the API"),
		.created_at_ms = now_ms,
	};
	c->tx = store_suppression_add(c->h->side, &row, added, c);
}

void
api_suppression_post(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, post_go);
}

/* ---- One, by id or address ----------------------------------------------- */

/* Exactly one of the two is set; false: refused already. */
static bool
name_read(struct api_call *c, struct slice *address, struct id *id)
{
	struct slice text = http_param(c->r, 0);
	struct mail_address a;
	struct intake_answer no;

	*address = (struct slice){ NULL, 0 };
	*id = (struct id){ { 0 } };
	if (!slice_has_char(text, '@'))
		return api_param_id(c, 0, id);
	if (check_address(c->arena, "address", -1, text, &a, &no) < 0) {
		api_answer_no(c, &no);
		return false;
	}
	*address = key_of(c, &a);
	return true;
}

static void
found(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	struct api_call *c = ctx;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	(void)has_more;
	(void)count;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Suppression", err);
		return;
	}
	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	fields_write(&w, row);
	json_end(&w);
	api_answer(c, 200, &out);
}

static void
get_go(struct api_call *c)
{
	struct slice address;
	struct id id;

	if (name_read(c, &address, &id))
		c->tx = store_suppression_find(c->h->side, c->account.number,
		    address, id, clock_now_ms(), found, c);
}

void
api_suppression_get(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, get_go);
}

static void
removed(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	struct api_call *c = ctx;

	(void)has_more;
	(void)count;
	c->tx = NULL;
	if (err != NULL)
		api_answer_err(c, "Suppression", err);
	else
		api_answer_id(c, 200, "suppression", row->id, true);
}

static void
delete_go(struct api_call *c)
{
	struct slice address;
	struct id id;

	if (name_read(c, &address, &id))
		c->tx = store_suppression_remove(c->h->side, c->account.number,
		    address, id, removed, c);
}

void
api_suppression_delete(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, delete_go);
}

/* ---- The list ------------------------------------------------------------ */

static void
listed(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	struct api_call *c = ctx;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Suppressions", err);
		return;
	}
	api_list_begin(&w, &out, has_more);
	for (size_t i = 0; i < count; i++) {
		json_begin_object(&w, NULL);
		fields_write(&w, &row[i]);
		json_end(&w);
	}
	api_list_end(&w);
	api_answer(c, 200, &out);
}

static void
list_go(struct api_call *c)
{
	struct slice origin = http_query(c->r, "origin");
	struct api_page page;

	if (origin.ptr != NULL && !slice_eq_text(origin, "bounce") &&
	    !slice_eq_text(origin, "complaint") &&
	    !slice_eq_text(origin, "manual")) {
		api_refuse(c, ANSWER_PARAMETER,
		    "origin: '%s' is not bounce, complaint or manual",
		    answer_quote(origin).s);
		return;
	}
	if (api_page_read(c, &page))
		c->tx = store_suppression_list(c->h->side, c->account.number,
		    origin, page.limit, page.after, page.before, clock_now_ms(),
		    listed, c);
}

void
api_suppression_list(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, list_go);
}

/*
 * api/webhooks.c - endpoints that get events (reference A.5). The signing
 * secret is kept sealed and bound to its row; it is shown when it is made and
 * by GET /webhooks/{id}, as Resend does.
 */
#include "api_priv.h"
#include "members.h"

#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "model/status.h"
#include "net/fetch.h"
#include "store/webhooks.h"

#define SECRET_BYTES 24
#define SECRET_TEXT_MAX 48
#define WEBHOOKS_MAX 100 /* per account: each event makes a row for each */

struct webhook_call {
	struct api_call *call;
	struct id id;
	struct store_webhook row;
	const struct json *body;
	char secret[SECRET_TEXT_MAX]; /* "whsec_...", wiped when told */
};

/* ---- Fields -------------------------------------------------------------- */

/* PATCH takes all, POST the first two. */
static const char *const names[] = { "endpoint", "events", "status" };
static const struct member_word words[] = { { "url", "endpoint" },
	{ "endpoint_url", "endpoint" }, { "event_types", "events" },
	{ "types", "events" } };

static bool
members_read(struct api_call *c, const struct json *body, size_t known)
{
	const struct members m = { "a webhook", names, words, known,
		ARRAY_LEN(words) };
	struct intake_answer no;

	if (members_check(&m, NULL, body, &no) == 0)
		return true;
	api_answer_no(c, &no);
	return false;
}

static bool
url_read(struct api_call *c, const struct json *body, struct slice *out)
{
	struct slice url = json_get_text(body, "endpoint");
	struct error err = { 0 };

	if (fetch_url_check(url, c->h->webhook_guard, &err) < 0) {
		api_refuse(c, ANSWER_VALIDATION, "endpoint: '%s' %s",
		    answer_quote(url).s, err.text);
		return false;
	}
	*out = arena_slice(c->arena, url);
	return true;
}

/* The kind whose webhook has that type; 0: none. */
static unsigned int
kind_of_type(struct slice type)
{
	for (unsigned int k = 1; k < EVENT_KIND_COUNT; k++) {
		const char *name = event_webhook_type((enum event_kind)k);

		if (name != NULL && slice_eq_text(type, name))
			return k;
	}
	return 0;
}

static void
refuse_event(struct api_call *c, struct slice type)
{
	struct strbuf all = STRBUF_INIT;

	for (unsigned int k = 1; k < EVENT_KIND_COUNT; k++) {
		const char *name = event_webhook_type((enum event_kind)k);

		if (name != NULL)
			strbuf_add_fmt(&all, "%s%s", all.len > 0 ? ", " : "",
			    name);
	}
	api_refuse(c, ANSWER_VALIDATION,
	    "events: '%s' is not a type of event: use %s", answer_quote(type).s,
	    strbuf_text(&all));
	strbuf_fini(&all);
}

static bool
events_read(struct api_call *c, const struct json *body, uint32_t *out)
{
	const struct json *list = json_get(body, "events");
	uint32_t bits = 0;

	if (list == NULL || list->type != JSON_ARRAY || list->count == 0) {
		api_refuse(c, ANSWER_VALIDATION,
		    "events: must be an array of at least one type, like "
		    "[\"email.delivered\"]");
		return false;
	}
	json_each(item, list)
	{
		unsigned int kind =
		    item->type == JSON_STRING ? kind_of_type(item->text) : 0;

		if (kind == 0) {
			refuse_event(c, item->text);
			return false;
		}
		bits |= 1U << kind;
	}
	*out = bits;
	return true;
}

static void
fields_write(struct json_writer *w, const struct store_webhook *row)
{
	api_id(w, "id", row->id);
	api_time(w, "created_at", row->created_at_ms);
	json_cstr(w, "status", row->enabled ? "enabled" : "disabled");
	json_text(w, "endpoint", row->url);
	json_begin_array(w, "events");
	for (unsigned int k = 1; k < EVENT_KIND_COUNT; k++) {
		const char *type = event_webhook_type((enum event_kind)k);

		if (type != NULL && (row->events >> k & 1) != 0)
			json_cstr(w, NULL, type);
	}
	json_end(w);
}

/* ---- POST ---------------------------------------------------------------- */

static char *
secret_place(struct api_call *c, struct id id)
{
	return arena_fmt(c->arena, "webhooks.secret:%s", id_text(id).s);
}

static void
secret_answer(struct api_call *c, struct webhook_call *wc)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "object", "webhook");
	api_id(&w, "id", wc->row.id);
	json_cstr(&w, "signing_secret", wc->secret);
	json_end(&w);
	explicit_bzero(wc->secret, sizeof(wc->secret));
	api_answer(c, 201, &out);
}

static void
added(void *ctx, const struct error *err)
{
	struct webhook_call *wc = ctx;
	struct api_call *c = wc->call;

	c->tx = NULL;
	if (err != NULL) {
		explicit_bzero(wc->secret, sizeof(wc->secret));
		api_answer_err(c, "Webhook", err);
		return;
	}
	secret_answer(c, wc);
}

static void
secret_make(struct webhook_call *wc, struct strbuf *sealed)
{
	struct api_call *c = wc->call;
	struct strbuf text = STRBUF_INIT;
	uint8_t random[SECRET_BYTES];

	crypto_random(random, sizeof(random));
	strbuf_add_text(&text, "whsec_");
	base64_encode(&text, slice_mem(random, sizeof(random)), 0);
	explicit_bzero(random, sizeof(random));
	crypto_seal(c->h->keyring, slice_of(secret_place(c, wc->row.id)),
	    strbuf_slice(&text), sealed);
	invariant(text.len < sizeof(wc->secret));
	memcpy(wc->secret, text.ptr, text.len + 1);
	explicit_bzero(text.ptr, text.cap);
	strbuf_fini(&text);
}

static void
counted(void *ctx, const struct store_webhook *row, size_t count,
    const struct error *err)
{
	struct webhook_call *wc = ctx;
	struct api_call *c = wc->call;
	struct strbuf sealed = STRBUF_INIT;

	(void)row;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Webhook", err);
		return;
	}
	if (count >= WEBHOOKS_MAX) {
		api_refuse(c, ANSWER_VALIDATION,
		    "This account has %zu webhooks, at most %d are allowed: "
		    "delete one first",
		    count, WEBHOOKS_MAX);
		return;
	}
	secret_make(wc, &sealed);
	wc->row.secret = arena_slice(c->arena, strbuf_slice(&sealed));
	strbuf_fini(&sealed);
	c->tx = store_webhook_add(c->h->side, &wc->row, added, wc);
}

static void
post_go(struct api_call *c)
{
	struct webhook_call *wc = arena_alloc(c->arena, sizeof(*wc));
	int64_t now_ms = clock_now_ms();

	wc->call = c;
	wc->row = (struct store_webhook){
		.id = id_new(now_ms),
		.account = c->account.number,
		.enabled = true,
		.created_at_ms = now_ms,
	};
	if (!api_body_object(c, &wc->body) || !members_read(c, wc->body, 2) ||
	    !url_read(c, wc->body, &wc->row.url) ||
	    !events_read(c, wc->body, &wc->row.events))
		return;
	c->tx = store_webhook_list(c->h->side, c->account.number, counted, wc);
}

void
api_webhook_post(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, post_go);
}

/* ---- GET one ------------------------------------------------------------- */

static void
found(void *ctx, const struct store_webhook *row, size_t count,
    const struct error *err)
{
	struct api_call *c = ctx;
	struct strbuf out = STRBUF_INIT, secret = STRBUF_INIT;
	struct error bad = { 0 };
	struct json_writer w;

	(void)count;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Webhook", err);
		return;
	}
	if (crypto_open(c->h->keyring, slice_of(secret_place(c, row->id)),
		row->secret, &secret, &bad) < 0) {
		strbuf_fini(&secret);
		api_answer_err(c, "Webhook", &bad);
		return;
	}
	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "object", "webhook");
	fields_write(&w, row);
	json_text(&w, "signing_secret", strbuf_slice(&secret));
	json_end(&w);
	explicit_bzero(secret.ptr, secret.cap);
	strbuf_fini(&secret);
	api_answer(c, 200, &out);
}

static void
get_go(struct api_call *c)
{
	struct id id;

	if (api_param_id(c, 0, &id))
		c->tx = store_webhook_find(c->h->side, c->account.number, id,
		    found, c);
}

void
api_webhook_get(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, get_go);
}

/* ---- GET the list -------------------------------------------------------- */

struct list_call {
	struct api_call *call;
	struct api_page page;
};

/* The rows come newest first and are few, so pages are cut here. */
static bool
in_page(const struct api_page *p, struct id id)
{
	if (!id_is_zero(p->after) && id_cmp(id, p->after) >= 0)
		return false;
	return id_is_zero(p->before) || id_cmp(id, p->before) > 0;
}

static void
listed(void *ctx, const struct store_webhook *row, size_t count,
    const struct error *err)
{
	struct list_call *lc = ctx;
	struct api_call *c = lc->call;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;
	size_t fit = 0, shown = 0, skip;

	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Webhooks", err);
		return;
	}
	for (size_t i = 0; i < count; i++)
		fit += in_page(&lc->page, row[i].id);
	/* before: those next to the cursor. */
	skip = !id_is_zero(lc->page.before) && fit > lc->page.limit
	    ? fit - lc->page.limit
	    : 0;
	api_list_begin(&w, &out, fit > lc->page.limit);
	for (size_t i = 0; i < count && shown < lc->page.limit; i++) {
		if (!in_page(&lc->page, row[i].id))
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		json_begin_object(&w, NULL);
		fields_write(&w, &row[i]);
		json_end(&w);
		shown++;
	}
	api_list_end(&w);
	api_answer(c, 200, &out);
}

static void
list_go(struct api_call *c)
{
	struct list_call *lc = arena_alloc(c->arena, sizeof(*lc));

	lc->call = c;
	if (api_page_read(c, &lc->page))
		c->tx = store_webhook_list(c->h->side, c->account.number,
		    listed, lc);
}

void
api_webhook_list(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, list_go);
}

/* ---- PATCH --------------------------------------------------------------- */

static void
updated(void *ctx, const struct error *err)
{
	struct webhook_call *wc = ctx;
	struct api_call *c = wc->call;

	c->tx = NULL;
	if (err != NULL)
		api_answer_err(c, "Webhook", err);
	else
		api_answer_id(c, 200, "webhook", wc->id, false);
}

static bool
status_read(struct api_call *c, const struct json *body, bool *enabled)
{
	struct slice status = json_get_text(body, "status");

	if (!slice_eq_text(status, "enabled") &&
	    !slice_eq_text(status, "disabled")) {
		api_refuse(c, ANSWER_VALIDATION,
		    "status: must be \"enabled\" or \"disabled\"");
		return false;
	}
	*enabled = slice_eq_text(status, "enabled");
	return true;
}

static bool
is_given(const struct json *body, const char *name)
{
	const struct json *v = json_get(body, name);

	return v != NULL && v->type != JSON_NULL;
}

static void
patch_found(void *ctx, const struct store_webhook *row, size_t count,
    const struct error *err)
{
	struct webhook_call *wc = ctx;
	struct api_call *c = wc->call;

	(void)count;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Webhook", err);
		return;
	}
	wc->row = *row;
	wc->row.url = arena_slice(c->arena, row->url);
	wc->row.secret = arena_slice(c->arena, row->secret);
	if ((is_given(wc->body, "endpoint") &&
		!url_read(c, wc->body, &wc->row.url)) ||
	    (is_given(wc->body, "events") &&
		!events_read(c, wc->body, &wc->row.events)) ||
	    (is_given(wc->body, "status") &&
		!status_read(c, wc->body, &wc->row.enabled)))
		return;
	c->tx = store_webhook_update(c->h->side, &wc->row, updated, wc);
}

static void
patch_go(struct api_call *c)
{
	struct webhook_call *wc = arena_alloc(c->arena, sizeof(*wc));

	wc->call = c;
	if (!api_param_id(c, 0, &wc->id) || !api_body_object(c, &wc->body) ||
	    !members_read(c, wc->body, ARRAY_LEN(names)))
		return;
	c->tx = store_webhook_find(c->h->side, c->account.number, wc->id,
	    patch_found, wc);
}

void
api_webhook_patch(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, patch_go);
}

/* ---- DELETE -------------------------------------------------------------- */

static void
removed(void *ctx, const struct error *err)
{
	struct webhook_call *wc = ctx;
	struct api_call *c = wc->call;

	c->tx = NULL;
	if (err != NULL)
		api_answer_err(c, "Webhook", err);
	else
		api_answer_id(c, 200, "webhook", wc->id, true);
}

static void
delete_go(struct api_call *c)
{
	struct webhook_call *wc = arena_alloc(c->arena, sizeof(*wc));

	wc->call = c;
	if (api_param_id(c, 0, &wc->id))
		c->tx = store_webhook_remove(c->h->side, c->account.number,
		    wc->id, removed, wc);
}

void
api_webhook_delete(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, delete_go);
}

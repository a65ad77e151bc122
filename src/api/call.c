/* api/call.c - what every resource does the same way. */
#include "api_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* ---- Answers ------------------------------------------------------------- */

static void
close_call(struct api_call *c)
{
	OBJ_CHECK(c, API_CALL_MAGIC);
	invariant(c->tx == NULL);
	list_remove(&c->node);
	c->magic = 0;
}

void
api_answer(struct api_call *c, int status, struct strbuf *body)
{
	struct http_request *r = c->r;

	close_call(c);
	http_answer(r, status, strbuf_slice(body));
	strbuf_fini(body);
}

void
api_answer_no(struct api_call *c, const struct intake_answer *no)
{
	struct http_request *r = c->r;
	char seconds[16];

	close_call(c);
	if (no->retry_after_s > 0) {
		(void)snprintf(seconds, sizeof(seconds), "%u",
		    no->retry_after_s);
		http_answer_header(r, "Retry-After", seconds);
	}
	http_answer_error(r, answer_status(no->kind), answer_name(no->kind),
	    no->message);
}

void
api_refuse(struct api_call *c, enum answer_kind kind, const char *fmt, ...)
{
	struct intake_answer no;
	char text[ANSWER_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)answer_set(&no, kind, "%s", text);
	api_answer_no(c, &no);
}

void
api_answer_err(struct api_call *c, const char *what, const struct error *err)
{
	struct intake_answer no;

	if (err->kind == ERR_NOTFOUND) {
		(void)answer_set(&no, ANSWER_NOT_FOUND, "%s not found", what);
	} else if (err->kind == ERR_STORE || err->kind == ERR_TIMEOUT) {
		(void)answer_set(&no, ANSWER_UNAVAILABLE,
		    "The database is away: try again in a few seconds");
		no.retry_after_s = 5;
	} else {
		log_error(&c->h->log, "api.failed", log_text("what", what),
		    log_err(err));
		(void)answer_set(&no, ANSWER_INTERNAL,
		    "This request failed: the operator finds the reason in "
		    "the log (api.failed)");
	}
	api_answer_no(c, &no);
}

void
api_answer_id(struct api_call *c, int status, const char *what, struct id id,
    bool deleted)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "object", what);
	api_id(&w, "id", id);
	if (deleted)
		json_bool(&w, "deleted", true);
	json_end(&w);
	api_answer(c, status, &out);
}

/* ---- The key ------------------------------------------------------------- */

static void
authorized(void *ctx, const struct intake_account *account,
    const struct intake_answer *no)
{
	struct api_call *c = ctx;

	OBJ_CHECK(c, API_CALL_MAGIC);
	if (no != NULL) {
		api_answer_no(c, no);
		return;
	}
	if (account->sending_only && !c->is_sending) {
		api_refuse(c, ANSWER_KEY_RESTRICTED,
		    "This API key is restricted to only send emails");
		return;
	}
	c->account = *account;
	c->go(c);
}

/* The secret in "Bearer <secret>"; empty when there is none. */
static struct slice
bearer_of(const struct http_request *r)
{
	struct slice value = slice_trim(http_header(r, "Authorization"));

	if (!slice_starts_nocase(value, SLICE("Bearer ")))
		return (struct slice){ NULL, 0 };
	return slice_trim(slice_from(value, sizeof("Bearer ") - 1));
}

struct api_call *
api_open_unasked(struct httpd *h, struct http_request *r)
{
	struct arena *arena = http_arena(r);
	struct api_call *c = arena_alloc(arena, sizeof(*c));

	OBJ_CHECK(h, HTTPD_MAGIC);
	c->magic = API_CALL_MAGIC;
	c->h = h;
	c->r = r;
	c->arena = arena;
	list_append(&h->calls, &c->node);
	return c;
}

void
api_open(struct httpd *h, struct http_request *r, bool is_sending,
    void (*go)(struct api_call *c))
{
	struct api_call *c = api_open_unasked(h, r);

	c->is_sending = is_sending;
	c->go = go;
	intake_authorize(h->intake, bearer_of(r), authorized, c);
}

/* ---- Reading ------------------------------------------------------------- */

bool
api_param_id(struct api_call *c, unsigned int n, struct id *out)
{
	struct slice text = http_param(c->r, n);

	if (id_parse(text, out))
		return true;
	api_refuse(c, ANSWER_PARAMETER,
	    "The id '%s' is not a UUID (nor a gm_ id)", answer_quote(text).s);
	return false;
}

bool
api_body_object(struct api_call *c, const struct json **out)
{
	struct error err = { 0 };
	char *text;
	struct slice body = http_body(c->r, &text);

	if (body.len == 0) {
		api_refuse(c, ANSWER_VALIDATION,
		    "The request has no body: send a JSON object");
		return false;
	}
	if (json_parse(c->arena, text, body.len, out, &err) < 0) {
		api_refuse(c, ANSWER_VALIDATION,
		    "The request body is not valid JSON: %s", err.text);
		return false;
	}
	if ((*out)->type != JSON_OBJECT) {
		api_refuse(c, ANSWER_VALIDATION,
		    "The request body must be a JSON object, but is of type "
		    "%s",
		    json_type_name((*out)->type));
		return false;
	}
	return true;
}

static bool
cursor_read(struct api_call *c, const char *name, struct id *out)
{
	struct slice text = http_query(c->r, name);

	*out = (struct id){ { 0 } };
	if (text.ptr == NULL || id_parse(text, out))
		return true;
	api_refuse(c, ANSWER_PARAMETER, "%s: '%s' is not an id", name,
	    answer_quote(text).s);
	return false;
}

bool
api_page_read(struct api_call *c, struct api_page *page)
{
	struct slice text = http_query(c->r, "limit");
	uint64_t limit = API_PAGE_DEFAULT;

	if (text.ptr != NULL &&
	    (!slice_to_u64(text, &limit) || limit < 1 ||
		limit > API_PAGE_MAX)) {
		api_refuse(c, ANSWER_PARAMETER,
		    "limit: '%s' is not a number from 1 to %d",
		    answer_quote(text).s, API_PAGE_MAX);
		return false;
	}
	page->limit = (size_t)limit;
	if (!cursor_read(c, "after", &page->after) ||
	    !cursor_read(c, "before", &page->before))
		return false;
	if (id_is_zero(page->after) || id_is_zero(page->before))
		return true;
	api_refuse(c, ANSWER_PARAMETER, "after, before: only one may be given");
	return false;
}

/* ---- Writing ------------------------------------------------------------- */

void
api_list_begin(struct json_writer *w, struct strbuf *out, bool has_more)
{
	json_writer_init(w, out);
	json_begin_object(w, NULL);
	json_cstr(w, "object", "list");
	json_bool(w, "has_more", has_more);
	json_begin_array(w, "data");
}

void
api_list_end(struct json_writer *w)
{
	json_end(w);
	json_end(w);
}

void
api_time(struct json_writer *w, const char *name, int64_t ms)
{
	char iso[CLOCK_ISO_LEN + 2];
	char *end;

	if (ms == 0) {
		json_null(w, name);
		return;
	}
	clock_format_iso(ms, iso);
	end = strchr(iso, 'Z');
	invariant(end != NULL && iso[10] == 'T');
	iso[10] = ' ';
	memcpy(end, "+00", 4);
	json_cstr(w, name, iso);
}

void
api_id(struct json_writer *w, const char *name, struct id id)
{
	json_cstr(w, name, id_text(id).s);
}

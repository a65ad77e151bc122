#include "request.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "response.h"
#include "session.h"

struct http_request *
http_request_new(struct http_budget *budget)
{
	struct http_request *r = xmalloc(sizeof(*r));

	r->magic = HTTP_REQUEST_MAGIC;
	r->budget = budget;
	budget->users++;
	list_init(&r->node);
	arena_init(&r->arena);
	strbuf_init(&r->fields, HTTP_HEAD_MAX);
	return r;
}

void
http_budget_unref(struct http_budget **b)
{
	if (--(*b)->users == 0)
		free(*b);
	*b = NULL;
}

/* What a body of that capacity counts. */
static size_t
charge(size_t cap)
{
	return cap > HTTP_BODY_SMALL ? cap : 0;
}

void
http_request_free(struct http_request **rp)
{
	struct http_request *r = *rp;

	if (r == NULL)
		return;
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	*rp = NULL;
	r->budget->used -= charge(r->body.cap);
	http_budget_unref(&r->budget);
	list_remove(&r->node);
	strbuf_fini(&r->fields);
	arena_fini(&r->arena);
	free(r->body.ptr);
	r->magic = 0;
	free(r);
}

static bool
grow(struct http_request *r, size_t need, uint64_t total)
{
	size_t cap = MAX(r->body.cap * 2, need), old = charge(r->body.cap);

	if (total >= need && total < cap)
		cap = (size_t)total;
	if (charge(cap) - old >
	    r->budget->max - MIN(r->budget->used, r->budget->max))
		return false;
	r->budget->used += charge(cap) - old;
	r->body.ptr = xrealloc(r->body.ptr, cap);
	r->body.cap = cap;
	return true;
}

bool
http_request_add(struct http_request *r, struct slice data, uint64_t expected)
{
	size_t need = r->body.len + data.len;

	if (data.len == 0)
		return true;
	if (need > r->body.cap && !grow(r, need, r->body.len + expected))
		return false;
	memcpy(r->body.ptr + r->body.len, data.ptr, data.len);
	r->body.len = need;
	return true;
}

/* ---- For handlers ------------------------------------------------------ */

struct slice
http_param(const struct http_request *r, unsigned int n)
{
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	invariant(n < r->match.param_count);
	return r->match.param[n];
}

struct slice
http_query(struct http_request *r, const char *name)
{
	struct slice left = r->head.query, wanted = slice_of(name);

	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	while (left.len > 0) {
		struct slice value = slice_take_until(&left, '&');
		struct slice key = slice_take_until(&value, '=');

		/* Those that do not decode were refused with the head. */
		if (http_percent_decode(key, true, &r->arena, &key) &&
		    slice_eq(key, wanted) &&
		    http_percent_decode(value, true, &r->arena, &value))
			return value;
	}
	return (struct slice){ NULL, 0 };
}

struct slice
http_header(const struct http_request *r, const char *name)
{
	const struct http_field *f;

	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	f = http_head_find(&r->head, slice_of(name));
	return f != NULL ? f->value : (struct slice){ NULL, 0 };
}

struct slice
http_body(struct http_request *r, char **mutable_ptr)
{
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	if (mutable_ptr != NULL)
		*mutable_ptr = r->body.ptr;
	return slice_mem(r->body.ptr, r->body.len);
}

struct arena *
http_arena(struct http_request *r)
{
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	return &r->arena;
}

struct slice
http_path(const struct http_request *r)
{
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	return r->head.path;
}

const char *
http_peer(const struct http_request *r)
{
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	return r->peer;
}

void
http_answer_header(struct http_request *r, const char *name, const char *value)
{
	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	/* All of it or nothing: half a line would break the head. */
	if (!http_field_is_sound(name, value) ||
	    !strbuf_reserve(&r->fields, strlen(name) + strlen(value) + 4)) {
		log_error(NULL, "http.unsound_field", log_text("name", name),
		    log_text("value", value));
		return;
	}
	if (slice_eq_nocase(slice_of(name), SLICE("Content-Type")))
		r->has_type = true;
	strbuf_add_text(&r->fields, name);
	strbuf_add_text(&r->fields, ": ");
	strbuf_add_text(&r->fields, value);
	strbuf_add_text(&r->fields, "\r\n");
}

void
http_answer(struct http_request *r, int status, struct slice body)
{
	struct http_server *server = r->server;

	OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
	invariant(r->was_handled);
	if (r->session != NULL)
		http_session_answer(r->session, r, status, body);
	http_request_free(&r);
	if (server != NULL)
		http_server_check_drain(server);
}

void
http_answer_error(struct http_request *r, int status, const char *name,
    const char *message)
{
	struct strbuf body = STRBUF_INIT;

	http_error_body(status, name, message, &body);
	http_answer(r, status, strbuf_slice(&body));
	strbuf_fini(&body);
}

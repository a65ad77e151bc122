/*
 * advance() takes the session as far as its input goes, one request after the
 * other. A handler may answer before it returns, or later; later answers put
 * advance() on the loop again. So there is one place that moves the state, and
 * a handler is never called from inside an answer.
 *
 * One timer: between requests the idle time, from the first octet of a request
 * to its last the request time, which is not set anew by more octets. While
 * the handler has the request there is none.
 *
 * A client may send its last request and close its side (RFC 9112 section
 * 9.6): it gets its answers. It cannot be told from one that has left until
 * something is written, so a session whose input has ended lives only as long
 * as a handler has its request or an answer is being sent.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

/* Of a client that does not read its answers: no further requests. */
#define OUTPUT_HIGH ((size_t)256 * 1024)
/* Of a refused body, thrown away so that its sender can read the answer. */
#define DISCARD_MAX ((size_t)256 * 1024 * 1024)
#define DISCARD_TIMEOUT_MS 15000
#define CLOSE_TIMEOUT_MS 5000
#define TIMER_SLACK_MS 8 /* the loop's clock is coarse */

static void advance(struct http_session *s);

/* ---- The timer --------------------------------------------------------- */

/* Deadlines mostly move ahead: then the timer fires early and is set again. */
static void
set_deadline(struct http_session *s, int64_t after_ms)
{
	s->deadline_ms = loop_mono_ms(s->server->loop) + after_ms;
	if (s->armed_ms >= 0 && s->armed_ms <= s->deadline_ms)
		return;
	s->armed_ms = s->deadline_ms;
	timer_set(s->timer, after_ms);
}

static void
end(struct http_session *s)
{
	conn_close_flushed(&s->conn, CLOSE_TIMEOUT_MS);
	http_session_free(s);
}

void
http_session_end_idle(struct http_session *s)
{
	end(s);
}

/*
 * To make room now: a close that waits for the far end would keep the
 * descriptor for as long as a stranger likes.
 */
void
http_session_evict(struct http_session *s)
{
	if (conn_pending(s->conn) > 0)
		end(s);
	else
		http_session_free(s);
}

static void respond_refusal(struct http_session *s,
    const struct http_refusal *why);

static void
on_timer(void *ctx)
{
	struct http_session *s = ctx;
	int64_t left;

	OBJ_CHECK(s, HTTP_SESSION_MAGIC);
	s->armed_ms = -1;
	if (s->deadline_ms < 0)
		return;
	left = s->deadline_ms - loop_mono_ms(s->server->loop);
	if (left > TIMER_SLACK_MS) {
		s->armed_ms = s->deadline_ms;
		timer_set(s->timer, left);
		return;
	}
	switch (s->state) {
	case HTTP_HEAD:
	case HTTP_BODY:
		respond_refusal(s, &http_refused_time);
		end(s);
		break;
	case HTTP_IDLE:
	case HTTP_DISCARDING:
	case HTTP_ENDING:
		end(s);
		break;
	case HTTP_HANDLING:
		break;
	}
}

/* ---- Answers ----------------------------------------------------------- */

static void
respond(struct http_session *s, const struct http_response *response)
{
	struct http_server *server = s->server;

	strbuf_reset(&server->out);
	http_response_write(response, &server->date, &server->out);
	conn_write(s->conn, strbuf_slice(&server->out));
	if (server->out.cap > OUTPUT_HIGH)
		strbuf_fini(&server->out); /* a large one is rare */
}

/* Answers an error before or instead of a handler; the session closes. */
static void
respond_refusal(struct http_session *s, const struct http_refusal *why)
{
	struct strbuf body = STRBUF_INIT;
	struct http_response response = { .status = why->status,
		.closes = true };

	if (s->request != NULL)
		response.hides_body = s->request->head.is_head;
	if (why->status == 503)
		response.fields = SLICE("Retry-After: 5\r\n");
	http_error_body(why->status, why->name, why->message, &body);
	response.body = strbuf_slice(&body);
	respond(s, &response);
	strbuf_fini(&body);
	s->closes = true;
	if (log_level() >= LOG_LEVEL_INFO) {
		char peer[NET_ADDR_TEXT];

		net_addr_format(conn_peer(s->conn), peer);
		log_info(NULL, "http.refused", log_text("peer", peer),
		    log_int("status", why->status),
		    log_text("why", why->message));
	}
}

static void
on_resume(void *ctx)
{
	advance(ctx);
}

void
http_session_answer(struct http_session *s, struct http_request *r, int status,
    struct slice body)
{
	struct http_response response = {
		.status = status,
		.fields = strbuf_slice(&r->fields),
		.body = body,
		.has_type = r->has_type,
		.hides_body = r->head.is_head,
		.is_old = r->head.is_old,
	};

	OBJ_CHECK(s, HTTP_SESSION_MAGIC);
	invariant(s->request == r && s->state == HTTP_HANDLING);
	s->closes |= !r->head.keeps_alive || s->server->is_draining;
	response.closes = s->closes;
	respond(s, &response);
	log_debug(NULL, "http.request", log_text("peer", r->peer),
	    log_slice("method", r->head.method_text),
	    log_slice("path", r->head.path), log_int("status", status));
	s->request = NULL;
	s->state = s->closes ? HTTP_ENDING : HTTP_IDLE;
	if (!s->is_advancing)
		loop_call_schedule(s->server->loop, &s->resume, on_resume, s);
}

/* 405 and 404 come as late as a handler's answer would. */
static void
answer_unrouted(struct http_request *r)
{
	static const char *const names[] = { "GET, HEAD", "POST", "PUT",
		"PATCH", "DELETE" };
	struct strbuf allow = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if ((r->match.allowed & 1U << i) == 0)
			continue;
		if (allow.len > 0)
			strbuf_add_text(&allow, ", ");
		strbuf_add_text(&allow, names[i]);
	}
	if (r->refusal->status == 405)
		http_answer_header(r, "Allow", strbuf_text(&allow));
	strbuf_fini(&allow);
	http_answer_error(r, r->refusal->status, r->refusal->name,
	    r->refusal->message);
}

/* ---- From head to handler ---------------------------------------------- */

/* What will answer: a route, or the refusal that stands in for one. */
static void
find_route(struct http_session *s, struct http_request *r)
{
	struct slice query = r->head.query;

	http_router_find(s->server->router, r->head.method, r->head.path,
	    &r->arena, &r->match);
	if (r->match.is_bad ||
	    !http_percent_decode(query, true, &r->arena, &query))
		r->refusal = &http_refused_escape;
	else if (r->match.allowed == 0)
		r->refusal = &http_refused_path;
	else if (r->match.route == NULL || r->head.is_other)
		r->refusal = &http_refused_method;
}

/*
 * Refuses a request whose body may still be coming. A client that waits for
 * "100 Continue" will not send it now.
 */
static void
refuse_body(struct http_session *s, const struct http_refusal *why)
{
	struct http_request *r = s->request;

	respond_refusal(s, why);
	s->state = r->head.expects_continue ? HTTP_ENDING : HTTP_DISCARDING;
	if (why == &http_refused_chunk)
		s->state = HTTP_ENDING; /* nobody knows where it ends */
	set_deadline(s, DISCARD_TIMEOUT_MS);
	http_request_free(&s->request);
}

static void
begin_body(struct http_session *s, struct http_request *r)
{
	s->chunked = (struct http_chunked){ 0 };
	s->is_chunked = r->head.is_chunked;
	s->body_left = r->head.content_length;
	s->discarded = 0;
	s->state = HTTP_BODY;
	find_route(s, r);
	if (r->head.content_length > s->server->opt.body_max) {
		refuse_body(s, &http_refused_length);
	} else if (r->head.expects_continue) {
		if (r->refusal != NULL)
			refuse_body(s, r->refusal);
		else
			conn_write(s->conn,
			    SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
	}
}

/* Returns false when more input is needed or the session is to end. */
static bool
step_head(struct http_session *s)
{
	const struct http_refusal *why = NULL;
	struct slice in = conn_peek(s->conn), head;
	struct http_request *r;

	switch (http_head_scan(&s->scan, in, &why)) {
	case HTTP_SCAN_MORE:
		if (!s->input_ended)
			return false;
		why = &http_refused_end;
		break;
	case HTTP_SCAN_BAD:
	case HTTP_SCAN_DONE:
		break;
	}
	if (why != NULL) {
		respond_refusal(s, why);
		s->state = HTTP_ENDING;
		return true;
	}
	r = s->request = http_request_new(s->server->budget);
	r->session = s;
	r->server = s->server;
	net_addr_format(conn_peer(s->conn), r->peer);
	head = arena_slice(&r->arena, slice_first(in, s->scan.pos));
	conn_consume(s->conn, s->scan.pos);
	why = http_head_parse(&r->arena, head, &r->head);
	if (why != NULL) {
		respond_refusal(s, why);
		http_request_free(&s->request);
		s->state = HTTP_ENDING;
		return true;
	}
	begin_body(s, r);
	return true;
}

static void
call_handler(struct http_session *s)
{
	struct http_request *r = s->request;

	s->state = HTTP_HANDLING;
	s->deadline_ms = -1;
	list_append(&s->server->requests, &r->node);
	r->was_handled = true;
	if (r->refusal != NULL)
		answer_unrouted(r);
	else
		r->match.route->handle(r, r->match.route->ctx);
}

/* ---- The body ---------------------------------------------------------- */

/* Takes what of the body is there off *in; END when it is complete. */
static enum http_chunk_result
take_piece(struct http_session *s, struct slice *in, struct slice *piece)
{
	if (s->is_chunked)
		return http_chunked_take(&s->chunked, in, piece);
	if (s->body_left == 0)
		return HTTP_CHUNK_END;
	*piece = slice_first(*in, MIN(in->len, s->body_left));
	*in = slice_from(*in, piece->len);
	s->body_left -= piece->len;
	return piece->len > 0 ? HTTP_CHUNK_PIECE : HTTP_CHUNK_MORE;
}

/* NULL, or why the body cannot be kept. */
static const struct http_refusal *
keep_piece(struct http_session *s, struct http_request *r, struct slice piece)
{
	const size_t *len = r->refusal != NULL ? &s->discarded : &r->body.len;
	uint64_t expected = s->is_chunked ? 0 : s->body_left + piece.len;

	if (piece.len > s->server->opt.body_max - *len)
		return &http_refused_length;
	if (r->refusal != NULL)
		s->discarded += piece.len;
	else if (!http_request_add(r, piece, expected))
		return &http_refused_memory;
	return NULL;
}

static bool
step_body(struct http_session *s)
{
	struct http_request *r = s->request;
	struct slice in = conn_peek(s->conn), piece = { NULL, 0 };
	const struct http_refusal *why = NULL;
	enum http_chunk_result got;
	size_t before = in.len;

	do {
		got = take_piece(s, &in, &piece);
		if (got == HTTP_CHUNK_PIECE)
			why = keep_piece(s, r, piece);
		if (got == HTTP_CHUNK_BAD)
			why = &http_refused_chunk;
	} while (got == HTTP_CHUNK_PIECE && why == NULL);
	conn_consume(s->conn, before - in.len);
	if (got == HTTP_CHUNK_MORE && s->input_ended)
		why = &http_refused_end;
	if (why != NULL)
		refuse_body(s, why);
	else if (got == HTTP_CHUNK_END)
		call_handler(s);
	return why != NULL || got == HTTP_CHUNK_END;
}

/* Reads on for the sake of a client that writes before it reads. */
static bool
step_discard(struct http_session *s)
{
	struct slice in = conn_peek(s->conn), piece;
	enum http_chunk_result got;
	size_t before = in.len;

	do
		got = take_piece(s, &in, &piece);
	while (got == HTTP_CHUNK_PIECE);
	s->discarded += before - in.len;
	conn_consume(s->conn, before - in.len);
	if (got == HTTP_CHUNK_MORE && s->discarded < DISCARD_MAX &&
	    !s->input_ended)
		return false;
	s->state = HTTP_ENDING;
	return true;
}

/* ---- The session ------------------------------------------------------- */

static bool
step_idle(struct http_session *s)
{
	bool is_behind = conn_pending(s->conn) > OUTPUT_HIGH, is_empty;
	struct slice in = conn_peek(s->conn);

	if (s->server->is_draining) {
		end(s);
		return false;
	}
	/* RFC 9112 section 2.2: an empty line before a request is ignored. */
	while (!is_behind && slice_starts(in, SLICE("\r\n"))) {
		conn_consume(s->conn, 2);
		in = conn_peek(s->conn);
	}
	is_empty = in.len == 0 || slice_eq(in, SLICE("\r"));
	if (s->input_ended && !is_behind && is_empty) {
		end(s);
		return false;
	}
	if (is_behind || is_empty) {
		http_server_mark(s, true);
		set_deadline(s, s->server->opt.idle_timeout_ms);
		return false;
	}
	http_server_mark(s, false);
	s->state = HTTP_HEAD;
	s->scan = (struct http_scan){ 0 };
	set_deadline(s, s->server->opt.request_timeout_ms);
	return true;
}

/* The answer first: what is cut off at closing has its own, short time. */
static bool
step_ending(struct http_session *s)
{
	if (conn_pending(s->conn) < CONN_LOW_WATER)
		end(s);
	else
		set_deadline(s, s->server->opt.idle_timeout_ms);
	return false;
}

/* Returns whether there is more to do. */
static bool
step(struct http_session *s)
{
	switch (s->state) {
	case HTTP_IDLE:
		return step_idle(s);
	case HTTP_HEAD:
		return step_head(s);
	case HTTP_BODY:
		return step_body(s);
	case HTTP_HANDLING:
		return false;
	case HTTP_DISCARDING:
		return step_discard(s);
	case HTTP_ENDING:
		return step_ending(s);
	}
	return false;
}

static void
advance(struct http_session *s)
{
	OBJ_CHECK(s, HTTP_SESSION_MAGIC);
	s->is_advancing = true;
	while (s->conn != NULL && step(s))
		;
	s->is_advancing = false;
}

static void
on_readable(void *ctx)
{
	advance(ctx);
}

static void
on_drained(void *ctx)
{
	advance(ctx);
}

static void
on_ended(void *ctx)
{
	struct http_session *s = ctx;

	s->input_ended = true;
	advance(s);
}

static void
on_closed(void *ctx, const struct error *why)
{
	(void)why;
	http_session_free(ctx);
}

static const struct conn_ops ops = {
	.readable = on_readable,
	.drained = on_drained,
	.closed = on_closed,
	.ended = on_ended,
};

void
http_session_new(struct http_server *server, int fd,
    const struct net_addr *peer)
{
	struct http_session *s = xmalloc(sizeof(*s));

	(void)peer;
	s->magic = HTTP_SESSION_MAGIC;
	s->server = server;
	s->armed_ms = s->deadline_ms = -1;
	list_init(&s->node);
	s->conn = conn_accept(server->loop, fd, &ops, s);
	s->timer = timer_new(server->loop, on_timer, s);
	server->session_count++;
	set_deadline(s, server->opt.idle_timeout_ms);
	http_server_mark(s, true);
}

void
http_session_free(struct http_session *s)
{
	OBJ_CHECK(s, HTTP_SESSION_MAGIC);
	conn_close(&s->conn);
	if (s->request != NULL && s->request->was_handled)
		s->request->session = NULL;
	else
		http_request_free(&s->request);
	s->request = NULL;
	timer_free(&s->timer);
	loop_call_cancel(&s->resume);
	http_server_forget(s);
	s->bury.is_deferred = true;
	loop_call_schedule(s->server->loop, &s->bury, free, s);
}

/*
 * The server against raw sockets. It listens on a Unix socket in a directory
 * of its own; client and server take turns in this one process.
 */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/server.h"
#include "net/conn.h"

#define PATIENCE_MS 20000
#define H "Host: api.example\r\n"

struct world {
	struct loop *loop;
	struct http_server *server;
	struct http_request *late; /* answered by the test */
	char dir[32];
	struct net_addr addr;
	int listen_fd;
	unsigned int handled, drained;
	uint8_t body_sum[SHA256_LEN];
};

/* ---- Handlers ---------------------------------------------------------- */

static void
handle_post(struct http_request *r, void *ctx)
{
	struct world *w = ctx;
	struct strbuf out = STRBUF_INIT;
	struct slice body;
	char *text;
	struct json_writer j;

	w->handled++;
	body = http_body(r, &text);
	crypto_sha256(body, w->body_sum);
	json_writer_init(&j, &out);
	json_begin_object(&j, NULL);
	json_int(&j, "len", (int64_t)body.len);
	json_text(&j, "body", slice_first(body, 40));
	json_text_or_null(&j, "type", http_header(r, "content-type"));
	json_end(&j);
	if (body.len > 0)
		text[0] = '!'; /* it is ours to change */
	http_answer_header(r, "X-Seen", "yes");
	http_answer(r, 200, strbuf_slice(&out));
	strbuf_fini(&out);
}

static void
handle_get(struct http_request *r, void *ctx)
{
	struct world *w = ctx;
	struct strbuf out = STRBUF_INIT;
	struct json_writer j;

	w->handled++;
	assert_ptr_equal(http_arena(r), http_arena(r));
	json_writer_init(&j, &out);
	json_begin_object(&j, NULL);
	json_text(&j, "id", http_param(r, 0));
	json_text_or_null(&j, "q", http_query(r, "q"));
	json_text_or_null(&j, "n", http_query(r, "n"));
	json_end(&j);
	http_answer(r, 200, strbuf_slice(&out));
	strbuf_fini(&out);
}

static void
handle_late(struct http_request *r, void *ctx)
{
	struct world *w = ctx;

	w->handled++;
	w->late = r;
}

static void
handle_big(struct http_request *r, void *ctx)
{
	size_t len = (size_t)3 << 20;
	char *big = xmalloc(len);

	(void)ctx;
	memset(big, 'b', len);
	http_answer_header(r, "Content-Type", "text/plain");
	http_answer(r, 200, slice_mem(big, len));
	free(big);
}

static void
handle_unsound(struct http_request *r, void *ctx)
{
	(void)ctx;
	http_answer_header(r, "X-Evil", "a\r\nSet-Cookie: b");
	http_answer_error(r, 422, "missing_required_field", "Missing `to`.");
}

/* ---- The world --------------------------------------------------------- */

static void
open_world(struct world *w, const struct http_options *opt)
{
	const struct http_route routes[] = {
		{ HTTP_POST, "/emails", handle_post, w },
		{ HTTP_GET, "/emails/{}", handle_get, w },
		{ HTTP_GET, "/late", handle_late, w },
		{ HTTP_POST, "/late", handle_late, w },
		{ HTTP_GET, "/big", handle_big, w },
		{ HTTP_GET, "/unsound", handle_unsound, w },
	};
	struct error err = { 0 };
	char text[64];

	*w = (struct world){ .dir = "test_http.XXXXXX" };
	assert_non_null(mkdtemp(w->dir));
	snprintf(text, sizeof(text), "unix:%s/s", w->dir);
	assert_int_equal(net_addr_parse_listen(slice_of(text), &w->addr, &err),
	    0);
	w->listen_fd = net_listen(&w->addr, 64, &err);
	assert_true(w->listen_fd >= 0);
	w->loop = loop_new();
	w->server = http_server_new(w->loop, w->listen_fd, opt, routes,
	    ARRAY_LEN(routes));
}

static void
close_world(struct world *w)
{
	char path[64];

	http_server_free(&w->server);
	loop_free(&w->loop);
	close(w->listen_fd);
	snprintf(path, sizeof(path), "%s/s", w->dir);
	unlink(path);
	rmdir(w->dir);
}

struct client {
	int fd;
	struct strbuf got;
	bool at_end;
};

static struct client
dial(struct world *w)
{
	struct client c = { .got = STRBUF_INIT };

	c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(c.fd >= 0);
	assert_int_equal(connect(c.fd, (struct sockaddr *)&w->addr.ss,
			     w->addr.len),
	    0);
	return c;
}

static void
hang_up(struct client *c)
{
	close(c->fd);
	strbuf_fini(&c->got);
}

static void
receive(struct client *c)
{
	char part[65536];
	ssize_t n;

	while ((n = recv(c->fd, part, sizeof(part), 0)) > 0)
		strbuf_add(&c->got, part, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->at_end = true;
}

/* Whether n complete answers have come; interim ones do not count. */
static bool
has_answers(const struct client *c, size_t n, bool is_head)
{
	struct slice in = strbuf_slice(&c->got);

	while (n > 0) {
		size_t end = slice_find(in, SLICE("\r\n\r\n")), at;
		struct slice head = slice_first(in, end), length;
		uint64_t len = 0;

		if (end == in.len)
			return false;
		in = slice_from(in, end + 4);
		if (slice_starts(head, SLICE("HTTP/1.1 100")))
			continue;
		at = slice_find(head, SLICE("Content-Length: "));
		assert_true(at < head.len);
		length = slice_from(head, at + 16);
		assert_true(slice_to_u64(slice_first(length,
					     slice_find_char(length, '\r')),
		    &len));
		if (!is_head && in.len < len)
			return false;
		if (!is_head)
			in = slice_from(in, len);
		n--;
	}
	return true;
}

/* Sends all of it while taking turns with the server. */
static void
send_all(struct world *w, struct client *c, struct slice data)
{
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	while (data.len > 0 && !c->at_end && clock_mono_ms() < until) {
		ssize_t n = send(c->fd, data.ptr, data.len, MSG_NOSIGNAL);

		if (n > 0)
			data = slice_from(data, (size_t)n);
		else if (errno != EAGAIN)
			break;
		loop_turn(w->loop, n > 0 ? 0 : 1);
		receive(c);
	}
}

/* Turns until n answers are there, or until the end when n is 0. */
static void
await(struct world *w, struct client *c, size_t n)
{
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	while (clock_mono_ms() < until) {
		receive(c);
		if (n > 0 ? has_answers(c, n, false) : c->at_end)
			return;
		loop_turn(w->loop, 5);
	}
	fail_msg("no answer, only: %s", strbuf_text(&c->got));
}

/* Turns until the condition, which the loop changes, is true. */
#define TURN_UNTIL(w, condition)                                               \
	do {                                                                   \
		int64_t until_ = clock_mono_ms() + PATIENCE_MS;                \
                                                                               \
		while (!(condition) && clock_mono_ms() < until_)               \
			loop_turn((w)->loop, 5);                               \
		assert_true(condition);                                        \
	} while (0)

static void
assert_got(const struct client *c, const char *part)
{
	if (strstr(strbuf_text(&c->got), part) == NULL)
		fail_msg("'%s' is not in: %s", part, strbuf_text(&c->got));
}

static void
assert_not_got(const struct client *c, const char *part)
{
	if (strstr(strbuf_text(&c->got), part) != NULL)
		fail_msg("'%s' is in: %s", part, strbuf_text(&c->got));
}

static const struct http_options ordinary = { 0 };

/* ---- One request after the other --------------------------------------- */

static void
serves_one_request_after_the_other(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H
		  "Content-Type: application/json\r\n"
		  "Content-Length: 5\r\n\r\nhello"));
	await(&w, &c, 1);
	assert_got(&c, "HTTP/1.1 200 OK\r\nDate: ");
	assert_got(&c,
	    " GMT\r\nContent-Type: application/json; charset=utf-8"
	    "\r\nContent-Length: ");
	assert_got(&c,
	    "\r\nX-Seen: yes\r\n\r\n{\"len\":5,\"body\":\"hello\","
	    "\"type\":\"application/json\"}");
	assert_not_got(&c, "Connection:");
	strbuf_reset(&c.got);
	send_all(&w, &c,
	    SLICE("\r\nGET /v1/emails/a%40b?x=1&q=two+words&n HTTP/1.1\r\n" H
		  "\r\n"));
	await(&w, &c, 1);
	assert_got(&c, "{\"id\":\"a@b\",\"q\":\"two words\",\"n\":\"\"}");
	strbuf_reset(&c.got);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H
		  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
	await(&w, &c, 0);
	assert_got(&c, "Connection: close");
	assert_got(&c, "{\"len\":5,\"body\":\"abcde\",\"type\":null}");
	hang_up(&c);
	close_world(&w);
}

static void
answers_pipelined_requests_in_order(void **state)
{
	struct strbuf in = STRBUF_INIT;
	struct world w;
	struct client c;
	const char *at;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	for (int i = 0; i < 200; i++)
		strbuf_add_fmt(&in,
		    "GET /emails/%d HTTP/1.1\r\n" H "\r\n"
		    "POST /emails HTTP/1.1\r\n" H
		    "Content-Length: 3\r\n\r\nabc",
		    i);
	send_all(&w, &c, strbuf_slice(&in));
	await(&w, &c, 400);
	at = c.got.ptr;
	for (int i = 0; i < 200; i++) {
		char want[32];

		snprintf(want, sizeof(want), "{\"id\":\"%d\",", i);
		at = strstr(at, want);
		assert_non_null(at);
	}
	assert_int_equal(w.handled, 400);
	/* The same, octet by octet. */
	strbuf_reset(&c.got);
	for (size_t i = 0; i < 200; i++)
		send_all(&w, &c, slice_mem(in.ptr + i, 1));
	await(&w, &c, 2);
	hang_up(&c);
	close_world(&w);
	strbuf_fini(&in);
}

static void
knows_the_manners_of_http10(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("GET /emails/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	await(&w, &c, 1);
	assert_got(&c, "Connection: keep-alive");
	send_all(&w, &c, SLICE("GET /emails/2 HTTP/1.0\r\n\r\n"));
	await(&w, &c, 0);
	assert_got(&c, "Connection: close");
	hang_up(&c);
	close_world(&w);
}

static void
sends_no_body_to_head(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("HEAD /emails/1 HTTP/1.1\r\n" H "\r\n"
		  "HEAD /none HTTP/1.1\r\n" H "\r\n"
		  "HEAD /emails/2 HTTP/1.1\r\n" H "Connection: close\r\n\r\n"));
	await(&w, &c, 0);
	assert_true(has_answers(&c, 3, true));
	assert_got(&c, "Content-Length: 28\r\n\r\nHTTP/1.1 404");
	assert_not_got(&c, "{");
	assert_int_equal(w.handled, 2);
	hang_up(&c);
	close_world(&w);
}

/* ---- Refusals ---------------------------------------------------------- */

static const struct {
	const char *in, *status, *body; /* body: part of it */
	bool stays;
} refusals[] = {
	{ "GET /nowhere HTTP/1.1\r\n" H "\r\n", "404 Not Found",
	    "{\"statusCode\":404,\"name\":\"not_found\",\"message\":\"", true },
	{ "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
	    "404 Not Found", "\"not_found\"", true },
	{ "POST /nowhere HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	  "3\r\nabc\r\n0\r\n\r\n",
	    "404 Not Found", "\"not_found\"", true },
	{ "GET /emails HTTP/1.1\r\n" H "\r\n", "405 Method Not Allowed\r\n",
	    "\"method_not_allowed\"", true },
	{ "OPTIONS /emails HTTP/1.1\r\n" H "\r\n", "405 Method Not Allowed\r\n",
	    "\"method_not_allowed\"", true },
	{ "GET /emails/%ff HTTP/1.1\r\n" H "\r\n", "400 Bad Request",
	    "percent-escape", true },
	{ "GET /emails/1?q=%0d%0a HTTP/1.1\r\n" H "\r\n", "400 Bad Request",
	    "percent-escape", true },
	{ "BREW / HTTP/1.1\r\n" H "\r\n", "501 Not Implemented",
	    "{\"statusCode\":501,\"name\":\"not_implemented\"", false },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version Not Supported",
	    "\"statusCode\":505", false },
	{ "\x16\x03\x01\x02", "400 Bad Request", "validation_error", false },
	{ "GET /emails/%00 HTTP/1.1\r\n" H "\r\n", "400 Bad Request",
	    "percent-escape", false },
	{ "GET /emails/1 HTTP/1.1\r\n\r\n", "400 Bad Request", "Host", false },
	{ "GET /emails/1 HTTP/1.1\nHost: a\n\n", "400 Bad Request", "CR LF",
	    false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	    "400 Bad Request", "twice", false },
	{ "POST /emails HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\nhello",
	    "400 Bad Request", "Content-Length", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked body", false },
	{ "POST /nowhere HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked body", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n0\r\nX: trailer\r\n\r\n",
	    "400 Bad Request", "chunked body", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Content-Length: 1\r\nExpect: cake\r\n\r\n",
	    "417 Expectation Failed", "100-continue", false },
	{ "POST /emails HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n",
	    "413 Content Too Large", "\"payload_too_large\"", false },
	{ "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n",
	    "413 Content Too Large", "\"payload_too_large\"", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Content-Length: 18446744073709551615\r\n\r\n",
	    "413 Content Too Large", "\"payload_too_large\"", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
	    NULL, NULL, false }, /* waits for data, see below */
};

static void
refuses_in_json_and_closes_when_in_doubt(void **state)
{
	const struct http_options opt = { .body_max = 1000,
		.request_timeout_ms = 100 };
	struct world w;

	(void)state;
	open_world(&w, &opt);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct client c = dial(&w);
		char want[128];

		print_message("case %zu: %s\n", i, refusals[i].in);
		send_all(&w, &c, slice_of(refusals[i].in));
		await(&w, &c, 1);
		snprintf(want, sizeof(want), "HTTP/1.1 %s",
		    refusals[i].status != NULL ? refusals[i].status
					       : "408 Request Timeout");
		assert_memory_equal(c.got.ptr, want, strlen(want));
		if (refusals[i].body != NULL)
			assert_got(&c, refusals[i].body);
		assert_got(&c, "Content-Type: application/json");
		if (refusals[i].stays) {
			assert_not_got(&c, "Connection: close");
			send_all(&w, &c,
			    SLICE("GET /emails/7 HTTP/1.1\r\n" H "\r\n"));
			await(&w, &c, 2);
			assert_got(&c, "{\"id\":\"7\"");
		} else {
			assert_got(&c, "Connection: close");
		}
		hang_up(&c);
	}
	close_world(&w);
}

static void
names_the_methods_of_a_path(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("DELETE /late HTTP/1.1\r\n" H "\r\n"
		  "PATCH /emails HTTP/1.1\r\n" H "\r\n"));
	await(&w, &c, 2);
	assert_got(&c, "\r\nAllow: GET, HEAD, POST\r\n");
	assert_got(&c, "\r\nAllow: POST\r\n");
	hang_up(&c);
	close_world(&w);
}

static void
keeps_unsound_fields_out_of_the_head(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	test_log_expect(1);
	send_all(&w, &c, SLICE("GET /unsound HTTP/1.1\r\n" H "\r\n"));
	await(&w, &c, 1);
	assert_got(&c, "HTTP/1.1 422 Unprocessable Content\r\n");
	assert_got(&c,
	    "\r\n\r\n{\"statusCode\":422,\"name\":\"missing_required_"
	    "field\",\"message\":\"Missing `to`.\"}");
	assert_not_got(&c, "X-Evil");
	assert_not_got(&c, "Set-Cookie");
	hang_up(&c);
	close_world(&w);
}

/* ---- Bodies ------------------------------------------------------------ */

static void
says_413_to_a_client_that_writes_first(void **state)
{
	const struct http_options opt = { .body_max = 1000 };
	struct strbuf in = STRBUF_INIT;
	struct world w;
	struct client c;
	size_t big = (size_t)5 << 20;
	char *data = xmalloc(big);

	(void)state;
	open_world(&w, &opt);
	for (int chunked = 0; chunked < 2; chunked++) {
		c = dial(&w);
		strbuf_reset(&in);
		strbuf_add_fmt(&in,
		    chunked ? "POST /emails HTTP/1.1\r\n" H
			      "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
			    : "POST /emails HTTP/1.1\r\n" H
			      "Content-Length: %zu\r\n\r\n",
		    big);
		strbuf_add(&in, data, big);
		if (chunked)
			strbuf_add_text(&in, "\r\n0\r\n\r\n");
		send_all(&w, &c, strbuf_slice(&in));
		await(&w, &c, 0);
		assert_memory_equal(c.got.ptr, "HTTP/1.1 413 ", 13);
		assert_true(has_answers(&c, 1, false));
		assert_false(has_answers(&c, 2, false));
		hang_up(&c);
	}
	assert_int_equal(w.handled, 0);
	strbuf_fini(&in);
	free(data);
	close_world(&w);
}

static void
continues_those_who_ask(void **state)
{
	const struct http_options opt = { .body_max = 1000 };
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &opt);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 5\r\n"
		  "Expect: 100-continue\r\n\r\n"));
	TURN_UNTIL(&w, (receive(&c), c.got.len > 0));
	assert_string_equal(c.got.ptr, "HTTP/1.1 100 Continue\r\n\r\n");
	send_all(&w, &c, SLICE("hello"));
	await(&w, &c, 1);
	assert_got(&c, "\"body\":\"hello\"");
	hang_up(&c);
	/* Those who would be refused are told at once, and sent away. */
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 5000\r\n"
		  "Expect: 100-continue\r\n\r\n"));
	await(&w, &c, 0);
	assert_memory_equal(c.got.ptr, "HTTP/1.1 413 ", 13);
	hang_up(&c);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /none HTTP/1.1\r\n" H "Content-Length: 5\r\n"
		  "Expect: 100-continue\r\n\r\n"));
	await(&w, &c, 0);
	assert_memory_equal(c.got.ptr, "HTTP/1.1 404 ", 13);
	hang_up(&c);
	close_world(&w);
}

static void
takes_60_megabytes_whole(void **state)
{
	size_t big = (size_t)60 << 20;
	struct strbuf in = STRBUF_INIT;
	uint8_t sum[SHA256_LEN];
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	strbuf_add_fmt(&in,
	    "POST /emails HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", big);
	for (size_t i = 0; i < big / 8; i++) {
		uint64_t word = i * 0x9e3779b97f4a7c15U;

		strbuf_add(&in, &word, sizeof(word));
	}
	crypto_sha256(slice_from(strbuf_slice(&in), in.len - big), sum);
	send_all(&w, &c, strbuf_slice(&in));
	await(&w, &c, 1);
	assert_got(&c, "{\"len\":62914560,");
	assert_memory_equal(w.body_sum, sum, sizeof(sum));
	hang_up(&c);
	strbuf_fini(&in);
	close_world(&w);
}

static void
bounds_the_memory_of_all_bodies(void **state)
{
	const struct http_options opt = { .body_max = 100000,
		.bodies_max = 100000 };
	static char data[100000];
	struct world w;
	struct client hog, other, small;

	(void)state;
	open_world(&w, &opt);
	hog = dial(&w);
	send_all(&w, &hog,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 90001\r\n"
		  "\r\n"));
	send_all(&w, &hog, slice_mem(data, 90000));
	other = dial(&w);
	send_all(&w, &other,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 50000\r\n"
		  "\r\n"));
	send_all(&w, &other, slice_mem(data, 50000));
	await(&w, &other, 1);
	assert_memory_equal(other.got.ptr, "HTTP/1.1 503 ", 13);
	assert_got(&other, "\r\nRetry-After: ");
	hang_up(&other);
	/* Small ones always find room, and the memory comes back. */
	small = dial(&w);
	send_all(&w, &small,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 1000\r\n"
		  "\r\n"));
	send_all(&w, &small, slice_mem(data, 1000));
	await(&w, &small, 1);
	assert_got(&small, "{\"len\":1000,");
	hang_up(&small);
	send_all(&w, &hog, SLICE("x"));
	await(&w, &hog, 1);
	assert_got(&hog, "{\"len\":90001,");
	strbuf_reset(&hog.got);
	send_all(&w, &hog,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 100000\r\n"
		  "\r\n"));
	send_all(&w, &hog, slice_mem(data, 100000));
	await(&w, &hog, 1);
	assert_got(&hog, "{\"len\":100000,");
	hang_up(&hog);
	close_world(&w);
}

/* ---- Time -------------------------------------------------------------- */

static void
ends_a_request_that_drips(void **state)
{
	static const char *const starts[] = { "GET /emails/1 HT",
		"POST /emails HTTP/1.1\r\n" H "Content-Length: 99\r\n\r\nabc" };
	const struct http_options opt = { .request_timeout_ms = 150 };
	struct world w;

	(void)state;
	open_world(&w, &opt);
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct client c = dial(&w);
		int64_t now, start = clock_mono_ms(), last = start;

		send_all(&w, &c, slice_of(starts[i]));
		/* An octet now and then does not buy time. */
		while (!c.at_end && last - start < PATIENCE_MS) {
			now = clock_mono_ms();
			if (now - last >= 10)
				(void)!send(c.fd, "x", 1, MSG_NOSIGNAL);
			if (now - last >= 10)
				last = now;
			loop_turn(w.loop, 5);
			receive(&c);
		}
		assert_true(c.at_end);
		assert_memory_equal(c.got.ptr, "HTTP/1.1 408 ", 13);
		assert_got(&c, "\"request_timeout\"");
		assert_got(&c, "Connection: close");
		hang_up(&c);
	}
	close_world(&w);
}

static void
closes_idle_connections_silently(void **state)
{
	const struct http_options opt = { .idle_timeout_ms = 50 };
	struct world w;
	struct client fresh, used;

	(void)state;
	open_world(&w, &opt);
	fresh = dial(&w);
	used = dial(&w);
	send_all(&w, &used, SLICE("GET /emails/1 HTTP/1.1\r\n" H "\r\n"));
	await(&w, &used, 1);
	strbuf_reset(&used.got);
	await(&w, &fresh, 0);
	await(&w, &used, 0);
	assert_int_equal(fresh.got.len, 0);
	assert_int_equal(used.got.len, 0);
	hang_up(&fresh);
	hang_up(&used);
	close_world(&w);
}

static void
waits_for_a_handler_as_long_as_it_takes(void **state)
{
	const struct http_options opt = { .idle_timeout_ms = 30,
		.request_timeout_ms = 30 };
	struct world w;
	struct client c;
	int64_t start;

	(void)state;
	open_world(&w, &opt);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("GET /late HTTP/1.1\r\n" H "\r\n"
		  "GET /emails/2 HTTP/1.1\r\n" H "\r\n"));
	TURN_UNTIL(&w, w.late != NULL);
	start = clock_mono_ms();
	while (clock_mono_ms() - start < 120)
		loop_turn(w.loop, 10);
	assert_int_equal(w.handled, 1); /* the second one waits its turn */
	http_answer(w.late, 202, SLICE("{\"late\":true}"));
	await(&w, &c, 2);
	assert_got(&c, "HTTP/1.1 202 Accepted");
	assert_got(&c, "{\"id\":\"2\"");
	hang_up(&c);
	close_world(&w);
}

/* ---- Comings and goings ------------------------------------------------ */

static void
survives_clients_that_leave(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c, SLICE("GET /late HTTP/1.1\r\n" H "\r\n"));
	TURN_UNTIL(&w, w.late != NULL);
	hang_up(&c);
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 2);
	assert_true(slice_eq_text(http_path(w.late), "/late"));
	http_answer(w.late, 200, SLICE("{}"));
	/* In the middle of a head, of a body, of an answer. */
	c = dial(&w);
	send_all(&w, &c, SLICE("GET /em"));
	hang_up(&c);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nab"));
	hang_up(&c);
	c = dial(&w);
	(void)!send(c.fd, "GET /big HTTP/1.1\r\n" H "\r\n", 40, MSG_NOSIGNAL);
	hang_up(&c);
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 2);
	c = dial(&w);
	send_all(&w, &c, SLICE("GET /emails/1 HTTP/1.1\r\n" H "\r\n"));
	await(&w, &c, 1);
	hang_up(&c);
	close_world(&w);
}

static void
stops_reading_from_those_who_do_not_read(void **state)
{
	struct strbuf in = STRBUF_INIT;
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	for (int i = 0; i < 8; i++)
		strbuf_add_text(&in, "GET /big HTTP/1.1\r\n" H "\r\n");
	strbuf_add_text(&in,
	    "GET /emails/last HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	assert_int_equal(send(c.fd, in.ptr, in.len, MSG_NOSIGNAL),
	    (ssize_t)in.len);
	for (int i = 0; i < 20; i++)
		loop_turn(w.loop, 1);
	assert_int_equal(w.handled, 0); /* the last one is not reached */
	await(&w, &c, 0);
	assert_true(has_answers(&c, 9, false));
	assert_int_equal(w.handled, 1);
	hang_up(&c);
	close_world(&w);
	strbuf_fini(&in);
}

static void
gives_the_place_of_idle_connections_away(void **state)
{
	const struct http_options opt = { .connections_max = 2 };
	struct world w;
	struct client idle, busy, third, fourth;

	(void)state;
	open_world(&w, &opt);
	idle = dial(&w);
	send_all(&w, &idle, SLICE("GET /emails/1 HTTP/1.1\r\n" H "\r\n"));
	await(&w, &idle, 1);
	busy = dial(&w);
	send_all(&w, &busy, SLICE("GET /late HTTP/1.1\r\n" H "\r\n"));
	TURN_UNTIL(&w, w.late != NULL);
	third = dial(&w);
	await(&w, &idle, 0); /* had to go */
	test_log_expect(1);  /* full */
	send_all(&w, &third, SLICE("GET /emails/"));
	TURN_UNTIL(&w, strstr(test_log_last(), "http.full") != NULL);
	fourth = dial(&w); /* waits in the queue of the socket */
	send_all(&w, &fourth, SLICE("GET /emails/4 HTTP/1.1\r\n" H "\r\n"));
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 2);
	receive(&fourth);
	assert_int_equal(fourth.got.len, 0);
	send_all(&w, &third, SLICE("3 HTTP/1.1\r\n" H "\r\n"));
	await(&w, &fourth, 1);
	receive(&third);
	assert_got(&third, "{\"id\":\"3\"");
	http_answer(w.late, 200, SLICE("{}"));
	await(&w, &busy, 1);
	hang_up(&idle);
	hang_up(&busy);
	hang_up(&third);
	hang_up(&fourth);
	close_world(&w);
}

static void
count_drained(void *ctx)
{
	struct world *w = ctx;

	w->drained++;
}

static void
drains_without_losing_an_answer(void **state)
{
	struct world w;
	struct client idle, waiting, half;

	(void)state;
	open_world(&w, &ordinary);
	idle = dial(&w);
	waiting = dial(&w);
	half = dial(&w);
	send_all(&w, &waiting, SLICE("GET /late HTTP/1.1\r\n" H "\r\n"));
	TURN_UNTIL(&w, w.late != NULL);
	send_all(&w, &half, SLICE("GET /emails/9 HT"));
	loop_turn(w.loop, 0);
	http_server_drain(w.server, PATIENCE_MS, count_drained, &w);
	await(&w, &idle, 0);
	send_all(&w, &half, SLICE("TP/1.1\r\n" H "\r\n"));
	await(&w, &half, 0);
	assert_got(&half, "Connection: close");
	assert_got(&half, "{\"id\":\"9\"");
	assert_int_equal(w.drained, 0);
	http_answer(w.late, 200, SLICE("{}"));
	TURN_UNTIL(&w, w.drained == 1);
	await(&w, &waiting, 0);
	assert_got(&waiting, "Connection: close");
	hang_up(&idle);
	hang_up(&waiting);
	hang_up(&half);
	close_world(&w);
	assert_int_equal(w.drained, 1);
}

static void
drains_no_longer_than_it_was_told(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c, SLICE("GET /late HTTP/1.1\r\n" H "\r\n"));
	TURN_UNTIL(&w, w.late != NULL);
	test_log_expect(1);
	http_server_drain(w.server, 30, count_drained, &w);
	TURN_UNTIL(&w, w.drained == 1);
	http_server_free(&w.server);
	loop_turn(w.loop, 0);
	http_answer(w.late, 200, SLICE("{}")); /* dropped, but legal */
	await(&w, &c, 0);
	assert_int_equal(c.got.len, 0);
	hang_up(&c);
	close_world(&w);
}

TEST_MAIN(cmocka_unit_test(serves_one_request_after_the_other),
    cmocka_unit_test(answers_pipelined_requests_in_order),
    cmocka_unit_test(knows_the_manners_of_http10),
    cmocka_unit_test(sends_no_body_to_head),
    cmocka_unit_test(refuses_in_json_and_closes_when_in_doubt),
    cmocka_unit_test(names_the_methods_of_a_path),
    cmocka_unit_test(keeps_unsound_fields_out_of_the_head),
    cmocka_unit_test(says_413_to_a_client_that_writes_first),
    cmocka_unit_test(continues_those_who_ask),
    cmocka_unit_test(takes_60_megabytes_whole),
    cmocka_unit_test(bounds_the_memory_of_all_bodies),
    cmocka_unit_test(ends_a_request_that_drips),
    cmocka_unit_test(closes_idle_connections_silently),
    cmocka_unit_test(waits_for_a_handler_as_long_as_it_takes),
    cmocka_unit_test(survives_clients_that_leave),
    cmocka_unit_test(stops_reading_from_those_who_do_not_read),
    cmocka_unit_test(gives_the_place_of_idle_connections_away),
    cmocka_unit_test(drains_without_losing_an_answer),
    cmocka_unit_test(drains_no_longer_than_it_was_told))

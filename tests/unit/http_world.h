/*
 * http_world.h - the server against raw sockets. It listens on a Unix socket
 * in a directory of its own; client and server take turns in one process.
 */
#ifndef HTTP_WORLD_H
#define HTTP_WORLD_H

#include "test.h"

#include <errno.h>
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

static inline void
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

static inline void
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

static inline void
handle_late(struct http_request *r, void *ctx)
{
	struct world *w = ctx;

	w->handled++;
	w->late = r;
}

static inline void
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

static inline void
handle_unsound(struct http_request *r, void *ctx)
{
	(void)ctx;
	http_answer_header(r, "X-Evil", "a\r\nSet-Cookie: b");
	http_answer_error(r, 422, "missing_required_field", "Missing `to`.");
}

/* ---- The world --------------------------------------------------------- */

static inline void
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

static inline void
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

static inline struct client
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

static inline void
hang_up(struct client *c)
{
	close(c->fd);
	strbuf_fini(&c->got);
}

static inline void
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
static inline bool
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
static inline void
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
static inline void
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

static inline void
assert_got(const struct client *c, const char *part)
{
	if (strstr(strbuf_text(&c->got), part) == NULL)
		fail_msg("'%s' is not in: %s", part, strbuf_text(&c->got));
}

static inline void
assert_not_got(const struct client *c, const char *part)
{
	if (strstr(strbuf_text(&c->got), part) != NULL)
		fail_msg("'%s' is in: %s", part, strbuf_text(&c->got));
}

static const struct http_options ordinary UNUSED = { 0 };

#endif

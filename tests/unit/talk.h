/*
 * talk.h - a scripted SMTP client in the loop of a test: "> " lines are sent,
 * "< " lines must come (what stands there is how they begin), "< EOF" waits
 * for the end, "!" says that nothing more will be sent. Fails the test when
 * nothing comes for TALK_MS.
 */
#ifndef TALK_H
#define TALK_H

#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"

#define TALK_MS 10000

struct talk {
	struct loop *loop;
	struct conn *conn;
	bool ended;
};

static inline void
talk_on_event(void *ctx)
{
	(void)ctx;
}

static inline void
talk_on_closed(void *ctx, const struct error *why)
{
	struct talk *t = ctx;

	(void)why;
	t->ended = true;
}

static const struct conn_ops talk_ops_ = {
	.ready = talk_on_event,
	.readable = talk_on_event,
	.closed = talk_on_closed,
};

/* A port on loopback that the kernel chose. */
static inline int
talk_listen(struct net_addr *at)
{
	struct error err = { 0 };
	int fd;

	assert_int_equal(net_addr_parse(SLICE("127.0.0.1"), 0, at, &err), 0);
	fd = net_listen(at, 64, &err);
	assert_true(fd >= 0);
	at->len = sizeof(at->ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at->ss, &at->len),
	    0);
	return fd;
}

static inline void
talk_open(struct talk *t, struct loop *l, const struct net_addr *to)
{
	static const struct net_guard anywhere = { .allow_all = true };

	*t = (struct talk){ .loop = l };
	t->conn = conn_connect(l, to, NULL, &anywhere, TALK_MS, &talk_ops_, t);
}

static inline void
talk_close(struct talk *t)
{
	conn_close(&t->conn);
}

/* Turns the loop until check says so. */
static inline void
talk_until(struct loop *l, bool (*check)(void *ctx), void *ctx)
{
	int64_t until = clock_mono_ms() + TALK_MS;

	while (!check(ctx)) {
		if (clock_mono_ms() > until)
			fail_msg("waited too long");
		loop_turn(l, 10);
	}
}

static inline bool
talk_has_line(void *ctx)
{
	struct talk *t = ctx;

	return t->ended || slice_has_char(conn_peek(t->conn), '\n');
}

static inline bool
talk_has_ended(void *ctx)
{
	return ((struct talk *)ctx)->ended;
}

static inline void
talk_expect(struct talk *t, struct slice want)
{
	struct slice in, line;

	if (slice_eq_text(want, "EOF")) {
		talk_until(t->loop, talk_has_ended, t);
		assert_int_equal(conn_input_len(t->conn), 0);
		return;
	}
	talk_until(t->loop, talk_has_line, t);
	in = conn_peek(t->conn);
	line = slice_first(in, slice_find_char(in, '\n'));
	if (line.len == in.len || !slice_starts(line, want))
		fail_msg("got '%.*s', not '%.*s'", SLICE_FMT(line),
		    SLICE_FMT(want));
	conn_consume(t->conn, line.len + 1);
}

static inline bool
talk_has_sent(void *ctx)
{
	return conn_pending(((struct talk *)ctx)->conn) == 0;
}

static inline void
talk_run(struct talk *t, const char *script)
{
	struct slice rest = slice_of(script), line;

	while (slice_take_line(&rest, &line)) {
		char *text;

		print_message("%.*s\n", SLICE_FMT(line));
		if (*line.ptr == '!') {
			talk_until(t->loop, talk_has_sent, t);
			shutdown(conn_fd(t->conn), SHUT_WR);
			continue;
		}
		if (*line.ptr == '<') {
			talk_expect(t, slice_from(line, 2));
			continue;
		}
		text = xasprintf("%.*s\r\n", SLICE_FMT(slice_from(line, 2)));
		conn_write(t->conn, slice_of(text));
		free(text);
	}
}

#endif

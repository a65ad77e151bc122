/* Far ends that send nothing more: they may still read, or have left. */
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"

#define MUCH ((size_t)3 * 1000 * 1000)

/* The owner at the near end. */
struct owner {
	struct loop *loop;
	struct conn *conn;
	int ends, closes;
	struct error why;
};

static void
on_readable(void *ctx)
{
	(void)ctx;
}

static void
on_ended(void *ctx)
{
	((struct owner *)ctx)->ends++;
}

static void
on_closed(void *ctx, const struct error *why)
{
	struct owner *o = ctx;

	o->closes++;
	o->why = *why;
	conn_close(&o->conn);
}

static const struct conn_ops ops = { .readable = on_readable,
	.closed = on_closed,
	.ended = on_ended };
static const struct conn_ops deaf_ops = { .readable = on_readable,
	.closed = on_closed };

#define TURN_UNTIL(o, cond)                                                    \
	do {                                                                   \
		int64_t end_ms_ = clock_mono_ms() + 10000;                     \
                                                                               \
		while (!(cond) && clock_mono_ms() < end_ms_)                   \
			loop_turn((o)->loop, 100);                             \
		assert_true(cond);                                             \
	} while (0)

/* The far end, by hand: it has asked and said that this was all. */
static int
ask_and_shut(struct owner *o, const struct conn_ops *of)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			     fds),
	    0);
	*o = (struct owner){ .loop = loop_new() };
	o->conn = conn_accept(o->loop, fds[0], of, o);
	assert_int_equal(send(fds[1], "ask", 3, 0), 3);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	return fds[1];
}

static void
await_end(struct owner *o)
{
	TURN_UNTIL(o, o->ends == 1);
	assert_true(slice_eq_text(conn_peek(o->conn), "ask"));
	assert_int_equal(o->closes, 0);
}

static void
finish(struct owner *o, int fd)
{
	conn_close(&o->conn);
	loop_free(&o->loop);
	close(fd);
}

/* Reads until the end and gives the number of octets. */
static size_t
read_all(struct owner *o, int fd)
{
	int64_t until = clock_mono_ms() + 10000;
	size_t got = 0;
	ssize_t n = 1;
	char buf[50000];

	while (n != 0 && clock_mono_ms() < until) {
		loop_turn(o->loop, 10);
		n = recv(fd, buf, sizeof(buf), 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], (char)(got++ / 1000));
	}
	assert_int_equal(n, 0);
	return got;
}

static void
who_sends_no_more_can_still_read(void **state)
{
	char *text = xmalloc(MUCH);
	struct owner o;
	int fd;

	(void)state;
	for (size_t i = 0; i < MUCH; i++)
		text[i] = (char)(i / 1000);
	fd = ask_and_shut(&o, &ops);
	await_end(&o);
	conn_write(o.conn, slice_mem(text, MUCH / 2));
	for (int i = 0; i < 5; i++)
		loop_turn(o.loop, 0);
	conn_write(o.conn, slice_mem(text + MUCH / 2, MUCH - MUCH / 2));
	conn_close_flushed(&o.conn, 10000);
	assert_int_equal(read_all(&o, fd), MUCH);
	assert_int_equal(o.ends, 1);
	assert_int_equal(o.closes, 0);
	free(text);
	finish(&o, fd);
}

/* The end of its input comes while the close waits for the reader. */
static void
a_close_under_way_goes_on(void **state)
{
	char *text = xmalloc(MUCH);
	struct owner o;
	int fd;

	(void)state;
	for (size_t i = 0; i < MUCH; i++)
		text[i] = (char)(i / 1000);
	fd = ask_and_shut(&o, &deaf_ops);
	conn_write(o.conn, slice_mem(text, MUCH));
	conn_close_flushed(&o.conn, 10000);
	assert_int_equal(read_all(&o, fd), MUCH);
	assert_int_equal(o.closes, 0);
	free(text);
	finish(&o, fd);
}

static void
who_has_left_is_noticed_when_written_to(void **state)
{
	struct owner o;
	int fd;

	(void)state;
	fd = ask_and_shut(&o, &ops);
	await_end(&o);
	close(fd);
	conn_write(o.conn, SLICE("answer"));
	TURN_UNTIL(&o, o.closes == 1);
	assert_int_equal(o.why.kind, ERR_NET);
	conn_close(&o.conn);
	loop_free(&o.loop);
}

static void
the_deadline_ends_it_too(void **state)
{
	struct owner o;
	int fd;

	(void)state;
	fd = ask_and_shut(&o, &ops);
	await_end(&o);
	conn_set_deadline(o.conn, 10, "answer");
	TURN_UNTIL(&o, o.closes == 1);
	assert_int_equal(o.why.kind, ERR_TIMEOUT);
	finish(&o, fd);
}

static void
an_owner_that_does_not_care_hears_the_end(void **state)
{
	struct owner o;
	int fd;

	(void)state;
	fd = ask_and_shut(&o, &deaf_ops);
	TURN_UNTIL(&o, o.closes == 1);
	assert_int_equal(o.why.kind, ERR_NONE);
	assert_int_equal(o.ends, 0);
	finish(&o, fd);
}

TEST_MAIN(cmocka_unit_test(who_sends_no_more_can_still_read),
    cmocka_unit_test(a_close_under_way_goes_on),
    cmocka_unit_test(who_has_left_is_noticed_when_written_to),
    cmocka_unit_test(the_deadline_ends_it_too),
    cmocka_unit_test(an_owner_that_does_not_care_hears_the_end))

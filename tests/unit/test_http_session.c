/* Time, and the comings and goings of clients. */
#include "http_world.h"

#include <dirent.h>

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

/* Sends all of it and then says that nothing more will come. */
static void
send_last(struct world *w, struct client *c, struct slice data)
{
	send_all(w, c, data);
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
}

static void
answers_who_sends_no_more(void **state)
{
	struct world w;
	struct client late, big, empty;

	(void)state;
	open_world(&w, &ordinary);
	late = dial(&w);
	send_last(&w, &late,
	    SLICE("GET /emails/1 HTTP/1.1\r\n" H "\r\n"
		  "GET /late HTTP/1.1\r\n" H "\r\n"
		  "GET /emails/3 HTTP/1.1\r\n" H "\r\n"));
	TURN_UNTIL(&w, w.late != NULL);
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 2);
	http_answer(w.late, 200, SLICE("{\"late\":true}"));
	await(&w, &late, 0);
	assert_true(has_answers(&late, 3, false));
	assert_got(&late, "{\"id\":\"3\"");
	/* More than the socket takes at once. */
	big = dial(&w);
	send_last(&w, &big, SLICE("GET /big HTTP/1.1\r\n" H "\r\n"));
	await(&w, &big, 0);
	assert_true(has_answers(&big, 1, false));
	empty = dial(&w);
	send_last(&w, &empty, SLICE("\r\n"));
	await(&w, &empty, 0);
	assert_int_equal(empty.got.len, 0);
	hang_up(&late);
	hang_up(&big);
	hang_up(&empty);
	close_world(&w);
}

static void
half_a_request_is_refused_at_its_end(void **state)
{
	static const char *const halves[] = { "GET /emails/1 HT",
		"POST /emails HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nab",
		"POST /emails HTTP/1.1\r\n" H
		"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n" };
	struct world w;

	(void)state;
	open_world(&w, &ordinary);
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		struct client c = dial(&w);

		send_last(&w, &c, slice_of(halves[i]));
		await(&w, &c, 0);
		assert_memory_equal(c.got.ptr, "HTTP/1.1 400 ", 13);
		assert_got(&c, "ends before it is complete");
		assert_true(has_answers(&c, 1, false));
		hang_up(&c);
	}
	assert_int_equal(w.handled, 0);
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

static size_t
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Clients that rest, and do not close when they are told to go. */
static void
who_had_to_go_holds_no_descriptor(void **state)
{
	const struct http_options opt = { .connections_max = 2 };
	struct world w;
	struct client c[12];
	size_t before;

	(void)state;
	open_world(&w, &opt);
	before = count_descriptors();
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = dial(&w);
		send_all(&w, &c[i],
		    SLICE("GET /emails/1 HTTP/1.1\r\n" H "\r\n"));
		await(&w, &c[i], 1);
	}
	assert_int_equal(count_descriptors(), before + ARRAY_LEN(c) + 2);
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		hang_up(&c[i]);
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

TEST_MAIN(cmocka_unit_test(ends_a_request_that_drips),
    cmocka_unit_test(closes_idle_connections_silently),
    cmocka_unit_test(waits_for_a_handler_as_long_as_it_takes),
    cmocka_unit_test(survives_clients_that_leave),
    cmocka_unit_test(answers_who_sends_no_more),
    cmocka_unit_test(half_a_request_is_refused_at_its_end),
    cmocka_unit_test(stops_reading_from_those_who_do_not_read),
    cmocka_unit_test(gives_the_place_of_idle_connections_away),
    cmocka_unit_test(who_had_to_go_holds_no_descriptor),
    cmocka_unit_test(drains_without_losing_an_answer),
    cmocka_unit_test(drains_no_longer_than_it_was_told))

#include "test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/loop.h"

struct trace {
	struct loop *loop;
	char text[64];
	size_t len;
	struct loop_call again;
	struct timer *timer;
	struct watch *watch;
	int fd;
};

static void
note(struct trace *t, char c)
{
	assert_true(t->len < sizeof(t->text) - 1);
	t->text[t->len++] = c;
}

static void
note_a(void *ctx)
{
	note(ctx, 'a');
}

static void
note_b(void *ctx)
{
	note(ctx, 'b');
}

static void
note_and_again(void *ctx)
{
	struct trace *t = ctx;

	note(t, 'r');
	loop_call_schedule(t->loop, &t->again, note_and_again, t);
}

static void
deferred_calls_come_after_and_in_order(void **state)
{
	struct trace t = { .loop = loop_new() };

	(void)state;
	loop_defer(t.loop, note_a, &t);
	loop_defer(t.loop, note_b, &t);
	assert_int_equal(t.len, 0);
	loop_turn(t.loop, -1); /* does not sleep while calls wait */
	assert_string_equal(t.text, "ab");
	loop_free(&t.loop);
	assert_null(t.loop);
}

static void
a_call_is_scheduled_once_and_can_be_cancelled(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct loop_call call = { 0 }, never = { 0 };

	(void)state;
	loop_call_schedule(t.loop, &call, note_a, &t);
	loop_call_schedule(t.loop, &call, note_b, &t);
	loop_call_schedule(t.loop, &never, note_b, &t);
	loop_call_cancel(&never);
	loop_call_cancel(&never);
	loop_turn(t.loop, 0);
	assert_string_equal(t.text, "a");
	loop_call_schedule(t.loop, &call, note_b, &t);
	loop_turn(t.loop, 0);
	assert_string_equal(t.text, "ab");
	loop_free(&t.loop);
}

static void
a_call_that_schedules_itself_runs_once_a_turn(void **state)
{
	struct trace t = { .loop = loop_new() };

	(void)state;
	note_and_again(&t);
	loop_turn(t.loop, 0);
	loop_turn(t.loop, 0);
	assert_string_equal(t.text, "rrr");
	loop_free(&t.loop); /* the call that waits is dropped */
	assert_string_equal(t.text, "rrr");
}

static void
freeing_the_loop_runs_what_has_no_owner(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct loop_call late = { 0 }, gone = { 0 };

	(void)state;
	loop_defer(t.loop, note_a, &t);
	loop_at_free(t.loop, &late, note_b, &t);
	loop_at_free(t.loop, &gone, note_a, &t);
	loop_call_cancel(&gone);
	loop_free(&t.loop);
	assert_string_equal(t.text, "ba");
}

static void
stop(void *ctx)
{
	struct trace *t = ctx;

	note(t, 's');
	loop_stop(t->loop);
}

static void
free_timer_and_stop(void *ctx)
{
	struct trace *t = ctx;

	timer_free(&t->timer);
	stop(t);
}

static void
timers_fire_once_and_may_go_in_their_own_callback(void **state)
{
	struct trace t = { .loop = loop_new() };
	struct timer *never;

	(void)state;
	never = timer_new(t.loop, note_a, &t);
	timer_set(never, 1);
	assert_true(timer_is_set(never));
	timer_cancel(never);
	assert_false(timer_is_set(never));
	t.timer = timer_new(t.loop, free_timer_and_stop, &t);
	timer_set(t.timer, 100000);
	timer_set(t.timer, 5);
	loop_run(t.loop);
	assert_string_equal(t.text, "s");
	assert_null(t.timer);
	timer_free(&never);
	timer_free(&never);
	loop_free(&t.loop);
}

static void
a_turn_ends_when_its_time_is_over(void **state)
{
	struct trace t = { .loop = loop_new() };

	(void)state;
	loop_turn(t.loop, 5);
	assert_int_equal(t.len, 0);
	loop_free(&t.loop);
}

static void
on_ready(void *ctx, bool readable, bool writable)
{
	struct trace *t = ctx;
	char c = 0;

	if (writable) {
		note(t, 'w');
		watch_set(t->watch, true, false);
	}
	if (readable) {
		assert_int_equal(read(t->fd, &c, 1), 1);
		note(t, c);
		watch_free(&t->watch);
	}
}

static void
a_watch_tells_what_it_was_asked_for(void **state)
{
	struct trace t = { .loop = loop_new() };
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	t.fd = fds[0];
	t.watch = watch_new(t.loop, fds[0], on_ready, &t);
	loop_turn(t.loop, 0);
	watch_set(t.watch, false, true);
	loop_turn(t.loop, 0);
	loop_turn(t.loop, 0);
	assert_string_equal(t.text, "w");
	assert_int_equal(write(fds[1], "xy", 2), 2);
	loop_turn(t.loop, 0);
	loop_turn(t.loop, 0);
	assert_string_equal(t.text, "wx");
	assert_null(t.watch);
	close(fds[0]);
	close(fds[1]);
	loop_free(&t.loop);
}

static void
on_signal(int signo, void *ctx)
{
	note(ctx, signo == SIGUSR1 ? 'u' : '?');
}

static void
signals_arrive_in_the_loop(void **state)
{
	struct trace t = { .loop = loop_new() };

	(void)state;
	loop_on_signal(t.loop, SIGUSR1, on_signal, &t);
	raise(SIGUSR1);
	assert_int_equal(t.len, 0);
	loop_turn(t.loop, -1);
	assert_string_equal(t.text, "u");
	loop_free(&t.loop);
}

static void
strangers_never_get_the_last_descriptors(void **state)
{
	static const struct {
		rlim_t files;
		size_t wanted, max;
	} cases[] = {
		{ 1024, 10000, 984 },
		{ 1024, 200, 200 },
		{ 81, 200, 41 },
		{ 64, 200, 32 },
	};
	struct rlimit before, now;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		now = before;
		now.rlim_cur = cases[i].files;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
		assert_int_equal(net_connections_max(cases[i].wanted),
		    cases[i].max);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_MAIN(cmocka_unit_test(strangers_never_get_the_last_descriptors),
    cmocka_unit_test(deferred_calls_come_after_and_in_order),
    cmocka_unit_test(a_call_is_scheduled_once_and_can_be_cancelled),
    cmocka_unit_test(a_call_that_schedules_itself_runs_once_a_turn),
    cmocka_unit_test(freeing_the_loop_runs_what_has_no_owner),
    cmocka_unit_test(timers_fire_once_and_may_go_in_their_own_callback),
    cmocka_unit_test(a_turn_ends_when_its_time_is_over),
    cmocka_unit_test(a_watch_tells_what_it_was_asked_for),
    cmocka_unit_test(signals_arrive_in_the_loop))

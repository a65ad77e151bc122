#include "test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/children.h"
#include "proc/pulse.h"

/* ---- The back-off -------------------------------------------------------- */

static void
pauses_double_and_a_stable_child_starts_afresh(void **state)
{
	static const int64_t want[] = { 0, 1000, 2000, 4000, 8000, 16000, 30000,
		30000, 30000 };
	struct child_backoff b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(child_backoff_next(&b, 1000, 1500), want[i]);
	assert_int_equal(child_backoff_next(&b, 0, CHILD_STABLE_MS - 1), 30000);
	assert_int_equal(child_backoff_next(&b, 0, CHILD_STABLE_MS), 0);
	assert_int_equal(child_backoff_next(&b, 0, 10), 1000);
}

static void
many_failures_do_not_overflow(void **state)
{
	struct child_backoff b = { 0 };

	(void)state;
	for (unsigned int i = 0; i < 100000; i++)
		assert_in_range(child_backoff_next(&b, 0, 1), 0, 30000);
}

/* ---- Real children; the clock is made up --------------------------------- */

static int
exit_at_once(void *ctx)
{
	return *(const int *)ctx;
}

static int
wait_for_signal(void *ctx)
{
	(void)ctx;
	while (pause() != 0)
		; /* SIGTERM has its default action: it ends this process */
	return 0;
}

static int
ignore_term(void *ctx)
{
	int fd = *(const int *)ctx;

	signal(SIGTERM, SIG_IGN);
	if (write(fd, "x", 1) != 1)
		return 1;
	while (pause() != 0)
		;
	return 0;
}

/* Waits, at most 10 s, until n children have ended. */
static void
reap(struct children *c, size_t n, int64_t now_ms)
{
	for (unsigned int i = 0; n > 0 && i < 2000; i++) {
		n -= children_reap(c, now_ms);
		if (n > 0)
			poll(NULL, 0, 5);
	}
	assert_int_equal(n, 0);
}

static void
a_child_that_dies_is_started_again_at_once_then_later(void **state)
{
	struct children *c = children_new();
	int status = 7;

	(void)state;
	children_add(c,
	    &(struct child_spec){ "short", exit_at_once, &status, 0, SIGTERM });
	assert_int_equal(children_next_ms(c, 100), 100);
	children_start_due(c, 100);
	assert_int_equal(children_running(c, -1), 1);
	assert_int_equal(children_next_ms(c, 100), -1);

	test_log_expect(1);
	reap(c, 1, 200);
	assert_non_null(strstr(test_log_last(), "exit=7"));
	assert_int_equal(children_next_ms(c, 200), 200);
	children_start_due(c, 200);
	assert_int_equal(children_running(c, -1), 1);

	test_log_expect(1);
	reap(c, 1, 300);
	assert_int_equal(children_next_ms(c, 300), 1300);
	children_start_due(c, 1299);
	assert_int_equal(children_running(c, -1), 0);
	children_start_due(c, 1300);
	assert_int_equal(children_running(c, -1), 1);

	test_log_expect(1);
	reap(c, 1, 1400);
	assert_int_equal(children_next_ms(c, 1400), 3400);
	children_free(&c);
}

static void
the_signal_that_killed_it_is_named(void **state)
{
	struct children *c = children_new();

	(void)state;
	children_add(c,
	    &(struct child_spec){ "victim", wait_for_signal, NULL, 0,
		SIGTERM });
	children_start_due(c, 0);
	assert_int_equal(kill(children_pid(c, 0), SIGKILL), 0);
	test_log_expect(1);
	reap(c, 1, 10);
	assert_non_null(strstr(test_log_last(), "Killed"));
	children_free(&c);
}

static void
stopping_goes_by_stage_and_nothing_comes_back(void **state)
{
	struct children *c = children_new();

	(void)state;
	for (int stage = 0; stage < 2; stage++)
		children_add(c,
		    &(struct child_spec){ stage == 0 ? "front" : "back",
			wait_for_signal, NULL, stage, SIGTERM });
	children_start_due(c, 0);
	children_stop(c, 0);
	reap(c, 1, 10);
	assert_int_equal(children_running(c, 0), 0);
	assert_int_equal(children_running(c, 1), 1);
	assert_int_equal(children_next_ms(c, 10), -1);
	children_stop(c, -1);
	reap(c, 1, 20);
	assert_int_equal(children_running(c, -1), 0);
	children_start_due(c, 100000);
	assert_int_equal(children_running(c, -1), 0);
	children_free(&c);
}

static void
an_asked_for_restart_knows_no_pause(void **state)
{
	struct children *c = children_new();

	(void)state;
	children_add(c,
	    &(struct child_spec){ "role", wait_for_signal, NULL, 0, SIGTERM });
	children_start_due(c, 0);
	for (int64_t now = 10; now < 50; now += 10) {
		children_restart(c, 0, now);
		reap(c, 1, now);
		assert_int_equal(children_next_ms(c, now), now);
		children_start_due(c, now);
		assert_int_equal(children_running(c, -1), 1);
	}
	children_stop(c, -1);
	reap(c, 1, 100);
	children_free(&c);
}

static void
a_stubborn_child_is_killed(void **state)
{
	struct children *c = children_new();
	char octet;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	children_add(c,
	    &(struct child_spec){ "mule", ignore_term, &fds[1], 3, SIGTERM });
	children_start_due(c, 0);
	assert_int_equal(read(fds[0], &octet, 1), 1);
	children_stop(c, -1);
	children_kill(c, 2);
	assert_int_equal(children_reap(c, 10), 0);
	children_kill(c, 3);
	reap(c, 1, 20);
	close(fds[0]);
	close(fds[1]);
	children_free(&c);
}

static void
an_unwanted_child_ends_and_a_wanted_one_comes_back(void **state)
{
	struct children *c = children_new();

	(void)state;
	children_add(c,
	    &(struct child_spec){ "role", wait_for_signal, NULL, 0, SIGTERM });
	children_start_due(c, 0);
	children_want(c, 0, false);
	assert_false(children_is_wanted(c, 0));
	reap(c, 1, 10);
	children_start_due(c, 20);
	assert_int_equal(children_running(c, -1), 0);
	children_want(c, 0, true);
	children_start_due(c, 30);
	assert_int_equal(children_running(c, -1), 1);
	children_stop(c, -1);
	reap(c, 1, 40);
	children_free(&c);
}

/* ---- Whether they get on ------------------------------------------------- */

static void
one_that_stands_still_is_told_after_its_looks(void **state)
{
	struct error err = { 0 };
	struct pulse *p = pulses_new(2, &err);
	struct pulse_watch w = { 0 };

	(void)state;
	assert_non_null(p);
	for (int round = 0; round < 3; round++) {
		pulse_beat(&p[1]);
		assert_false(pulse_look(&w, &p[1], 7));
		for (int i = 1; i < PULSE_STILL_MAX; i++)
			assert_false(pulse_look(&w, &p[1], 7));
	}
	assert_true(pulse_look(&w, &p[1], 7));
	/* Told once; if it is still there, again later. */
	for (int i = 1; i < PULSE_STILL_MAX; i++)
		assert_false(pulse_look(&w, &p[1], 7));
	assert_true(pulse_look(&w, &p[1], 7));
	pulses_free(&p, 2);
	assert_null(p);
}

static void
the_next_process_has_its_whole_time(void **state)
{
	struct pulse p = { 0 };
	struct pulse_watch w = { 0 };

	(void)state;
	for (int i = 0; i < PULSE_STILL_MAX; i++)
		assert_false(pulse_look(&w, &p, 7));
	for (int i = 0; i < PULSE_STILL_MAX; i++)
		assert_false(pulse_look(&w, &p, 8));
	for (int i = 0; i < 3 * PULSE_STILL_MAX; i++)
		assert_false(pulse_look(&w, &p, 0));
	for (int i = 0; i < PULSE_STILL_MAX; i++)
		assert_false(pulse_look(&w, &p, 9));
	assert_true(pulse_look(&w, &p, 9));
}

static int
beat_and_wait(void *ctx)
{
	for (int i = 0; i < 3; i++)
		pulse_beat(ctx);
	return wait_for_signal(NULL);
}

static void
a_child_beats_in_memory_that_its_master_sees(void **state)
{
	struct error err = { 0 };
	struct pulse *p = pulses_new(1, &err);
	struct children *c = children_new();
	struct pulse_watch w = { 0 };

	(void)state;
	assert_non_null(p);
	children_add(c,
	    &(struct child_spec){ "role", beat_and_wait, p, 0, SIGTERM });
	children_start_due(c, 0);
	for (unsigned int i = 0; p->count < 3 && i < 2000; i++)
		poll(NULL, 0, 5);
	while (!pulse_look(&w, p, children_pid(c, 0)))
		;
	assert_int_equal(w.count, 3);
	children_kill_one(c, 0);
	test_log_expect(1);
	reap(c, 1, 10);
	assert_non_null(strstr(test_log_last(), "Killed"));
	assert_int_equal(children_next_ms(c, 10), 10);
	children_free(&c);
	pulses_free(&p, 1);
}

TEST_MAIN(cmocka_unit_test(pauses_double_and_a_stable_child_starts_afresh),
    cmocka_unit_test(many_failures_do_not_overflow),
    cmocka_unit_test(a_child_that_dies_is_started_again_at_once_then_later),
    cmocka_unit_test(the_signal_that_killed_it_is_named),
    cmocka_unit_test(stopping_goes_by_stage_and_nothing_comes_back),
    cmocka_unit_test(an_asked_for_restart_knows_no_pause),
    cmocka_unit_test(a_stubborn_child_is_killed),
    cmocka_unit_test(an_unwanted_child_ends_and_a_wanted_one_comes_back),
    cmocka_unit_test(one_that_stands_still_is_told_after_its_looks),
    cmocka_unit_test(the_next_process_has_its_whole_time),
    cmocka_unit_test(a_child_beats_in_memory_that_its_master_sees))

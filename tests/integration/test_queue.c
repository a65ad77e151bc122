/* The schedule, against a real Redis. */
#include "tests/unit/test.h"

#include "queue/depth.h"
#include "tests/integration/queue_world.h"

/* Names. ------------------------------------------------------------------ */

static void
members_have_one_form(void **state)
{
	struct queue_member m = { { { 1, 2, 3 } }, 0x01020304, 0x71 }, out;
	uint8_t octets[QUEUE_MEMBER_LEN];

	(void)state;
	queue_member_encode(&m, octets);
	assert_int_equal(octets[16], 1);
	assert_int_equal(octets[20], 0x71);
	assert_true(queue_member_decode(slice_mem(octets, 21), &out));
	assert_int_equal(out.flow, m.flow);
	assert_int_equal(id_cmp(out.id, m.id), 0);
	assert_false(queue_member_decode(slice_mem(octets, 20), &out));
}

/* Each function. --------------------------------------------------------- */

static void
enqueue_adds_only_what_has_no_job(void **state)
{
	struct queue_job jobs[250];

	(void)state;
	make_jobs(jobs, 250, 2, 0);
	jobs[249].delay_ms = 60000;
	assert_int_equal(enqueue(jobs, 250), 250);
	assert_int_equal(enqueue(jobs, 250), 0);
	assert_state(249, 1, 0, 0);
	jobs[1] = jobs[0]; /* twice in one call */
	redis_cli("FLUSHALL");
	assert_int_equal(enqueue(jobs, 10), 9);
	/* Held ones have a job, too. */
	assert_int_equal(lease(5, 4, 1)->count, 4);
	assert_int_equal(enqueue(jobs, 10), 0);
	assert_state(5, 0, 4, 0);
}

static void
a_lease_holds_an_ack_ends_a_defer_gives_back(void **state)
{
	struct queue_job jobs[6];
	struct answer *a;

	(void)state;
	make_jobs(jobs, 6, 2, 0);
	enqueue(jobs, 6);
	a = lease(5, 10, 1);
	assert_int_equal(a->count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_true(same(&a->job[i], &jobs[i]));
	assert_state(0, 0, 6, 0);
	/* Somebody else's ack does nothing. */
	a = fresh();
	queue_ack(queue, &lane, 6, jobs, 1, on_done, a);
	assert_int_equal(counted(a), 0);
	a = fresh();
	queue_ack(queue, &lane, 5, jobs, 2, on_done, a);
	assert_int_equal(counted(a), 2);
	jobs[2].delay_ms = 30000;
	jobs[3].delay_ms = 0;
	jobs[0].delay_ms = 20000; /* nowhere: a lost job comes back */
	a = fresh();
	queue_defer(queue, &lane, 5, jobs, 4, on_done, a);
	assert_int_equal(counted(a), 4);
	assert_state(2, 2, 2, 0);
	/* The head of later, asked for and beside a lease. */
	a = lease(5, 0, 1);
	assert_int_equal(a->count, 0);
	assert_in_range(a->next_due_ms - clock_now_ms(), 15000, 20001);
	assert_state(2, 2, 2, 0);
}

static void
what_falls_due_is_leased(void **state)
{
	struct queue_job jobs[3];
	struct answer *a;
	size_t got = 0;
	int64_t end_ms = clock_mono_ms() + 10000;

	(void)state;
	make_jobs(jobs, 3, 2, 0);
	for (size_t i = 0; i < 3; i++)
		jobs[i].delay_ms = 100;
	enqueue(jobs, 3);
	a = lease(5, 10, 1);
	assert_int_equal(a->count, 0);
	assert_true(a->next_due_ms > 0);
	while (got < 3 && clock_mono_ms() < end_ms)
		got += lease(5, 10, 1)->count;
	assert_int_equal(got, 3);
	assert_state(0, 0, 3, 0);
}

static void
who_waits_is_woken_once(void **state)
{
	struct queue_job jobs[3];
	int64_t end_ms = clock_mono_ms() + 10000;

	(void)state;
	make_jobs(jobs, 3, 2, 0);
	/* The subscription may come up after the calls. */
	while (wakes == 0 && clock_mono_ms() < end_ms) {
		redis_cli("FLUSHALL");
		assert_int_equal(lease(5, 4, 1)->count, 0);
		enqueue(jobs, 1);
		for (int i = 0; i < 20 && wakes == 0; i++)
			loop_turn(servers.loop, 10);
	}
	assert_int_equal(wakes, 1);
	enqueue(jobs + 1, 2); /* nobody waits now */
	for (int i = 0; i < 5; i++)
		state_of(&lane);
	assert_int_equal(wakes, 1);
}

/* Leases n, acks them and counts them by flow. */
static void
take(size_t n, size_t count[4], uint32_t first_flow)
{
	struct answer *a = lease(5, n, 1);
	struct answer done = { 0 };
	struct queue_job jobs[300];
	size_t got = a->count;

	memcpy(jobs, a->job, sizeof(jobs));
	for (size_t i = 0; i < got; i++)
		count[jobs[i].member.flow - first_flow]++;
	queue_ack(queue, &lane, 5, jobs, got, on_done, &done);
	counted(&done);
}

static void
flows_share_by_weight_whatever_their_backlog(void **state)
{
	static struct queue_job jobs[20000];
	size_t count[4] = { 0 };

	(void)state;
	/* A campaign first, then two small ones: equal weights. */
	make_jobs(jobs, 20000, 10, 0);
	enqueue(jobs, 20000);
	make_jobs(jobs, 2000, 11, 0);
	enqueue(jobs, 2000);
	make_jobs(jobs, 2000, 12, 0);
	enqueue(jobs, 2000);
	for (size_t i = 0; i < 40; i++)
		take(64, count, 10);
	assert_in_range(count[0], 853 - 64, 854 + 64);
	assert_in_range(count[1], 853 - 64, 854 + 64);
	assert_in_range(count[2], 853 - 64, 854 + 64);
	/* Four times the weight, four times the share. */
	redis_cli("FLUSHALL");
	make_jobs(jobs, 5000, 10, 0);
	enqueue(jobs, 5000);
	make_jobs(jobs, 5000, 11, 2 << QUEUE_WEIGHT_SHIFT);
	enqueue(jobs, 5000);
	count[0] = count[1] = 0;
	for (size_t i = 0; i < 20; i++)
		take(64, count, 10);
	assert_in_range(count[0], 256 - 64, 256 + 64);
	assert_in_range(count[1], 1024 - 64, 1024 + 64);
}

static void
a_transactional_job_goes_before_every_bulk_head(void **state)
{
	static struct queue_job jobs[5000];
	struct queue_job reset[50];
	size_t count[4] = { 0 };
	struct answer *a;

	(void)state;
	make_jobs(jobs, 5000, 10, 0);
	enqueue(jobs, 5000);
	take(64, count, 10);
	/* Of the campaign's own account: the very next. */
	make_jobs(reset, 1, 11,
	    QUEUE_TRANSACTIONAL | (3 << QUEUE_WEIGHT_SHIFT));
	enqueue(reset, 1);
	a = lease(5, 1, 1);
	assert_true(same(&a->job[0], &reset[0]));
	/* Fifty of another one: within 74, as the weights say. */
	make_jobs(reset, 50, 13,
	    QUEUE_TRANSACTIONAL | (3 << QUEUE_WEIGHT_SHIFT));
	enqueue(reset, 50);
	memset(count, 0, sizeof(count));
	take(74, count, 10);
	assert_int_equal(count[3], 50);
}

static void
the_dead_are_reaped(void **state)
{
	struct queue_job jobs[10];
	struct answer *a;

	(void)state;
	make_jobs(jobs, 10, 2, 0);
	enqueue(jobs, 10);
	lease(5, 4, 1);
	lease(6, 4, 1);
	a = fresh();
	queue_holders(queue, &lane, on_holders, a);
	assert_int_equal(counted(a), 2);
	assert_int_equal(a->worker[0], 5);
	assert_int_equal(a->worker[1], 6);
	a = fresh();
	queue_reap(queue, &lane, 5, 3, on_done, a);
	assert_int_equal(counted(a), 3);
	a = fresh();
	queue_reap(queue, &lane, 5, 3, on_done, a);
	assert_int_equal(counted(a), 1);
	a = fresh();
	queue_reap(queue, &lane, 5, 3, on_done, a);
	assert_int_equal(counted(a), 0);
	assert_state(6, 0, 4, 0);
}

static void
sync_makes_the_held_set_what_the_worker_says(void **state)
{
	struct queue_job jobs[8], mine[5];
	struct answer *a;

	(void)state;
	make_jobs(jobs, 8, 2, 0);
	jobs[7].delay_ms = 100000;
	enqueue(jobs, 8);
	lease(5, 3, 1); /* 0 1 2 */
	lease(6, 2, 1); /* 3 4 */
	mine[0] = jobs[0];
	mine[1] = jobs[3];	      /* 6 has it */
	mine[2] = jobs[5];	      /* waits in ready */
	mine[3] = jobs[7];	      /* waits in later */
	make_jobs(&mine[4], 1, 2, 0); /* nowhere */
	a = fresh();
	queue_sync(queue, &lane, 5, mine, 5, on_leased, a);
	assert_int_equal(counted(a), 1);
	assert_true(same(&a->job[0], &jobs[3]));
	/* 5 holds four, 6 its two; 1, 2 and 6 are ready. */
	assert_state(3, 0, 6, 0);
	a = fresh();
	queue_sync(queue, &lane, 5, NULL, 0, on_leased, a);
	assert_int_equal(counted(a), 0);
	assert_state(7, 0, 2, 0);
}

static void
parked_jobs_wait_for_their_hold(void **state)
{
	struct queue_job jobs[4];
	struct answer *a;

	(void)state;
	make_jobs(jobs, 4, 2, 0);
	enqueue(jobs, 4);
	lease(5, 3, 1);
	a = fresh();
	queue_park(queue, &lane, 5, 77, jobs, 4, on_done, a);
	assert_int_equal(counted(a), 3); /* the fourth is not held */
	assert_state(1, 0, 0, 3);
	assert_int_equal(enqueue(jobs, 4), 0);
	a = fresh();
	queue_unpark(queue, &lane, 76, 10, on_done, a);
	assert_int_equal(counted(a), 0);
	a = fresh();
	queue_unpark(queue, &lane, 77, 10, on_done, a);
	assert_int_equal(counted(a), 3);
	assert_state(4, 0, 0, 0);
}

static size_t
drop(const struct queue_job *job)
{
	struct answer *a = fresh();

	queue_drop(queue, &lane, &job->member, on_done, a);
	return counted(a);
}

static void
drop_takes_what_nobody_holds(void **state)
{
	struct queue_job jobs[3];

	(void)state;
	make_jobs(jobs, 3, 2, 0);
	jobs[2].delay_ms = 1000000;
	enqueue(jobs, 3);
	lease(5, 1, 1);
	assert_int_equal(drop(&jobs[0]), 0);
	assert_int_equal(drop(&jobs[1]), 1);
	assert_int_equal(drop(&jobs[2]), 1);
	assert_int_equal(drop(&jobs[2]), 1);
	assert_state(0, 0, 1, 0);
}

static void
with_short_queues_workers_take_turns(void **state)
{
	static struct queue_job jobs[400];
	struct answer *a;

	(void)state;
	make_jobs(jobs, 400, 2, 0);
	enqueue(jobs, 300);
	lease(5, 1, 1);
	lease(6, 1, 1);
	/* Long queue: everyone takes what it can. */
	assert_int_equal(lease(5, 100, 1)->count, 100);
	assert_int_equal(lease(5, 150, 1)->count, 150);
	/* Short, and 5 is far ahead of 6: it yields once. */
	a = lease(5, 10, 1);
	assert_true(a->yield);
	assert_int_equal(a->count, 0);
	/* 6 was lifted: the next time 5 is served. */
	assert_int_equal(lease(5, 10, 1)->count, 10);
	/* By weight: with four times the weight it is not ahead. */
	redis_cli("FLUSHALL");
	enqueue(jobs, 300);
	lease(5, 1, 4);
	lease(6, 1, 1);
	assert_int_equal(lease(5, 240, 4)->count, 240);
	assert_int_equal(lease(5, 10, 4)->count, 10);
	assert_false(lease(5, 10, 4)->yield);
}

static void
marks_and_reasons_can_be_read(void **state)
{
	struct answer *a = fresh();

	(void)state;
	queue_mark(queue, &lane, SLICE("abc"), on_done, a);
	counted(a);
	a = fresh();
	queue_why(queue, &lane, 5, SLICE("daily limit"), 1234, on_done, a);
	counted(a);
	a = fresh();
	queue_state(queue, &lane, on_state, a);
	counted(a);
	assert_string_equal(a->text, "abc|5 daily limit 1234\n");
	a = fresh();
	queue_why(queue, &lane, 5, SLICE(""), 0, on_done, a);
	counted(a);
	a = fresh();
	queue_state(queue, &lane, on_state, a);
	counted(a);
	assert_string_equal(a->text, "abc|");
}

/* Faults. ------------------------------------------------------------------ */

static void
a_server_that_lost_the_functions_gets_them_again(void **state)
{
	struct queue_job jobs[2];

	(void)state;
	make_jobs(jobs, 2, 2, 0);
	redis_cli("FUNCTION FLUSH SYNC");
	assert_int_equal(enqueue(jobs, 2), 2);
	assert_int_equal(lease(5, 2, 1)->count, 2);
}

static void
calls_fail_while_redis_is_away_and_work_when_it_is_back(void **state)
{
	struct queue_job jobs[2];
	struct answer a = { 0 }, forgotten = { 0 };

	(void)state;
	make_jobs(jobs, 2, 2, 0);
	enqueue(jobs, 1);
	test_log_.expected = 1000;
	servers_run("redis-stop", false);
	queue_enqueue(queue, &lane, jobs, 2, on_done, &forgotten);
	queue_forget(queue, &forgotten);
	queue_enqueue(queue, &lane, jobs, 2, on_done, &a);
	servers_until(&a.done);
	assert_int_equal(a.err.kind, ERR_NET);
	assert_false(forgotten.done);
	is_up = false;
	for (int i = 0; i < 50; i++)
		loop_turn(servers.loop, 20);
	assert_false(queue_is_connected(queue));
	servers_run("redis-start", false);
	servers_until(&is_up);
	test_log_.expected = 0;
	assert_true(queue_is_connected(queue));
	assert_int_equal(enqueue(jobs, 2), 2);
	assert_int_equal(lease(5, 2, 1)->count, 2);
}

static void
a_server_that_hangs_is_dropped_at_the_deadline(void **state)
{
	struct answer a = { 0 };
	char line[160];
	int64_t started_ms = clock_mono_ms();

	(void)state;
	test_log_.expected = 1000;
	snprintf(line, sizeof(line), "kill -STOP $(cat %s/redis.pid)",
	    servers.dir);
	// NOLINTNEXTLINE(cert-env33-c): our own server
	assert_int_equal(system(line), 0);
	queue_state(queue, &lane, on_state, &a);
	servers_until(&a.done);
	assert_int_equal(a.err.kind, ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - started_ms, 4000, 12000);
	is_up = false;
	snprintf(line, sizeof(line), "kill -CONT $(cat %s/redis.pid)",
	    servers.dir);
	// NOLINTNEXTLINE(cert-env33-c): our own server
	assert_int_equal(system(line), 0);
	servers_until(&is_up);
	test_log_.expected = 0;
}

static void
a_reason_is_told_for_people(void **state)
{
	static const struct {
		const char *why, *owners, *text;
	} rows[] = {
		{ "", "7", "" },
		{ "7 daily limit of 5 1893456000000\n", "7",
		    "daily limit of 5 until 2030-01-01T00:00:00.000Z" },
		/* It waits until the first of them can send. */
		{ "7 one 1893456000001\n8 two 1893456000000\n", "7 8",
		    "two until 2030-01-01T00:00:00.000Z" },
		{ "7 one 1893456000000\n8 soon 0\n", "7 8", "soon" },
		/* One of them says nothing: it can. */
		{ "7 one 1893456000000\n", "7 8", "" },
		/* Of those that cannot send nobody wants to know. */
		{ "7 one 1893456000000\n8 two 0\n", "7",
		    "one until 2030-01-01T00:00:00.000Z" },
		{ "7 one 1893456000000\n", "", "" },
		{ "7 long ago 1\n", "7", "long ago" },
		{ "7 no end 0\n", "7", "no end" },
		{ "7 no number\n", "7", "no number" },
		{ "7\n", "7", "" },
		{ "7 word\n", "7", "word" },
	};
	char text[DEPTH_WHY_MAX], small[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("case %zu\n", i);
		depth_why_text(slice_of(rows[i].why), slice_of(rows[i].owners),
		    text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
	depth_why_text(slice_of(rows[1].why), SLICE("7"), small, sizeof(small));
	assert_string_equal(small, "daily l");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, cmocka_unit_test(members_have_one_form),
    CASE(enqueue_adds_only_what_has_no_job),
    CASE(a_lease_holds_an_ack_ends_a_defer_gives_back),
    CASE(what_falls_due_is_leased), CASE(who_waits_is_woken_once),
    CASE(flows_share_by_weight_whatever_their_backlog),
    CASE(a_transactional_job_goes_before_every_bulk_head),
    CASE(the_dead_are_reaped),
    CASE(sync_makes_the_held_set_what_the_worker_says),
    CASE(parked_jobs_wait_for_their_hold), CASE(drop_takes_what_nobody_holds),
    CASE(with_short_queues_workers_take_turns),
    CASE(marks_and_reasons_can_be_read),
    cmocka_unit_test(a_reason_is_told_for_people),
    CASE(a_server_that_lost_the_functions_gets_them_again),
    CASE(calls_fail_while_redis_is_away_and_work_when_it_is_back),
    CASE(a_server_that_hangs_is_dropped_at_the_deadline))

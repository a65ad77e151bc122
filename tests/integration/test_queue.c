/* The schedule, the walks and the reaper, against real servers. */
#include "tests/unit/test.h"

#include "base/mem.h"
#include "queue/queue.h"
#include "queue/reap.h"
#include "queue/walk.h"
#include "store/accept.h"
#include "store/outcomes.h"
#include "store/sources.h"
#include "store/workers.h"
#include "tests/integration/servers.h"

/* Fixtures. ---------------------------------------------------------------- */

static struct queue *queue;
static struct pg *pg;
static const struct queue_lane lane = { .pool = 1, .name = "h3" };
static unsigned int wakes;
static bool is_up;

static void
on_connected(void *ctx)
{
	(void)ctx;
	is_up = true;
}

static void
on_wake(void *ctx, const struct queue_lane *l)
{
	(void)ctx;
	if (l->pool == lane.pool && strcmp(l->name, lane.name) == 0)
		wakes++;
}

static const struct queue_ops ops = { on_connected, on_wake };
static const int pools[] = { 1 };

struct answer {
	bool done;
	size_t count;
	struct error err;
	/* leases */
	bool yield;
	struct queue_job job[300];
	int64_t next_due_ms;
	/* states */
	struct queue_lane_state state;
	char text[128];
	int worker[8];
};

static void
on_done(void *ctx, size_t count, const struct error *err)
{
	struct answer *a = ctx;

	a->done = true;
	a->count = count;
	a->err = err != NULL ? *err : (struct error){ 0 };
}

static void
on_leased(void *ctx, const struct queue_lease_result *r)
{
	struct answer *a = ctx;

	a->done = true;
	a->err = r->err != NULL ? *r->err : (struct error){ 0 };
	a->count = r->count;
	a->yield = r->yield;
	a->next_due_ms = r->next_due_ms;
	assert_true(r->count <= ARRAY_LEN(a->job));
	if (r->count > 0)
		memcpy(a->job, r->job, r->count * sizeof(*r->job));
}

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct answer *a = ctx;

	a->done = true;
	a->err = err != NULL ? *err : (struct error){ 0 };
	if (state == NULL)
		return;
	a->state = *state;
	snprintf(a->text, sizeof(a->text), "%.*s|%.*s", SLICE_FMT(state->mark),
	    SLICE_FMT(state->why));
}

static void
on_holders(void *ctx, const int *workers, size_t count, const struct error *err)
{
	struct answer *a = ctx;

	assert_null(err);
	a->done = true;
	a->count = count;
	for (size_t i = 0; i < MIN(count, ARRAY_LEN(a->worker)); i++)
		a->worker[i] = workers[i];
}

static struct answer *
fresh(void)
{
	static struct answer a;

	a = (struct answer){ 0 };
	return &a;
}

static size_t
counted(struct answer *a)
{
	servers_until(&a->done);
	if (a->err.kind != ERR_NONE)
		fail_msg("%s", a->err.text);
	return a->count;
}

static uint32_t serial;

/* Jobs of one flow; a new id each. */
static void
make_jobs(struct queue_job *jobs, size_t n, uint32_t flow, uint8_t flags)
{
	for (size_t i = 0; i < n; i++) {
		struct id id = id_new_email(clock_now_ms());

		serial++;
		id.b[11] = (uint8_t)(serial >> 24);
		id.b[12] = (uint8_t)(serial >> 16);
		id.b[13] = (uint8_t)(serial >> 8);
		id.b[14] = (uint8_t)serial;
		jobs[i] = (struct queue_job){ .member = { id, flow, flags } };
	}
}

static size_t
enqueue(const struct queue_job *jobs, size_t n)
{
	struct answer *a = fresh();

	queue_enqueue(queue, &lane, jobs, n, on_done, a);
	return counted(a);
}

static struct answer *
lease(int worker, size_t n, unsigned int weight)
{
	struct answer *a = fresh();

	queue_lease(queue, &lane, worker, n, weight, on_leased, a);
	counted(a);
	return a;
}

static struct queue_lane_state
state_of(const struct queue_lane *l)
{
	struct answer *a = fresh();

	queue_state(queue, l, on_state, a);
	counted(a);
	return a->state;
}

static void
assert_state(size_t ready, size_t later, size_t held, size_t parked)
{
	struct queue_lane_state s = state_of(&lane);

	assert_int_equal(s.ready, ready);
	assert_int_equal(s.later, later);
	assert_int_equal(s.held, held);
	assert_int_equal(s.parked, parked);
}

/* redis-cli, for what no module does. */
static void
redis_cli(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "redis-cli -s '%s' %s >/dev/null",
	    servers.redis + 5, command);
	// NOLINTNEXTLINE(cert-env33-c): a constant command
	assert_int_equal(system(line), 0);
}

static int
setup(void **state)
{
	test_log_setup_(state);
	redis_cli("FLUSHALL");
	is_up = false;
	wakes = 0;
	queue = queue_new(servers.loop, servers.redis, pools, 1, &ops, NULL);
	servers_until(&is_up);
	pg = servers_pg();
	return 0;
}

static int
teardown(void **state)
{
	queue_free(&queue);
	pg_free(&pg);
	loop_turn(servers.loop, 0);
	return test_log_teardown_(state);
}

static bool
same(const struct queue_job *a, const struct queue_job *b)
{
	return id_cmp(a->member.id, b->member.id) == 0 &&
	    a->member.flow == b->member.flow &&
	    a->member.flags == b->member.flags;
}

/* Names. ----------------------------------------------------------------------
 */

static void
lanes_and_members_have_one_form(void **state)
{
	struct queue_lane l, again;
	struct queue_member m = { { { 1, 2, 3 } }, 0x01020304, 0x71 }, out;
	uint8_t octets[QUEUE_MEMBER_LEN];

	(void)state;
	queue_lane_of_domain(3, SLICE("gmail.com"), &l);
	assert_int_equal(l.pool, 3);
	assert_string_equal(l.name, "google");
	queue_lane_of_domain(3, SLICE("example.org"), &l);
	assert_int_equal(l.name[0], 'h');
	for (size_t i = 0; i < queue_lane_count(); i++) {
		queue_lane_nth(1, i, &again);
		assert_int_equal(queue_lane_index(slice_of(again.name)),
		    (int)i);
	}
	assert_int_equal(queue_lane_index(SLICE("nobody")), -1);
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
	assert_int_equal(a.err.kind, ERR_STORE);
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

/* Walks.
 * ----------------------------------------------------------------------- */

#define MAILS 300

static struct store_accept_item items[MAILS];
static struct store_accept_recipient rcpts[MAILS];

/* Accepted, not pushed, as long ago as said. */
static void
accept_mails(size_t n, int64_t age_ms, int64_t expires_in_ms)
{
	struct store_accept_item *list[MAILS];
	struct outcome_seen seen = { 0 };
	int64_t at_ms = clock_now_ms() - age_ms;

	for (size_t i = 0; i < n; i++) {
		rcpts[i] = (struct store_accept_recipient){
			.address = SLICE("a@example.org"),
			.key = SLICE("a@example.org"),
			.pool = 1,
			.lane = i % 3 == 0 ? SLICE("google") : SLICE("h3"),
		};
		items[i] = (struct store_accept_item){
			.email = id_new_email(at_ms),
			.account = 1,
			.domain = 1,
			.head = SLICE("h"),
			.content = SLICE("c"),
			.expires_at_ms = clock_now_ms() + expires_in_ms,
			.count = 1,
			.recipient = &rcpts[i],
			.key = SLICE(""),
		};
		/* As if made then: the time is in the first six octets. */
		for (size_t b = 0; b < 6; b++)
			items[i].email.b[b] = (uint8_t)(at_ms >> (40 - 8 * b));
		list[i] = &items[i];
	}
	store_accept_start(pg, clock_now_ms(), list, n, servers_done, &seen);
	servers_ok(&seen);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(items[i].result, STORE_ACCEPT_OK);
}

static void
forget_all_mail(void)
{
	SQL_NUMBER(pg,
	    "UPDATE recipients SET finished_at = now() "
	    "WHERE finished_at IS NULL");
}

/* Turns the loop until the walk has gone that far. */
static void
walk_until(struct walk *w, void (*step)(struct walk *),
    bool (*is_there)(const struct walk *))
{
	int64_t end_ms = clock_mono_ms() + 20000;

	while (!is_there(w)) {
		assert_true(clock_mono_ms() < end_ms);
		step(w);
		loop_turn(servers.loop, 10);
	}
}

static bool
has_seen_young(const struct walk *w)
{
	return walk_counts(w).young_seen >= MAILS;
}

static void
the_young_walk_pushes_what_was_not_pushed(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, NULL, NULL);
	static const struct queue_lane google = { 1, "google" };

	(void)state;
	forget_all_mail();
	accept_mails(MAILS, 15000, 1000000);
	walk_until(w, walk_young, has_seen_young);
	assert_int_equal(walk_counts(w).added, MAILS);
	assert_int_equal(state_of(&google).ready, MAILS / 3);
	assert_int_equal(state_of(&lane).ready, MAILS - MAILS / 3);
	walk_free(&w);
	/* Another keeper looks again: all have jobs. */
	w = walk_new(servers.loop, pg, queue, NULL, NULL);
	walk_until(w, walk_young, has_seen_young);
	assert_int_equal(walk_counts(w).added, 0);
	walk_free(&w);
}

static bool
has_gone_round(const struct walk *w)
{
	return walk_counts(w).rounds >= 1 && !walk_is_filling(w);
}

static bool
is_filling(const struct walk *w)
{
	return walk_is_filling(w);
}

/* What the keeper does. */
static void
beat(struct walk *w)
{
	walk_check_redis(w);
	walk_old(w);
}

static void
only_check(struct walk *w)
{
	walk_check_redis(w);
}

static void
a_redis_that_was_flushed_is_filled_again(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, NULL, NULL);
	struct walk_counts before;

	(void)state;
	forget_all_mail();
	accept_mails(MAILS, 3600000, 1000000);
	test_log_.expected = 1000;
	walk_until(w, only_check, is_filling);
	walk_until(w, beat, has_gone_round);
	assert_int_equal(walk_counts(w).added, MAILS);
	/* Marked: checked again, nothing starts over. */
	before = walk_counts(w);
	for (int i = 0; i < 20; i++) {
		walk_check_redis(w);
		loop_turn(servers.loop, 10);
	}
	assert_false(walk_is_filling(w));
	redis_cli("FLUSHALL");
	walk_until(w, only_check, is_filling);
	walk_until(w, beat, has_gone_round);
	assert_int_equal(walk_counts(w).added, before.added + MAILS);
	/* Killed and started anew, without its data. */
	is_up = false;
	servers_run("redis-stop", false);
	servers_run("redis-start", false);
	servers_until(&is_up);
	walk_until(w, only_check, is_filling);
	walk_until(w, beat, has_gone_round);
	assert_int_equal(walk_counts(w).added, before.added + 2 * MAILS);
	assert_int_equal(state_of(&lane).ready, MAILS - MAILS / 3);
	test_log_.expected = 0;
	walk_free(&w);
}

static size_t expired_count;

static void
on_expired(void *ctx, const struct store_unfinished *rows, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		assert_true(rows[i].expires_at_ms <= clock_now_ms());
	expired_count += n;
}

static const struct walk_ops walk_ops = { on_expired };

static bool
has_told(const struct walk *w)
{
	return walk_counts(w).rounds >= 1;
}

static void
mail_past_its_age_is_told_unless_somebody_holds_it(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, &walk_ops, NULL);
	struct queue_job held = { 0 };

	(void)state;
	forget_all_mail();
	accept_mails(9, 3600000, -1);
	held.member =
	    (struct queue_member){ id_of_recipient(items[1].email, 1), 2, 0 };
	enqueue(&held, 1);
	assert_int_equal(lease(5, 1, 1)->count, 1);
	expired_count = 0;
	walk_until(w, walk_old, has_told);
	assert_int_equal(expired_count, 8);
	assert_int_equal(walk_counts(w).added, 0);
	walk_free(&w);
}

static void
a_walk_may_be_freed_under_way(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, &walk_ops, NULL);
	struct reap *r = reap_new(servers.loop, pg, queue);

	(void)state;
	walk_old(w);
	walk_young(w);
	walk_check_redis(w);
	reap_step(r);
	for (int i = 0; i < 3; i++)
		loop_turn(servers.loop, 0);
	walk_free(&w);
	reap_free(&r);
	for (int i = 0; i < 20; i++)
		loop_turn(servers.loop, 5);
}

/* The reaper. -------------------------------------------------------------- */

struct worker_seen {
	bool done;
	int id;
};

static void
on_worker(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct worker_seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->id = count > 0 ? worker[0].id : 0;
}

static int
add_worker(void)
{
	struct worker_seen seen = { 0 };
	struct store_worker w = { .node = SLICE("n"),
		.role = SLICE("mta"),
		.boot_id = SLICE("b"),
		.pid = 1 };

	store_worker_add(pg, &w, on_worker, &seen);
	servers_until(&seen.done);
	return seen.id;
}

static void
what_the_dead_and_unknown_hold_is_given_back(void **state)
{
	struct reap *r = reap_new(servers.loop, pg, queue);
	struct queue_job jobs[9];
	struct outcome_seen seen = { 0 };
	int alive = add_worker(), dead = add_worker();

	(void)state;
	make_jobs(jobs, 9, 2, 0);
	enqueue(jobs, 9);
	lease(alive, 2, 1);
	lease(dead, 3, 1);
	lease(30000, 4, 1); /* nobody knows it */
	store_worker_set_dead(pg, dead, servers_done, &seen);
	servers_ok(&seen);
	reap_step(r);
	while (reap_is_busy(r))
		loop_turn(servers.loop, 10);
	assert_int_equal(reap_counts(r).given_back, 7);
	assert_int_equal(reap_counts(r).failures, 0);
	assert_state(7, 0, 2, 0);
	/* Nobody is declared dead before we have been here for 30 s. */
	SQL_NUMBER(pg, "UPDATE workers SET seen_at = now() - interval '1 h'");
	reap_step(r);
	while (reap_is_busy(r))
		loop_turn(servers.loop, 10);
	assert_int_equal(reap_counts(r).died, 0);
	reap_free(&r);
	/* A successor does it for its own predecessor. */
	reap_worker(queue, pools, 1, alive);
	assert_state(9, 0, 0, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, cmocka_unit_test(lanes_and_members_have_one_form),
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
    CASE(a_server_that_lost_the_functions_gets_them_again),
    CASE(calls_fail_while_redis_is_away_and_work_when_it_is_back),
    CASE(a_server_that_hangs_is_dropped_at_the_deadline),
    CASE(the_young_walk_pushes_what_was_not_pushed),
    CASE(a_redis_that_was_flushed_is_filled_again),
    CASE(mail_past_its_age_is_told_unless_somebody_holds_it),
    CASE(a_walk_may_be_freed_under_way),
    CASE(what_the_dead_and_unknown_hold_is_given_back))

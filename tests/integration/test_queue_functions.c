/*
 * Each function of the schedule against what it promises: random calls, here
 * and in tests/integration/model/schedule.c, and all that is in Redis compared
 * after each. Then the same on a server in cluster mode, where no key may be
 * touched that a function does not declare, and fairness at full size.
 */
#include "tests/unit/test.h"

#include "store/redis.h"
#include "tests/integration/model/clock.h"
#include "tests/integration/model/cluster.h"
#include "tests/integration/model/dice.h"
#include "tests/integration/model/schedule.h"
#include "tests/integration/queue_world.h"

#define JOBS 150 /* more than the 64 from which nobody yields */
#define WORKERS 3
#define STEPS 250

static const char parts[] = "mrthpfs";

static struct redis *raw;
static struct schedule model;
static struct queue_job all[JOBS];
static struct dice dice;
static unsigned int seed, step_number;
static char what[64]; /* the last call, for the report */

#define DIFFERS(...)                                                           \
	do {                                                                   \
		print_error("contract: seed %u, step %u, after %s: ", seed,    \
		    step_number, what);                                        \
		fail_msg(__VA_ARGS__);                                         \
	} while (0)

/* Looking. ---------------------------------------------------------------- */

struct look {
	bool done;
	size_t seen;
	enum place place;
};

static void
ask(redis_done *done, struct look *look, const char *verb, char part,
    const char *more)
{
	struct slice argv[5] = { slice_of(verb) };
	char key[40];
	size_t n = 2;

	snprintf(key, sizeof(key), "q:{p%d.%s}:%c", lane.pool, lane.name, part);
	argv[1] = slice_of(key);
	if (strcmp(verb, "ZRANGE") == 0) {
		argv[n++] = SLICE("0");
		argv[n++] = SLICE("-1");
	}
	if (more != NULL)
		argv[n++] = slice_of(more);
	redis_command(raw, argv, n, done, look);
	servers_until(&look->done);
}

static double
number_of(const struct redis_reply *reply)
{
	struct slice text = redis_reply_text(reply);
	char copy[64];

	snprintf(copy, sizeof(copy), "%.*s", SLICE_FMT(text));
	return strtod(copy, NULL);
}

static bool
equals(double a, double b)
{
	return !(a < b) && !(a > b);
}

/* The clock of Redis is its own: a due time may be later than ours by what
 * the call took; from then on it is known to the millisecond. */
static void
compare_job(enum place place, struct schedule_job *j, double score)
{
	if (j->place != place)
		DIFFERS("a job is in zset %d, and should be in %d", place,
		    j->place);
	if (place == LATER && score >= j->score && score < j->score + 3000)
		j->score = score;
	if (!equals(j->score, score))
		DIFFERS("a job of zset %d has score %.9g instead of %.9g",
		    place, score, j->score);
}

static void
on_zset(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct look *look = ctx;

	assert_null(err);
	look->done = true;
	look->seen = redis_reply_count(reply) / 2;
	for (size_t i = 0; i < look->seen; i++) {
		struct queue_member m;
		struct slice octets =
		    redis_reply_text(redis_reply_item(reply, 2 * i));

		if (!queue_member_decode(octets, &m))
			DIFFERS("zset %d has a foreign member", look->place);
		compare_job(look->place, schedule_job(&model, &m),
		    number_of(redis_reply_item(reply, 2 * i + 1)));
	}
}

static void
on_flows(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct look *look = ctx;

	assert_null(err);
	look->done = true;
	if (redis_reply_count(reply) / 2 != model.flow_count)
		DIFFERS("%zu flows are remembered instead of %zu",
		    redis_reply_count(reply) / 2, model.flow_count);
	for (size_t i = 0; i < redis_reply_count(reply); i += 2) {
		struct slice name =
		    redis_reply_text(redis_reply_item(reply, i));
		double finish = number_of(redis_reply_item(reply, i + 1));
		bool is_known = false;

		for (size_t k = 0; k < model.flow_count; k++)
			is_known |= name.len == 4 &&
			    model.flow[k].flow == (uint8_t)name.ptr[3] &&
			    equals(model.flow[k].finish, finish);
		if (!is_known)
			DIFFERS("a flow ends at %.9g", finish);
	}
}

static void
on_workers(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct look *look = ctx;

	assert_null(err);
	look->done = true;
	if (redis_reply_count(reply) / 2 != model.worker_count)
		DIFFERS("%zu workers are counted instead of %zu",
		    redis_reply_count(reply) / 2, model.worker_count);
	for (size_t i = 0; i < redis_reply_count(reply); i += 2) {
		int id = (int)number_of(redis_reply_item(reply, i));
		double taken = number_of(redis_reply_item(reply, i + 1));
		bool is_known = false;

		for (size_t k = 0; k < model.worker_count; k++)
			is_known |= model.worker[k].worker == id &&
			    equals(model.worker[k].taken, taken);
		if (!is_known)
			DIFFERS("worker %d has had %.9g", id, taken);
	}
}

static void
on_meta(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct look *look = ctx;
	double v = 0;
	bool idle = false;

	assert_null(err);
	look->done = true;
	for (size_t i = 0; i < redis_reply_count(reply); i += 2) {
		struct slice name =
		    redis_reply_text(redis_reply_item(reply, i));

		if (slice_eq_text(name, "V"))
			v = number_of(redis_reply_item(reply, i + 1));
		idle |= slice_eq_text(name, "idle");
	}
	if (!equals(v, model.virtual_time))
		DIFFERS("the virtual time is %.9g instead of %.9g", v,
		    model.virtual_time);
	if (idle != model.idle)
		DIFFERS("idle is %d instead of %d", idle, model.idle);
}

static void
compare_all(void)
{
	for (enum place place = READY; place < PLACES; place++) {
		struct look look = { .place = place };

		ask(on_zset, &look, "ZRANGE", parts[place], "WITHSCORES");
		if (look.seen != schedule_size(&model, place))
			DIFFERS("zset %d has %zu jobs instead of %zu", place,
			    look.seen, schedule_size(&model, place));
	}
	ask(on_flows, &(struct look){ 0 }, "HGETALL", 'f', NULL);
	ask(on_workers, &(struct look){ 0 }, "ZRANGE", 's', "WITHSCORES");
	ask(on_meta, &(struct look){ 0 }, "HGETALL", 'm', NULL);
}

/* Calling. ---------------------------------------------------------------- */

static int
any_worker(void)
{
	static const int workers[WORKERS] = { 5, 17, 6 };

	return workers[dice_below(&dice, WORKERS)];
}

/* Up to most of all, each once. */
static size_t
some(struct queue_job *out, size_t most, bool with_delay)
{
	static const int64_t delays_ms[] = { 0, 0, 13000, 63000, 603000 };
	size_t n = dice_below(&dice, most + 1), at = dice_below(&dice, JOBS);
	/* 7 and 150 have no divisor in common: no job comes twice. */
	size_t stride = dice_percent(&dice, 50) ? 1 : 7;

	for (size_t i = 0; i < n; i++) {
		out[i] = all[(at + i * stride) % JOBS];
		out[i].delay_ms = with_delay
		    ? delays_ms[dice_below(&dice, ARRAY_LEN(delays_ms))]
		    : 0;
	}
	return n;
}

/* Mostly what this worker holds, and some that it does not. */
static size_t
some_held(struct queue_job *out, size_t most, int worker, bool with_delay)
{
	size_t n = some(out, most, with_delay), kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct schedule_job *j =
		    schedule_job(&model, &out[i].member);
		bool mine = j->place == HELD && (int)j->score == worker;

		if (mine || dice_percent(&dice, 10))
			out[kept++] = out[i];
	}
	return kept;
}

static void
compare_count(struct answer *a, size_t expected)
{
	size_t count = counted(a);

	if (count != expected)
		DIFFERS("the answer is %zu instead of %zu", count, expected);
}

static void
call_enqueue(void)
{
	struct queue_job jobs[60];
	struct answer *a = fresh();
	size_t n = some(jobs, 59, true);

	if (n > 0 && dice_percent(&dice, 30)) {
		jobs[n] = jobs[0]; /* twice in one call */
		n++;
	}
	queue_enqueue(queue, &lane, jobs, n, on_done, a);
	compare_count(a, schedule_enqueue(&model, jobs, n, clock_now_ms()));
}

/* So that nothing falls due between our look at the clock and that of Redis. */
static void
step_over_due_times(void)
{
	int64_t now_ms = clock_now_ms();

	for (size_t i = 0; i < model.count; i++) {
		double off = model.job[i].score - (double)now_ms;

		if (model.job[i].place == LATER && off > -1000 && off < 2500) {
			clock_advance(5000);
			step_over_due_times();
			return;
		}
	}
}

static void
call_lease(void)
{
	struct queue_job jobs[100];
	struct answer *a = fresh();
	size_t n = dice_below(&dice, dice_percent(&dice, 30) ? 100 : 20);
	unsigned int weight = 1u << dice_below(&dice, 3);
	int worker = any_worker();
	bool yields;

	step_over_due_times();
	queue_lease(queue, &lane, worker, n, weight, on_leased, a);
	compare_count(a,
	    schedule_lease(&model, worker, n, weight, clock_now_ms(), jobs,
		&yields));
	if (a->yield != yields)
		DIFFERS("yield is %d instead of %d", a->yield, yields);
	for (size_t i = 0; i < a->count; i++)
		if (!same(&a->job[i], &jobs[i]) ||
		    !equals(a->job[i].tag, jobs[i].tag))
			DIFFERS("number %zu of the lease is another job", i);
}

static void
call_ack(void)
{
	struct queue_job jobs[60];
	struct answer *a = fresh();
	int worker = any_worker();
	size_t n = some_held(jobs, 60, worker, false);

	queue_ack(queue, &lane, worker, jobs, n, on_done, a);
	compare_count(a, schedule_ack(&model, worker, jobs, n));
}

static void
call_defer(void)
{
	struct queue_job jobs[60];
	struct answer *a = fresh();
	int worker = any_worker();
	size_t n = some_held(jobs, 60, worker, true);

	queue_defer(queue, &lane, worker, jobs, n, on_done, a);
	compare_count(a,
	    schedule_defer(&model, worker, jobs, n, clock_now_ms()));
}

static void
call_reap(void)
{
	struct answer *a = fresh();
	int worker = any_worker();
	size_t max = 1 + dice_below(&dice, 30);

	queue_reap(queue, &lane, worker, max, on_done, a);
	compare_count(a, schedule_reap(&model, worker, max));
}

static void
call_sync(void)
{
	struct queue_job jobs[60];
	struct answer *a = fresh();
	int worker = any_worker();
	size_t n = some_held(jobs, 60, worker, false);

	queue_sync(queue, &lane, worker, jobs, n, on_leased, a);
	compare_count(a, schedule_sync(&model, worker, jobs, n));
}

static void
call_park(void)
{
	struct queue_job jobs[60];
	struct answer *a = fresh();
	int worker = any_worker();
	int hold = 70 + (int)dice_below(&dice, 2);
	size_t n = some_held(jobs, 60, worker, false);

	queue_park(queue, &lane, worker, hold, jobs, n, on_done, a);
	compare_count(a, schedule_park(&model, worker, hold, jobs, n));
}

static void
call_unpark(void)
{
	struct answer *a = fresh();
	int hold = 70 + (int)dice_below(&dice, 2);
	size_t max = 1 + dice_below(&dice, 30);

	queue_unpark(queue, &lane, hold, max, on_done, a);
	compare_count(a, schedule_unpark(&model, hold, max));
}

static void
call_drop(void)
{
	struct answer *a = fresh();
	const struct queue_member *m = &all[dice_below(&dice, JOBS)].member;

	queue_drop(queue, &lane, m, on_done, a);
	compare_count(a, schedule_drop(&model, m));
}

static void
pass_time(void)
{
	clock_advance(10000 * (int64_t)(1 + dice_below(&dice, 10)));
}

static const struct {
	const char *name;
	void (*call)(void);
	unsigned int share;
} calls[] = {
	{ "enqueue", call_enqueue, 22 },
	{ "lease", call_lease, 22 },
	{ "ack", call_ack, 12 },
	{ "defer", call_defer, 12 },
	{ "sync", call_sync, 8 },
	{ "reap", call_reap, 5 },
	{ "park", call_park, 6 },
	{ "unpark", call_unpark, 4 },
	{ "drop", call_drop, 4 },
	{ "time", pass_time, 5 },
};

static void
one_step(void)
{
	size_t at = dice_below(&dice, 100), i = 0;

	while (at >= calls[i].share)
		at -= calls[i++].share;
	snprintf(what, sizeof(what), "%s", calls[i].name);
	calls[i].call();
	compare_all();
}

static void
run_seed(unsigned int number)
{
	static const uint8_t flags[] = { 0x00, 0x20, 0x31, 0x71 };

	seed = number;
	dice = (struct dice){ seed };
	model = (struct schedule){ 0 };
	for (size_t i = 0; i < JOBS; i++)
		make_jobs(&all[i], 1, (uint32_t)(20 + i % 7),
		    flags[i % ARRAY_LEN(flags)]);
	for (step_number = 0; step_number < STEPS; step_number++)
		one_step();
}

static void
the_functions_do_what_they_promise(void **state)
{
	unsigned int first = dice_setting("VERPOST_MODEL_SEED", 1);
	unsigned int seeds = dice_setting("VERPOST_MODEL_SEEDS", 6);

	(void)state;
	for (unsigned int i = 0; i < seeds; i++) {
		redis_cli("FLUSHALL");
		run_seed(first + i);
	}
	print_message("counts: %u calls compared\n", seeds * STEPS);
}

/* Cluster mode. ----------------------------------------------------------- */

static void
no_function_touches_a_key_that_it_does_not_declare(void **state)
{
	(void)state;
	cluster_allow_only(&lane, parts);
	run_seed(99);
	/* Those that change nothing. */
	state_of(&lane);
	queue_holders(queue, &lane, on_holders, fresh());
	counted(fresh());
}

/* Fairness. ------------------------------------------------------------- */

#define CAMPAIGN 100000
#define OTHERS 5000

static void
enqueue_many(size_t n, uint32_t flow, uint8_t flags)
{
	static struct queue_job jobs[CAMPAIGN];

	make_jobs(jobs, n, flow, flags);
	assert_int_equal(enqueue(jobs, n), n);
}

/* Leases n, acks them, and counts them by flow. */
static void
take(size_t n, size_t *count, uint32_t first_flow)
{
	struct answer *a = lease(5, n, 1);
	struct answer done = { 0 };

	assert_int_equal(a->count, n);
	for (size_t i = 0; i < n; i++)
		count[a->job[i].member.flow - first_flow]++;
	queue_ack(queue, &lane, 5, a->job, n, on_done, &done);
	assert_int_equal(counted(&done), n);
}

static void
flows_share_what_there_is_by_weight(void **state)
{
	size_t count[4] = { 0 };

	(void)state;
	enqueue_many(CAMPAIGN, 10, 0);
	enqueue_many(OTHERS, 11, 0);
	enqueue_many(OTHERS, 12, 0);
	for (size_t i = 0; i < 40; i++)
		take(64, count, 10);
	/* 2,560 in three parts, to one batch */
	for (size_t i = 0; i < 3; i++)
		assert_in_range(count[i], 853 - 64, 854 + 64);
	/* One more with four times the weight: four parts of seven. */
	enqueue_many(OTHERS, 13, 2 << QUEUE_WEIGHT_SHIFT);
	memset(count, 0, sizeof(count));
	for (size_t i = 0; i < 28; i++)
		take(64, count, 10);
	for (size_t i = 0; i < 3; i++)
		assert_in_range(count[i], 256 - 64, 256 + 64);
	assert_in_range(count[3], 1024 - 64, 1024 + 64);
}

/* Four flows of any weight and length, and 1,000 leases and more of them. */
static void
any_backlog_is_shared_by_weight(void **state)
{
	(void)state;
	for (unsigned int number = 1; number <= 5; number++) {
		size_t count[4] = { 0 }, log2[4], sum = 0, leased = 0;

		redis_cli("FLUSHALL");
		dice = (struct dice){ 7000 + number };
		for (size_t i = 0; i < 4; i++) {
			log2[i] = dice_below(&dice, 5);
			sum += (size_t)1 << log2[i];
			enqueue_many(1200 + dice_below(&dice, 2000),
			    (uint32_t)(10 + i),
			    (uint8_t)(log2[i] << QUEUE_WEIGHT_SHIFT));
		}
		for (size_t n; leased < 1000; leased += n) {
			n = 1 + dice_below(&dice, 64);
			take(n, count, 10);
		}
		for (size_t i = 0; i < 4; i++) {
			size_t fair = (leased << log2[i]) / sum;

			assert_in_range(count[i] + 64, fair, fair + 128);
		}
	}
}

static void
a_transactional_job_passes_a_campaign(void **state)
{
	struct queue_job reset[50];
	size_t count[4] = { 0 };
	struct answer *a;

	(void)state;
	enqueue_many(CAMPAIGN, 10, 0);
	enqueue_many(OTHERS, 12, 0);
	take(64, count, 10);
	/* Of the campaign's own account: the very next one. */
	make_jobs(reset, 1, 11,
	    QUEUE_TRANSACTIONAL | (3 << QUEUE_WEIGHT_SHIFT));
	enqueue(reset, 1);
	a = lease(5, 1, 1);
	assert_true(same(&a->job[0], &reset[0]));
	/* Fifty of another: as their weight says, 8 of 10 and more. */
	make_jobs(reset, 50, 13,
	    QUEUE_TRANSACTIONAL | (3 << QUEUE_WEIGHT_SHIFT));
	enqueue(reset, 50);
	memset(count, 0, sizeof(count));
	take(74, count, 10);
	assert_int_equal(count[3], 50);
}

/* Given back is not charged again: the flow does not fall behind. */
static void
a_job_that_comes_back_keeps_its_turn(void **state)
{
	struct queue_job jobs[8];
	struct answer *a, done = { 0 };

	(void)state;
	enqueue_many(OTHERS, 10, 0);
	enqueue_many(OTHERS, 11, 0);
	a = lease(5, 8, 1);
	memcpy(jobs, a->job, sizeof(jobs));
	queue_defer(queue, &lane, 5, jobs, 8, on_done, &done);
	assert_int_equal(counted(&done), 8);
	a = lease(6, 8, 1);
	for (size_t i = 0; i < 8; i++) {
		bool is_there = false;

		for (size_t k = 0; k < 8; k++)
			is_there |= same(&a->job[i], &jobs[k]);
		assert_true(is_there);
	}
}

/* ----------------------------------------------------------------------- */

static int
begin(void **state)
{
	setup(state);
	raw = redis_new(servers.loop, servers.redis, 0, NULL, NULL);
	while (!redis_is_up(raw))
		loop_turn(servers.loop, 10);
	return 0;
}

static int
end(void **state)
{
	redis_free(&raw);
	return teardown(state);
}

static int
begin_cluster(void **state)
{
	cluster_start();
	return begin(state);
}

static int
end_cluster(void **state)
{
	int result = end(state);

	cluster_stop();
	return result;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

MODEL_MAIN(false, CASE(the_functions_do_what_they_promise),
    cmocka_unit_test_setup_teardown(
	no_function_touches_a_key_that_it_does_not_declare, begin_cluster,
	end_cluster),
    CASE(flows_share_what_there_is_by_weight),
    CASE(any_backlog_is_shared_by_weight),
    CASE(a_transactional_job_passes_a_campaign),
    CASE(a_job_that_comes_back_keeps_its_turn))

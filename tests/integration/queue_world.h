/* queue_world.h - what the tests of the schedule share: calls that wait. */
#ifndef QUEUE_WORLD_H
#define QUEUE_WORLD_H

#include "queue/queue.h"
#include "queue/shaping.h"
#include "tests/integration/servers.h"

static struct queue *queue;
static struct shaping *shaping;
static struct pg *pg;
static const struct queue_lane lane = { .pool = 1, .name = "h3" };
static unsigned int wakes;
static bool is_up;

static inline void
on_connected(void *ctx)
{
	(void)ctx;
	is_up = true;
}

static inline void
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

static inline void
on_done(void *ctx, size_t count, const struct error *err)
{
	struct answer *a = ctx;

	a->done = true;
	a->count = count;
	a->err = err != NULL ? *err : (struct error){ 0 };
}

static inline void
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

static inline void
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

static inline void
on_holders(void *ctx, const int *workers, size_t count, const struct error *err)
{
	struct answer *a = ctx;

	assert_null(err);
	a->done = true;
	a->count = count;
	for (size_t i = 0; i < MIN(count, ARRAY_LEN(a->worker)); i++)
		a->worker[i] = workers[i];
}

static inline struct answer *
fresh(void)
{
	static struct answer a;

	a = (struct answer){ 0 };
	return &a;
}

static inline size_t
counted(struct answer *a)
{
	servers_until(&a->done);
	if (a->err.kind != ERR_NONE)
		fail_msg("%s", a->err.text);
	return a->count;
}

static uint32_t serial;

/* Jobs of one flow; a new id each. */
static inline void
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

static inline size_t
enqueue(const struct queue_job *jobs, size_t n)
{
	struct answer *a = fresh();

	queue_enqueue(queue, &lane, jobs, n, on_done, a);
	return counted(a);
}

static inline struct answer *
lease(int worker, size_t n, unsigned int weight)
{
	struct answer *a = fresh();

	queue_lease(queue, &lane, worker, n, weight, on_leased, a);
	counted(a);
	return a;
}

static inline struct queue_lane_state
state_of(const struct queue_lane *l)
{
	struct answer *a = fresh();

	queue_state(queue, l, on_state, a);
	counted(a);
	return a->state;
}

static inline void
assert_state(size_t ready, size_t later, size_t held, size_t parked)
{
	struct queue_lane_state s = state_of(&lane);

	assert_int_equal(s.ready, ready);
	assert_int_equal(s.later, later);
	assert_int_equal(s.held, held);
	assert_int_equal(s.parked, parked);
}

/* redis-cli, for what no module does. */
static inline void
redis_cli(const char *command)
{
	char line[2048];

	snprintf(line, sizeof(line), "redis-cli -s '%s' %s >/dev/null",
	    servers.redis + 5, command);
	// NOLINTNEXTLINE(cert-env33-c): a constant command
	assert_int_equal(system(line), 0);
}

static inline int
setup(void **state)
{
	test_log_setup_(state);
	redis_cli("FLUSHALL");
	assert_int_equal(shaping_load("", NULL, NULL, &shaping, NULL), 0);
	is_up = false;
	wakes = 0;
	queue = queue_new(servers.loop, servers.redis, pools, 1, &ops, NULL);
	servers_until(&is_up);
	pg = servers_pg();
	return 0;
}

static inline int
teardown(void **state)
{
	queue_free(&queue);
	shaping_free(&shaping);
	pg_free(&pg);
	loop_turn(servers.loop, 0);
	return test_log_teardown_(state);
}

static inline bool
same(const struct queue_job *a, const struct queue_job *b)
{
	return id_cmp(a->member.id, b->member.id) == 0 &&
	    a->member.flow == b->member.flow &&
	    a->member.flags == b->member.flags;
}

#endif

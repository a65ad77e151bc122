#include "queue_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "net/loop.h"
#include "store/redis.h"

/*
 * The caller's side of functions.lua. One connection for calls, one for wakes.
 *
 * After each connect the library is loaded; then the owner is told "connected".
 * A server without it (somebody deleted it, a proxy went to another server)
 * answers "Function not found": it is loaded again and the call made once more.
 * One that does not take it (it is full, still reads its file, is a replica) is
 * asked again until it does: it may get well without the connection breaking.
 *
 * A call keeps its arguments until it is answered. More than BATCH jobs are
 * cut into several calls, so that none holds Redis for long; the owner is told
 * once, with the sum.
 */

#define BATCH 100
#define KEYS 7
#define LOAD_AGAIN_MS 1000
#define REFUSED_LOG_EVERY_MS 60000

extern const char *const queue_functions_data[];
extern const size_t queue_functions_lens[];

static const struct log_ctx queue_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "queue" } } } };

/* Building. ------------------------------------------------------------- */

void
call_add(struct call *call, struct slice s)
{
	invariant(call->argc < call->argv_cap);
	call->argv[call->argc++] = arena_slice(&call->arena, s);
}

void
call_add_text(struct call *call, const char *text)
{
	call_add(call, slice_of(text));
}

void
call_add_int(struct call *call, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	call_add_text(call, text);
}

static void
call_add_member(struct call *call, const struct queue_member *m)
{
	uint8_t octets[QUEUE_MEMBER_LEN];

	queue_member_encode(m, octets);
	call_add(call, slice_mem(octets, sizeof(octets)));
}

struct call *
call_new(struct queue *q, size_t argc_max, on_answer *answer, void *ctx)
{
	struct call *call = xmalloc(sizeof(*call));

	call->q = q;
	arena_init(&call->arena);
	call->argv_cap = argc_max;
	call->argv = xcalloc(argc_max, sizeof(*call->argv));
	call->answer = answer;
	call->ctx = ctx;
	list_append(&q->calls, &call->node);
	return call;
}

static void
call_free(struct call *call)
{
	list_remove(&call->node);
	arena_fini(&call->arena);
	free(call->argv);
	free(call);
}

/* FCALL with the keys of the lane and the two arguments all functions take. */
struct call *
fcall_new(struct queue *q, const char *function, const struct queue_lane *lane,
    size_t args_max, on_answer *answer, void *ctx)
{
	static const char parts[KEYS] = { 'm', 'r', 't', 'h', 'p', 'f', 's' };
	struct call *call = call_new(q, 3 + KEYS + 2 + args_max, answer, ctx);
	char text[64];

	call_add_text(call, "FCALL");
	call_add_text(call, function);
	call_add_int(call, KEYS);
	for (size_t i = 0; i < KEYS; i++) {
		snprintf(text, sizeof(text), "q:{p%d.%s}:%c", lane->pool,
		    lane->name, parts[i]);
		call_add_text(call, text);
	}
	call_add_int(call, clock_offset_ms());
	snprintf(text, sizeof(text), "wake.%d", lane->pool);
	call_add_text(call, text);
	return call;
}

/* Answers. ----------------------------------------------------------------- */

/*
 * What the server itself does not do (it is full, say) goes on until somebody
 * looks after it, and mail waits: that must be said, but not for every call.
 * That it is away is said elsewhere.
 */
static void
log_refusal(struct queue *q, struct slice what, struct slice key,
    const struct error *err)
{
	int64_t now = clock_mono_ms();

	if (err->kind != ERR_STORE || now < q->next_refused_log_ms)
		return;
	q->next_refused_log_ms = now + REFUSED_LOG_EVERY_MS;
	log_error(&queue_log, "queue.refused", log_slice("call", what),
	    log_slice("key", key), log_err(err),
	    log_text("hint",
		queue_lane_is_broken(err)
		    ? "a key of this lane is not ours: see TYPE of q:{...}:*, "
		      "and DEL it"
		    : ""));
}

bool
queue_lane_is_broken(const struct error *err)
{
	static const struct slice wrong = { "WRONGTYPE", 9 };
	struct slice text = slice_of(err->text);

	return err->kind == ERR_STORE && slice_find(text, wrong) < text.len;
}

static void
on_loaded(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct queue *q = ctx;
	bool was_loaded = q->is_loaded;

	(void)reply;
	if (err != NULL) {
		log_refusal(q, SLICE("FUNCTION LOAD"), SLICE(""), err);
		if (err->kind == ERR_STORE)
			timer_set(q->load_again, LOAD_AGAIN_MS);
		return;
	}
	timer_cancel(q->load_again);
	q->is_loaded = true;
	if (!was_loaded && q->ops != NULL && q->ops->connected != NULL)
		q->ops->connected(q->ctx);
}

static void
load(struct queue *q)
{
	const struct slice argv[] = { SLICE("FUNCTION"), SLICE("LOAD"),
		SLICE("REPLACE"),
		slice_mem(queue_functions_data[0], queue_functions_lens[0]) };

	redis_command(q->redis, argv, ARRAY_LEN(argv), on_loaded, q);
}

static void
on_load_again(void *ctx)
{
	load(ctx);
}

/* FCALL's function, or the command. */
static struct slice
call_name(const struct call *call)
{
	return call->argv[call->argc > KEYS ? 1 : 0];
}

/* The first of the lane's. */
static struct slice
call_key(const struct call *call)
{
	return call->argc > KEYS ? call->argv[3] : SLICE("");
}

static void
on_reply(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct call *call = ctx;
	static const struct slice missing = { "Function not found", 18 };

	if (err != NULL && !call->was_repeated &&
	    slice_find(slice_of(err->text), missing) < strlen(err->text)) {
		call->was_repeated = true;
		load(call->q);
		call_send(call);
		return;
	}
	if (err != NULL)
		log_refusal(call->q, call_name(call), call_key(call), err);
	list_remove(&call->node);
	call->answer(call, reply, err);
	call_free(call);
}

void
call_send(struct call *call)
{
	redis_command(call->q->redis, call->argv, call->argc, on_reply, call);
}

void
call_answer_op(struct call *call, const struct redis_reply *reply,
    const struct error *err)
{
	struct op *op = call->op;

	if (err != NULL)
		op->err = *err;
	else
		op->count += (size_t)redis_reply_int(reply);
	if (--op->open > 0)
		return;
	if (op->done != NULL && !call->is_forgotten)
		op->done(op->ctx, op->count,
		    op->err.kind == ERR_NONE ? NULL : &op->err);
	free(op);
}

static struct op *
op_new(size_t calls, queue_done *done, void *ctx)
{
	struct op *op = xmalloc(sizeof(*op));

	op->open = calls;
	op->done = done;
	op->ctx = ctx;
	return op;
}

void
call_send_op(struct queue *q, struct call *call, queue_done *done, void *ctx)
{
	(void)q;
	call->op = op_new(1, done, ctx);
	call_send(call);
}

/* Jobs in batches. -------------------------------------------------------- */

struct batch_kind {
	const char *function;
	bool has_worker, has_hold, has_delay;
};

static const struct batch_kind kind_enqueue = { "vp1_enqueue", false, false,
	true };
static const struct batch_kind kind_ack = { "vp1_ack", true, false, false };
static const struct batch_kind kind_defer = { "vp1_defer", true, false, true };
static const struct batch_kind kind_park = { "vp1_park", true, true, false };

static void
send_batch(struct queue *q, const struct batch_kind *kind,
    const struct queue_lane *lane, int worker, int hold,
    const struct queue_job *jobs, size_t n, struct op *op)
{
	struct call *call = fcall_new(q, kind->function, lane, 2 + 2 * n,
	    call_answer_op, op->ctx);

	call->op = op;
	if (kind->has_worker)
		call_add_int(call, worker);
	if (kind->has_hold)
		call_add_int(call, hold);
	for (size_t i = 0; i < n; i++) {
		call_add_member(call, &jobs[i].member);
		if (kind->has_delay)
			call_add_int(call, MAX(jobs[i].delay_ms, (int64_t)0));
	}
	call_send(call);
}

static void
send_batches(struct queue *q, const struct batch_kind *kind,
    const struct queue_lane *lane, int worker, int hold,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx)
{
	size_t calls = n > 0 ? (n + BATCH - 1) / BATCH : 1;
	struct op *op = op_new(calls, done, ctx);

	for (size_t i = 0; i < calls; i++)
		send_batch(q, kind, lane, worker, hold, jobs + i * BATCH,
		    MIN(n - i * BATCH, (size_t)BATCH), op);
}

void
queue_enqueue(struct queue *q, const struct queue_lane *lane,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx)
{
	send_batches(q, &kind_enqueue, lane, 0, 0, jobs, n, done, ctx);
}

void
queue_ack(struct queue *q, const struct queue_lane *lane, int worker,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx)
{
	send_batches(q, &kind_ack, lane, worker, 0, jobs, n, done, ctx);
}

void
queue_defer(struct queue *q, const struct queue_lane *lane, int worker,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx)
{
	send_batches(q, &kind_defer, lane, worker, 0, jobs, n, done, ctx);
}

void
queue_park(struct queue *q, const struct queue_lane *lane, int worker, int hold,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx)
{
	send_batches(q, &kind_park, lane, worker, hold, jobs, n, done, ctx);
}

/* Single calls.
 * ---------------------------------------------------------------- */

void
queue_reap(struct queue *q, const struct queue_lane *lane, int dead, size_t max,
    queue_done *done, void *ctx)
{
	struct call *call =
	    fcall_new(q, "vp1_reap", lane, 2, call_answer_op, ctx);

	call_add_int(call, dead);
	call_add_int(call, (int64_t)max);
	call_send_op(q, call, done, ctx);
}

void
queue_unpark(struct queue *q, const struct queue_lane *lane, int hold,
    size_t max, queue_done *done, void *ctx)
{
	struct call *call =
	    fcall_new(q, "vp1_unpark", lane, 2, call_answer_op, ctx);

	call_add_int(call, hold);
	call_add_int(call, (int64_t)max);
	call_send_op(q, call, done, ctx);
}

void
queue_drop(struct queue *q, const struct queue_lane *lane,
    const struct queue_member *m, queue_done *done, void *ctx)
{
	struct call *call =
	    fcall_new(q, "vp1_drop", lane, 1, call_answer_op, ctx);

	call_add_member(call, m);
	call_send_op(q, call, done, ctx);
}

/* A member that is not ours cannot be there; it is left out. */
static size_t
read_jobs(struct call *call, const struct redis_reply *reply, size_t from,
    bool with_tags, struct queue_job **out)
{
	size_t step = with_tags ? 2 : 1, n = 0;
	size_t count = redis_reply_count(reply);
	struct queue_job *jobs =
	    arena_calloc(&call->arena, count + 1, sizeof(*jobs));

	for (size_t i = from; i + step <= count; i += step) {
		if (!queue_member_decode(redis_reply_text(
					     redis_reply_item(reply, i)),
			&jobs[n].member))
			continue;
		if (with_tags)
			jobs[n].tag = strtod(redis_reply_text(
						 redis_reply_item(reply, i + 1))
						 .ptr,
			    NULL);
		n++;
	}
	*out = jobs;
	return n;
}

static void
answer_lease(struct call *call, const struct redis_reply *reply,
    const struct error *err)
{
	struct queue_lease_result r = { .err = err };
	struct error bad = { 0 };
	struct queue_job *jobs = NULL;
	int64_t wait_ms;

	if (err == NULL && redis_reply_count(reply) < 2) {
		error_set(&bad, ERR_STORE, "redis: odd answer to a lease");
		r.err = &bad;
	}
	if (r.err == NULL) {
		r.yield = redis_reply_int(redis_reply_item(reply, 0)) != 0;
		wait_ms = redis_reply_int(redis_reply_item(reply, 1));
		r.next_due_ms = wait_ms > 0 ? clock_now_ms() + wait_ms : 0;
		r.count = read_jobs(call, reply, 2, true, &jobs);
		r.job = jobs;
	}
	if (!call->is_forgotten)
		call->done.leased(call->ctx, &r);
}

void
queue_lease(struct queue *q, const struct queue_lane *lane, int worker,
    size_t n, unsigned int weight, queue_leased *done, void *ctx)
{
	struct call *call =
	    fcall_new(q, "vp1_lease", lane, 3, answer_lease, ctx);

	call->done.leased = done;
	call_add_int(call, worker);
	call_add_int(call, (int64_t)n);
	call_add_int(call, weight > 0 ? weight : 1);
	call_send(call);
}

static void
answer_sync(struct call *call, const struct redis_reply *reply,
    const struct error *err)
{
	struct queue_lease_result r = { .err = err };
	struct queue_job *jobs = NULL;

	if (err == NULL) {
		r.count = read_jobs(call, reply, 0, false, &jobs);
		r.job = jobs;
	}
	if (!call->is_forgotten && call->done.leased != NULL)
		call->done.leased(call->ctx, &r);
}

void
queue_sync(struct queue *q, const struct queue_lane *lane, int worker,
    const struct queue_job *jobs, size_t n, queue_leased *others, void *ctx)
{
	struct call *call =
	    fcall_new(q, "vp1_sync", lane, 1 + n, answer_sync, ctx);

	call->done.leased = others;
	call_add_int(call, worker);
	for (size_t i = 0; i < n; i++)
		call_add_member(call, &jobs[i].member);
	call_send(call);
}

/* Connections. ------------------------------------------------------------- */

static void
on_connected(void *ctx)
{
	struct queue *q = ctx;

	q->is_loaded = false;
	load(q);
}

static void
on_lost(void *ctx, const struct error *err)
{
	struct queue *q = ctx;

	(void)err;
	timer_cancel(q->load_again);
	q->is_loaded = false;
}

/* payload: "p<pool>.<lane>" */
static void
on_wake(void *ctx, struct slice channel, struct slice payload)
{
	struct queue *q = ctx;
	struct queue_lane lane = { 0 };
	struct slice pool;
	uint64_t number = 0;

	(void)channel;
	if (!slice_take_char(&payload, 'p'))
		return;
	pool = slice_take_until(&payload, '.');
	if (!slice_to_u64(pool, &number) || number > 0x7fffffff ||
	    payload.len >= sizeof(lane.name))
		return;
	lane.pool = (int)number;
	memcpy(lane.name, payload.ptr, payload.len);
	if (q->ops != NULL && q->ops->wake != NULL)
		q->ops->wake(q->ctx, &lane);
}

static const struct redis_ops call_ops = { on_connected, on_lost, NULL };
static const struct redis_ops wake_ops = { NULL, NULL, on_wake };

struct queue *
queue_new(struct loop *l, const char *url, const int *pools, size_t pool_count,
    const struct queue_ops *ops, void *ctx)
{
	struct queue *q = xmalloc(sizeof(*q));

	q->loop = l;
	q->ops = ops;
	q->ctx = ctx;
	list_init(&q->calls);
	q->load_again = timer_new(l, on_load_again, q);
	q->redis = redis_new(l, url, 0, &call_ops, q);
	if (pool_count == 0)
		return q;
	q->wakes = redis_new_subscriber(l, url, 0, &wake_ops, q);
	for (size_t i = 0; i < pool_count; i++) {
		char channel[32];

		snprintf(channel, sizeof(channel), "wake.%d", pools[i]);
		redis_subscribe(q->wakes, slice_of(channel));
	}
	return q;
}

static void
destroy(void *ctx)
{
	free(ctx);
}

/* Of the calls of one operation only the last frees it. */
static void
free_call_and_op(struct call *call)
{
	if (call->op != NULL && --call->op->open == 0)
		free(call->op);
	call_free(call);
}

void
queue_free(struct queue **qp)
{
	struct queue *q = *qp;
	struct list *node;

	if (q == NULL)
		return;
	*qp = NULL;
	redis_free(&q->redis);
	redis_free(&q->wakes);
	timer_free(&q->load_again);
	while ((node = list_first(&q->calls)) != NULL)
		free_call_and_op(list_entry(node, struct call, node));
	/* A callback of ours may be on the stack. */
	loop_defer(q->loop, destroy, q);
}

struct redis *
queue_redis(struct queue *q)
{
	return q->redis;
}

bool
queue_is_connected(const struct queue *q)
{
	return q->is_loaded;
}

void
queue_forget(struct queue *q, const void *ctx)
{
	list_each (node, &q->calls) {
		struct call *call = list_entry(node, struct call, node);

		if (call->ctx == ctx)
			call->is_forgotten = true;
	}
}

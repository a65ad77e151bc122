/* What the keeper and the operator ask about a lane, and the marks on it. */
#include "queue_priv.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "store/redis.h"

static void
answer_holders(struct call *call, const struct redis_reply *reply,
    const struct error *err)
{
	size_t n = err == NULL ? redis_reply_count(reply) : 0;
	int *workers = arena_calloc(&call->arena, n + 1, sizeof(*workers));

	for (size_t i = 0; i < n; i++)
		workers[i] = (int)redis_reply_int(redis_reply_item(reply, i));
	if (!call->is_forgotten)
		call->done.holders(call->ctx, workers, n, err);
}

static void
ask_holders(struct queue *q, const char *function,
    const struct queue_lane *lane, queue_holders_got *done, void *ctx)
{
	struct call *call =
	    fcall_new(q, function, lane, 0, answer_holders, ctx);

	call->done.holders = done;
	call_send(call);
}

void
queue_holders(struct queue *q, const struct queue_lane *lane,
    queue_holders_got *done, void *ctx)
{
	ask_holders(q, "vp1_holders", lane, done, ctx);
}

void
queue_parked(struct queue *q, const struct queue_lane *lane,
    queue_holders_got *done, void *ctx)
{
	ask_holders(q, "vp1_parked", lane, done, ctx);
}

static size_t
size_at(const struct redis_reply *reply, size_t n)
{
	return (size_t)redis_reply_int(redis_reply_item(reply, n));
}

static void
answer_state(struct call *call, const struct redis_reply *reply,
    const struct error *err)
{
	struct queue_lane_state s = { .mark = SLICE(""), .why = SLICE("") };
	struct error bad = { 0 };
	struct strbuf why = STRBUF_INIT;

	if (err == NULL && redis_reply_count(reply) < 5) {
		error_set(&bad, ERR_STORE, "redis: odd answer to a state");
		err = &bad;
	}
	if (err == NULL) {
		s.ready = size_at(reply, 0);
		s.later = size_at(reply, 1);
		s.held = size_at(reply, 2);
		s.parked = size_at(reply, 3);
		s.mark = redis_reply_text(redis_reply_item(reply, 4));
		for (size_t i = 5; i + 2 <= redis_reply_count(reply); i += 2) {
			strbuf_add_slice(&why,
			    redis_reply_text(redis_reply_item(reply, i)));
			strbuf_add_char(&why, ' ');
			strbuf_add_slice(&why,
			    redis_reply_text(redis_reply_item(reply, i + 1)));
			strbuf_add_char(&why, '\n');
		}
		s.why = arena_slice(&call->arena, strbuf_slice(&why));
	}
	strbuf_fini(&why);
	if (!call->is_forgotten)
		call->done.state(call->ctx, err == NULL ? &s : NULL, err);
}

void
queue_state(struct queue *q, const struct queue_lane *lane,
    queue_state_got *done, void *ctx)
{
	struct call *call =
	    fcall_new(q, "vp1_state", lane, 0, answer_state, ctx);

	call->done.state = done;
	call_send(call);
}

/* A plain command on the lane's hash. */
static struct call *
meta_new(struct queue *q, const char *verb, const struct queue_lane *lane,
    void *ctx)
{
	struct call *call = call_new(q, 4, call_answer_op, ctx);
	char key[64];

	snprintf(key, sizeof(key), "q:{p%d.%s}:m", lane->pool, lane->name);
	call_add_text(call, verb);
	call_add_text(call, key);
	return call;
}

void
queue_mark(struct queue *q, const struct queue_lane *lane, struct slice run_id,
    queue_done *done, void *ctx)
{
	struct call *call = meta_new(q, "HSET", lane, ctx);

	call_add_text(call, "mark");
	call_add(call, run_id);
	call_send_op(q, call, done, ctx);
}

void
queue_why(struct queue *q, const struct queue_lane *lane, int worker,
    struct slice text, int64_t until_ms, queue_done *done, void *ctx)
{
	struct call *call =
	    meta_new(q, text.len > 0 ? "HSET" : "HDEL", lane, ctx);
	struct strbuf value = STRBUF_INIT;
	char field[32];

	snprintf(field, sizeof(field), "why:%d", worker);
	call_add_text(call, field);
	if (text.len > 0) {
		strbuf_add_slice(&value, text);
		strbuf_add_fmt(&value, " %lld", (long long)until_ms);
		call_add(call, strbuf_slice(&value));
		strbuf_fini(&value);
	}
	call_send_op(q, call, done, ctx);
}

static void
answer_run_id(struct call *call, const struct redis_reply *reply,
    const struct error *err)
{
	struct slice text, line, run_id = SLICE("");

	if (err == NULL) {
		text = redis_reply_text(reply);
		while (slice_take_line(&text, &line))
			if (slice_starts(line, SLICE("run_id:")))
				run_id = slice_from(line, 7);
	}
	if (!call->is_forgotten)
		call->done.run_id(call->ctx, run_id, err);
}

void
queue_run_id(struct queue *q, queue_run_id_got *done, void *ctx)
{
	struct call *call = call_new(q, 2, answer_run_id, ctx);

	call->done.run_id = done;
	call_add_text(call, "INFO");
	call_add_text(call, "server");
	call_send(call);
}

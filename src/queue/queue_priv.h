/* queue_priv.h - calls to Redis: how the files about them make and send one. */
#ifndef QUEUE_PRIV_H
#define QUEUE_PRIV_H

#include "base/arena.h"
#include "base/list.h"
#include "queue/queue.h"

struct redis_reply;

struct queue {
	struct loop *loop;
	struct redis *redis, *wakes;
	const struct queue_ops *ops;
	void *ctx;
	bool is_loaded;
	struct timer *load_again;
	int64_t next_refused_log_ms;
	struct list calls; /* of struct call */
};

struct call;
typedef void on_answer(struct call *call, const struct redis_reply *reply,
    const struct error *err);

/* What several calls of one operation share. */
struct op {
	size_t open, count;
	struct error err;
	queue_done *done;
	void *ctx;
};

struct call {
	struct list node;
	struct queue *q;
	struct arena arena;
	struct slice *argv;
	size_t argc, argv_cap;
	bool was_repeated;
	on_answer *answer;
	/* One of them, as the answer needs. */
	struct op *op;
	union {
		queue_leased *leased;
		queue_holders_got *holders;
		queue_state_got *state;
		queue_run_id_got *run_id;
	} done;
	void *ctx;
	bool is_forgotten;
};

/* A command of at most argc_max words. */
struct call *call_new(struct queue *q, size_t argc_max, on_answer *answer,
    void *ctx);
/* FCALL with the keys of the lane and the two arguments all functions take. */
struct call *fcall_new(struct queue *q, const char *function,
    const struct queue_lane *lane, size_t args_max, on_answer *answer,
    void *ctx);
/* One more word; copied. */
void call_add(struct call *call, struct slice s);
void call_add_text(struct call *call, const char *text);
void call_add_int(struct call *call, int64_t n);
/* It is freed once it has been answered. */
void call_send(struct call *call);
/* One whose answer is a number, or nothing that matters. */
void call_send_op(struct queue *q, struct call *call, queue_done *done,
    void *ctx);
void call_answer_op(struct call *call, const struct redis_reply *reply,
    const struct error *err);

#endif

/*
 * net/loop.h - the event loop of a process: one event_base, timers, signals,
 * deferred calls. Made after fork, one per process.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct loop;
struct event_base;

/* Also makes the process ignore SIGPIPE: sockets report it by errno. */
struct loop *loop_new(void);
void loop_free(struct loop **l);
/* Runs until loop_stop; deferred calls run before it goes to sleep. */
void loop_run(struct loop *l);
/* One turn: handles what is ready, waits at most wait_ms (-1: for ever). */
void loop_turn(struct loop *l, int wait_ms);
void loop_stop(struct loop *l);
/* For the adapters of foreign libraries only. */
struct event_base *loop_base(struct loop *l);
/* clock_mono_ms(), read once per turn. */
int64_t loop_mono_ms(struct loop *l);
/* Memory for a short while, so that no reader needs a buffer of its own: valid
 * until the caller returns to the loop or calls anybody else. 64 kB. */
void *loop_scratch(struct loop *l, size_t *len);

/* Calls fn after this turn. Cannot be taken back: use struct loop_call. When
 * the loop is freed first, fn is called by loop_free. */
void loop_defer(struct loop *l, void (*fn)(void *ctx), void *ctx);

/* A deferred call that its owner can cancel; embed it, zero-initialised. */
struct loop_call {
	struct list node;
	void (*fn)(void *ctx);
	void *ctx;
	bool is_deferred; /* of the loop: runs even when the loop is freed */
};
/* Runs fn once after this turn; scheduling again before that changes nothing.
 */
void loop_call_schedule(struct loop *l, struct loop_call *call,
    void (*fn)(void *ctx), void *ctx);
void loop_call_cancel(struct loop_call *call);

/* Runs fn when the loop is freed, unless cancelled before: for what lives
 * without an owner. */
void loop_at_free(struct loop *l, struct loop_call *call, void (*fn)(void *ctx),
    void *ctx);

/* One-shot timer; embed a pointer. May fire a few ms early (coarse clock). */
struct timer;
struct timer *timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx);
void timer_free(struct timer **t);
void timer_set(struct timer *t, int64_t after_ms); /* re-arms */
void timer_cancel(struct timer *t);
bool timer_is_set(const struct timer *t);

/* Calls fn in the loop when the signal arrives. Lives as long as the loop. */
void loop_on_signal(struct loop *l, int signo, void (*fn)(int signo, void *ctx),
    void *ctx);

/* Watches a descriptor that something else owns (libpq, c-ares, a pipe). Free
 * it before the descriptor is closed. A descriptor that is both readable and
 * writable may be told in two calls. */
struct watch;
struct watch *watch_new(struct loop *l, int fd,
    void (*fn)(void *ctx, bool readable, bool writable), void *ctx);
void watch_free(struct watch **w);
void watch_set(struct watch *w, bool want_read, bool want_write);

#endif

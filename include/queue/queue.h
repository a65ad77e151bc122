/*
 * queue/queue.h - the schedule in Redis: jobs are hints, Postgres decides.
 *
 * The functions, keys and their contracts are drawn in queue/functions.lua.
 * Every call is asynchronous; a lost answer is repaired by sync and by the
 * walks, so callers may ignore failures unless they say otherwise.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "queue/lane.h"
#include "queue/member.h"

struct queue;
struct redis;
struct loop;

struct queue_ops {
	/* Redis is there (again): the caller syncs what it holds. */
	void (*connected)(void *ctx);
	/* A lane that somebody waited for has work. */
	void (*wake)(void *ctx, const struct queue_lane *lane);
};

/* url: "unix:/path" or "host:port". pools to listen on for wakes; may be 0.
 * ops may be NULL. Reconnects by itself with back-off. */
struct queue *queue_new(struct loop *l, const char *url, const int *pools,
    size_t pool_count, const struct queue_ops *ops, void *ctx);
/* Calls under way are forgotten: their callbacks never run. */
void queue_free(struct queue **q);
bool queue_is_connected(const struct queue *q);
/* For plain commands; borrowed. */
struct redis *queue_redis(struct queue *q);
/* Callbacks with this context are never called: for owners that go first. */
void queue_forget(struct queue *q, const void *ctx);

struct queue_job {
	struct queue_member member;
	int64_t delay_ms; /* enqueue, defer: 0 = ready now */
	double tag;	  /* lease: the fair tag */
};

/* err NULL: done. The callback may be NULL. count: jobs added, freed, ... */
typedef void queue_done(void *ctx, size_t count, const struct error *err);

void queue_enqueue(struct queue *q, const struct queue_lane *lane,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx);

struct queue_lease_result {
	const struct error *err; /* NULL: the rest is set */
	bool yield;		 /* ask again in 2 ms */
	size_t count;
	const struct queue_job *job; /* borrowed */
	int64_t next_due_ms;	     /* wall time of the head of later, or 0 */
};
typedef void queue_leased(void *ctx, const struct queue_lease_result *r);
/* n 0 only asks for the head of later. weight: of the worker's sources. */
void queue_lease(struct queue *q, const struct queue_lane *lane, int worker,
    size_t n, unsigned int weight, queue_leased *done, void *ctx);

void queue_ack(struct queue *q, const struct queue_lane *lane, int worker,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx);
void queue_defer(struct queue *q, const struct queue_lane *lane, int worker,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx);
/* Gives back what a dead worker held, at most max; count: how many. */
void queue_reap(struct queue *q, const struct queue_lane *lane, int dead,
    size_t max, queue_done *done, void *ctx);
/* The caller's held set in this lane is exactly these jobs; the result lists
 * those that another worker holds: forget them unless claimed. */
void queue_sync(struct queue *q, const struct queue_lane *lane, int worker,
    const struct queue_job *jobs, size_t n, queue_leased *others, void *ctx);
/* Takes a job out wherever it waits; count 0 when it is held, else 1. */
void queue_drop(struct queue *q, const struct queue_lane *lane,
    const struct queue_member *m, queue_done *done, void *ctx);

/* Own jobs wait for the end of a hold; unpark gives back at most max. */
void queue_park(struct queue *q, const struct queue_lane *lane, int worker,
    int hold, const struct queue_job *jobs, size_t n, queue_done *done,
    void *ctx);
void queue_unpark(struct queue *q, const struct queue_lane *lane, int hold,
    size_t max, queue_done *done, void *ctx);

/* For the keeper and the operator. ------------------------------------------
 */

/* Who holds jobs in this lane. */
typedef void queue_holders_got(void *ctx, const int *workers, size_t count,
    const struct error *err);
void queue_holders(struct queue *q, const struct queue_lane *lane,
    queue_holders_got *done, void *ctx);
/* For which holds jobs are parked in this lane. */
void queue_parked(struct queue *q, const struct queue_lane *lane,
    queue_holders_got *done, void *ctx);

/*
 * Whether the error is one of this lane alone, and for good: a key of it has
 * the wrong type (somebody else writes into this Redis). Other lanes go on;
 * once the key is deleted the old walk fills the lane again.
 */
bool queue_lane_is_broken(const struct error *err);

struct queue_lane_state {
	size_t ready, later, held, parked;
	struct slice mark; /* "" when nobody filled it */
	struct slice why;  /* "worker reason until", one per line; or "" */
};
typedef void queue_state_got(void *ctx, const struct queue_lane_state *state,
    const struct error *err);
void queue_state(struct queue *q, const struct queue_lane *lane,
    queue_state_got *done, void *ctx);
/* Says that this lane was filled while Redis had this run id. */
void queue_mark(struct queue *q, const struct queue_lane *lane,
    struct slice run_id, queue_done *done, void *ctx);
typedef void queue_run_id_got(void *ctx, struct slice run_id,
    const struct error *err);
void queue_run_id(struct queue *q, queue_run_id_got *done, void *ctx);
/* Why a worker does not ask this lane, and until when; text.len 0 clears. */
void queue_why(struct queue *q, const struct queue_lane *lane, int worker,
    struct slice text, int64_t until_ms, queue_done *done, void *ctx);

#endif

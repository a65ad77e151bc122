/*
 * giveback.h - gives back to the schedule the jobs that lanes keep under
 * numbers (of workers that hold them, of holds that they are parked for) which
 * are not in use any more.
 *
 * A step: begin -> ask every lane for its numbers -> the owner finds out which
 * are in use -> give back what is kept under the others.
 *
 * What is in use is found out after the lanes were asked: a number that comes
 * into use in between has nothing in the answers, so nothing is given back
 * against it.
 */
#ifndef GIVEBACK_H
#define GIVEBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "queue/queue.h"

struct shaping;
struct store_pool;

struct giveback_ops {
	/* queue_holders, or what is like it. */
	void (*list)(struct queue *q, const struct queue_lane *lane,
	    queue_holders_got *done, void *ctx);
	/* queue_reap, or what is like it. */
	void (*give)(struct queue *q, const struct queue_lane *lane, int number,
	    size_t max, queue_done *done, void *ctx);
	/* Ends in giveback_others or giveback_end. */
	void (*found)(void *ctx);
	/* Something went back; for the log. */
	void (*gave)(const struct queue_lane *lane, int number, size_t count);
};

struct giveback {
	struct queue *queue;
	const struct shaping *shaping;
	const struct giveback_ops *ops;
	void *ctx;
	bool is_busy, has_failed;
	struct giveback_question *question;
	size_t question_count, open;
	struct list kept;
	uint64_t given_back, steps, failures;
};

/* Everything is borrowed. */
void giveback_init(struct giveback *g, struct queue *q,
    const struct shaping *shaping, const struct giveback_ops *ops, void *ctx);
void giveback_fini(struct giveback *g);
/* Begins a step; false while one is under way. */
bool giveback_begin(struct giveback *g);
/* All lanes of these pools, and others besides. */
void giveback_ask(struct giveback *g, const struct store_pool *pool,
    size_t pool_count, const struct queue_lane *also, size_t also_count);
void giveback_others(struct giveback *g, const int *in_use, size_t count);
/* Ends the step early. */
void giveback_end(struct giveback *g, bool has_failed);

#endif

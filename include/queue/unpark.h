/*
 * queue/unpark.h - gives back to the schedule what is parked for holds that are
 * over: released, expired, or removed with their account.
 *
 * The command that releases a hold does it, so that it is done at once; the
 * keeper does it regularly, which covers a command that was killed, a worker
 * that parked by an old list, and holds that end by themselves.
 */
#ifndef QUEUE_UNPARK_H
#define QUEUE_UNPARK_H

#include <stdbool.h>
#include <stdint.h>

struct pg;
struct queue;
struct shaping;
struct unpark;

/* Everything is borrowed. */
struct unpark *unpark_new(struct pg *pg, struct queue *q,
    const struct shaping *shaping);
void unpark_free(struct unpark **u);
/*
 * Looks at all lanes of all pools. A step that is still under way makes the
 * call do nothing.
 */
void unpark_step(struct unpark *u);
bool unpark_is_busy(const struct unpark *u);

struct unpark_counts {
	uint64_t given_back, steps, failures;
};
struct unpark_counts unpark_counts(const struct unpark *u);

#endif

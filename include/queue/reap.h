/*
 * queue/reap.h - who is alive, and what the dead held.
 *
 * A keeper that has itself reached Postgres without a break for 30 s sets
 * workers dead that nobody has seen for 30 s, commits that, and then gives
 * back what they hold in every lane; so too what any number holds that is
 * dead or unknown.
 */
#ifndef QUEUE_REAP_H
#define QUEUE_REAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/lane.h"

struct pg;
struct queue;
struct reap;
struct shaping;

/* Everything is borrowed. */
struct reap *reap_new(struct pg *pg, struct queue *q,
    const struct shaping *shaping);
void reap_free(struct reap **r);
/* Duty, every 5 s: liveness, then holders of all lanes of all pools. A step
 * that is still under way makes the next call do nothing. */
void reap_step(struct reap *r);
/* From now on this lane, too: one that the shaping does not know any more, and
 * in which dead workers may hold jobs. */
void reap_also(struct reap *r, const struct queue_lane *lane);
/* Whether a step is under way (for tests). */
bool reap_is_busy(const struct reap *r);

struct reap_counts {
	uint64_t died, given_back, steps, failures;
};
struct reap_counts reap_counts(const struct reap *r);

/*
 * Gives back what one worker held, in all lanes of a pool: for a successor in
 * the slot that knows its predecessor is gone. Fire and forget; the keeper does
 * it again if it fails.
 */
void reap_worker(struct queue *q, const struct shaping *shaping, int pool,
    int dead);

#endif

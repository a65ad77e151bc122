/*
 * queue/walk.h - the reconciler: sends unfinished recipients through enqueue,
 * which skips those that have a job. Enqueue is the check; nobody looks for
 * "recipients without a job" in SQL.
 *
 * Young walk: ids that have become WALK_YOUNG_MS old since the last step.
 * Covers a crash between commit and push, and every Redis outage, because its
 * cursor moves only after Redis has answered. Old walk: all unfinished ids,
 * round after round, at most WALK_OLD_RATE a second; at full speed after
 * Redis was found empty, another, or older. It also finds what is past its
 * max age or cancelled, and leased by nobody, and what is in a lane that is no
 * more (the shaping changed): it goes to the lane of today.
 */
#ifndef QUEUE_WALK_H
#define QUEUE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "queue/lane.h"
#include "store/walks.h"

struct loop;
struct pg;
struct queue;
struct rules;
struct shaping;
struct walk;

#define WALK_YOUNG_MS 10000
#define WALK_OLD_RATE 2000		     /* ids a second */
#define WALK_SCHEDULED_AHEAD_MS (10 * 60000) /* no job before that */

/* What is to be ended. */
struct walk_over {
	const struct store_unfinished *row;
	int cancel; /* number of the rule; 0: it is past its max age */
};

struct walk_ops {
	/*
	 * These are past expires_at, or cancelled, and had no job, or it was
	 * dropped: the owner claims them (anyway) and finishes them. over and
	 * its rows are borrowed for the call, and in the order of their ids.
	 * Told again in the next round if that fails.
	 */
	void (*expired)(void *ctx, const struct walk_over *over, size_t n);
	/* Recipients are in a lane that the shaping does not know (any more):
	 * they are moved, except jobs that somebody holds. May be NULL. */
	void (*strange_lane)(void *ctx, const struct queue_lane *lane);
};

/* pg, queue and shaping are borrowed. ops may be NULL (expired ones then
 * stay). */
struct walk *walk_new(struct loop *l, struct pg *pg, struct queue *q,
    const struct shaping *shaping, const struct walk_ops *ops, void *ctx);
/* What these cancel is told, too. Borrowed. */
void walk_set_rules(struct walk *w, const struct rules *rules);
/* Cancels what is under way. */
void walk_free(struct walk **w);

/* Duties; a step that is still under way makes the next call do nothing. */
void walk_young(struct walk *w); /* every second */
void walk_old(struct walk *w);	 /* every 250 ms */
/*
 * Every 5 s: asks Redis for its run id and the marks of the lanes. A lane
 * whose mark is not that run id is one that we have not filled: the old walk
 * starts over at full speed, and sets the marks when it has gone through.
 */
void walk_check_redis(struct walk *w);
/* Starts the old walk over, at full speed for one round. */
void walk_restart(struct walk *w);
/* Whether that round is still going on. */
bool walk_is_filling(const struct walk *w);

/* How much was done since the start, for logs and tests. */
struct walk_counts {
	uint64_t young_seen, old_seen, added, expired, moved, rounds, failures;
	uint64_t refused; /* sent to a lane that is broken */
};
struct walk_counts walk_counts(const struct walk *w);

#endif

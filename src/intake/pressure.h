/*
 * pressure.h - whether the queue has room for more. Pure.
 *
 * What is known of the queue is its depth when it was last counted, and what
 * this process has added since: so it is bounded also while Redis is away. What
 * was let in and waits for its commit counts, too: however many come at once,
 * each has its place.
 * The last tenth of it is kept for transactional mail: a campaign may not
 * lock out a password reset.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pressure {
	size_t max;	      /* recipients; 0: no bound */
	size_t depth;	      /* last counted */
	size_t added;	      /* since that question, by this process */
	size_t in_question;   /* of those, before the question under way */
	size_t entering;      /* let in, and not committed yet */
	double drained_per_s; /* while nothing was added; 0: not known */
	int64_t counted_ms;   /* 0: never */
};

void pressure_asked(struct pressure *p);
/* now_ms: any clock that only goes forward. */
void pressure_counted(struct pressure *p, size_t depth, int64_t now_ms);
/* Let in; each time followed by left, and by added when they are committed. */
void pressure_enter(struct pressure *p, size_t recipients);
void pressure_left(struct pressure *p, size_t recipients);
void pressure_added(struct pressure *p, size_t recipients);
/* Recipients that take up room. */
size_t pressure_used(const struct pressure *p);
bool pressure_has_room(const struct pressure *p, size_t recipients,
    bool transactional);
/* Seconds until there may be room, 1 to 60. */
unsigned int pressure_retry_after_s(const struct pressure *p,
    bool transactional);

#endif

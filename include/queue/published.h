/*
 * queue/published.h - what the mta processes tell of themselves while somebody
 * asks: a key "state:<worker>" in Redis, with an end, written every two seconds
 * while there is a key "state:asked".
 *
 * The value is a JSON object: worker, at (ms since 1970), and destinations, the
 * busiest first, each with site, source, waiting, claimed, connections, rate
 * (mails a second), ceiling_per_hour (by the limits; 0: none), resting_until
 * (ms, or 0) and last_failure.
 */
#ifndef QUEUE_PUBLISHED_H
#define QUEUE_PUBLISHED_H

#include "store/redis.h"

#define PUBLISH_EVERY_MS 2000
#define PUBLISHED_DESTINATIONS 200

struct queue;

/*
 * Failures are ignored: it is asked again. done is not called when the queue
 * goes before the answer.
 */
void published_ask(struct queue *q); /* for the next ten seconds */
/* The answer is an integer: 1 when somebody asks. */
void published_look(struct queue *q, redis_done *done, void *ctx);
void published_write(struct queue *q, int worker, struct slice json);
/* The answer is text, or none when it has told nothing lately. */
void published_read(struct queue *q, int worker, redis_done *done, void *ctx);

#endif

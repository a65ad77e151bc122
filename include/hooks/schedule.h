/* hooks/schedule.h - when a webhook is tried again. Pure. */
#ifndef HOOKS_SCHEDULE_H
#define HOOKS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* At once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h: the last try
 * is more than 27 hours after the first. */
#define HOOKS_TRIES_MAX 8

/* Any 2xx. What redirects is not followed, and has failed. */
bool hooks_status_is_success(int status);
/*
 * tries: how many have failed so far, this one included. Returns the pause
 * before the next one, or -1 when it is over. Up to a tenth is added, taken
 * from spread (any number, the same for the same delivery), so that an
 * endpoint that was away is not asked for everything in the same moment.
 */
int64_t hooks_retry_after_ms(int tries, uint64_t spread);

#endif

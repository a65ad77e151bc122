/*
 * delivery/quota.h - daily limits: of a source for all its mail, and for a
 * provider. Units come in blocks from Postgres (store/quota.h), half a block
 * ahead of need; one is spent before MAIL FROM is written.
 *
 * A block dies with its UTC day. What is left goes back when the source is
 * given up; what a killed process had in hand stands in its slot file. With
 * that lost it is forfeited: at most one block of each limit, a two-hundredth
 * of it.
 */
#ifndef DELIVERY_QUOTA_H
#define DELIVERY_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dest;
struct job;
struct mta;
struct quota;
struct source;

#define QUOTAS_MAX 2 /* of a destination: of all mail, and of its provider */

void quotas_init(struct mta *m);
void quotas_fini(struct mta *m);
/* Once a second: days end, limits that are used up are looked at again. */
void quotas_tick(struct mta *m);
/* The sources changed: their limits, or which are ours. */
void quotas_update(struct mta *m);
/* Gives back all that is left: nothing more will be sent. */
void quotas_return(struct mta *m);

/* A destination joins and leaves its limits. */
void quotas_join(struct dest *d);
void quotas_leave(struct dest *d);

/* How many mails may begin with what is in hand. 0: there is work for the
 * destination when that changes. */
size_t quotas_left(struct dest *d);
/* The job's MAIL FROM will be written; it was not written after all. */
void quotas_spend(struct job *j);
void quotas_give_back(struct job *j);
/* 0: there is something left of the day, or nobody knows yet; else for how
 * long there is not. */
int64_t quotas_used_up_ms(const struct dest *d);
/* The same of a source with a provider (-1: none). */
bool quota_is_used_up(const struct mta *m, const struct source *s,
    int provider);

/* What a source has left of the day for a provider (-1: none). */
struct quota_room {
	size_t now;	  /* less what waits already */
	int64_t again_us; /* it is used up, and looked at again then; or 0 */
	/* Wall time: the day ends, at 00:00 UTC; 0: there is no limit. */
	int64_t until_ms;
};
struct quota_room quota_room(const struct mta *m, const struct source *s,
    int provider);
/* A job waits in the destination (+1), or does not any more (-1). */
void quotas_wait(struct dest *d, int change);
/*
 * Once a second. What waits where nothing has begun for some seconds, because
 * of a limit or because the host is slow, holds nothing of the day: others
 * may be leased for it, and whoever comes first has the last unit.
 */
void quotas_look(struct dest *d);

#endif

/*
 * store/partitions.h - the days of the tables that grow with mail, and what
 * expires elsewhere. Duties of the keeper; each call is short and may be
 * repeated.
 */
#ifndef STORE_PARTITIONS_H
#define STORE_PARTITIONS_H

#include "store/pg.h"

#define STORE_DAYS_AHEAD 8

/* count: partitions made or dropped, rows removed. */
typedef void store_counted(void *ctx, size_t count, const struct error *err);

/* Whether a statement failed because it would write into a day that has no
 * partition: a clock was set ahead, or the keeper's is behind ours. */
bool store_day_is_missing(const struct error *err);

/* Makes those of yesterday to STORE_DAYS_AHEAD that are missing. */
struct pg_tx *store_partitions_make(struct pg *pg, int64_t now_ms,
    store_counted *done, void *ctx);

struct store_retention {
	int mail_days;	    /* emails, recipients, attempts, events, hooks */
	int content_days;   /* email_contents */
	int return_days;    /* returns */
	int simulator_days; /* simulator_mails */
};
/*
 * Drops days older than that. A day with an unfinished recipient, a webhook
 * delivery that is due, or a return not processed keeps all it needs. Gives
 * up on a lock after 2 s: the next call tries again.
 */
struct pg_tx *store_partitions_drop(struct pg *pg, int64_t now_ms,
    const struct store_retention *keep, store_counted *done, void *ctx);

/* Days since 1970 that have partitions of emails: first and last. */
typedef void store_days_got(void *ctx, int first, int last,
    const struct error *err);
struct pg_tx *store_partitions_days(struct pg *pg, store_days_got *done,
    void *ctx);

/* Removes at most limit idempotency records that have expired. */
struct pg_tx *store_idempotency_trim(struct pg *pg, int64_t now_ms,
    size_t limit, store_counted *done, void *ctx);

#endif

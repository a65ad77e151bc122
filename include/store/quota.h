/*
 * store/quota.h - blocks of a daily limit. The database hands them out to the
 * owner of a source and never more than the limit in a UTC day (its own day,
 * shifted by the test clock).
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include "store/pg.h"

struct store_quota {
	int day;	 /* since 1970-01-01 */
	int granted;	 /* of what was asked; 0: the day's limit is reached */
	int taken;	 /* of the day, this block included */
	int64_t left_ms; /* until the day is over, counted from the asking */
};
/* quota NULL without err: the source is not the worker's (any more). */
typedef void store_quota_got(void *ctx, const struct store_quota *quota,
    const struct error *err);

/* provider "": all mail of the source. */
struct pg_tx *store_quota_take(struct pg *pg, int worker, int source,
    struct slice provider, int cap, int want, store_quota_got *done, void *ctx);
/* Gives back what was not used of a block of that day. */
struct pg_tx *store_quota_return(struct pg *pg, int worker, int source,
    struct slice provider, int day, int unused, store_done *done, void *ctx);

/* What was handed out today; what an owner has of it in hand is included. */
struct store_quota_use {
	int source;
	struct slice provider; /* "": all mail of the source */
	int taken;
};
typedef void store_quota_uses_got(void *ctx, const struct store_quota_use *use,
    size_t count, const struct error *err);
struct pg_tx *store_quota_list(struct pg *pg, store_quota_uses_got *done,
    void *ctx);

#endif

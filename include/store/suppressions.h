/* store/suppressions.h - addresses that must not be contacted. */
#ifndef STORE_SUPPRESSIONS_H
#define STORE_SUPPRESSIONS_H

#include "store/pg.h"

struct store_suppression {
	struct id id;
	int account;
	struct slice address; /* lower case (mail_address_add_key) */
	int scope;	      /* a stream, or -1: all */
	struct slice origin;  /* "bounce", "complaint", "manual" */
	struct slice reason;
	struct id recipient;		      /* zero: none */
	int64_t created_at_ms, expires_at_ms; /* expires 0: never */
};
typedef void store_suppression_got(void *ctx,
    const struct store_suppression *row, size_t count, bool has_more,
    const struct error *err);

/* Adds; one that exists is kept, made endless when this one is. Gets the row
 * as it now is. */
struct pg_tx *store_suppression_add(struct pg *pg,
    const struct store_suppression *row, store_suppression_got *done,
    void *ctx);
/* By address or id, whichever is set; expired ones are not found. */
struct pg_tx *store_suppression_find(struct pg *pg, int account,
    struct slice address, struct id id, int64_t now_ms,
    store_suppression_got *done, void *ctx);
/* Newest first; origin.len 0: all; cursors as in store_email_list. */
struct pg_tx *store_suppression_list(struct pg *pg, int account,
    struct slice origin, size_t limit, struct id after, struct id before,
    int64_t now_ms, store_suppression_got *done, void *ctx);
struct pg_tx *store_suppression_remove(struct pg *pg, int account,
    struct slice address, struct id id, store_suppression_got *done, void *ctx);
/* Removes at most limit that have expired; done with the count in count. */
struct pg_tx *store_suppression_trim(struct pg *pg, int64_t now_ms,
    size_t limit, store_done *done, void *ctx);

#endif

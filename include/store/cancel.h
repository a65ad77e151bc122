/* store/cancel.h - ends what is left of one email without sending it. */
#ifndef STORE_CANCEL_H
#define STORE_CANCEL_H

#include "store/pg.h"

struct store_cancel {
	int account;
	struct id email;
	int64_t now_ms;
	struct slice data; /* of the event */
};

/* A recipient that is canceled now, and where its job may be. */
struct store_canceled {
	struct id id;
	int pool;
	struct slice lane;
	uint32_t flow;
	uint8_t flags;
};

struct store_cancel_result {
	const struct store_canceled *now;
	size_t now_count;
	size_t total; /* recipients */
	size_t open;  /* of them not finished: claimed by somebody */
	size_t canceled;
};

/* ERR_NOTFOUND: no such email in this account. */
typedef void store_cancel_got(void *ctx, const struct store_cancel_result *r,
    const struct error *err);
/*
 * One transaction: whatever is unfinished and has no open claim is claimed and
 * becomes canceled, with its event and its webhooks. data is copied. May be
 * repeated.
 */
struct pg_tx *store_cancel_email(struct pg *pg, const struct store_cancel *c,
    store_cancel_got *done, void *ctx);

#endif

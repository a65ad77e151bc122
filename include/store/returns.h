/* store/returns.h - mail that came back, kept before its 250. */
#ifndef STORE_RETURNS_H
#define STORE_RETURNS_H

#include "store/pg.h"

struct store_return {
	struct id id; /* id_new */
	struct slice mail_from, rcpt_to;
	struct id recipient; /* from a token that verified, or zero */
	struct slice peer;
	struct slice raw;
	int tries; /* claim: times it was taken, this one included */
};

/* One transaction for all (a mail to several RCPTs is one row each). */
struct pg_tx *store_return_add(struct pg *pg, int64_t now_ms,
    const struct store_return *rows, size_t n, store_done *done, void *ctx);

typedef void store_return_got(void *ctx, const struct store_return *row,
    size_t count, const struct error *err);
/* Takes at most limit that are due, oldest first, for lease_ms. */
struct pg_tx *store_return_claim(struct pg *pg, int64_t now_ms,
    int64_t lease_ms, size_t limit, store_return_got *done, void *ctx);

struct store_return_result {
	struct id id;
	struct slice kind;   /* "failed", "delayed", "none", ... */
	struct slice detail; /* for people; ptr NULL: none */
	int64_t again_at_ms; /* 0: over */
};
struct pg_tx *store_return_finish(struct pg *pg, int64_t now_ms,
    const struct store_return_result *results, size_t n, store_done *done,
    void *ctx);

#endif

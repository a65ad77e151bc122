/* store/accounts.h - tenants, and which pool and weight their streams have. */
#ifndef STORE_ACCOUNTS_H
#define STORE_ACCOUNTS_H

#include "store/pg.h"

enum store_stream {
	STORE_TRANSACTIONAL = 0,
	STORE_BROADCAST = 1,
};
#define STORE_STREAMS 2

struct store_account {
	int number;
	struct id id;
	struct slice name; /* borrowed for the callback, as all slices here */
	int suppressed_answer; /* 422 or 200 */
	int weight_log2;
	int64_t created_at_ms;
	struct slice pool[STORE_STREAMS]; /* ptr NULL: the first one */
};

struct store_account_change {
	int suppressed_answer; /* 422 or 200; 0: as it is */
	int weight_log2;       /* 0 to 7; -1: as it is */
};

typedef void store_account_got(void *ctx, const struct store_account *account,
    size_t count, const struct error *err);

/* id of the caller's making. ERR_CONFLICT: the name is taken. */
struct pg_tx *store_account_add(struct pg *pg, struct id id, struct slice name,
    int64_t now_ms, store_account_got *done, void *ctx);
/* name_or_id in any written form; ERR_NOTFOUND. */
struct pg_tx *store_account_find(struct pg *pg, struct slice name_or_id,
    store_account_got *done, void *ctx);
struct pg_tx *store_account_list(struct pg *pg, store_account_got *done,
    void *ctx);
struct pg_tx *store_account_set(struct pg *pg, int number,
    const struct store_account_change *change, store_done *done, void *ctx);
/* Mail of that stream leaves by the pool from now on. ERR_NOTFOUND: no pool of
 * that name. */
struct pg_tx *store_account_set_pool(struct pg *pg, int number,
    enum store_stream stream, struct slice pool, store_done *done, void *ctx);
/* What goes with it (store/removals.h). */
struct store_account_holdings {
	int64_t domains, keys, webhooks, suppressions;
};
typedef void store_account_holdings_got(void *ctx,
    const struct store_account_holdings *held, size_t count,
    const struct error *err);
struct pg_tx *store_account_count(struct pg *pg, int number,
    store_account_holdings_got *done, void *ctx);

#endif

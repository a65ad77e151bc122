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
/* suppressed_answer 200 or 422. */
struct pg_tx *store_account_set_answer(struct pg *pg, int number,
    int suppressed_answer, store_done *done, void *ctx);
/* With its domains, keys, webhooks and suppressions; its mail stays. */
struct pg_tx *store_account_remove(struct pg *pg, int number, store_done *done,
    void *ctx);

#endif

/* store/keys.h - API keys: only their SHA-256 is kept. */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "store/accounts.h"

struct store_key {
	struct id id;
	int account;
	struct slice name;
	struct slice prefix; /* what lists show */
	bool sending_only;
	int domain; /* number of the only domain it may send for, or 0 */
	int64_t created_at_ms, last_used_at_ms;
};

/* What a request with this key may do: all that intake needs, in one read. */
struct store_key_auth {
	struct store_key key;
	struct store_account account;
	/* Per stream; weight_log2 includes the account's. */
	struct {
		int pool;
		int weight_log2;
	} stream[STORE_STREAMS];
};

typedef void store_key_auth_got(void *ctx, const struct store_key_auth *auth,
    const struct error *err);
/* hash: SHA-256 of the key's text. ERR_NOTFOUND. */
struct pg_tx *store_key_find(struct pg *pg, const uint8_t hash[32],
    store_key_auth_got *done, void *ctx);
/* Sets last_used_at; callers do so at most once a minute per key. */
struct pg_tx *store_key_touch(struct pg *pg, struct id id, int64_t now_ms,
    store_done *done, void *ctx);

struct pg_tx *store_key_add(struct pg *pg, const struct store_key *key,
    const uint8_t hash[32], store_done *done, void *ctx);
typedef void store_key_got(void *ctx, const struct store_key *key, size_t count,
    const struct error *err);
/* account 0: of all. */
struct pg_tx *store_key_list(struct pg *pg, int account, store_key_got *done,
    void *ctx);
struct pg_tx *store_key_remove(struct pg *pg, int account, struct id id,
    store_done *done, void *ctx);

#endif

/* store/domains.h - sending domains and their DKIM keys. */
#ifndef STORE_DOMAINS_H
#define STORE_DOMAINS_H

#include "store/pg.h"

struct store_domain {
	int number;
	struct id id;
	int account;
	struct slice name;	       /* A-labels, lower case */
	struct slice return_path_host; /* in full */
	struct slice status; /* "not_started", "pending", "verified", ... */
	bool verified;
	struct slice checks; /* JSON array: what was found per record */
	int64_t checked_at_ms, created_at_ms;
};

typedef void store_domain_got(void *ctx, const struct store_domain *domain,
    size_t count, const struct error *err);

/* A DKIM key. private_key: sealed, bound to "dkim_keys.private_key:<id>". */
struct store_dkim_key {
	struct id id;
	int domain;
	struct slice selector;
	struct slice algorithm; /* "rsa-sha256" */
	struct slice private_key;
	struct slice public_txt; /* value of its TXT record */
	int64_t created_at_ms;
};

/*
 * Adds a domain (number is given by the database) with its first key.
 * ERR_CONFLICT: somebody has that name.
 */
struct pg_tx *store_domain_add(struct pg *pg, const struct store_domain *domain,
    const struct store_dkim_key *key, store_domain_got *done, void *ctx);
/* account 0: any. ERR_NOTFOUND. */
struct pg_tx *store_domain_find_name(struct pg *pg, int account,
    struct slice name, store_domain_got *done, void *ctx);
struct pg_tx *store_domain_find_id(struct pg *pg, int account, struct id id,
    store_domain_got *done, void *ctx);
struct pg_tx *store_domain_find_number(struct pg *pg, int number,
    store_domain_got *done, void *ctx);
/* account 0: all. Oldest first. */
struct pg_tx *store_domain_list(struct pg *pg, int account,
    store_domain_got *done, void *ctx);
struct pg_tx *store_domain_set_checks(struct pg *pg, int number,
    struct slice status, struct slice checks_json, int64_t now_ms,
    store_done *done, void *ctx);
/* What goes with it (store/removals.h). */
struct store_domain_holdings {
	int64_t dkim_keys, api_keys;
};
typedef void store_domain_holdings_got(void *ctx,
    const struct store_domain_holdings *held, size_t count,
    const struct error *err);
struct pg_tx *store_domain_count(struct pg *pg, int number,
    store_domain_holdings_got *done, void *ctx);

typedef void store_dkim_key_got(void *ctx, const struct store_dkim_key *key,
    size_t count, const struct error *err);
/* Active keys of a domain, newest first; ERR_NOTFOUND when it has none. */
struct pg_tx *store_dkim_key_list(struct pg *pg, int domain,
    store_dkim_key_got *done, void *ctx);
/* Another key; older ones stay published but no longer sign. */
struct pg_tx *store_dkim_key_add(struct pg *pg,
    const struct store_dkim_key *key, store_done *done, void *ctx);

#endif

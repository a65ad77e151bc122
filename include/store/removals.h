/* store/removals.h - accounts and domains that go, unless their mail waits. */
#ifndef STORE_REMOVALS_H
#define STORE_REMOVALS_H

#include "store/pg.h"

#define STORE_WAITING_MOST 100000 /* or more */

/* waiting: so many recipients are unfinished, and nothing was removed; with 0
 * it is gone. */
typedef void store_removed(void *ctx, int64_t waiting, const struct error *err);

/* With its domains, keys, webhooks and suppressions; its mail stays.
 * ERR_NOTFOUND. */
struct pg_tx *store_account_remove(struct pg *pg, int number,
    store_removed *done, void *ctx);
/* With its DKIM keys and the API keys that are for it alone. ERR_NOTFOUND: the
 * account has no such domain. */
struct pg_tx *store_domain_remove(struct pg *pg, int account, int number,
    store_removed *done, void *ctx);

#endif

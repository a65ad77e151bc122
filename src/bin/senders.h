/*
 * bin/senders.h - which addresses the mail of an account leaves by, and whose
 * SPF records must name one.
 */
#ifndef BIN_SENDERS_H
#define BIN_SENDERS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "model/id.h"
#include "store/accounts.h"

struct session;

struct senders_source {
	struct id id;
	struct slice address, pool;
};

struct senders_account {
	int number;
	struct slice pool[STORE_STREAMS];
};

struct senders {
	struct arena arena;
	struct session *s;
	struct slice first_pool; /* of accounts that name none */
	size_t source_count, account_count;
	struct senders_source *source; /* those that are enabled */
	struct senders_account *account;
};

/* Accounts, pools and sources as they are now. */
void senders_read(struct senders *w, struct session *s);
void senders_fini(struct senders *w);
/* Puts the addresses of the sources in the account's pools, at most max, into
 * out (borrowed); returns how many. */
size_t senders_of(const struct senders *w, int account, struct slice *out,
    size_t max);

/* Whether that is a source's id or address. */
bool senders_is(struct slice id_or_address, struct id id, struct slice address);

/*
 * On standard error, for people who have just let mail leave by other
 * addresses: the SPF records that must name them, and the terms to add. Of
 * verified domains, as far as what the last look at DNS found lacks them.
 * id_or_address: of one source, NULL: all; account 0: all.
 */
void senders_warn_spf(struct session *s, const char *id_or_address,
    int account);

#endif

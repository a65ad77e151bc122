/* intake/domains.c - which domains an account may send for. */
#include "intake_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/domains.h"

#define DOMAINS_MAX 20000

/* Key of the cache: the account's number, four octets, then the name. */
#define DOMAIN_KEY_MAX (sizeof(int32_t) + MAIL_DOMAIN_MAX)

static struct intake_domain *
domain_of(const struct store_domain *row)
{
	struct intake_domain *d = xmalloc(sizeof(*d));

	d->number = row->number;
	d->verified = row->verified;
	(void)snprintf(d->status, sizeof(d->status), "%.*s",
	    SLICE_FMT(row->status));
	return d;
}

static void
domain_found(void *ctx, const struct store_domain *row, size_t count,
    const struct error *err)
{
	struct cache_entry *e = ctx;

	*cache_entry_handle(e) = NULL;
	if (err != NULL && err->kind != ERR_NOTFOUND)
		cache_failed(e, err);
	else if (err != NULL || count == 0)
		cache_known(e, NULL, clock_now_ms());
	else
		cache_known(e, domain_of(row), clock_now_ms());
}

static void
domain_ask(void *ctx, struct cache_entry *e, struct slice key)
{
	struct intake *in = ctx;
	int32_t account;

	OBJ_CHECK(in, INTAKE_MAGIC);
	memcpy(&account, key.ptr, sizeof(account));
	*cache_entry_handle(e) = store_domain_find_name(in->side, account,
	    slice_from(key, sizeof(account)), domain_found, e);
}

static void
domain_forget(void *ctx, struct cache_entry *e)
{
	struct pg_tx *tx = *cache_entry_handle(e);

	(void)ctx;
	pg_tx_cancel(&tx);
}

void
intake_domains_init(struct intake *in)
{
	static const struct cache_ops ops = { domain_ask, domain_forget };

	in->domains = cache_new(DOMAINS_MAX, in->limits.cache_ttl_ms, &ops, in);
}

void
intake_domain_find(struct intake *in, int account, struct slice name,
    struct cache_waiter *w, cache_answer *answer, void *ctx)
{
	char key[DOMAIN_KEY_MAX];
	int32_t number = account;

	invariant(name.len <= MAIL_DOMAIN_MAX); /* by its parser */
	memcpy(key, &number, sizeof(number));
	memcpy(key + sizeof(number), name.ptr, name.len);
	cache_find(in->domains, slice_mem(key, sizeof(number) + name.len),
	    clock_now_ms(), w, answer, ctx);
}

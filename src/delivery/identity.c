/*
 * What a sending domain signs with: its name, return-path host and DKIM key,
 * parsed once and looked up again every minute (keys rotate, domains lose
 * their verification). While a second look is under way the old answer serves.
 */
#include "delivery/delivery_priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/domains.h"

#define FRESH_MS 60000
#define FAILED_MS 5000 /* Postgres did not answer: soon again */
#define FORGET_MS (10 * 60 * 1000)

void
identities_init(struct mta *m)
{
	m->identities = hash_new();
}

static void
identity_free(struct identity *i)
{
	pg_tx_cancel(&i->loading);
	dkim_key_free(&i->key);
	free(i);
}

static bool
fini_one(void *ctx, struct slice key, void *value)
{
	(void)ctx;
	(void)key;
	identity_free(value);
	return true;
}

void
identities_fini(struct mta *m)
{
	if (m->identities == NULL)
		return;
	hash_each(m->identities, fini_one, NULL);
	hash_free(&m->identities);
}

static void
loaded(struct identity *i, bool usable)
{
	struct list *node;

	i->loading = NULL;
	i->is_loaded = true;
	i->usable = usable;
	i->loaded_at_mono_ms = loop_mono_ms(i->mta->opt.loop);
	while ((node = list_pop(&i->jobs)) != NULL)
		job_identified(list_entry(node, struct job, node));
}

/* Postgres is away: nobody knows whether the domain may send. */
static void
wait_for_store(struct identity *i)
{
	struct list *node;

	i->loading = NULL;
	while ((node = list_pop(&i->jobs)) != NULL)
		lane_defer(list_entry(node, struct job, node), 1000);
}

static void
load_failed(struct identity *i, const char *what, const struct error *err)
{
	bool is_away = err->kind == ERR_STORE || err->kind == ERR_TIMEOUT;

	log_warn(&i->mta->log, "identity.failed", log_int("domain", i->domain),
	    log_text("what", what), log_err(err));
	if (is_away && !i->is_loaded) {
		wait_for_store(i);
		return;
	}
	/* What was known still holds when only Postgres is away. */
	if (!is_away) {
		snprintf(i->why_not, sizeof(i->why_not),
		    "the sending domain cannot sign: %.120s", err->text);
		i->usable = false;
	}
	loaded(i, i->usable);
	i->loaded_at_mono_ms -= FRESH_MS - FAILED_MS;
}

static int
open_key(struct identity *i, const struct store_dkim_key *row,
    struct dkim_key **out, struct error *err)
{
	struct mta *m = i->mta;
	struct strbuf pem = STRBUF_INIT;
	char where[64], selector[256];
	int rc;

	snprintf(where, sizeof(where), "dkim_keys.private_key:%s",
	    id_text(row->id).s);
	snprintf(selector, sizeof(selector), "%.*s", SLICE_FMT(row->selector));
	rc = crypto_open(m->opt.ring, slice_of(where), row->private_key, &pem,
	    err);
	if (rc == 0)
		rc = dkim_key_new(m->signer, strbuf_slice(&pem), i->name,
		    selector, out, err);
	mem_wipe_free(pem.ptr, pem.cap);
	return rc;
}

static void
on_keys(void *ctx, const struct store_dkim_key *row, size_t count,
    const struct error *err)
{
	struct identity *i = ctx;
	struct dkim_key *key = NULL;
	struct error why = { 0 };

	if (err == NULL && count == 0) {
		error_set(&why, ERR_NOTFOUND, "the domain has no active key");
		err = &why;
	}
	if (err == NULL && open_key(i, &row[0], &key, &why) == -1)
		err = &why;
	if (err != NULL) {
		load_failed(i, "dkim key", err);
		return;
	}
	dkim_key_free(&i->key);
	i->key = key;
	loaded(i, true);
}

static void
on_domain(void *ctx, const struct store_domain *row, size_t count,
    const struct error *err)
{
	struct identity *i = ctx;
	struct error why = { 0 };

	if (err == NULL && (count == 0 || !row->verified)) {
		error_set(&why, ERR_DENIED,
		    count == 0 ? "the domain was removed"
			       : "the domain is not verified");
		err = &why;
	}
	if (err != NULL) {
		load_failed(i, "domain", err);
		return;
	}
	snprintf(i->name, sizeof(i->name), "%.*s", SLICE_FMT(row->name));
	snprintf(i->return_path_host, sizeof(i->return_path_host), "%.*s",
	    SLICE_FMT(row->return_path_host));
	i->loading = store_dkim_key_list(i->mta->opt.pg, i->domain, on_keys, i);
}

static struct identity *
find_or_make(struct mta *m, int domain)
{
	struct slice key = slice_mem(&domain, sizeof(domain));
	struct identity *i = hash_find(m->identities, key);

	if (i == NULL) {
		i = xmalloc(sizeof(*i));
		i->mta = m;
		i->domain = domain;
		list_init(&i->jobs);
		hash_put(m->identities, key, i);
	}
	return i;
}

struct identity *
identity_get(struct mta *m, int domain)
{
	struct identity *i = find_or_make(m, domain);
	int64_t now = loop_mono_ms(m->opt.loop);
	int64_t age = now - i->loaded_at_mono_ms;

	i->used_at_mono_ms = now;
	if (i->loading == NULL && (!i->is_loaded || age > FRESH_MS))
		i->loading =
		    store_domain_find_number(m->opt.pg, domain, on_domain, i);
	return i->is_loaded ? i : NULL;
}

void
identity_wait(struct job *j)
{
	struct identity *i = find_or_make(j->mta, j->domain);

	j->state = JOB_ROUTING;
	list_append(&i->jobs, &j->node);
}

static bool
tick_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct identity *i = value;

	list_each_safe (node, &i->jobs) {
		struct job *j = list_entry(node, struct job, node);

		if (j->expires_at_ms <= clock_now_ms())
			job_expired(j);
	}
	if (i->loading == NULL && list_is_empty(&i->jobs) &&
	    loop_mono_ms(m->opt.loop) - i->used_at_mono_ms > FORGET_MS) {
		hash_remove(m->identities, key);
		identity_free(i);
	}
	return true;
}

void
identities_tick(struct mta *m)
{
	hash_each(m->identities, tick_one, m);
}

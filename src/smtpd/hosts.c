/*
 * The hosts whose postmaster and abuse we are: names and return-path hosts of
 * all domains. Read whole once a minute; a list that could not be read keeps
 * the one before.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "smtpd/smtpd_priv.h"
#include "store/domains.h"

#define REFRESH_MS 60000
#define RETRY_MS 2000

struct smtpd_hosts {
	struct loop *loop;
	struct pg *pg;
	struct pg_tx *reading;
	struct timer *timer;
	struct hash *names; /* NULL until they were read once */
};

/* A hash wants values; that there is one says it all. */
static char here;

static void
got_domains(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct smtpd_hosts *h = ctx;

	h->reading = NULL;
	if (err != NULL) {
		log_debug(NULL, "smtpd.hosts", log_err(err));
		timer_set(h->timer, RETRY_MS);
		return;
	}
	hash_free(&h->names);
	h->names = hash_new();
	for (size_t i = 0; i < count; i++) {
		hash_put(h->names, domain[i].name, &here);
		hash_put(h->names, domain[i].return_path_host, &here);
	}
	timer_set(h->timer, REFRESH_MS);
}

static void
read_domains(void *ctx)
{
	struct smtpd_hosts *h = ctx;

	h->reading = store_domain_list(h->pg, 0, got_domains, h);
}

struct smtpd_hosts *
smtpd_hosts_new(struct loop *l, struct pg *pg)
{
	struct smtpd_hosts *h = xmalloc(sizeof(*h));

	h->loop = l;
	h->pg = pg;
	h->timer = timer_new(l, read_domains, h);
	read_domains(h);
	return h;
}

void
smtpd_hosts_free(struct smtpd_hosts **h)
{
	if (*h == NULL)
		return;
	pg_tx_cancel(&(*h)->reading);
	timer_free(&(*h)->timer);
	hash_free(&(*h)->names);
	free(*h);
	*h = NULL;
}

enum smtpd_host
smtpd_hosts_find(const struct smtpd_hosts *h, struct slice host)
{
	if (h->names == NULL)
		return SMTPD_HOST_UNKNOWN;
	return hash_find(h->names, host) != NULL ? SMTPD_HOST_OURS
						 : SMTPD_HOST_STRANGE;
}

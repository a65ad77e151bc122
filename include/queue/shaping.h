/*
 * queue/shaping.h - how much mail goes to whom: the providers, and the limits
 * of each and of single sites. Read from shaping.conf (etc/shaping.conf says
 * what stands there, and is built in as the default).
 *
 * Limits hold per source. A site is one set of MX hosts; a provider is several
 * sites that count as one, known by its own domains before DNS was asked (its
 * lane) and by the names of its hosts afterwards (its limits).
 */
#ifndef QUEUE_SHAPING_H
#define QUEUE_SHAPING_H

#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "base/slice.h"

struct shaping;

struct shaping_limits { /* 0: no limit */
	uint64_t site_connections;
	struct config_rate site_connection_rate, site_mail_rate;
	uint64_t connection_mails;
	uint64_t provider_connections;
	struct config_rate provider_connection_rate, provider_mail_rate;
	uint64_t provider_daily;
};

/*
 * From the file, or what is built in when path is "". ERR_CONFIG (with file
 * and line) or ERR_SYS: the first mistake; mistake, which may be NULL, is told
 * of each.
 */
int shaping_load(const char *path, config_mistake *mistake, void *ctx,
    struct shaping **out, struct error *err) MUST_CHECK;
/* The same from text; name is for messages. */
int shaping_parse(struct slice text, const char *name, config_mistake *mistake,
    void *ctx, struct shaping **out, struct error *err) MUST_CHECK;
void shaping_free(struct shaping **s);

/* Providers are numbered in the order of the file. */
size_t shaping_provider_count(const struct shaping *s);
const char *shaping_provider_name(const struct shaping *s, size_t n);
/* By its name, or by one of its own domains (A-labels, lower case): its
 * number, or -1. */
int shaping_provider_find(const struct shaping *s, struct slice name);
int shaping_provider_of_domain(const struct shaping *s, struct slice domain);
/* By the names of its MX hosts (lower case), the first one that says
 * something: its number, or -1. */
int shaping_provider_of_hosts(const struct shaping *s, const struct slice *host,
    size_t count);
/* What holds for a site with these hosts; provider may be -1. A [site] that
 * names more labels goes before one that names fewer, the first host's before
 * the second's. */
struct shaping_limits shaping_limits_of(const struct shaping *s, int provider,
    const struct slice *host, size_t count);

#endif

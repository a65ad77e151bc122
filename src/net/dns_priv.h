/* net/dns_priv.h - what the parts of the resolver share. */
#ifndef NET_DNS_PRIV_H
#define NET_DNS_PRIV_H

#include "base/hash.h"
#include "base/list.h"
#include "net/resolver.h"

#define DNS_RECORDS_MAX 64 /* kept of one answer */

/*
 * A domain name as it may be asked for: letters, digits, '-' and '_', labels
 * of 1..63, at most 253. A host name also has no '-' at the ends of a label
 * and no number as its last one (it would be an address).
 */
bool dns_name_is_valid(struct slice name, bool is_host);

/*
 * What came of a question, kept as the raw packet: it is small, has one size,
 * and is parsed again when somebody asks. Shared by the cache and those who
 * still have to be told.
 */
struct dns_found {
	unsigned int refs;
	int64_t expires_ms;
	char why[96]; /* no packet: what failed */
	size_t len;
	char packet[];
};

struct dns_found *dns_found_new(struct slice packet, const char *why);
struct dns_found *dns_found_ref(struct dns_found *f);
void dns_found_unref(struct dns_found **f);

/* A bounded cache, the least recently used goes first. */
struct dns_cache {
	struct hash *entries; /* key -> struct cache_entry */
	struct list used;     /* the most recent first */
	size_t bytes, count_max, bytes_max;
};

#define DNS_KEY_MAX 258
/* Type and name in lower case; out has room for DNS_KEY_MAX. */
struct slice dns_key(char *out, struct slice name, enum dns_type type);

void dns_cache_init(struct dns_cache *c, size_t count_max, size_t bytes_max);
void dns_cache_fini(struct dns_cache *c);
/* Borrowed; NULL when it is not there or has expired. */
struct dns_found *dns_cache_find(struct dns_cache *c, struct slice key,
    int64_t now_ms);
void dns_cache_put(struct dns_cache *c, struct slice key, struct dns_found *f);

#endif

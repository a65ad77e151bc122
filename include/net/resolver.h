/*
 * net/resolver.h - DNS questions, asynchronously (c-ares).
 *
 * TTL cache (positive clamped to 5 s..1 day, negative by the SOA, at most
 * 15 min; failures 5 s), single flight: the same question is asked once and all
 * waiters are told. Bounded: cache entries, answers per question, CNAME hops.
 * Own parser of the raw answer: MX, A, AAAA, TXT, CNAME, SOA, TLSA, with TTL.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "net/addr.h"
#include "net/loop.h"

struct resolver;

struct resolver_options {
	const char *servers; /* "127.0.0.1:53 ..."; NULL: /etc/resolv.conf */
	int64_t timeout_ms;  /* per question, all tries; 0: 15 s */
	size_t cache_max;    /* entries, 64 MB together; 0: 100,000 */
	int64_t (*now_ms)(void); /* age of the cache; NULL: clock_mono_ms */
};

struct resolver *resolver_new(struct loop *l,
    const struct resolver_options *opt, struct error *err) MUST_CHECK;
/* No callback comes after it. May be called from a dns_done. */
void resolver_free(struct resolver **r);
/* Forgets everything cached (domain verify asks afresh); a question that is
 * under way goes on. */
void resolver_flush(struct resolver *r);

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};

enum dns_result {
	DNS_OK,
	DNS_NODATA,   /* the name exists, not with that type */
	DNS_NXDOMAIN, /* no such name: final */
	DNS_FAILED,   /* SERVFAIL, time-out, refused, nonsense: ask later */
};

struct dns_record {
	enum dns_type type;
	uint16_t preference;  /* MX */
	struct slice name;    /* MX exchange, CNAME, PTR: lower case, no final
				 dot; "" is the root (null MX) */
	struct slice data;    /* TXT: all strings joined; TLSA, SOA: RDATA */
	struct net_addr addr; /* A, AAAA; port 0 */
};

struct dns_answer {
	enum dns_result result;
	bool secure;	/* AD bit, from a loopback validator only */
	uint32_t ttl_s; /* smallest of the answer, clamped */
	size_t count;
	const struct dns_record *record; /* MX sorted by preference */
	char why[96];			 /* DNS_FAILED: text for people */
};

/* Appends whom it asks, for people: "127.0.0.1:53, [::1]:53". */
void resolver_add_servers(const struct resolver *r, struct strbuf *out);

struct dns_query;
/* answer is borrowed for the call; the query is over then. */
typedef void dns_done(void *ctx, const struct dns_answer *answer);
/*
 * name: ASCII, no final dot; one that is no domain name gets DNS_FAILED. Never
 * calls back before it returns.
 */
struct dns_query *resolver_ask(struct resolver *r, struct slice name,
    enum dns_type type, dns_done *done, void *ctx);
void dns_query_cancel(struct dns_query **q);

/*
 * Parses a raw answer to that question; exposed for tests and the fuzzer.
 * Storage for the result comes from the arena. Follows at most 8 CNAMEs within
 * the packet; keeps at most 64 records, of MX the best; drops those whose
 * target is no host name (all of them: DNS_FAILED). secure is the AD bit,
 * wherever it came from.
 */
struct arena;
void dns_answer_parse(struct arena *arena, struct slice packet,
    struct slice name, enum dns_type type, struct dns_answer *out);

#endif

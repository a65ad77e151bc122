/*
 * outcome/verdict.h - from what happened to what we do about it. Pure: the
 * table of design section 3.6, a row per stage and class; a test walks it.
 */
#ifndef OUTCOME_VERDICT_H
#define OUTCOME_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "mail/status.h"
#include "outcome/classify.h"
#include "smtp/client.h"

/* The numbers are stored (attempts.outcome). */
enum verdict {
	VERDICT_DELIVERED = 1,
	VERDICT_DEFERRED = 2,  /* not taken: again later */
	VERDICT_BOUNCED = 3,   /* a remote server refused it for good */
	VERDICT_FAILED = 4,    /* we give up, with a reason (FAIL_*) */
	VERDICT_UNKNOWN = 5,   /* the dot was given to the network, no answer */
	VERDICT_NEXT_HOST = 6, /* this host will not talk: next, else defer */
};

const char *verdict_name(enum verdict v);
/* Whether there will be another attempt; exactly_once: of the recipient. */
bool verdict_is_retried(enum verdict v, bool exactly_once);

struct verdict_result {
	enum verdict verdict;
	const char *reason; /* FAIL_* with VERDICT_FAILED, else NULL */
	bool suppress;	    /* the address is bad: no more mail to it */
};

/* One SMTP transaction, or what kept it from starting. */
struct verdict_result verdict_of_smtp(const struct smtp_outcome *outcome);

/*
 * What we ourselves found before MAIL FROM left: too large for the announced
 * SIZE, in need of an extension that the host does not offer, or to an address
 * that cannot stand in a command. No other try would end differently.
 */
bool verdict_content_cannot_go(const struct smtp_outcome *outcome);

/* What DNS said about the recipient's domain. */
enum verdict_dns {
	VERDICT_DNS_NXDOMAIN, /* no such domain */
	VERDICT_DNS_NULL_MX,  /* RFC 7505: takes no mail */
	VERDICT_DNS_NO_HOST,  /* neither MX nor address */
	VERDICT_DNS_REFUSED,  /* only addresses we may not connect to */
	VERDICT_DNS_FAILED,   /* SERVFAIL, time-out */
};
struct verdict_result verdict_of_dns(enum verdict_dns what);
/* The enhanced status and the text that go with it. */
const char *verdict_dns_status(enum verdict_dns what);
const char *verdict_dns_text(enum verdict_dns what);

/*
 * Whether a status code says that the address itself is bad: 5.1.1, 5.1.2,
 * 5.1.3, 5.1.6, 5.1.10, and nothing else until classes exist.
 */
bool verdict_status_suppresses(struct mail_status status);

struct retry_policy {
	int64_t base_ms;    /* first delay; doubles with every attempt */
	int64_t max_ms;	    /* largest delay; both of the classes that have
			       no schedule of their own */
	int64_t unknown_ms; /* after an unknown outcome; at least 15 min */
};

/*
 * When to try again after attempt n (1..) at now_ms: exponential back-off on
 * the schedule of the class, with jitter of +-20 % (random: any 64 bits); not
 * before the time that the far end named; never beyond expires_at_ms, where the
 * last look at it is due. Never earlier than now_ms + 1 s.
 */
int64_t verdict_retry_at(const struct retry_policy *p, enum verdict v,
    const struct delay *why, unsigned int n, int64_t now_ms,
    int64_t claimed_at_ms, int64_t expires_at_ms, uint64_t random);

#endif

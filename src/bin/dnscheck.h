/*
 * bin/dnscheck.h - the DNS records of a sending domain: what to publish, and
 * whether what DNS answers is that. Pure: the questions are asked elsewhere.
 */
#ifndef BIN_DNSCHECK_H
#define BIN_DNSCHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "net/resolver.h"

enum dnscheck_state {
	DNSCHECK_UNASKED,
	DNSCHECK_OK,
	DNSCHECK_MISSING, /* no such record */
	DNSCHECK_PARTLY,  /* an SPF record that lacks some of the sources */
	DNSCHECK_WRONG,	  /* there, but not what it must be */
	DNSCHECK_FAILED,  /* DNS gave no answer: ask later */
};

enum dnscheck_kind {
	DNSCHECK_DKIM,
	DNSCHECK_RETURN_PATH, /* MX of the return-path host: bounces */
	DNSCHECK_SPF,	      /* of the return-path host */
	DNSCHECK_DMARC,	      /* advice only */
	DNSCHECK_COUNT
};

struct dnscheck {
	enum dnscheck_kind kind;
	const char *record; /* "DKIM", ... */
	enum dns_type type;
	bool required;
	const char *name;  /* in full */
	const char *value; /* what to publish; NULL: advice says what lacks */
	/* result */
	enum dnscheck_state state;
	const char *found;  /* what is there, "" for nothing */
	const char *advice; /* what to do; "" when all is well */
};

struct dnscheck_domain {
	struct slice name, return_path_host, selector, public_txt;
	const char *mx_host; /* smtp_in_hostname; NULL: not a full name yet */
	const struct slice *sources; /* addresses as text */
	size_t source_count;
};

/* Fills out; texts live in the arena. */
void dnscheck_make(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck out[DNSCHECK_COUNT]);
/* Judges the answer to the question (name, type). */
void dnscheck_judge(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck *c, const struct dns_answer *answer);

/*
 * "verified", "partially_verified", "failed", or NULL: keep what it was,
 * because DNS gave no answer. Whoever is verified stays so with an SPF record
 * that lacks some of the sources: their mail is signed all the same.
 */
const char *dnscheck_status(const struct dnscheck checks[DNSCHECK_COUNT],
    bool was_verified);
/* Whether every required record is as it must be. */
bool dnscheck_all_ok(const struct dnscheck checks[DNSCHECK_COUNT]);
/* Whether DNS gave no answer at all, to anything. */
bool dnscheck_none_answered(const struct dnscheck checks[DNSCHECK_COUNT]);
/* The JSON array that is kept with the domain. */
void dnscheck_json(const struct dnscheck checks[DNSCHECK_COUNT],
    struct strbuf *out);
const char *dnscheck_state_name(enum dnscheck_state s);
const char *dnscheck_type_name(enum dns_type t);

/* "v=spf1 ip4:... -all" for these addresses. */
const char *dnscheck_spf_value(struct arena *arena, const struct slice *sources,
    size_t n);
/* Appends " ip4:192.0.2.10", the term that names the source. */
void dnscheck_spf_term(struct strbuf *out, struct slice source);
/* Whether a record as it was found (struct dnscheck) names the source. */
bool dnscheck_spf_names(struct slice found, struct slice source);

#endif

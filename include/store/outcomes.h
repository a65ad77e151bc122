/*
 * store/outcomes.h - writes what room outcome decided: a batch in one
 * transaction. Maps rows, decides nothing.
 *
 * Everything here may be repeated (an answer to COMMIT can be lost) and may
 * arrive in any order (a DSN can overtake the batch that says delivered):
 * statuses only rise, events are kept once per (recipient, kind, dedupe), and
 * webhook deliveries come only from events that were new.
 */
#ifndef STORE_OUTCOMES_H
#define STORE_OUTCOMES_H

#include "model/status.h"
#include "store/pg.h"

#define STORE_OUTCOME_EVENTS 3

struct store_outcome_event {
	enum event_kind kind;
	int dedupe;	   /* attempt number; 0: once only */
	struct slice data; /* JSON object, or ptr NULL */
};

struct store_outcome {
	struct id id; /* recipient */
	int account;
	/* The attempt that ended; n 0: none (a DSN, a complaint). */
	int n;
	int worker; /* whose claim it is */
	/*
	 * Another's claim: nothing at all is written if it has an outcome, or
	 * is not any more the one that was seen (renewed, given back and had
	 * again). claimed_at_ms: as seen; 0: any.
	 */
	bool only_open;
	int64_t claimed_at_ms;
	int outcome; /* outcome/verdict.h, > 0; or STORE_NOT_TRIED */
	int stage, code;
	int class; /* outcome/classify.h; 0: none */
	struct slice status, reply, mx, tls, transcript; /* ptr NULL: NULL */
	/* The recipient. raise_to 0: status unchanged. */
	enum status raise_to;
	int64_t retry_at_ms; /* next due time, when not finished; 0: none */
	bool finish;
	struct slice reason; /* FAIL_*, when raise_to wins */
	/* A suppression; key.len 0: none. */
	struct {
		struct slice key;      /* mail_address_add_key */
		struct slice origin;   /* "bounce", "complaint" */
		struct slice reason;   /* evidence */
		int64_t expires_at_ms; /* 0: never */
	} suppress;
	size_t event_count;
	struct store_outcome_event event[STORE_OUTCOME_EVENTS];
};

/* outcomes and their texts are copied: they may go after the call. n >= 1. */
struct pg_tx *store_outcomes_write(struct pg *pg, int64_t now_ms,
    const struct store_outcome *outcomes, size_t n, store_done *done,
    void *ctx);

#endif

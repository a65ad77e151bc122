/*
 * store/attempts.h - the claim: a row (recipient, n), committed before MAIL
 * FROM, says who may send. Whoever wants to finish a recipient without
 * sending (expiry, cancellation, suppression) claims it, too.
 */
#ifndef STORE_ATTEMPTS_H
#define STORE_ATTEMPTS_H

#include "store/pg.h"

#define STORE_CLAIM_MS (15 * 60 * 1000) /* then an open claim is unknown */
/* An open claim of another is looked at so often: it may be taken back. */
#define STORE_CLAIM_AGAIN_MS 30000

/*
 * attempts.outcome of a claim that was taken to end its recipient: nobody has
 * tried, so it is no attempt to whoever asks, and does not count in
 * recipients.attempts. Its row stays, as every claim's does: a claim that was
 * asked for meanwhile meets it. Other outcomes: outcome/verdict.h.
 */
#define STORE_NOT_TRIED 20

enum store_claim_result {
	STORE_CLAIM_NONE = 0,
	STORE_CLAIM_MINE,	/* send, or finish */
	STORE_CLAIM_FINISHED,	/* nothing to do: ack */
	STORE_CLAIM_NOT_DUE,	/* defer to retry_at_ms */
	STORE_CLAIM_SUPPRESSED, /* finish it as suppressed */
	/*
	 * An open claim of holder since claimed_at_ms. Younger than
	 * STORE_CLAIM_MS: look again; older: record unknown for (id,
	 * attempts), with worker = holder and only_open.
	 */
	STORE_CLAIM_OPEN,
	STORE_CLAIM_RULES, /* holds or cancels changed: look at it again */
	STORE_CLAIM_MOVED, /* other attempts went by: read the row again */
	STORE_CLAIM_GONE,  /* no such recipient */
};

struct store_claim {
	struct id id;
	int n;	    /* attempts of the row + 1 */
	int source; /* number, or 0 */
	int account;
	int stream;
	struct slice key; /* suppression key of the address */
	int rules;	  /* generation under which it was looked at */
	/* results */
	enum store_claim_result result;
	int64_t retry_at_ms;
	int holder; /* OPEN */
	int open_n; /* OPEN */
	int64_t claimed_at_ms;
};

struct store_claiming;
/*
 * claims: borrowed until done; results stand in them. anyway: due time, rules
 * and suppression are not looked at (to finish, never to send).
 */
struct store_claiming *store_claim_start(struct pg *pg, int worker,
    int64_t now_ms, bool anyway, struct store_claim *claims, size_t n,
    store_done *done, void *ctx);
void store_claim_cancel(struct store_claiming **op);

/*
 * Takes open claims of the worker back, under which nothing was sent: only
 * those made at claims[].claimed_at_ms or later, so that none of an earlier
 * attempt to send goes, whose outcome could not be written.
 */
struct pg_tx *store_claim_give_back(struct pg *pg, int worker,
    const struct store_claim *claims, size_t n, store_done *done, void *ctx);
/* claimed_at := now_ms for one's own open claims, before a late dot. */
struct pg_tx *store_claim_renew(struct pg *pg, int worker, int64_t now_ms,
    struct store_claim *claims, size_t n, store_done *done, void *ctx);

struct store_attempt {
	struct id recipient;
	int n, worker, source;
	int64_t claimed_at_ms, finished_at_ms;
	int outcome, stage, code; /* outcome 0: open */
	int class;		  /* outcome/classify.h; 0: none */
	struct slice status, reply, mx, tls, transcript;
	struct slice address; /* of the recipient */
	/* Of the source; "#7" when it was removed, ptr NULL: none. */
	struct slice source_address;
};
typedef void store_attempt_got(void *ctx, const struct store_attempt *attempt,
    size_t count, const struct error *err);
/*
 * The attempts for an email, or for one recipient, by recipient and n; at most
 * limit. ERR_NOTFOUND: no such email in this account (0: any account).
 */
struct pg_tx *store_attempt_list(struct pg *pg, int account, struct id id,
    size_t limit, store_attempt_got *done, void *ctx);

#endif

/* store/emails.h - reading accepted mail: one with all about it, or a list. */
#ifndef STORE_EMAILS_H
#define STORE_EMAILS_H

#include "model/status.h"
#include "store/pg.h"

struct store_recipient {
	struct id id;
	struct slice address;
	int field; /* 0 to, 1 cc, 2 bcc */
	enum status status;
	int attempts;
	int64_t retry_at_ms, expires_at_ms, finished_at_ms; /* 0: none */
	struct slice reason; /* FAIL_*; ptr NULL: none */
	int pool;
	struct slice lane;
	bool pool_is_idle; /* it waits, and no process sends from its pool */
	bool is_claimed;   /* by somebody who sends it, or did */
	struct slice claim_source; /* its address, as store_attempt's */
	/* Of the event that ended it, when it is canceled or has bounced: ptr
	 * NULL and 0: none. */
	struct slice end_data;
	int64_t end_at_ms;
	/* The last attempt that ended; n 0: none. */
	struct {
		int n;
		int outcome, stage, code, class;
		struct slice status, reply, mx, tls;
		int64_t finished_at_ms;
	} last;
};

struct store_email {
	struct id id;
	int account, domain, stream;
	int64_t created_at_ms;
	struct slice message_id; /* ptr NULL: derived */
	struct slice head;	 /* record without bodies and attachments */
	struct slice content;	 /* find only; ptr NULL: dropped by retention */
	unsigned int status_bits; /* status_event_bit of all recipients */
	size_t count;
	/* find, or list with recipients. */
	const struct store_recipient *recipient;
};

typedef void store_email_got(void *ctx, const struct store_email *email,
    size_t count, bool has_more, const struct error *err);

/* ERR_NOTFOUND: no such email in this account (0: any account). */
struct pg_tx *store_email_find(struct pg *pg, int account, struct id id,
    store_email_got *done, void *ctx);
/*
 * Newest first. after: older than this id; before: newer; zero: not given,
 * and at most one of them is. A cursor need not exist. with_recipients: id,
 * address, status, finished_at_ms and is_claimed of each, and nothing else.
 */
struct pg_tx *store_email_list(struct pg *pg, int account, size_t limit,
    struct id after, struct id before, bool with_recipients,
    store_email_got *done, void *ctx);

struct store_event {
	struct id recipient;
	int kind; /* enum event_kind */
	int dedupe;
	int64_t at_ms;
	struct slice data; /* JSON object, or ptr NULL */
};
typedef void store_event_got(void *ctx, const struct store_event *event,
    size_t count, const struct error *err);
/*
 * All events of an email, oldest first. Two are not stored but follow from what
 * is, which saves two rows of three for a mail that goes through: queued, at
 * the time of the email, unless a recipient was suppressed at once; and sent,
 * at the time of delivered, unless it has a row of its own.
 */
struct pg_tx *store_event_list(struct pg *pg, struct id email,
    store_event_got *done, void *ctx);

#endif

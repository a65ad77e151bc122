/*
 * outcome/outcome.h - the one place that writes what became of a recipient:
 * statuses, events, suppressions, webhook deliveries.
 *
 * A writer gathers records and commits them in batches: at once when idle, and
 * whatever came during a commit shares the next. done is called after the
 * commit. While Postgres is away records wait (outcome_writer_pending lets the
 * owner stop taking new work), and are repeated: every record is idempotent.
 */
#ifndef OUTCOME_OUTCOME_H
#define OUTCOME_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "mail/status.h"
#include "model/id.h"
#include "model/status.h"
#include "outcome/verdict.h"

struct canceled;
struct outcome_writer;
struct loop;
struct pg;

struct outcome_writer *outcome_writer_new(struct loop *l, struct pg *pg);
/* Records not yet committed are dropped and their done is never called. */
void outcome_writer_free(struct outcome_writer **w);
size_t outcome_writer_pending(const struct outcome_writer *w);

/* err NULL: committed. Otherwise the record itself was refused (a bug or a
 * vanished partition), not that Postgres is away. */
struct error;
typedef void outcome_done(void *ctx, const struct error *err);

/* An attempt of the mta came to an end. All texts are copied. */
struct outcome_attempt {
	struct id recipient;
	int account;
	unsigned int n; /* as claimed */
	int worker;
	struct slice address_key; /* mail_address_add_key */
	int64_t at_ms;
	int64_t claimed_at_ms;
	int64_t expires_at_ms;
	/* Of the recipient: at most one transmission, so that an unknown
	 * outcome ends it as failed (FAIL_OUTCOME_UNKNOWN). */
	bool exactly_once;
	struct verdict_result verdict; /* NEXT_HOST counts as DEFERRED */
	int64_t retry_at_ms;	       /* when verdict_is_retried */
	struct delay why;	       /* DEFERRED: why it has to wait */
	enum smtp_stage stage;
	unsigned int code; /* 0: local */
	struct mail_status status;
	struct slice text; /* what was said, or our own error */
	struct slice mx;   /* "mx1.example.com[192.0.2.1]:25", or "" */
	struct slice tls;
	struct slice transcript; /* what was said on the wire, or len 0 */
	bool only_open; /* of another worker: nothing is written if that
			   attempt has an outcome by now, or another
			   claimed_at_ms */
};
void outcome_attempt(struct outcome_writer *w, const struct outcome_attempt *a,
    outcome_done *done, void *ctx);

/* A DSN came back for a recipient. */
struct outcome_dsn {
	struct id recipient; /* from the token */
	int account;
	struct slice address_key; /* of the recipient's row */
	int64_t at_ms;
	/* DELIVERED settles an unknown outcome; of a mail known to have been
	 * delivered it says nothing new. */
	enum outcome_dsn_says {
		OUTCOME_DSN_DELAYED,
		OUTCOME_DSN_FAILED,
		OUTCOME_DSN_DELIVERED,
	} says;
	struct mail_status status;
	unsigned int code;
	struct slice diagnostic; /* bounded, printable */
	struct slice reporting_mta;
};
void outcome_dsn(struct outcome_writer *w, const struct outcome_dsn *d,
    outcome_done *done, void *ctx);

/*
 * A recipient ends without a transaction (max age where nobody leases it,
 * suppressed or cancelled since it was accepted): the status with, for
 * STATUS_FAILED, its reason (FAIL_*). n and worker: of the claim that was taken
 * to end it: it is no attempt, and is not listed as one.
 */
struct outcome_end {
	struct id recipient;
	int account;
	unsigned int n;
	int worker;
	int64_t at_ms;
	enum status status; /* STATUS_FAILED, _SUPPRESSED or _CANCELED */
	const char *reason;
	struct slice text;
	const struct canceled *canceled; /* with STATUS_CANCELED, else NULL */
};
void outcome_end(struct outcome_writer *w, const struct outcome_end *e,
    outcome_done *done, void *ctx);

#endif

/*
 * intake/intake.h - accepting a message: check, suppress, commit, enqueue. The
 * one function behind both front doors (HTTP, SMTP submission).
 *
 * Group commit: what was submitted while a commit was under way shares the
 * next one. The first message of an idle system goes at once, and so do those
 * of a few clients; under load commits keep a gap of commit_gap_ms, because
 * batches of a few rows cost Postgres twice as much per message. A batch that
 * Postgres refuses is repeated item by item, so that one bad item hurts nobody
 * else.
 *
 * After the commit the answers go out, and the jobs go to Redis with nobody
 * waiting for it: the young walk pushes what got lost (queue/walk.h).
 * While Postgres is away submissions are refused at once (503); while Redis is
 * away they are accepted all the same.
 */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/slice.h"
#include "intake/answer.h"
#include "mail/content.h"
#include "model/id.h"
#include "store/accounts.h"

struct intake;
struct loop;
struct queue;
struct recent;
struct shaping;

/* 0 means the default. */
struct intake_limits {
	size_t recipients_max; /* per email, to + cc + bcc: 50; at most 100 */
	size_t message_bytes_max; /* attachments after base64: 40 MB */
	size_t batch_items_max;	  /* per commit: 256 */
	size_t batch_bytes_max;	  /* content per commit: 8 MB */
	size_t pending_items_max; /* waiting for a commit: 20,000 */
	size_t pending_bytes_max; /* content waiting for a commit: 256 MB */
	size_t large_bytes;	  /* content beyond goes in slices, beside the
				     batches: 1 MB */
	int64_t commit_gap_ms;	  /* 6; negative: none */
	int64_t max_age_ms;	  /* life of an undelivered recipient: 72 h */
	int64_t cache_ttl_ms;	  /* keys, domains, streams: 2,000 */
	size_t queue_max;	  /* recipients in the queue; 0: no bound */
};

struct intake_options {
	struct loop *loop;
	struct pg *pg;	    /* for the commits */
	struct pg *pg_side; /* for look-ups and large contents, so that they
			       do not wait behind commits; NULL: pg */
	struct queue *queue;
	const struct shaping *shaping; /* picks the lanes */
	struct recent *recent;	       /* takes what was committed; or NULL */
	size_t recent_writer;	       /* our number there */
	struct intake_limits limits;
};

/* Everything is borrowed and must outlive the intake. */
struct intake *intake_new(const struct intake_options *opt);
/* Refuses what comes from now on; done when nothing waits for a commit, or
 * after timeout_ms. */
void intake_drain(struct intake *in, int64_t timeout_ms,
    void (*done)(void *ctx), void *ctx);
/* Callbacks that are still owed are never called. */
void intake_free(struct intake **in);
/*
 * The queue is being counted, and was (queue/depth.h). Above queue_max
 * submissions are refused with 429 and the time to wait; the last tenth is for
 * transactional mail. Between counts what this process adds is added; so the
 * bound holds while Redis is away, too, though not to the last message where
 * several processes accept.
 */
void intake_queue_asked(struct intake *in);
void intake_queue_counted(struct intake *in, size_t jobs);
const struct intake_limits *intake_limits(const struct intake *in);

/* ---- Who asks ------------------------------------------------------------ */

struct intake_account {
	int number;
	int suppressed_answer; /* 422 or 200 when all recipients are suppressed
				*/
	int domain;	   /* only this domain (its number) may send; 0: any */
	bool sending_only; /* the key may do nothing but send */
	struct id key;
	struct {
		int pool;
		unsigned int weight_log2; /* the account's included */
	} stream[STORE_STREAMS];
};

/* On success answer is NULL. Borrowed for the call. */
typedef void intake_authorized(void *ctx, const struct intake_account *account,
    const struct intake_answer *answer);
/*
 * Finds the account behind an API key (the secret itself, as the client wrote
 * it). Known keys answer from memory for cache_ttl_ms, unknown ones too; the
 * time of last use is kept to the minute, lazily.
 * done may be called before this returns (the one exception to the rule: it
 * is on the path of every request and touches nothing of the caller's).
 */
void intake_authorize(struct intake *in, struct slice secret,
    intake_authorized *done, void *ctx);

/* ---- Submitting ---------------------------------------------------------- */

#define INTAKE_ENDPOINT_EMAILS 1 /* idempotency scope: POST /emails */

struct intake_request {
	const struct intake_account *account;
	const struct mail_content *content; /* checked here, not changed */
	struct slice record; /* content encoded; ptr NULL: done here */
	enum store_stream stream;
	int endpoint;		       /* INTAKE_ENDPOINT_* */
	struct slice idempotency_key;  /* ptr NULL: none */
	uint8_t body_hash[SHA256_LEN]; /* with a key: of what was sent */
};

struct intake_recipient {
	struct slice address; /* local@domain */
	bool suppressed;
};

struct intake_result {
	struct intake_answer answer; /* status 200, or the error */
	struct id email; /* set with 200 and with email_suppressed */
	bool replayed;	 /* the key was used before: same email */
	bool all_suppressed;
	size_t recipient_count;
	const struct intake_recipient *recipient;
};

/* Borrowed for the call. */
typedef void intake_done(void *ctx, const struct intake_result *result);

/*
 * Checks and takes over a message. What request points to must live until
 * done is called; done is called exactly once, never before this returns.
 * 200 in the result means committed to Postgres, and only that does.
 */
void intake_submit(struct intake *in, const struct intake_request *request,
    intake_done *done, void *ctx);

/* What waits for a commit now. */
size_t intake_pending(const struct intake *in);

#endif

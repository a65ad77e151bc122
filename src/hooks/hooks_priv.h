/* hooks/hooks_priv.h - the role from the inside. */
#ifndef HOOKS_PRIV_H
#define HOOKS_PRIV_H

#include "base/hash.h"
#include "base/list.h"
#include "base/strbuf.h"
#include "hooks/hooks.h"
#include "net/fetch.h"
#include "store/webhooks.h"

#define HOOKS_MAGIC 0x686f6f6bU

/* Somebody a delivery is owed to; there while one is in hand. */
struct endpoint {
	struct list node; /* in ready, when one of waiting may start */
	struct id id;
	struct list waiting; /* struct post: claimed, not started */
	size_t in_hand;	     /* waiting and under way */
	size_t in_flight;
	bool left_out; /* of the last claim, being busy */
};

/*
 * A claimed delivery, until its result is written:
 *   waiting (at its endpoint) -> in flight -> result -> being written
 */
struct post {
	struct list node;
	struct hooks *hooks;
	struct endpoint *endpoint; /* NULL once there is a result */
	struct store_delivery_result result;
	struct id id;
	const char *type;
	char *url;
	struct strbuf secret; /* sealed */
	struct strbuf body;
	struct fetch *fetch; /* while in flight */
	char error[200];
};

struct hooks {
	unsigned int magic;
	struct loop *loop;
	struct pg *pg;
	const struct keyring *keyring;
	struct fetcher *fetcher;
	char *ca_file;
	int64_t timeout_ms, poll_ms;
	size_t in_flight_max, endpoint_max;

	struct timer *poll;
	struct loop_call look; /* for due rows, without waiting for the timer */
	struct pg_tx *ask;     /* whether anything is due */
	struct pg_tx *claim;
	size_t claim_limit;
	bool more_due; /* the last claim was full */

	struct hash *endpoints; /* id -> struct endpoint */
	struct list ready;	/* endpoints, in turn */
	struct list in_flight_posts;
	size_t in_hand, in_flight;

	struct list results; /* struct post, to be written */
	struct list writing; /* in the statement under way */
	size_t result_count; /* in both */
	struct loop_call write;
	struct pg_tx *write_tx;
	struct timer *write_again;

	bool draining;
	struct timer *drain_timeout;
	struct loop_call drained;
	void (*drain_done)(void *ctx);
	void *drain_ctx;
	struct loop_call bury;
};

/* dispatch.c: endpoints, and whose turn it is. */

/* Takes p, which waits from now on. */
void hooks_post_wait(struct hooks *h, struct post *p, struct id webhook);
/* Starts what may start. */
void hooks_start_some(struct hooks *h);
/* Takes p: it is over, its result is to be written. */
void hooks_post_end(struct post *p);
/* Endpoints that have as much in hand as they may have under way. Returns how
 * many; out has room for hash_count(h->endpoints). */
size_t hooks_busy(struct hooks *h, struct id *out);
/* What waits goes back as it was claimed, for others to take. */
void hooks_give_back(struct hooks *h);
void hooks_dispatch_fini(struct hooks *h);

/* post.c: one delivery. */

/* Out of a claimed row; with a result already when it cannot be sent. */
struct post *hooks_post_new(struct hooks *h, const struct store_delivery *d,
    bool *is_over);
void hooks_post_free(struct post *p);
/* False when it could not be sent; there is a result then. */
bool hooks_post_start(struct post *p);

/* results.c: writes them in batches. */

void hooks_result_add(struct hooks *h, struct post *p); /* takes p */
void hooks_results_init(struct hooks *h);
void hooks_results_fini(struct hooks *h);

/* hooks.c: a post ended or a batch was written; a claim or a drain may have
 * waited for it. */
void hooks_went_on(struct hooks *h);

#endif

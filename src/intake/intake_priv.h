/* intake/intake_priv.h - what the files of the intake share. */
#ifndef INTAKE_PRIV_H
#define INTAKE_PRIV_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "intake/cache.h"
#include "intake/check.h"
#include "intake/intake.h"
#include "net/loop.h"
#include "pressure.h"
#include "queue/lane.h"
#include "store/accept.h"

#define INTAKE_MAGIC 0x1b7a4e01
#define ITEM_MAGIC 0x1b7a4e02

struct committer {
	struct list pending; /* items, in the order they came */
	size_t pending_count;
	size_t pending_bytes;
	struct list batch;		  /* items of the commit under way */
	struct store_accept_item **items; /* the same, for the store */
	struct store_accept *op;
	struct pg_tx *days;    /* the batch waits for its partitions */
	bool days_were_made;   /* for this batch: not a second time */
	int64_t last_start_ms; /* loop_mono_ms */
	size_t last_items;     /* of the last commit */
	struct timer *gap;
	struct loop_call start;
};

struct intake {
	uint32_t magic;
	struct loop *loop;
	struct pg *pg, *side;
	struct queue *queue;
	const struct shaping *shaping;
	struct recent *recent;
	size_t recent_writer;
	struct intake_limits limits;
	struct log_ctx log;
	struct cache *keys;
	struct cache *domains;
	struct hash *busy; /* idempotency keys of items under way */
	struct list items; /* all that owe an answer */
	size_t item_count;
	size_t item_bytes; /* of their contents */
	struct pressure pressure;
	struct committer commit;
	struct list asks;    /* keys to be checked, under way */
	struct list touches; /* of keys, under way */

	bool draining;
	struct timer *drain_timer;
	struct loop_call drained;
	void (*drain_done)(void *ctx);
	void *drain_ctx;
};

/* What the cache of domains holds. */
struct intake_domain {
	int number;
	bool verified;
	char status[32];
};

/* A message on its way from intake_submit to its answer. */
struct intake_item {
	uint32_t magic;
	struct list in_all;
	struct list in_commit; /* pending or batch */
	struct intake *in;
	const struct intake_request *request;
	intake_done *done;
	void *ctx;

	struct arena arena;
	struct check_rcpt *rcpt;
	size_t rcpt_count;
	struct queue_lane *lane; /* per recipient */
	struct strbuf content, head;
	size_t charged_bytes; /* what it adds to in->item_bytes */
	size_t entering;      /* recipients it adds to in->pressure */
	struct store_accept_item store;
	struct slice busy_key; /* in in->busy, or ptr NULL */

	struct cache_waiter domain_wait;
	struct pg_tx *tx;    /* of this item alone */
	struct slice sliced; /* a large content, stored ahead */
	size_t sliced_bytes; /* so much of it */
	bool days_were_made;
	struct loop_call late; /* the answer, on the next turn */
	struct intake_answer answer;
	bool replayed, all_suppressed;
};

/* intake.c */
void intake_item_finish(struct intake_item *item);
/* Fills in store_accept's results, and finishes unless a look-up is due. */
void intake_item_committed(struct intake_item *item);

/* authorize.c */
void intake_keys_init(struct intake *in);
void intake_keys_fini(struct intake *in);

/* domains.c */
void intake_domains_init(struct intake *in);
/* value of the answer: const struct intake_domain *. */
void intake_domain_find(struct intake *in, int account, struct slice name,
    struct cache_waiter *w, cache_answer *answer, void *ctx);

/* commit.c */
void intake_commit_init(struct intake *in);
void intake_commit_fini(struct intake *in);
void intake_commit_add(struct intake_item *item);

/* push.c: the jobs of committed items, to Redis, nobody waits. */
void intake_push(struct intake *in, const struct list *batch);

/* large.c */
/* Stores the content in slices, then intake_commit_add. */
void intake_large_start(struct intake_item *item);
/* Takes back what was stored ahead of an email that will not be. */
void intake_large_undo(struct intake_item *item);

#endif

/*
 * store/webhooks.h - endpoints that want events, and the deliveries owed to
 * them. Deliveries are made by the statement that inserts the event.
 */
#ifndef STORE_WEBHOOKS_H
#define STORE_WEBHOOKS_H

#include "model/status.h"
#include "store/pg.h"

struct store_webhook {
	struct id id;
	int account;
	struct slice url;
	uint32_t events;     /* bit n: enum event_kind n */
	struct slice secret; /* sealed, bound to "webhooks.secret:<id>" */
	bool enabled;
	int64_t created_at_ms;
};
typedef void store_webhook_got(void *ctx, const struct store_webhook *webhook,
    size_t count, const struct error *err);

struct pg_tx *store_webhook_add(struct pg *pg,
    const struct store_webhook *webhook, store_done *done, void *ctx);
/* Sets url, events and enabled. */
struct pg_tx *store_webhook_update(struct pg *pg,
    const struct store_webhook *webhook, store_done *done, void *ctx);
struct pg_tx *store_webhook_find(struct pg *pg, int account, struct id id,
    store_webhook_got *done, void *ctx);
struct pg_tx *store_webhook_list(struct pg *pg, int account,
    store_webhook_got *done, void *ctx);
struct pg_tx *store_webhook_remove(struct pg *pg, int account, struct id id,
    store_done *done, void *ctx);

/* Deliveries. -------------------------------------------------------------- */

struct store_delivery {
	/* its key */
	struct id recipient;
	enum event_kind kind;
	int dedupe;
	struct id webhook;

	struct id id;	   /* webhook-id header: the same in every try */
	int tries;	   /* this one included */
	int64_t due_at_ms; /* list only: next try, 0: over */
	bool delivered;
	int last_status;
	struct slice last_error;
	int64_t last_at_ms;
	int64_t event_at_ms;

	/* claim only: all that the payload needs */
	struct slice url, secret;
	bool enabled;		 /* false: finish it without a try */
	struct slice event_data; /* JSON object, or ptr NULL */
	int account;
	struct id email;
	int64_t email_created_at_ms;
	struct slice message_id; /* ptr NULL: derived */
	struct slice head;	 /* mail_content record, no bodies */
	struct slice address;	 /* the recipient's */
	int field;
};
typedef void store_delivery_got(void *ctx, const struct store_delivery *row,
    size_t count, const struct error *err);

/*
 * Takes at most limit due deliveries: counts a try and pushes their due time
 * lease_ms ahead, so that nobody else takes them and they come back if this
 * process dies. Endpoints in busy are left out.
 */
struct pg_tx *store_delivery_claim(struct pg *pg, int64_t now_ms,
    int64_t lease_ms, size_t limit, const struct id *busy, size_t busy_count,
    store_delivery_got *done, void *ctx);

struct store_delivery_result {
	struct id recipient;
	enum event_kind kind;
	int dedupe;
	struct id webhook;
	int tries; /* as claimed: a result that comes too late is dropped */
	bool delivered;
	bool unsent;	    /* given back: the try is taken off again */
	int64_t next_at_ms; /* 0: over */
	int status;	    /* HTTP, or 0 */
	struct slice error; /* ptr NULL: none */
};
struct pg_tx *store_delivery_finish(struct pg *pg, int64_t now_ms,
    const struct store_delivery_result *results, size_t n, store_done *done,
    void *ctx);
/* When the next one is due, in ms; 0: none waits. */
typedef void store_delivery_due(void *ctx, int64_t due_at_ms,
    const struct error *err);
struct pg_tx *store_delivery_next(struct pg *pg, store_delivery_due *done,
    void *ctx);
/* Newest first. */
struct pg_tx *store_delivery_list(struct pg *pg, struct id webhook,
    size_t limit, store_delivery_got *done, void *ctx);
/* Sends again, whatever became of it. */
struct pg_tx *store_delivery_replay(struct pg *pg, int account, struct id id,
    int64_t now_ms, store_done *done, void *ctx);

#endif

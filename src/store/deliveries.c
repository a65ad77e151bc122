#include "store/webhooks.h"
#include <string.h>

#include "pg_priv.h"
#include "store_priv.h"

/*
 * What is owed to webhooks. A claim pushes the due time ahead and counts the
 * try in one statement: whoever holds it need not say so again, and if it dies
 * the delivery falls due by itself.
 */

/*
 * First a look at what is due, which goes through the small due indexes of all
 * days; mostly there is nothing. The claim itself then knows its days.
 */
static const struct pg_stmt stmt_due = { "delivery_due",
	"SELECT recipient FROM webhook_deliveries "
	"WHERE next_at <= $1::timestamptz AND NOT (webhook = ANY ($3::uuid[])) "
	"ORDER BY next_at LIMIT $2::int8" };

/* Sent (3) happened with delivered (4) where it has no row of its own. */
#define EVENT_OF(delivery, BOUNDS)                                             \
	"LEFT JOIN LATERAL (SELECT e.at, CASE e.kind WHEN " delivery ".kind "  \
	"THEN e.data END AS data FROM events e "                               \
	"WHERE e.recipient = " delivery ".recipient " BOUNDS                   \
	"AND e.dedupe = " delivery ".dedupe AND e.kind IN (" delivery          \
	".kind, "                                                              \
	"CASE " delivery ".kind WHEN 3 THEN 4::int2 END) "                     \
	"ORDER BY e.kind LIMIT 1) e ON true "

static const struct pg_stmt stmt_claim = {
	"delivery_claim",
	"WITH x AS MATERIALIZED (SELECT recipient, kind, dedupe, webhook "
	"FROM webhook_deliveries WHERE next_at <= $1::timestamptz "
	"AND recipient BETWEEN $5::uuid AND $6::uuid "
	"AND NOT (webhook = ANY ($4::uuid[])) ORDER BY next_at "
	"LIMIT $3::int8 FOR UPDATE SKIP LOCKED), "
	"c AS (UPDATE webhook_deliveries d SET tries = d.tries + 1, "
	"next_at = $2::timestamptz, last_at = $1 FROM x "
	"WHERE d.recipient = ANY (ARRAY(SELECT recipient FROM x)) "
	"AND d.recipient BETWEEN $5 AND $6 "
	"AND d.recipient = x.recipient AND d.kind = x.kind "
	"AND d.dedupe = x.dedupe AND d.webhook = x.webhook "
	"RETURNING d.recipient, d.kind, d.dedupe, d.webhook, d.id, d.tries, "
	"d.last_status) "
	"SELECT c.recipient, c.kind, c.dedupe, c.webhook, c.id, c.tries, "
	"coalesce(c.last_status, 0::int2), w.url, w.secret, "
	"coalesce(w.enabled, false), e.at, e.data, m.account, m.id, "
	"m.created_at, m.message_id, m.head, r.address, r.field "
	"FROM c LEFT JOIN webhooks w ON w.id = c.webhook " EVENT_OF("c",
	    "AND e.recipient BETWEEN $5 AND $6 ") "LEFT JOIN LATERAL (SELECT "
						  "r.address, r.field FROM "
						  "recipients r "
						  "WHERE r.id = c.recipient "
						  "AND r.id BETWEEN $5 AND $6 "
						  "OFFSET 0) r "
						  "ON true LEFT JOIN LATERAL "
						  "(SELECT * FROM emails m "
						  "WHERE m.id = "
						  "email_of(c.recipient) "
						  "AND m.id BETWEEN $7::uuid "
						  "AND $6 OFFSET 0) m ON true "
						  "ORDER BY c.recipient, c.kind"
};

static const struct pg_stmt stmt_finish = { "delivery_finish",
	"UPDATE webhook_deliveries d SET delivered = i.delivered, "
	"next_at = i.next_at, tries = d.tries - i.unsent::int, "
	"last_status = CASE WHEN i.unsent THEN d.last_status "
	"ELSE i.status END, "
	"last_error = CASE WHEN i.unsent THEN d.last_error ELSE i.error END, "
	"last_at = $9::timestamptz "
	"FROM unnest($1::uuid[], $2::int2[], $3::int4[], $4::uuid[], "
	"$5::int2[], $6::bool[], $7::timestamptz[], $8::int2[], $12::text[], "
	"$13::bool[]) "
	"AS i(recipient, kind, dedupe, webhook, tries, delivered, next_at, "
	"status, error, unsent) "
	"WHERE d.recipient = i.recipient AND d.kind = i.kind "
	"AND d.dedupe = i.dedupe AND d.webhook = i.webhook "
	"AND d.tries = i.tries "
	"AND d.recipient = ANY ($1) "
	"AND d.recipient BETWEEN $10::uuid AND $11::uuid" };

static const struct pg_stmt stmt_next = { "delivery_next",
	"SELECT min(next_at) FROM webhook_deliveries "
	"WHERE next_at IS NOT NULL" };

static const struct pg_stmt stmt_list = { "delivery_list",
	"SELECT d.recipient, d.kind, d.dedupe, d.webhook, d.id, d.tries, "
	"d.next_at, d.delivered, coalesce(d.last_status, 0::int2), "
	"d.last_error, d.last_at, e.at FROM (SELECT * FROM webhook_deliveries "
	"WHERE webhook = $1::uuid ORDER BY recipient DESC LIMIT $2::int8) "
	"d " EVENT_OF("d", "") "ORDER BY d.recipient DESC, e.at DESC" };

static const struct pg_stmt stmt_replay = { "delivery_replay",
	"UPDATE webhook_deliveries d SET next_at = $3::timestamptz, "
	"tries = 0, delivered = false FROM webhooks w "
	"WHERE w.account = $1::int4 AND d.webhook = w.id "
	"AND d.id = $2::uuid" };

static void
read_key(struct pg_row row, struct store_delivery *d)
{
	d->recipient = pg_get_id(row, 0);
	d->kind = (enum event_kind)pg_get_int2(row, 1);
	d->dedupe = pg_get_int4(row, 2);
	d->webhook = pg_get_id(row, 3);
	d->id = pg_get_id(row, 4);
	d->tries = pg_get_int2(row, 5);
}

static void
read_claimed(struct pg_row row, struct store_delivery *d)
{
	read_key(row, d);
	d->last_status = pg_get_int2(row, 6);
	d->url = pg_get_text(row, 7);
	d->secret = pg_get_text(row, 8);
	d->enabled = pg_get_bool(row, 9);
	d->event_at_ms = pg_get_time(row, 10);
	d->event_data = pg_get_text(row, 11);
	d->account = pg_get_int4(row, 12);
	d->email = pg_get_id(row, 13);
	d->email_created_at_ms = pg_get_time(row, 14);
	d->message_id = pg_get_text(row, 15);
	d->head = pg_get_text(row, 16);
	d->address = pg_get_text(row, 17);
	d->field = pg_get_int2(row, 18);
}

STORE_ROWS(send_claimed, struct store_delivery, read_claimed)

struct claim_call {
	store_delivery_got *done;
	void *ctx;
	struct pg_tx *tx;
	int64_t now_ms, lease_ms;
	size_t limit;
	struct id *busy;
	size_t busy_count;
};

static void
on_due(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct claim_call *c = ctx;
	struct store_bounds bounds = { 0 };
	size_t n = err == NULL ? pg_rows(reply, 0) : 0;

	if (n == 0) {
		c->done(c->ctx, NULL, 0, err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		store_bounds_add(&bounds, pg_get_id(pg_row(reply, 0, i), 0));
	pg_tx_restart(c->tx);
	pg_tx_stmt(c->tx, &stmt_claim);
	pg_tx_time(c->tx, c->now_ms);
	pg_tx_time(c->tx, c->now_ms + c->lease_ms);
	pg_tx_int8(c->tx, (int64_t)c->limit);
	store_put_ids(c->tx, c->busy, c->busy_count);
	store_bounds_put(c->tx, &bounds);
	pg_tx_id(c->tx, id_email_of(bounds.least));
	send_claimed(c->tx, NULL, c->done, c->ctx);
}

struct pg_tx *
store_delivery_claim(struct pg *pg, int64_t now_ms, int64_t lease_ms,
    size_t limit, const struct id *busy, size_t busy_count,
    store_delivery_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct claim_call *c = pg_tx_mem(tx, sizeof(*c));

	*c = (struct claim_call){ done, ctx, tx, now_ms, lease_ms, limit,
		pg_tx_mem(tx, (busy_count + 1) * sizeof(*busy)), busy_count };
	if (busy_count > 0)
		memcpy(c->busy, busy, busy_count * sizeof(*busy));
	pg_tx_stmt(tx, &stmt_due);
	pg_tx_time(tx, now_ms);
	pg_tx_int8(tx, (int64_t)limit);
	store_put_ids(tx, busy, busy_count);
	pg_tx_send(tx, on_due, c);
	return tx;
}

struct pg_tx *
store_delivery_finish(struct pg *pg, int64_t now_ms,
    const struct store_delivery_result *results, size_t n, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct store_bounds bounds = { 0 };

	invariant(n > 0);
	for (size_t i = 0; i < n; i++)
		store_bounds_add(&bounds, results[i].recipient);
	pg_tx_stmt(tx, &stmt_finish);
	STORE_PUT(tx, n, PG_UUID, pg_tx_id, results[i].recipient);
	STORE_PUT(tx, n, PG_INT2, pg_tx_int2, results[i].kind);
	STORE_PUT(tx, n, PG_INT4, pg_tx_int4, results[i].dedupe);
	STORE_PUT(tx, n, PG_UUID, pg_tx_id, results[i].webhook);
	STORE_PUT(tx, n, PG_INT2, pg_tx_int2, results[i].tries);
	STORE_PUT(tx, n, PG_BOOL, pg_tx_bool, results[i].delivered);
	STORE_PUT(tx, n, PG_TIME, pg_tx_time, results[i].next_at_ms);
	STORE_PUT(tx, n, PG_INT2, pg_tx_int2, results[i].status);
	pg_tx_time(tx, now_ms);
	store_bounds_put(tx, &bounds);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text_or_null, results[i].error);
	STORE_PUT(tx, n, PG_BOOL, pg_tx_bool, results[i].unsent);
	return store_send(tx, NULL, done, ctx);
}

struct next_call {
	store_delivery_due *done;
	void *ctx;
};

static void
on_next(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct next_call *call = ctx;

	call->done(call->ctx,
	    err == NULL ? pg_get_time(pg_row(reply, 0, 0), 0) : 0, err);
}

struct pg_tx *
store_delivery_next(struct pg *pg, store_delivery_due *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct next_call *call = pg_tx_mem(tx, sizeof(*call));

	pg_tx_stmt(tx, &stmt_next);
	*call = (struct next_call){ done, ctx };
	pg_tx_send(tx, on_next, call);
	return tx;
}

static void
read_listed(struct pg_row row, struct store_delivery *d)
{
	read_key(row, d);
	d->due_at_ms = pg_get_time(row, 6);
	d->delivered = pg_get_bool(row, 7);
	d->last_status = pg_get_int2(row, 8);
	d->last_error = pg_get_text(row, 9);
	d->last_at_ms = pg_get_time(row, 10);
	d->event_at_ms = pg_get_time(row, 11);
}

STORE_ROWS(send_listed, struct store_delivery, read_listed)

struct pg_tx *
store_delivery_list(struct pg *pg, struct id webhook, size_t limit,
    store_delivery_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_id(tx, webhook);
	pg_tx_int8(tx, (int64_t)limit);
	return send_listed(tx, NULL, done, ctx);
}

struct pg_tx *
store_delivery_replay(struct pg *pg, int account, struct id id, int64_t now_ms,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_replay);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	pg_tx_time(tx, now_ms);
	return store_send(tx, "no such delivery", done, ctx);
}

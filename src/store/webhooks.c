#include "store/webhooks.h"

#include "store_priv.h"

#define COLUMNS "id, account, url, events, secret, enabled, created_at"

static const struct pg_stmt stmt_add = { "webhook_add",
	"INSERT INTO webhooks (id, account, url, events, secret, enabled, "
	"created_at) VALUES ($1::uuid, $2::int4, $3::text, $4::int4, "
	"$5::bytea, $6::bool, $7::timestamptz)" };
static const struct pg_stmt stmt_update = { "webhook_update",
	"UPDATE webhooks SET url = $3::text, events = $4::int4, "
	"enabled = $5::bool WHERE account = $1::int4 AND id = $2::uuid" };
static const struct pg_stmt stmt_find = { "webhook_find",
	"SELECT " COLUMNS " FROM webhooks WHERE account = $1::int4 "
	"AND id = $2::uuid" };
static const struct pg_stmt stmt_list = { "webhook_list",
	"SELECT " COLUMNS " FROM webhooks WHERE account = $1::int4 "
	"ORDER BY id DESC" };
static const struct pg_stmt stmt_drop_due = { "webhook_drop_due",
	"UPDATE webhook_deliveries SET next_at = NULL "
	"WHERE webhook = $2::uuid AND next_at IS NOT NULL "
	"AND EXISTS (SELECT FROM webhooks WHERE account = $1::int4 "
	"AND id = $2)" };
static const struct pg_stmt stmt_remove = { "webhook_remove",
	"DELETE FROM webhooks WHERE account = $1::int4 AND id = $2::uuid" };

static void
read_webhook(struct pg_row row, struct store_webhook *w)
{
	w->id = pg_get_id(row, 0);
	w->account = pg_get_int4(row, 1);
	w->url = pg_get_text(row, 2);
	w->events = (uint32_t)pg_get_int4(row, 3);
	w->secret = pg_get_text(row, 4);
	w->enabled = pg_get_bool(row, 5);
	w->created_at_ms = pg_get_time(row, 6);
}

STORE_ROWS(send_rows, struct store_webhook, read_webhook)

struct pg_tx *
store_webhook_add(struct pg *pg, const struct store_webhook *webhook,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, webhook->id);
	pg_tx_int4(tx, webhook->account);
	pg_tx_text(tx, webhook->url);
	pg_tx_int4(tx, (int32_t)webhook->events);
	pg_tx_bytea(tx, webhook->secret);
	pg_tx_bool(tx, webhook->enabled);
	pg_tx_time(tx, webhook->created_at_ms);
	return store_send(tx, NULL, done, ctx);
}

struct pg_tx *
store_webhook_update(struct pg *pg, const struct store_webhook *webhook,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_update);
	pg_tx_int4(tx, webhook->account);
	pg_tx_id(tx, webhook->id);
	pg_tx_text(tx, webhook->url);
	pg_tx_int4(tx, (int32_t)webhook->events);
	pg_tx_bool(tx, webhook->enabled);
	return store_send(tx, "no such webhook", done, ctx);
}

struct pg_tx *
store_webhook_find(struct pg *pg, int account, struct id id,
    store_webhook_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	return send_rows(tx, "no such webhook", done, ctx);
}

struct pg_tx *
store_webhook_list(struct pg *pg, int account, store_webhook_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int4(tx, account);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_webhook_remove(struct pg *pg, int account, struct id id, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_drop_due);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	pg_tx_stmt(tx, &stmt_remove);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	return store_send(tx, "no such webhook", done, ctx);
}

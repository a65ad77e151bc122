#include "store/cancel.h"

#include "model/status.h"
#include "store/attempts.h"
#include "store_priv.h"

/*
 * Each is claimed as every attempt is, so that of two that want the same
 * recipient one wins; the claim is over with the same statement. Its worker is
 * 0: nobody sends it. A number of attempts that has changed meanwhile meets the
 * row of the other attempt.
 */
static const struct pg_stmt stmt_cancel = { "cancel",
	"WITH r AS (SELECT t.id, t.attempts FROM recipients t "
	"WHERE t.id BETWEEN $1::uuid AND $2::uuid AND t.finished_at IS NULL "
	"AND EXISTS (SELECT FROM emails e WHERE e.id = $1 "
	"AND e.account = $3::int4)), "
	"c AS (INSERT INTO attempts (recipient, n, worker, claimed_at, "
	"finished_at, outcome) SELECT r.id, r.attempts + 1, 0, "
	"$4::timestamptz, $4, " SQL_NOT_TRIED " FROM r "
	"ON CONFLICT DO NOTHING RETURNING recipient, n), "
	"e AS (INSERT INTO events (recipient, at, account, dedupe, kind, data) "
	"SELECT c.recipient, $4, $3, 0, $5::int2, $6::text FROM c "
	"ON CONFLICT DO NOTHING RETURNING recipient, kind, account), "
	"d AS (INSERT INTO webhook_deliveries (recipient, kind, dedupe, "
	"webhook, next_at) SELECT e.recipient, e.kind, 0, w.id, $4 "
	"FROM e JOIN webhooks w ON w.account = e.account AND w.enabled "
	"AND (w.events >> e.kind) & 1 = 1) "
	"UPDATE recipients t SET status = greatest(t.status, $7::int2), "
	"retry_at = NULL, finished_at = coalesce(t.finished_at, $4) FROM c "
	"WHERE t.id = c.recipient AND t.id BETWEEN $1 AND $2 "
	"RETURNING t.id, t.pool, t.lane, t.flow, t.flags" };

static const struct pg_stmt stmt_count = { "cancel_count",
	"SELECT count(*), count(*) FILTER (WHERE t.finished_at IS NULL), "
	"count(*) FILTER (WHERE t.status = $4::int2) FROM recipients t "
	"WHERE t.id BETWEEN $1::uuid AND $2::uuid AND EXISTS (SELECT "
	"FROM emails e WHERE e.id = $1 AND e.account = $3::int4)" };

struct call {
	store_cancel_got *done;
	void *ctx;
};

static void
read_canceled(struct pg_row row, struct store_canceled *c)
{
	c->id = pg_get_id(row, 0);
	c->pool = pg_get_int4(row, 1);
	c->lane = pg_get_text(row, 2);
	c->flow = (uint32_t)pg_get_int4(row, 3);
	c->flags = (uint8_t)pg_get_int2(row, 4);
}

static void
on_canceled(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_cancel_result result = { 0 };
	struct store_canceled *now;
	struct error missing = { 0 };

	if (err != NULL) {
		call->done(call->ctx, NULL, err);
		return;
	}
	result.now_count = pg_rows(reply, 0);
	now = store_reply_mem(reply, result.now_count, sizeof(*now));
	for (size_t i = 0; i < result.now_count; i++)
		read_canceled(pg_row(reply, 0, i), &now[i]);
	result.now = now;
	result.total = (size_t)pg_get_int8(pg_row(reply, 1, 0), 0);
	result.open = (size_t)pg_get_int8(pg_row(reply, 1, 0), 1);
	result.canceled = (size_t)pg_get_int8(pg_row(reply, 1, 0), 2);
	if (result.total == 0) {
		error_set(&missing, ERR_NOTFOUND, "no such email");
		call->done(call->ctx, NULL, &missing);
		return;
	}
	call->done(call->ctx, &result, NULL);
}

struct pg_tx *
store_cancel_email(struct pg *pg, const struct store_cancel *c,
    store_cancel_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct call){ done, ctx };
	pg_tx_stmt(tx, &stmt_cancel);
	pg_tx_id(tx, c->email);
	pg_tx_id(tx, store_last_recipient(c->email));
	pg_tx_int4(tx, c->account);
	pg_tx_time(tx, c->now_ms);
	pg_tx_int2(tx, EVENT_CANCELED);
	pg_tx_text(tx, c->data);
	pg_tx_int2(tx, STATUS_CANCELED);
	pg_tx_stmt(tx, &stmt_count);
	pg_tx_id(tx, c->email);
	pg_tx_id(tx, store_last_recipient(c->email));
	pg_tx_int4(tx, c->account);
	pg_tx_int2(tx, STATUS_CANCELED);
	pg_tx_send(tx, on_canceled, call);
	return tx;
}

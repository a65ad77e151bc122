#include "store/returns.h"

#include "pg_priv.h"
#include "store_priv.h"

static const struct pg_stmt stmt_add = { "return_add",
	"INSERT INTO returns (id, mail_from, rcpt_to, recipient, peer, raw, "
	"due_at) SELECT i.id, i.mail_from, i.rcpt_to, i.recipient, i.peer, "
	"i.raw, $7::timestamptz FROM unnest($1::uuid[], $2::text[], "
	"$3::text[], $4::uuid[], $5::text[], $6::bytea[]) "
	"AS i(id, mail_from, rcpt_to, recipient, peer, raw)" };
/* First a look at what is due, in all days; the claim then knows its days. */
static const struct pg_stmt stmt_due = { "return_due",
	"SELECT id FROM returns WHERE due_at <= $1::timestamptz "
	"ORDER BY due_at LIMIT $2::int8" };
static const struct pg_stmt stmt_claim = { "return_claim",
	"WITH x AS MATERIALIZED (SELECT id FROM returns "
	"WHERE due_at <= $1::timestamptz AND id BETWEEN $4::uuid AND $5::uuid "
	"ORDER BY due_at LIMIT $3::int8 FOR UPDATE SKIP LOCKED), "
	"c AS (UPDATE returns r SET tries = r.tries + 1, "
	"due_at = $2::timestamptz "
	"WHERE r.id = ANY (ARRAY(SELECT id FROM x)) "
	"AND r.id BETWEEN $4 AND $5 "
	"RETURNING r.id, r.mail_from, r.rcpt_to, r.recipient, r.peer, r.raw, "
	"r.tries) SELECT * FROM c ORDER BY id" };
static const struct pg_stmt stmt_finish = { "return_finish",
	"UPDATE returns r SET kind = i.kind, detail = i.detail, "
	"due_at = i.again_at, processed_at = CASE WHEN i.again_at IS NULL "
	"THEN $5::timestamptz END "
	"FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) "
	"AS i(id, kind, detail, again_at) WHERE r.id = i.id "
	"AND r.id = ANY ($1) AND r.id BETWEEN $6::uuid AND $7::uuid" };

struct pg_tx *
store_return_add(struct pg *pg, int64_t now_ms, const struct store_return *rows,
    size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	invariant(n > 0);
	pg_tx_stmt(tx, &stmt_add);
	STORE_PUT(tx, n, PG_UUID, pg_tx_id, rows[i].id);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, rows[i].mail_from);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, rows[i].rcpt_to);
	STORE_PUT(tx, n, PG_UUID, pg_tx_id_or_null, rows[i].recipient);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, rows[i].peer);
	STORE_PUT(tx, n, PG_BYTEA, pg_tx_bytea, rows[i].raw);
	pg_tx_time(tx, now_ms);
	return store_send(tx, NULL, done, ctx);
}

static void
read_return(struct pg_row row, struct store_return *r)
{
	r->id = pg_get_id(row, 0);
	r->mail_from = pg_get_text(row, 1);
	r->rcpt_to = pg_get_text(row, 2);
	r->recipient = pg_get_id(row, 3);
	r->peer = pg_get_text(row, 4);
	r->raw = pg_get_text(row, 5);
	r->tries = pg_get_int2(row, 6);
}

STORE_ROWS(send_rows, struct store_return, read_return)

struct claim_call {
	store_return_got *done;
	void *ctx;
	struct pg_tx *tx;
	int64_t now_ms, lease_ms;
	size_t limit;
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
	store_bounds_put(c->tx, &bounds);
	send_rows(c->tx, NULL, c->done, c->ctx);
}

struct pg_tx *
store_return_claim(struct pg *pg, int64_t now_ms, int64_t lease_ms,
    size_t limit, store_return_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct claim_call *c = pg_tx_mem(tx, sizeof(*c));

	*c = (struct claim_call){ done, ctx, tx, now_ms, lease_ms, limit };
	pg_tx_stmt(tx, &stmt_due);
	pg_tx_time(tx, now_ms);
	pg_tx_int8(tx, (int64_t)limit);
	pg_tx_send(tx, on_due, c);
	return tx;
}

struct pg_tx *
store_return_finish(struct pg *pg, int64_t now_ms,
    const struct store_return_result *results, size_t n, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct store_bounds bounds = { 0 };

	invariant(n > 0);
	for (size_t i = 0; i < n; i++)
		store_bounds_add(&bounds, results[i].id);
	pg_tx_stmt(tx, &stmt_finish);
	STORE_PUT(tx, n, PG_UUID, pg_tx_id, results[i].id);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, results[i].kind);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text_or_null, results[i].detail);
	STORE_PUT(tx, n, PG_TIME, pg_tx_time, results[i].again_at_ms);
	pg_tx_time(tx, now_ms);
	store_bounds_put(tx, &bounds);
	return store_send(tx, NULL, done, ctx);
}

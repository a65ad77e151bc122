#include "store/suppressions.h"

#include "store_priv.h"

#define COLUMNS                                                                \
	"id, account, address, scope, origin, reason, recipient, created_at, " \
	"expires_at"

/* One that has expired is as good as none, and its id goes with it: lists are
 * by the id, which says when the row came. */
static const struct pg_stmt stmt_add = { "suppression_add",
	"INSERT INTO suppressions AS s (id, account, address, scope, origin, "
	"reason, recipient, created_at, expires_at) VALUES ($1::uuid, "
	"$2::int4, $3::text, $4::int2, $5::text, $6::text, $7::uuid, "
	"$8::timestamptz, $9::timestamptz) "
	"ON CONFLICT (account, address, scope) DO UPDATE SET "
	"id = CASE WHEN s.expires_at <= $8 THEN excluded.id ELSE s.id END, "
	"origin = CASE WHEN s.expires_at <= $8 THEN excluded.origin "
	"ELSE s.origin END, "
	"reason = CASE WHEN s.expires_at <= $8 THEN excluded.reason "
	"ELSE s.reason END, "
	"created_at = CASE WHEN s.expires_at <= $8 THEN excluded.created_at "
	"ELSE s.created_at END, "
	"expires_at = CASE WHEN s.expires_at IS NULL THEN NULL "
	"WHEN excluded.expires_at IS NULL THEN NULL "
	"ELSE greatest(s.expires_at, excluded.expires_at) END "
	"RETURNING " COLUMNS };
static const struct pg_stmt stmt_find = { "suppression_find",
	"SELECT " COLUMNS " FROM suppressions WHERE account = $1::int4 "
	"AND (address = $2::text OR id = $3::uuid) "
	"AND (expires_at IS NULL OR expires_at > $4::timestamptz) "
	"ORDER BY scope LIMIT 1" };
#define LIST(COMPARE, ORDER)                                                   \
	"SELECT " COLUMNS " FROM suppressions WHERE account = $1::int4 "       \
	"AND ($2::text = '' OR origin = $2) AND id " COMPARE " $3::uuid "      \
	"AND (expires_at IS NULL OR expires_at > $5::timestamptz) "            \
	"ORDER BY id " ORDER " LIMIT $4::int8"
static const struct pg_stmt stmt_older = { "suppression_list_older",
	LIST("<", "DESC") };
static const struct pg_stmt stmt_newer = { "suppression_list_newer",
	LIST(">", "ASC") };
static const struct pg_stmt stmt_remove = { "suppression_remove",
	"DELETE FROM suppressions WHERE account = $1::int4 "
	"AND (address = $2::text OR id = $3::uuid) RETURNING " COLUMNS };
static const struct pg_stmt stmt_trim = { "suppression_trim",
	"DELETE FROM suppressions WHERE id IN (SELECT id FROM suppressions "
	"WHERE expires_at <= $1::timestamptz LIMIT $2::int8)" };

struct call {
	size_t limit; /* 0: one row that must be there */
	bool is_ascending;
	store_suppression_got *done;
	void *ctx;
};

static void
read_row(struct pg_row row, struct store_suppression *s)
{
	s->id = pg_get_id(row, 0);
	s->account = pg_get_int4(row, 1);
	s->address = pg_get_text(row, 2);
	s->scope = pg_get_int2(row, 3);
	s->origin = pg_get_text(row, 4);
	s->reason = pg_get_text(row, 5);
	s->recipient = pg_get_id(row, 6);
	s->created_at_ms = pg_get_time(row, 7);
	s->expires_at_ms = pg_get_time(row, 8);
}

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_suppression *all;
	struct error missing = { 0 };
	size_t got, n;

	if (err == NULL && call->limit == 0 && pg_rows(reply, 0) == 0) {
		error_set(&missing, ERR_NOTFOUND, "no such suppression");
		err = &missing;
	}
	if (err != NULL) {
		call->done(call->ctx, NULL, 0, false, err);
		return;
	}
	got = pg_rows(reply, 0);
	n = call->limit == 0 ? got : MIN(got, call->limit);
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++)
		read_row(pg_row(reply, 0, i),
		    &all[call->is_ascending ? n - 1 - i : i]);
	call->done(call->ctx, all, n, got > n, NULL);
}

static struct pg_tx *
send_rows(struct pg_tx *tx, size_t limit, bool is_ascending,
    store_suppression_got *done, void *ctx)
{
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct call){ limit, is_ascending, done, ctx };
	pg_tx_send(tx, on_rows, call);
	return tx;
}

struct pg_tx *
store_suppression_add(struct pg *pg, const struct store_suppression *row,
    store_suppression_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, row->id);
	pg_tx_int4(tx, row->account);
	pg_tx_text(tx, row->address);
	pg_tx_int2(tx, row->scope);
	pg_tx_text(tx, row->origin);
	pg_tx_text(tx, row->reason);
	pg_tx_id_or_null(tx, row->recipient);
	pg_tx_time(tx, row->created_at_ms);
	pg_tx_time(tx, row->expires_at_ms);
	return send_rows(tx, 0, false, done, ctx);
}

/* The one that is set; the other must match nothing. */
static void
put_name(struct pg_tx *tx, int account, struct slice address, struct id id)
{
	pg_tx_int4(tx, account);
	if (address.len > 0)
		pg_tx_text(tx, address);
	else
		pg_tx_null(tx);
	pg_tx_id_or_null(tx, id);
}

struct pg_tx *
store_suppression_find(struct pg *pg, int account, struct slice address,
    struct id id, int64_t now_ms, store_suppression_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find);
	put_name(tx, account, address, id);
	pg_tx_time(tx, now_ms);
	return send_rows(tx, 0, false, done, ctx);
}

struct pg_tx *
store_suppression_list(struct pg *pg, int account, struct slice origin,
    size_t limit, struct id after, struct id before, int64_t now_ms,
    store_suppression_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	bool is_ascending = !id_is_zero(before);
	struct id from = id_is_zero(after) ? store_id_top() : after;

	invariant(limit > 0);
	pg_tx_stmt(tx, is_ascending ? &stmt_newer : &stmt_older);
	pg_tx_int4(tx, account);
	pg_tx_text(tx, origin);
	pg_tx_id(tx, is_ascending ? before : from);
	pg_tx_int8(tx, (int64_t)limit + 1);
	pg_tx_time(tx, now_ms);
	return send_rows(tx, limit, is_ascending, done, ctx);
}

struct pg_tx *
store_suppression_remove(struct pg *pg, int account, struct slice address,
    struct id id, store_suppression_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_remove);
	put_name(tx, account, address, id);
	return send_rows(tx, 0, false, done, ctx);
}

struct pg_tx *
store_suppression_trim(struct pg *pg, int64_t now_ms, size_t limit,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_trim);
	pg_tx_time(tx, now_ms);
	pg_tx_int8(tx, (int64_t)limit);
	return store_send(tx, NULL, done, ctx);
}

#include "store/walks.h"

#include "store_priv.h"

#define UNFINISHED(MORE)                                                       \
	"SELECT id, pool, lane, flow, flags, status, retry_at, expires_at, "   \
	"address" MORE " FROM recipients r WHERE finished_at IS NULL "         \
	"AND id > $1::uuid AND id < $2::uuid ORDER BY id LIMIT $3::int8"
static const struct pg_stmt stmt_unfinished = { "walk_unfinished",
	UNFINISHED("") };
static const struct pg_stmt stmt_heads = { "walk_heads",
	UNFINISHED(
	    ", (SELECT e.head FROM emails e WHERE e.id = email_of(r.id))") };

static const struct pg_stmt stmt_move = { "walk_move",
	"UPDATE recipients r SET lane = m.to_lane "
	"FROM unnest($1::uuid[], $2::text[], $3::text[]) "
	"AS m(id, from_lane, to_lane) "
	"WHERE r.id = m.id AND r.id BETWEEN $4::uuid AND $5::uuid "
	"AND r.lane = m.from_lane AND r.finished_at IS NULL" };

static void
read_row(struct pg_row row, struct store_unfinished *u)
{
	u->id = pg_get_id(row, 0);
	u->pool = pg_get_int4(row, 1);
	u->lane = pg_get_text(row, 2);
	u->flow = (uint32_t)pg_get_int4(row, 3);
	u->flags = (uint8_t)pg_get_int2(row, 4);
	u->status = STATUS_QUEUED;
	status_from_int(pg_get_int2(row, 5), &u->status);
	u->retry_at_ms = pg_get_time(row, 6);
	u->expires_at_ms = pg_get_time(row, 7);
	u->address = pg_get_text(row, 8);
}

static void
read_with_head(struct pg_row row, struct store_unfinished *u)
{
	read_row(row, u);
	u->head = pg_get_text(row, 9);
}

STORE_ROWS(send_rows, struct store_unfinished, read_row)
STORE_ROWS(send_with_heads, struct store_unfinished, read_with_head)

static struct pg_tx *
ask_unfinished(struct pg *pg, const struct pg_stmt *stmt, struct id after,
    struct id before, size_t limit)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, stmt);
	pg_tx_id(tx, after);
	pg_tx_id(tx, before);
	pg_tx_int8(tx, (int64_t)limit);
	return tx;
}

struct pg_tx *
store_walk_unfinished(struct pg *pg, struct id after, struct id before,
    size_t limit, store_unfinished_got *done, void *ctx)
{
	return send_rows(ask_unfinished(pg, &stmt_unfinished, after, before,
			     limit),
	    NULL, done, ctx);
}

struct pg_tx *
store_walk_unfinished_heads(struct pg *pg, struct id after, struct id before,
    size_t limit, store_unfinished_got *done, void *ctx)
{
	return send_with_heads(ask_unfinished(pg, &stmt_heads, after, before,
				   limit),
	    NULL, done, ctx);
}

struct pg_tx *
store_walk_move(struct pg *pg, const struct store_move *move, size_t count,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct store_bounds bounds = { 0 };

	for (size_t i = 0; i < count; i++)
		store_bounds_add(&bounds, move[i].id);
	pg_tx_stmt(tx, &stmt_move);
	STORE_PUT(tx, count, PG_UUID, pg_tx_id, move[i].id);
	STORE_PUT(tx, count, PG_TEXT, pg_tx_text, move[i].from);
	STORE_PUT(tx, count, PG_TEXT, pg_tx_text, move[i].to);
	store_bounds_put(tx, &bounds);
	return store_send(tx, NULL, done, ctx);
}

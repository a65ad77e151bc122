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

struct call {
	store_unfinished_got *done;
	void *ctx;
	bool with_heads;
};

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_unfinished *all;
	size_t n;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);

		all[i].id = pg_get_id(row, 0);
		all[i].pool = pg_get_int4(row, 1);
		all[i].lane = pg_get_text(row, 2);
		all[i].flow = (uint32_t)pg_get_int4(row, 3);
		all[i].flags = (uint8_t)pg_get_int2(row, 4);
		all[i].status = STATUS_QUEUED;
		status_from_int(pg_get_int2(row, 5), &all[i].status);
		all[i].retry_at_ms = pg_get_time(row, 6);
		all[i].expires_at_ms = pg_get_time(row, 7);
		all[i].address = pg_get_text(row, 8);
		if (call->with_heads)
			all[i].head = pg_get_text(row, 9);
	}
	call->done(call->ctx, all, n, NULL);
}

static struct pg_tx *
read_unfinished(struct pg *pg, bool with_heads, struct id after,
    struct id before, size_t limit, store_unfinished_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	pg_tx_stmt(tx, with_heads ? &stmt_heads : &stmt_unfinished);
	pg_tx_id(tx, after);
	pg_tx_id(tx, before);
	pg_tx_int8(tx, (int64_t)limit);
	*call = (struct call){ done, ctx, with_heads };
	pg_tx_send(tx, on_rows, call);
	return tx;
}

struct pg_tx *
store_walk_unfinished(struct pg *pg, struct id after, struct id before,
    size_t limit, store_unfinished_got *done, void *ctx)
{
	return read_unfinished(pg, false, after, before, limit, done, ctx);
}

struct pg_tx *
store_walk_unfinished_heads(struct pg *pg, struct id after, struct id before,
    size_t limit, store_unfinished_got *done, void *ctx)
{
	return read_unfinished(pg, true, after, before, limit, done, ctx);
}

struct pg_tx *
store_walk_move(struct pg *pg, const struct store_move *move, size_t count,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct id low = move[0].id, high = move[0].id;

	pg_tx_stmt(tx, &stmt_move);
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < count; i++) {
		pg_tx_id(tx, move[i].id);
		if (id_cmp(move[i].id, low) < 0)
			low = move[i].id;
		if (id_cmp(move[i].id, high) > 0)
			high = move[i].id;
	}
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TEXT);
	for (size_t i = 0; i < count; i++)
		pg_tx_text(tx, move[i].from);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TEXT);
	for (size_t i = 0; i < count; i++)
		pg_tx_text(tx, move[i].to);
	pg_tx_array_end(tx);
	pg_tx_id(tx, low);
	pg_tx_id(tx, high);
	return store_send(tx, NULL, done, ctx);
}

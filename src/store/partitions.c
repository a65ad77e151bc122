#include "store/partitions.h"

#include "base/clock.h"
#include "store_priv.h"

static const struct pg_stmt stmt_make = { "partitions_make",
	"SELECT make_partitions($1::int4, $2::int4)" };
static const struct pg_stmt stmt_drop = { "partitions_drop",
	"SELECT drop_partitions($1::int4, $2::int4, $3::int4, $4::int4)" };
static const struct pg_stmt stmt_days = { "partitions_days",
	"SELECT coalesce(min(d), 0), coalesce(max(d), 0) "
	"FROM partition_days('emails') d" };
static const struct pg_stmt stmt_keys = { "idempotency_trim",
	"WITH gone AS (DELETE FROM idempotency_keys WHERE (account, endpoint, "
	"key) IN (SELECT account, endpoint, key FROM idempotency_keys "
	"WHERE expires_at <= $1::timestamptz ORDER BY expires_at "
	"LIMIT $2::int8 FOR UPDATE SKIP LOCKED) RETURNING 1) "
	"SELECT count(*)::int4 FROM gone" };

struct call {
	store_counted *done;
	void *ctx;
};

static void
on_count(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	size_t n = 0;

	if (err == NULL)
		n = (size_t)pg_get_int4(pg_row(reply, 0, 0), 0);
	call->done(call->ctx, n, err);
}

static struct pg_tx *
send_count(struct pg_tx *tx, store_counted *done, void *ctx)
{
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct call){ done, ctx };
	pg_tx_send(tx, on_count, call);
	return tx;
}

/* A row that hurts a CHECK of ours is ERR_CONFLICT: it names its constraint. */
bool
store_day_is_missing(const struct error *err)
{
	return err->kind == ERR_STORE && pg_sqlstate_is(err, "23514");
}

struct pg_tx *
store_partitions_make(struct pg *pg, int64_t now_ms, store_counted *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	int32_t today = (int32_t)(now_ms / CLOCK_DAY_MS);

	pg_tx_stmt(tx, &stmt_make);
	pg_tx_int4(tx, today - 1);
	pg_tx_int4(tx, today + STORE_DAYS_AHEAD);
	return send_count(tx, done, ctx);
}

struct pg_tx *
store_partitions_drop(struct pg *pg, int64_t now_ms,
    const struct store_retention *keep, store_counted *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	int32_t today = (int32_t)(now_ms / CLOCK_DAY_MS);

	pg_tx_stmt(tx, &stmt_drop);
	pg_tx_int4(tx, today - keep->mail_days);
	pg_tx_int4(tx, today - keep->content_days);
	pg_tx_int4(tx, today - keep->return_days);
	pg_tx_int4(tx, today - keep->simulator_days);
	return send_count(tx, done, ctx);
}

struct days_call {
	store_days_got *done;
	void *ctx;
};

static void
on_days(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct days_call *call = ctx;

	if (err != NULL)
		call->done(call->ctx, 0, 0, err);
	else
		call->done(call->ctx, pg_get_int4(pg_row(reply, 0, 0), 0),
		    pg_get_int4(pg_row(reply, 0, 0), 1), NULL);
}

struct pg_tx *
store_partitions_days(struct pg *pg, store_days_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct days_call *call = pg_tx_mem(tx, sizeof(*call));

	pg_tx_stmt(tx, &stmt_days);
	*call = (struct days_call){ done, ctx };
	pg_tx_send(tx, on_days, call);
	return tx;
}

struct pg_tx *
store_idempotency_trim(struct pg *pg, int64_t now_ms, size_t limit,
    store_counted *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_keys);
	pg_tx_time(tx, now_ms);
	pg_tx_int8(tx, (int64_t)limit);
	return send_count(tx, done, ctx);
}

#include "store/quota.h"

#include "base/clock.h"
#include "store_priv.h"

/* now() is the same in all statements of a unit of work. */
#define NOW "(now() + $1::int8 * interval '1 ms')"
#define DAY "floor(extract(epoch FROM " NOW ") / 86400)::int4"

static const struct pg_stmt stmt_open = { "quota_open",
	"INSERT INTO source_quota (source, day, provider, cap, taken) "
	"SELECT s.number, " DAY ", $4::text, $5::int4, 0 FROM sources s "
	"WHERE s.number = $3::int4 AND s.owner = $2::int4 "
	"ON CONFLICT DO NOTHING" };
/* Old days of this one row go with it. */
static const struct pg_stmt stmt_trim = { "quota_trim",
	"DELETE FROM source_quota WHERE source = $2::int4 "
	"AND day < " DAY " - 40" };
static const struct pg_stmt stmt_take = { "quota_take",
	"WITH mine AS (SELECT number FROM sources WHERE number = $3::int4 "
	"AND owner = $2::int4 FOR SHARE), "
	"row AS (SELECT q.taken FROM source_quota q JOIN mine "
	"ON q.source = mine.number WHERE q.day = " DAY " "
	"AND q.provider = $4::text FOR UPDATE OF q), "
	"give AS (SELECT greatest(0, least($6::int4, $5::int4 - taken)) AS n "
	"FROM row) "
	"UPDATE source_quota q SET taken = q.taken + give.n, cap = $5 "
	"FROM give WHERE q.source = $3 AND q.day = " DAY " "
	"AND q.provider = $4 "
	"RETURNING q.day, give.n, q.taken, "
	"((q.day + 1) * 86400::int8 * 1000 "
	"- extract(epoch FROM " NOW ") * 1000)::int8" };
static const struct pg_stmt stmt_return = { "quota_return",
	"UPDATE source_quota q SET taken = greatest(0, taken - $5::int4) "
	"FROM sources s WHERE s.number = $2::int4 AND s.owner = $1::int4 "
	"AND q.source = $2 AND q.day = $4::int4 AND q.provider = $3::text" };
static const struct pg_stmt stmt_list = { "quota_list",
	"SELECT source, provider, taken FROM source_quota WHERE day = " DAY
	" ORDER BY source, provider" };

struct call {
	store_quota_got *done;
	void *ctx;
};

static void
on_taken(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_quota quota;
	struct pg_row row;

	if (err != NULL || pg_rows(reply, 2) == 0) {
		call->done(call->ctx, NULL, err);
		return;
	}
	row = pg_row(reply, 2, 0);
	quota = (struct store_quota){
		.day = pg_get_int4(row, 0),
		.granted = pg_get_int4(row, 1),
		.taken = pg_get_int4(row, 2),
		.left_ms = pg_get_int8(row, 3),
	};
	call->done(call->ctx, &quota, NULL);
}

struct pg_tx *
store_quota_take(struct pg *pg, int worker, int source, struct slice provider,
    int cap, int want, store_quota_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));
	int64_t offset_ms = clock_offset_ms();

	*call = (struct call){ done, ctx };
	pg_tx_stmt(tx, &stmt_open);
	pg_tx_int8(tx, offset_ms);
	pg_tx_int4(tx, worker);
	pg_tx_int4(tx, source);
	pg_tx_text(tx, provider);
	pg_tx_int4(tx, cap);
	pg_tx_stmt(tx, &stmt_trim);
	pg_tx_int8(tx, offset_ms);
	pg_tx_int4(tx, source);
	pg_tx_stmt(tx, &stmt_take);
	pg_tx_int8(tx, offset_ms);
	pg_tx_int4(tx, worker);
	pg_tx_int4(tx, source);
	pg_tx_text(tx, provider);
	pg_tx_int4(tx, cap);
	pg_tx_int4(tx, want);
	pg_tx_send(tx, on_taken, call);
	return tx;
}

struct pg_tx *
store_quota_return(struct pg *pg, int worker, int source, struct slice provider,
    int day, int unused, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_return);
	pg_tx_int4(tx, worker);
	pg_tx_int4(tx, source);
	pg_tx_text(tx, provider);
	pg_tx_int4(tx, day);
	pg_tx_int4(tx, unused);
	return store_send(tx, NULL, done, ctx);
}

static void
read_use(struct pg_row row, struct store_quota_use *use)
{
	use->source = pg_get_int4(row, 0);
	use->provider = pg_get_text(row, 1);
	use->taken = pg_get_int4(row, 2);
}

STORE_ROWS(send_uses, struct store_quota_use, read_use)

struct pg_tx *
store_quota_list(struct pg *pg, store_quota_uses_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int8(tx, clock_offset_ms());
	return send_uses(tx, NULL, done, ctx);
}

#include "store/accounts.h"

#include "store_priv.h"

#define POOL_OF(stream)                                                        \
	"(SELECT p.name FROM streams s JOIN pools p ON p.number = s.pool "     \
	"WHERE s.account = accounts.number AND s.stream = " stream ")"
#define COLUMNS                                                                \
	"number, id, name, suppressed_answer, weight_log2, "                   \
	"created_at, " POOL_OF("0") ", " POOL_OF("1")

static const struct pg_stmt stmt_add = { "account_add",
	"INSERT INTO accounts (id, name, created_at) "
	"VALUES ($1::uuid, $2::text, $3::timestamptz) RETURNING " COLUMNS };
static const struct pg_stmt stmt_find = { "account_find",
	"SELECT " COLUMNS " FROM accounts "
	"WHERE name = $1::text OR id = $2::uuid" };
static const struct pg_stmt stmt_list = { "account_list",
	"SELECT " COLUMNS " FROM accounts ORDER BY number" };
static const struct pg_stmt stmt_set = { "account_set",
	"UPDATE accounts SET "
	"suppressed_answer = coalesce(nullif($2::int2, 0), suppressed_answer), "
	"weight_log2 = CASE WHEN $3::int2 < 0 THEN weight_log2 ELSE $3 END "
	"WHERE number = $1::int4" };
/* The weight of a new row is what holds without one (store/keys.c). */
static const struct pg_stmt stmt_set_pool = { "account_set_pool",
	"INSERT INTO streams (account, stream, pool, weight_log2) "
	"SELECT $1::int4, $2::int2, p.number, CASE $2 WHEN 0 THEN 3 ELSE 0 END "
	"FROM pools p WHERE p.name = $3::text "
	"ON CONFLICT (account, stream) DO UPDATE SET pool = excluded.pool" };
static const struct pg_stmt stmt_count = { "account_count",
	"SELECT (SELECT count(*) FROM domains WHERE account = $1::int4), "
	"(SELECT count(*) FROM api_keys WHERE account = $1), "
	"(SELECT count(*) FROM webhooks WHERE account = $1), "
	"(SELECT count(*) FROM suppressions WHERE account = $1)" };

static void
read_account(struct pg_row row, struct store_account *a)
{
	a->number = pg_get_int4(row, 0);
	a->id = pg_get_id(row, 1);
	a->name = pg_get_text(row, 2);
	a->suppressed_answer = pg_get_int2(row, 3);
	a->weight_log2 = pg_get_int2(row, 4);
	a->created_at_ms = pg_get_time(row, 5);
	for (int i = 0; i < STORE_STREAMS; i++)
		a->pool[i] = pg_get_text(row, 6 + i);
}

STORE_ROWS(send_rows, struct store_account, read_account)

struct pg_tx *
store_account_add(struct pg *pg, struct id id, struct slice name,
    int64_t now_ms, store_account_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, id);
	pg_tx_text(tx, name);
	pg_tx_time(tx, now_ms);
	return send_rows(tx, "no such account", done, ctx);
}

struct pg_tx *
store_account_find(struct pg *pg, struct slice name_or_id,
    store_account_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct id id = { { 0 } };

	pg_tx_stmt(tx, &stmt_find);
	pg_tx_text(tx, name_or_id);
	if (id_parse(name_or_id, &id))
		pg_tx_id(tx, id);
	else
		pg_tx_null(tx);
	return send_rows(tx, "no such account", done, ctx);
}

struct pg_tx *
store_account_list(struct pg *pg, store_account_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_account_set(struct pg *pg, int number,
    const struct store_account_change *change, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_set);
	pg_tx_int4(tx, number);
	pg_tx_int2(tx, change->suppressed_answer);
	pg_tx_int2(tx, change->weight_log2);
	return store_send(tx, "no such account", done, ctx);
}

struct pg_tx *
store_account_set_pool(struct pg *pg, int number, enum store_stream stream,
    struct slice pool, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_set_pool);
	pg_tx_int4(tx, number);
	pg_tx_int2(tx, (int)stream);
	pg_tx_text(tx, pool);
	return store_send(tx, "no such pool", done, ctx);
}

static void
read_holdings(struct pg_row row, struct store_account_holdings *h)
{
	h->domains = pg_get_int8(row, 0);
	h->keys = pg_get_int8(row, 1);
	h->webhooks = pg_get_int8(row, 2);
	h->suppressions = pg_get_int8(row, 3);
}

STORE_ROWS(send_holdings, struct store_account_holdings, read_holdings)

struct pg_tx *
store_account_count(struct pg *pg, int number, store_account_holdings_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_count);
	pg_tx_int4(tx, number);
	return send_holdings(tx, NULL, done, ctx);
}

#include "store/accounts.h"

#include "store_priv.h"

#define COLUMNS "number, id, name, suppressed_answer, weight_log2, created_at"

static const struct pg_stmt stmt_add = { "account_add",
	"INSERT INTO accounts (id, name, created_at) "
	"VALUES ($1::uuid, $2::text, $3::timestamptz) RETURNING " COLUMNS };
static const struct pg_stmt stmt_find = { "account_find",
	"SELECT " COLUMNS " FROM accounts "
	"WHERE name = $1::text OR id = $2::uuid" };
static const struct pg_stmt stmt_list = { "account_list",
	"SELECT " COLUMNS " FROM accounts ORDER BY number" };
static const struct pg_stmt stmt_set_answer = { "account_set_answer",
	"UPDATE accounts SET suppressed_answer = $2::int2 "
	"WHERE number = $1::int4" };
static const struct pg_stmt stmt_remove = { "account_remove",
	"DELETE FROM accounts WHERE number = $1::int4" };

static void
read_account(struct pg_row row, struct store_account *a)
{
	a->number = pg_get_int4(row, 0);
	a->id = pg_get_id(row, 1);
	a->name = pg_get_text(row, 2);
	a->suppressed_answer = pg_get_int2(row, 3);
	a->weight_log2 = pg_get_int2(row, 4);
	a->created_at_ms = pg_get_time(row, 5);
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
store_account_set_answer(struct pg *pg, int number, int suppressed_answer,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_set_answer);
	pg_tx_int4(tx, number);
	pg_tx_int2(tx, suppressed_answer);
	return store_send(tx, "no such account", done, ctx);
}

struct pg_tx *
store_account_remove(struct pg *pg, int number, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_remove);
	pg_tx_int4(tx, number);
	return store_send(tx, "no such account", done, ctx);
}

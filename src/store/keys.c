#include "store/keys.h"

#include "store_priv.h"

/*
 * A stream without a row: the first pool; transactional weighs 8 against
 * 1, times the account's weight, at most 2^7.
 */
static const struct pg_stmt stmt_find = { "key_find",
	"SELECT k.id, k.account, k.name, k.prefix, k.permission, "
	"coalesce(k.domain, 0), k.created_at, k.last_used_at, "
	"a.id, a.name, a.suppressed_answer, a.weight_log2, a.created_at, "
	"coalesce(t.pool, p.number), "
	"least(7, coalesce(t.weight_log2, 3) + a.weight_log2)::int2, "
	"coalesce(b.pool, p.number), "
	"least(7, coalesce(b.weight_log2, 0) + a.weight_log2)::int2 "
	"FROM api_keys k JOIN accounts a ON a.number = k.account "
	"CROSS JOIN (SELECT min(number) AS number FROM pools) p "
	"LEFT JOIN streams t ON t.account = a.number AND t.stream = 0 "
	"LEFT JOIN streams b ON b.account = a.number AND b.stream = 1 "
	"WHERE k.hash = $1::bytea" };
static const struct pg_stmt stmt_touch = { "key_touch",
	"UPDATE api_keys SET last_used_at = $2::timestamptz "
	"WHERE id = $1::uuid" };
static const struct pg_stmt stmt_add = { "key_add",
	"INSERT INTO api_keys (id, account, name, hash, prefix, permission, "
	"domain, created_at) VALUES ($1::uuid, $2::int4, $3::text, $4::bytea, "
	"$5::text, $6::text, nullif($7::int4, 0), $8::timestamptz)" };
static const struct pg_stmt stmt_list = { "key_list",
	"SELECT id, account, name, prefix, permission, coalesce(domain, 0), "
	"created_at, last_used_at FROM api_keys "
	"WHERE $1::int4 IN (0, account) ORDER BY id" };
static const struct pg_stmt stmt_remove = { "key_remove",
	"DELETE FROM api_keys WHERE account = $1::int4 AND id = $2::uuid" };

struct find_call {
	store_key_auth_got *done;
	void *ctx;
};

static void
read_key(struct pg_row row, struct store_key *k)
{
	*k = (struct store_key){
		.id = pg_get_id(row, 0),
		.account = pg_get_int4(row, 1),
		.name = pg_get_text(row, 2),
		.prefix = pg_get_text(row, 3),
		.sending_only =
		    !slice_eq_text(pg_get_text(row, 4), "full_access"),
		.domain = pg_get_int4(row, 5),
		.created_at_ms = pg_get_time(row, 6),
		.last_used_at_ms = pg_get_time(row, 7),
	};
}

static void
on_found(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct find_call *call = ctx;
	struct error missing = { 0 };
	struct store_key_auth auth = { 0 };
	struct pg_row row;

	if (err != NULL) {
		call->done(call->ctx, NULL, err);
		return;
	}
	if (pg_rows(reply, 0) == 0) {
		error_set(&missing, ERR_NOTFOUND, "no such key");
		call->done(call->ctx, NULL, &missing);
		return;
	}
	row = pg_row(reply, 0, 0);
	read_key(row, &auth.key);
	auth.account = (struct store_account){
		.number = auth.key.account,
		.id = pg_get_id(row, 8),
		.name = pg_get_text(row, 9),
		.suppressed_answer = pg_get_int2(row, 10),
		.weight_log2 = pg_get_int2(row, 11),
		.created_at_ms = pg_get_time(row, 12),
	};
	for (int i = 0; i < STORE_STREAMS; i++) {
		auth.stream[i].pool = pg_get_int4(row, 13 + 2 * i);
		auth.stream[i].weight_log2 = pg_get_int2(row, 14 + 2 * i);
	}
	call->done(call->ctx, &auth, NULL);
}

struct pg_tx *
store_key_find(struct pg *pg, const uint8_t hash[32], store_key_auth_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct find_call *call = pg_tx_mem(tx, sizeof(*call));

	pg_tx_stmt(tx, &stmt_find);
	pg_tx_bytea(tx, slice_mem(hash, 32));
	*call = (struct find_call){ done, ctx };
	pg_tx_send(tx, on_found, call);
	return tx;
}

struct pg_tx *
store_key_touch(struct pg *pg, struct id id, int64_t now_ms, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_touch);
	pg_tx_id(tx, id);
	pg_tx_time(tx, now_ms);
	return store_send(tx, NULL, done, ctx);
}

struct pg_tx *
store_key_add(struct pg *pg, const struct store_key *key,
    const uint8_t hash[32], store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, key->id);
	pg_tx_int4(tx, key->account);
	pg_tx_text(tx, key->name);
	pg_tx_bytea(tx, slice_mem(hash, 32));
	pg_tx_text(tx, key->prefix);
	pg_tx_text(tx,
	    key->sending_only ? SLICE("sending_access") : SLICE("full_access"));
	pg_tx_int4(tx, key->domain);
	pg_tx_time(tx, key->created_at_ms);
	return store_send(tx, NULL, done, ctx);
}

STORE_ROWS(send_keys, struct store_key, read_key)

struct pg_tx *
store_key_list(struct pg *pg, int account, store_key_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int4(tx, account);
	return send_keys(tx, NULL, done, ctx);
}

struct pg_tx *
store_key_remove(struct pg *pg, int account, struct id id, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_remove);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	return store_send(tx, "no such key", done, ctx);
}

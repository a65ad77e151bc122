#include "store/domains.h"

#include "store_priv.h"

#define COLUMNS                                                                \
	"number, id, account, name, return_path_host, status, checks::text, "  \
	"checked_at, created_at"
#define KEY_COLUMNS                                                            \
	"id, domain, selector, algorithm, private_key, public_txt, created_at"

static const struct pg_stmt stmt_add = { "domain_add",
	"WITH d AS (INSERT INTO domains (id, account, name, return_path_host, "
	"created_at) VALUES ($1::uuid, $2::int4, $3::text, $4::text, "
	"$5::timestamptz) RETURNING " COLUMNS "), "
	"k AS (INSERT INTO dkim_keys (id, domain, selector, algorithm, "
	"private_key, public_txt, created_at) SELECT $6::uuid, d.number, "
	"$7::text, $8::text, $9::bytea, $10::text, $5::timestamptz FROM d) "
	"SELECT * FROM d" };
static const struct pg_stmt stmt_find_name = { "domain_find_name",
	"SELECT " COLUMNS " FROM domains WHERE name = $2::text "
	"AND ($1::int4 = 0 OR account = $1)" };
static const struct pg_stmt stmt_find_id = { "domain_find_id",
	"SELECT " COLUMNS " FROM domains WHERE id = $2::uuid "
	"AND ($1::int4 = 0 OR account = $1)" };
static const struct pg_stmt stmt_find_number = { "domain_find_number",
	"SELECT " COLUMNS " FROM domains WHERE number = $1::int4" };
static const struct pg_stmt stmt_list = { "domain_list",
	"SELECT " COLUMNS " FROM domains WHERE $1::int4 = 0 OR account = $1 "
	"ORDER BY id" };
static const struct pg_stmt stmt_set_checks = { "domain_set_checks",
	"UPDATE domains SET status = $2::text, checks = $3::text::jsonb, "
	"checked_at = $4::timestamptz WHERE number = $1::int4" };
static const struct pg_stmt stmt_remove = { "domain_remove",
	"DELETE FROM domains WHERE id = $2::uuid "
	"AND ($1::int4 = 0 OR account = $1)" };
static const struct pg_stmt stmt_key_list = { "dkim_key_list",
	"SELECT " KEY_COLUMNS " FROM dkim_keys WHERE domain = $1::int4 "
	"AND active ORDER BY id DESC" };
static const struct pg_stmt stmt_key_retire = { "dkim_key_retire",
	"UPDATE dkim_keys SET active = false WHERE domain = $1::int4 "
	"AND algorithm = $2::text" };
static const struct pg_stmt stmt_key_add = { "dkim_key_add",
	"INSERT INTO dkim_keys (id, domain, selector, algorithm, private_key, "
	"public_txt, created_at) VALUES ($1::uuid, $2::int4, $3::text, "
	"$4::text, $5::bytea, $6::text, $7::timestamptz)" };

struct call {
	bool must_exist;
	store_domain_got *done;
	void *ctx;
};

struct key_call {
	store_dkim_key_got *done;
	void *ctx;
};

static struct store_domain
read_domain(struct pg_row row)
{
	struct slice status = pg_get_text(row, 5);

	return (struct store_domain){
		.number = pg_get_int4(row, 0),
		.id = pg_get_id(row, 1),
		.account = pg_get_int4(row, 2),
		.name = pg_get_text(row, 3),
		.return_path_host = pg_get_text(row, 4),
		.status = status,
		.verified = slice_eq_text(status, "verified"),
		.checks = pg_get_text(row, 6),
		.checked_at_ms = pg_get_time(row, 7),
		.created_at_ms = pg_get_time(row, 8),
	};
}

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_domain *all;
	struct error missing = { 0 };
	size_t n;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	if (n == 0 && call->must_exist) {
		error_set(&missing, ERR_NOTFOUND, "no such domain");
		call->done(call->ctx, NULL, 0, &missing);
		return;
	}
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++)
		all[i] = read_domain(pg_row(reply, 0, i));
	call->done(call->ctx, all, n, NULL);
}

static struct pg_tx *
send_rows(struct pg_tx *tx, bool must_exist, store_domain_got *done, void *ctx)
{
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct call){ must_exist, done, ctx };
	pg_tx_send(tx, on_rows, call);
	return tx;
}

struct pg_tx *
store_domain_add(struct pg *pg, const struct store_domain *domain,
    const struct store_dkim_key *key, store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, domain->id);
	pg_tx_int4(tx, domain->account);
	pg_tx_text(tx, domain->name);
	pg_tx_text(tx, domain->return_path_host);
	pg_tx_time(tx, domain->created_at_ms);
	pg_tx_id(tx, key->id);
	pg_tx_text(tx, key->selector);
	pg_tx_text(tx, key->algorithm);
	pg_tx_bytea(tx, key->private_key);
	pg_tx_text(tx, key->public_txt);
	return send_rows(tx, true, done, ctx);
}

struct pg_tx *
store_domain_find_name(struct pg *pg, int account, struct slice name,
    store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_name);
	pg_tx_int4(tx, account);
	pg_tx_text(tx, name);
	return send_rows(tx, true, done, ctx);
}

struct pg_tx *
store_domain_find_id(struct pg *pg, int account, struct id id,
    store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_id);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	return send_rows(tx, true, done, ctx);
}

struct pg_tx *
store_domain_find_number(struct pg *pg, int number, store_domain_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_number);
	pg_tx_int4(tx, number);
	return send_rows(tx, true, done, ctx);
}

struct pg_tx *
store_domain_list(struct pg *pg, int account, store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int4(tx, account);
	return send_rows(tx, false, done, ctx);
}

struct pg_tx *
store_domain_set_checks(struct pg *pg, int number, struct slice status,
    struct slice checks_json, int64_t now_ms, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_set_checks);
	pg_tx_int4(tx, number);
	pg_tx_text(tx, status);
	pg_tx_text(tx, checks_json);
	pg_tx_time(tx, now_ms);
	return store_send(tx, "no such domain", done, ctx);
}

struct pg_tx *
store_domain_remove(struct pg *pg, int account, struct id id, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_remove);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	return store_send(tx, "no such domain", done, ctx);
}

static void
on_keys(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct key_call *call = ctx;
	struct store_dkim_key *all;
	struct error missing = { 0 };
	size_t n;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	if (n == 0) {
		error_set(&missing, ERR_NOTFOUND, "the domain has no DKIM key");
		call->done(call->ctx, NULL, 0, &missing);
		return;
	}
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);

		all[i].id = pg_get_id(row, 0);
		all[i].domain = pg_get_int4(row, 1);
		all[i].selector = pg_get_text(row, 2);
		all[i].algorithm = pg_get_text(row, 3);
		all[i].private_key = pg_get_text(row, 4);
		all[i].public_txt = pg_get_text(row, 5);
		all[i].created_at_ms = pg_get_time(row, 6);
	}
	call->done(call->ctx, all, n, NULL);
}

struct pg_tx *
store_dkim_key_list(struct pg *pg, int domain, store_dkim_key_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct key_call *call = pg_tx_mem(tx, sizeof(*call));

	pg_tx_stmt(tx, &stmt_key_list);
	pg_tx_int4(tx, domain);
	*call = (struct key_call){ done, ctx };
	pg_tx_send(tx, on_keys, call);
	return tx;
}

struct pg_tx *
store_dkim_key_add(struct pg *pg, const struct store_dkim_key *key,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_key_retire);
	pg_tx_int4(tx, key->domain);
	pg_tx_text(tx, key->algorithm);
	pg_tx_stmt(tx, &stmt_key_add);
	pg_tx_id(tx, key->id);
	pg_tx_int4(tx, key->domain);
	pg_tx_text(tx, key->selector);
	pg_tx_text(tx, key->algorithm);
	pg_tx_bytea(tx, key->private_key);
	pg_tx_text(tx, key->public_txt);
	pg_tx_time(tx, key->created_at_ms);
	return store_send(tx, NULL, done, ctx);
}

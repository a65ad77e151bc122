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
static const struct pg_stmt stmt_count = { "domain_count",
	"SELECT (SELECT count(*) FROM dkim_keys WHERE domain = $1::int4), "
	"(SELECT count(*) FROM api_keys WHERE domain = $1)" };
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

static void
read_domain(struct pg_row row, struct store_domain *d)
{
	struct slice status = pg_get_text(row, 5);

	*d = (struct store_domain){
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

STORE_ROWS(send_rows, struct store_domain, read_domain)

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
	return send_rows(tx, "no such domain", done, ctx);
}

struct pg_tx *
store_domain_find_name(struct pg *pg, int account, struct slice name,
    store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_name);
	pg_tx_int4(tx, account);
	pg_tx_text(tx, name);
	return send_rows(tx, "no such domain", done, ctx);
}

struct pg_tx *
store_domain_find_id(struct pg *pg, int account, struct id id,
    store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_id);
	pg_tx_int4(tx, account);
	pg_tx_id(tx, id);
	return send_rows(tx, "no such domain", done, ctx);
}

struct pg_tx *
store_domain_find_number(struct pg *pg, int number, store_domain_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_number);
	pg_tx_int4(tx, number);
	return send_rows(tx, "no such domain", done, ctx);
}

struct pg_tx *
store_domain_list(struct pg *pg, int account, store_domain_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int4(tx, account);
	return send_rows(tx, NULL, done, ctx);
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

static void
read_holdings(struct pg_row row, struct store_domain_holdings *h)
{
	h->dkim_keys = pg_get_int8(row, 0);
	h->api_keys = pg_get_int8(row, 1);
}

STORE_ROWS(send_holdings, struct store_domain_holdings, read_holdings)

struct pg_tx *
store_domain_count(struct pg *pg, int number, store_domain_holdings_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_count);
	pg_tx_int4(tx, number);
	return send_holdings(tx, NULL, done, ctx);
}

static void
read_key(struct pg_row row, struct store_dkim_key *k)
{
	k->id = pg_get_id(row, 0);
	k->domain = pg_get_int4(row, 1);
	k->selector = pg_get_text(row, 2);
	k->algorithm = pg_get_text(row, 3);
	k->private_key = pg_get_text(row, 4);
	k->public_txt = pg_get_text(row, 5);
	k->created_at_ms = pg_get_time(row, 6);
}

STORE_ROWS(send_keys, struct store_dkim_key, read_key)

struct pg_tx *
store_dkim_key_list(struct pg *pg, int domain, store_dkim_key_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_key_list);
	pg_tx_int4(tx, domain);
	return send_keys(tx, "the domain has no DKIM key", done, ctx);
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

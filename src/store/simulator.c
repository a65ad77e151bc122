#include "store/simulator.h"

#include "store_priv.h"

static const struct pg_stmt stmt_add = { "simulator_add",
	"INSERT INTO simulator_mails (id, mail_from, rcpt_to, outcome, raw) "
	"SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], "
	"$5::bytea[])" };
static const struct pg_stmt stmt_list = { "simulator_list",
	"SELECT id, mail_from, rcpt_to, outcome, NULL::bytea, "
	"octet_length(raw) FROM simulator_mails ORDER BY id DESC "
	"LIMIT $1::int8" };
static const struct pg_stmt stmt_find = { "simulator_find",
	"SELECT id, mail_from, rcpt_to, outcome, raw, octet_length(raw) "
	"FROM simulator_mails WHERE id = $1::uuid" };
static const struct pg_stmt stmt_find_from = { "simulator_find_from",
	"SELECT id, mail_from, rcpt_to, outcome, NULL::bytea, "
	"octet_length(raw) FROM simulator_mails WHERE id >= $1::uuid "
	"AND starts_with(mail_from, $2::text) ORDER BY id LIMIT $3::int8" };
static const struct pg_stmt stmt_trim = { "simulator_trim",
	"DELETE FROM simulator_mails WHERE id <= (SELECT id "
	"FROM simulator_mails ORDER BY id DESC OFFSET $1::int8 LIMIT 1)" };

struct pg_tx *
store_simulator_add(struct pg *pg, const struct store_simulator_mail *mails,
    size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	invariant(n > 0);
	pg_tx_stmt(tx, &stmt_add);
	STORE_PUT(tx, n, PG_UUID, pg_tx_id, mails[i].id);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, mails[i].mail_from);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, mails[i].rcpt_to);
	STORE_PUT(tx, n, PG_TEXT, pg_tx_text, mails[i].outcome);
	STORE_PUT(tx, n, PG_BYTEA, pg_tx_bytea, mails[i].raw);
	return store_send(tx, NULL, done, ctx);
}

static void
read_mail(struct pg_row row, struct store_simulator_mail *m)
{
	m->id = pg_get_id(row, 0);
	m->mail_from = pg_get_text(row, 1);
	m->rcpt_to = pg_get_text(row, 2);
	m->outcome = pg_get_text(row, 3);
	m->raw = pg_get_text(row, 4);
	m->raw_bytes = (size_t)pg_get_int4(row, 5);
}

STORE_ROWS(send_rows, struct store_simulator_mail, read_mail)

struct pg_tx *
store_simulator_list(struct pg *pg, size_t limit, store_simulator_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int8(tx, (int64_t)limit);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_simulator_find(struct pg *pg, struct id id, store_simulator_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find);
	pg_tx_id(tx, id);
	return send_rows(tx, "no such mail", done, ctx);
}

struct pg_tx *
store_simulator_find_from(struct pg *pg, struct id since, struct slice prefix,
    size_t limit, store_simulator_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find_from);
	pg_tx_id(tx, since);
	pg_tx_text(tx, prefix);
	pg_tx_int8(tx, (int64_t)limit);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_simulator_trim(struct pg *pg, size_t keep, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_trim);
	pg_tx_int8(tx, (int64_t)keep);
	return store_send(tx, NULL, done, ctx);
}

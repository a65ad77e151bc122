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

struct call {
	bool must_exist;
	store_simulator_got *done;
	void *ctx;
};

#define PUT(tx, type, put, value)                                              \
	do {                                                                   \
		pg_tx_array(tx, type);                                         \
		for (size_t i = 0; i < n; i++)                                 \
			put(tx, mails[i].value);                               \
		pg_tx_array_end(tx);                                           \
	} while (0)

struct pg_tx *
store_simulator_add(struct pg *pg, const struct store_simulator_mail *mails,
    size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	invariant(n > 0);
	pg_tx_stmt(tx, &stmt_add);
	PUT(tx, PG_UUID, pg_tx_id, id);
	PUT(tx, PG_TEXT, pg_tx_text, mail_from);
	PUT(tx, PG_TEXT, pg_tx_text, rcpt_to);
	PUT(tx, PG_TEXT, pg_tx_text, outcome);
	PUT(tx, PG_BYTEA, pg_tx_bytea, raw);
	return store_send(tx, NULL, done, ctx);
}

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_simulator_mail *all;
	struct error missing = { 0 };
	size_t n;

	if (err == NULL && call->must_exist && pg_rows(reply, 0) == 0) {
		error_set(&missing, ERR_NOTFOUND, "no such mail");
		err = &missing;
	}
	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);

		all[i].id = pg_get_id(row, 0);
		all[i].mail_from = pg_get_text(row, 1);
		all[i].rcpt_to = pg_get_text(row, 2);
		all[i].outcome = pg_get_text(row, 3);
		all[i].raw = pg_get_text(row, 4);
		all[i].raw_bytes = (size_t)pg_get_int4(row, 5);
	}
	call->done(call->ctx, all, n, NULL);
}

static struct pg_tx *
send_rows(struct pg_tx *tx, bool must_exist, store_simulator_got *done,
    void *ctx)
{
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct call){ must_exist, done, ctx };
	pg_tx_send(tx, on_rows, call);
	return tx;
}

struct pg_tx *
store_simulator_list(struct pg *pg, size_t limit, store_simulator_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_int8(tx, (int64_t)limit);
	return send_rows(tx, false, done, ctx);
}

struct pg_tx *
store_simulator_find(struct pg *pg, struct id id, store_simulator_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_find);
	pg_tx_id(tx, id);
	return send_rows(tx, true, done, ctx);
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
	return send_rows(tx, false, done, ctx);
}

struct pg_tx *
store_simulator_trim(struct pg *pg, size_t keep, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_trim);
	pg_tx_int8(tx, (int64_t)keep);
	return store_send(tx, NULL, done, ctx);
}

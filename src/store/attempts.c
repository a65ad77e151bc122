#include "store/attempts.h"

#include "base/mem.h"
#include "pg_priv.h"
#include "store_priv.h"

/*
 * Claiming. One statement inserts what may be sent and says which; only when
 * something did not come back a second one finds out why. Both carry the
 * bounds of the batch, so that only its days are touched.
 */

#define SUPPRESSED                                                             \
	"EXISTS (SELECT FROM suppressions s WHERE s.account = i.account "      \
	"AND s.address = i.key AND s.scope IN (-1, i.stream) "                 \
	"AND (s.expires_at IS NULL OR s.expires_at > $8::timestamptz))"
#define CLAIMS                                                                 \
	"unnest($1::uuid[], $2::int2[], $3::int4[], $4::int4[], $5::int2[], "  \
	"$6::text[], $11::int4[]) "                                            \
	"AS i(id, n, source, account, stream, key, rules) "
/* Looked at under the rules that are in force (store/rules.h). */
#define RULES_STAND                                                            \
	"i.rules = (SELECT g.generation FROM rule_state g WHERE g.one)"

/*
 * LATERAL with OFFSET 0: first the batch, then each row by its key. A plain
 * join leaves the order to the planner, who takes the bounds for the better way
 * in while a day is young, and reads all rows between them. Inserted in the
 * order of the ids: two batches with the same ones, each in another order,
 * would wait for each other.
 */
static const struct pg_stmt stmt_claim = { "claim",
	"INSERT INTO attempts (recipient, n, worker, source, claimed_at) "
	"SELECT i.id, i.n, $7::int4, nullif(i.source, 0), $8::timestamptz "
	"FROM " CLAIMS "CROSS JOIN LATERAL (SELECT r.retry_at "
	"FROM recipients r WHERE r.id = i.id "
	"AND r.id BETWEEN $9::uuid AND $10::uuid "
	"AND r.finished_at IS NULL AND r.attempts = i.n - 1 OFFSET 0) r "
	"WHERE $12::bool OR ((r.retry_at IS NULL OR r.retry_at <= $8) "
	"AND " RULES_STAND " "
	"AND NOT " SUPPRESSED ") ORDER BY i.id "
	"ON CONFLICT DO NOTHING RETURNING recipient" };

static const struct pg_stmt stmt_why = { "claim_why",
	"SELECT i.id, r.id IS NOT NULL, r.finished_at IS NOT NULL, "
	"r.attempts, r.retry_at, a.n, a.worker, a.claimed_at, " SUPPRESSED
	", " RULES_STAND " "
	"FROM " CLAIMS "LEFT JOIN LATERAL (SELECT r.id, r.finished_at, "
	"r.attempts, r.retry_at FROM recipients r WHERE r.id = i.id "
	"AND r.id BETWEEN $9::uuid AND $10::uuid OFFSET 0) r ON true "
	"LEFT JOIN LATERAL (SELECT a.n, a.worker, a.claimed_at "
	"FROM attempts a WHERE a.recipient = i.id "
	"AND a.recipient BETWEEN $9 AND $10 "
	"AND a.n = r.attempts + 1 AND a.outcome IS NULL OFFSET 0) a ON true "
	"WHERE $7::int4 IS NOT NULL" };

/* Of the own open rows of the batch; $2 by position in $1. */
#define MINE                                                                   \
	"WHERE a.recipient = ANY ($1::uuid[]) "                                \
	"AND a.recipient BETWEEN $4::uuid AND $5::uuid "                       \
	"AND a.n = ($2::int2[])[array_position($1, a.recipient)] "             \
	"AND a.worker = $3::int4 AND a.outcome IS NULL"

static const struct pg_stmt stmt_give_back = { "claim_give_back",
	"DELETE FROM attempts a " MINE " AND a.claimed_at >= "
	"($6::timestamptz[])[array_position($1, a.recipient)]" };

static const struct pg_stmt stmt_renew = { "claim_renew",
	"UPDATE attempts a SET claimed_at = $6::timestamptz " MINE
	" RETURNING a.recipient" };

static const struct pg_stmt stmt_owner = { "attempt_owner",
	"SELECT FROM emails WHERE id = $1::uuid "
	"AND ($2::int4 = 0 OR account = $2)" };

static const struct pg_stmt stmt_list = { "attempt_list",
	"SELECT a.recipient, a.n, a.worker, coalesce(a.source, 0), "
	"a.claimed_at, a.finished_at, coalesce(a.outcome, 0::int2), "
	"coalesce(a.stage, 0::int2), coalesce(a.code, 0::int2), a.status, "
	"a.reply, a.mx, a.tls, coalesce(a.class, 0::int2), a.transcript, "
	"r.address, " SQL_SOURCE " FROM attempts a "
	"JOIN recipients r ON r.id = a.recipient "
	"AND r.id BETWEEN $1 AND $2 "
	"LEFT JOIN sources s ON s.number = a.source "
	"WHERE a.recipient BETWEEN $1::uuid AND $2::uuid "
	"AND a.outcome IS DISTINCT FROM " SQL_NOT_TRIED " "
	"ORDER BY a.recipient, a.n LIMIT $3::int8" };

struct store_claiming {
	struct pg *pg;
	struct pg_tx *tx;
	int worker;
	int64_t now_ms;
	bool anyway;
	struct store_claim *claims;
	size_t n;
	store_done *done;
	void *ctx;
};

static void
put_ids(struct pg_tx *tx, const struct store_claim *claims, size_t n,
    struct store_bounds *bounds)
{
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < n; i++) {
		pg_tx_id(tx, claims[i].id);
		store_bounds_add(bounds, claims[i].id);
	}
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT2);
	for (size_t i = 0; i < n; i++)
		pg_tx_int2(tx, claims[i].n);
	pg_tx_array_end(tx);
}

/* $1 to $11, the same for both statements. */
static void
put_claims(struct pg_tx *tx, const struct store_claiming *op)
{
	struct store_bounds bounds = { 0 };
	const struct store_claim *c = op->claims;

	put_ids(tx, c, op->n, &bounds);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < op->n; i++)
		pg_tx_int4(tx, c[i].source);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < op->n; i++)
		pg_tx_int4(tx, c[i].account);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT2);
	for (size_t i = 0; i < op->n; i++)
		pg_tx_int2(tx, c[i].stream);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TEXT);
	for (size_t i = 0; i < op->n; i++)
		pg_tx_text(tx, c[i].key);
	pg_tx_array_end(tx);
	pg_tx_int4(tx, op->worker);
	pg_tx_time(tx, op->now_ms);
	store_bounds_put(tx, &bounds);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < op->n; i++)
		pg_tx_int4(tx, c[i].rules);
	pg_tx_array_end(tx);
}

static struct store_claim *
find_claim(struct store_claim *claims, size_t n, struct id id)
{
	for (size_t i = 0; i < n; i++)
		if (id_cmp(claims[i].id, id) == 0)
			return &claims[i];
	return NULL;
}

static void
finish(struct store_claiming *op, const struct error *err)
{
	store_done *done = op->done;
	void *ctx = op->ctx;

	free(op);
	done(ctx, err);
}

static enum store_claim_result
why_not(const struct store_claiming *op, struct store_claim *c,
    struct pg_row row)
{
	if (!pg_get_bool(row, 1))
		return STORE_CLAIM_GONE;
	if (pg_get_bool(row, 2))
		return STORE_CLAIM_FINISHED;
	if (!pg_is_null(row, 5)) {
		c->open_n = pg_get_int2(row, 5);
		c->holder = pg_get_int4(row, 6);
		c->claimed_at_ms = pg_get_time(row, 7);
		/* Our own, whose answer was lost. */
		if (c->holder == op->worker && c->open_n == c->n)
			return STORE_CLAIM_MINE;
		return STORE_CLAIM_OPEN;
	}
	if (pg_get_int2(row, 3) != c->n - 1 || op->anyway)
		return STORE_CLAIM_MOVED;
	c->retry_at_ms = pg_get_time(row, 4);
	if (c->retry_at_ms > op->now_ms)
		return STORE_CLAIM_NOT_DUE;
	if (pg_get_bool(row, 8))
		return STORE_CLAIM_SUPPRESSED;
	/* None of these: it changed between the two statements. */
	return pg_get_bool(row, 9) ? STORE_CLAIM_MOVED : STORE_CLAIM_RULES;
}

static void
on_why(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct store_claiming *op = ctx;

	op->tx = NULL;
	for (size_t i = 0; err == NULL && i < pg_rows(reply, 0); i++) {
		struct pg_row row = pg_row(reply, 0, i);
		struct store_claim *c =
		    find_claim(op->claims, op->n, pg_get_id(row, 0));

		if (c != NULL && c->result == STORE_CLAIM_NONE)
			c->result = why_not(op, c, row);
	}
	finish(op, err);
}

static void
on_claimed(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct store_claiming *op = ctx;
	size_t got;

	op->tx = NULL;
	if (err != NULL) {
		finish(op, err);
		return;
	}
	got = pg_rows(reply, 0);
	for (size_t i = 0; i < got; i++) {
		struct store_claim *c = find_claim(op->claims, op->n,
		    pg_get_id(pg_row(reply, 0, i), 0));

		if (c != NULL)
			c->result = STORE_CLAIM_MINE;
	}
	if (got == op->n) {
		finish(op, NULL);
		return;
	}
	op->tx = pg_tx_new(op->pg);
	pg_tx_stmt(op->tx, &stmt_why);
	put_claims(op->tx, op);
	pg_tx_send(op->tx, on_why, op);
}

struct store_claiming *
store_claim_start(struct pg *pg, int worker, int64_t now_ms, bool anyway,
    struct store_claim *claims, size_t n, store_done *done, void *ctx)
{
	struct store_claiming *op = xmalloc(sizeof(*op));

	invariant(n > 0);
	*op = (struct store_claiming){ .pg = pg,
		.worker = worker,
		.now_ms = now_ms,
		.anyway = anyway,
		.claims = claims,
		.n = n,
		.done = done,
		.ctx = ctx };
	for (size_t i = 0; i < n; i++)
		claims[i].result = STORE_CLAIM_NONE;
	op->tx = pg_tx_new(pg);
	pg_tx_stmt(op->tx, &stmt_claim);
	put_claims(op->tx, op);
	pg_tx_bool(op->tx, anyway);
	pg_tx_send(op->tx, on_claimed, op);
	return op;
}

void
store_claim_cancel(struct store_claiming **opp)
{
	struct store_claiming *op = *opp;

	if (op == NULL)
		return;
	*opp = NULL;
	pg_tx_cancel(&op->tx);
	free(op);
}

struct pg_tx *
store_claim_give_back(struct pg *pg, int worker,
    const struct store_claim *claims, size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct store_bounds bounds = { 0 };

	invariant(n > 0);
	pg_tx_stmt(tx, &stmt_give_back);
	put_ids(tx, claims, n, &bounds);
	pg_tx_int4(tx, worker);
	store_bounds_put(tx, &bounds);
	pg_tx_array(tx, PG_TIME);
	for (size_t i = 0; i < n; i++)
		pg_tx_time(tx, claims[i].claimed_at_ms);
	pg_tx_array_end(tx);
	return store_send(tx, NULL, done, ctx);
}

struct renew_call {
	struct store_claim *claims;
	size_t n;
	store_done *done;
	void *ctx;
};

static void
on_renewed(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct renew_call *call = ctx;

	for (size_t i = 0; err == NULL && i < pg_rows(reply, 0); i++) {
		struct store_claim *c = find_claim(call->claims, call->n,
		    pg_get_id(pg_row(reply, 0, i), 0));

		if (c != NULL)
			c->result = STORE_CLAIM_MINE;
	}
	call->done(call->ctx, err);
}

struct pg_tx *
store_claim_renew(struct pg *pg, int worker, int64_t now_ms,
    struct store_claim *claims, size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct renew_call *call = pg_tx_mem(tx, sizeof(*call));
	struct store_bounds bounds = { 0 };

	invariant(n > 0);
	*call = (struct renew_call){ claims, n, done, ctx };
	for (size_t i = 0; i < n; i++)
		claims[i].result = STORE_CLAIM_MOVED;
	pg_tx_stmt(tx, &stmt_renew);
	put_ids(tx, claims, n, &bounds);
	pg_tx_int4(tx, worker);
	store_bounds_put(tx, &bounds);
	pg_tx_time(tx, now_ms);
	pg_tx_send(tx, on_renewed, call);
	return tx;
}

/* Listing. --------------------------------------------------------------- */

static void
read_attempt(struct pg_row row, struct store_attempt *a)
{
	*a = (struct store_attempt){
		.recipient = pg_get_id(row, 0),
		.n = pg_get_int2(row, 1),
		.worker = pg_get_int4(row, 2),
		.source = pg_get_int4(row, 3),
		.claimed_at_ms = pg_get_time(row, 4),
		.finished_at_ms = pg_get_time(row, 5),
		.outcome = pg_get_int2(row, 6),
		.stage = pg_get_int2(row, 7),
		.code = pg_get_int2(row, 8),
		.status = pg_get_text(row, 9),
		.reply = pg_get_text(row, 10),
		.mx = pg_get_text(row, 11),
		.tls = pg_get_text(row, 12),
		.class = pg_get_int2(row, 13),
		.transcript = pg_get_text(row, 14),
		.address = pg_get_text(row, 15),
		.source_address = pg_get_text(row, 16),
	};
}

STORE_ROWS(send_attempts, struct store_attempt, read_attempt)

struct pg_tx *
store_attempt_list(struct pg *pg, int account, struct id id, size_t limit,
    store_attempt_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	bool is_email = id_recipient_number(id) == 0;

	pg_tx_stmt(tx, &stmt_owner);
	pg_tx_id(tx, id_email_of(id));
	pg_tx_int4(tx, account);
	pg_tx_stmt(tx, &stmt_list);
	pg_tx_id(tx, id);
	pg_tx_id(tx, is_email ? store_last_recipient(id) : id);
	pg_tx_int8(tx, (int64_t)limit);
	return send_attempts(tx, "no such email", done, ctx);
}

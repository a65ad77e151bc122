#include "store/outcomes.h"

#include "base/mem.h"
#include "pg_priv.h"
#include "store/attempts.h"
#include "store_priv.h"

/*
 * A batch of outcomes is one unit of work:
 *
 *   1 attempts      the claim's row gets what was said;
 *   2 recipients    the status rises, the due time or the end is written;
 *   3 events        those that are new, and a delivery for each endpoint that
 *                   wants one; delivered stands for sent, too, which has a
 *                   row only when it happened apart (store_event_list);
 *   4 suppressions  in sorted order, when there are any.
 *
 * UPDATE ... FROM takes one row of the batch per target: a recipient that is
 * there twice comes again in another round of 1 and 2. Items with only_open
 * have rounds of their own, whose statements 2 and 3 look whether 1 has really
 * written the outcome.
 */

/*
 * How a batch finds its rows. A join with unnest() would leave the order to the
 * planner, who takes the bounds for the better way in while a day is young, and
 * then reads all rows between them for each of the batch (measured: 40 times
 * the cost). An array in the index condition leaves it no choice; the row finds
 * its values by its position in the array. The bounds prune the days.
 */
#define AMONG(column, least, most)                                             \
	column " = ANY ($1::uuid[]) AND " column " BETWEEN $" #least           \
	       "::uuid AND $" #most "::uuid "

static const struct pg_stmt stmt_attempts = {
	"outcome_attempts",
	"UPDATE attempts a SET (outcome, finished_at, stage, code, status, "
	"reply, mx, tls, class, transcript) = "
	"(SELECT ($4::int2[])[k], $12::timestamptz, "
	"($5::int2[])[k], ($6::int2[])[k], ($7::text[])[k], ($8::text[])[k], "
	"($9::text[])[k], ($13::text[])[k], nullif(($14::int2[])[k], 0), "
	"($15::text[])[k] "
	"FROM array_position($1, a.recipient) AS k) "
	"WHERE " AMONG("a.recipient", 10,
	    11) "AND a.n = ($2::int2[])[array_position($1, a.recipient)] "
		"AND a.worker = ($3::int4[])[array_position($1, a.recipient)]"
};

/* These are few: a join within the array costs its square. */
static const struct pg_stmt stmt_attempts_open = { "outcome_attempts_open",
	"UPDATE attempts a SET outcome = i.outcome, "
	"finished_at = $12::timestamptz, stage = i.stage, code = i.code, "
	"status = i.status, reply = i.reply, mx = i.mx, tls = i.tls, "
	"class = nullif(i.class, 0), transcript = i.transcript "
	"FROM unnest($1::uuid[], $2::int2[], $3::int4[], $4::int2[], "
	"$5::int2[], $6::int2[], $7::text[], $8::text[], $9::text[], "
	"$13::text[], $14::int2[], $15::text[], $16::timestamptz[]) "
	"AS i(id, n, worker, outcome, stage, code, status, reply, mx, tls, "
	"class, transcript, claimed_at) "
	"WHERE a.recipient = i.id AND a.n = i.n AND a.worker = i.worker "
	"AND a.claimed_at = coalesce(i.claimed_at, a.claimed_at) "
	"AND a.outcome IS NULL AND " AMONG("a.recipient", 10, 11) };

/* Whether statement 1 wrote it, for items with only_open. */
#define WRITTEN(least, most)                                                   \
	"AND EXISTS (SELECT FROM attempts a WHERE a.recipient = i.id "         \
	"AND a.n = i.n AND a.outcome = i.outcome AND a.worker = i.worker "     \
	"AND " AMONG("a.recipient", least, most) "OFFSET 0) "

/*
 * An outcome of an older attempt than the last raises the status, but does not
 * say when to try again; nor does any once the recipient is finished.
 */
#define RAISE                                                                  \
	"greatest(r.status, i.raise_to), "                                     \
	"CASE WHEN i.raise_to > r.status THEN i.reason ELSE r.reason END, "    \
	"greatest(r.attempts, i.n), "                                          \
	"CASE WHEN i.finish OR r.finished_at IS NOT NULL THEN NULL "           \
	"WHEN i.n > 0 AND i.n >= r.attempts THEN i.retry_at "                  \
	"ELSE r.retry_at END, "                                                \
	"CASE WHEN i.finish THEN coalesce(r.finished_at, $11::timestamptz) "   \
	"ELSE r.finished_at END "

static const struct pg_stmt stmt_recipients = { "outcome_recipients",
	"UPDATE recipients r SET (status, reason, attempts, retry_at, "
	"finished_at) = (SELECT " RAISE "FROM (SELECT ($2::int2[])[k] AS n, "
	"($3::int2[])[k] AS raise_to, ($4::timestamptz[])[k] AS retry_at, "
	"($5::bool[])[k] AS finish, ($6::text[])[k] AS reason "
	"FROM array_position($1, r.id) AS k) i) "
	"WHERE " AMONG("r.id", 9, 10)
	/* The same parameters as the other one. */
	"AND $7::int2[] IS NOT NULL AND $8::int4[] IS NOT NULL" };

static const struct pg_stmt stmt_recipients_open = { "outcome_recipients_open",
	"UPDATE recipients r SET (status, reason, attempts, retry_at, "
	"finished_at) = ROW(" RAISE ") "
	"FROM unnest($1::uuid[], $2::int2[], $3::int2[], $4::timestamptz[], "
	"$5::bool[], $6::text[], $7::int2[], $8::int4[]) "
	"AS i(id, n, raise_to, retry_at, finish, reason, outcome, worker) "
	"WHERE r.id = i.id AND " AMONG("r.id", 9, 10) WRITTEN(9, 10) };

#define EVENTS(CONDITION)                                                      \
	"WITH e AS (INSERT INTO events (recipient, at, account, dedupe, "      \
	"kind, data) SELECT i.id, $11::timestamptz, i.account, i.dedupe, "     \
	"i.kind, i.data "                                                      \
	"FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int2[], "         \
	"$5::text[], $6::int2[], $7::int2[], $8::int4[]) "                     \
	"AS i(id, account, dedupe, kind, data, n, outcome, worker) "           \
	"WHERE i.id BETWEEN $9::uuid AND $10::uuid " CONDITION                 \
	"ON CONFLICT DO NOTHING RETURNING recipient, kind, dedupe, account) "  \
	"INSERT INTO webhook_deliveries (recipient, kind, dedupe, webhook, "   \
	"next_at) SELECT e.recipient, k.kind, e.dedupe, w.id, $11 "            \
	"FROM e JOIN webhooks w ON w.account = e.account AND w.enabled "       \
	"CROSS JOIN LATERAL (VALUES (e.kind), "                                \
	"(CASE e.kind WHEN 4 THEN 3::int2 END)) AS k(kind) "                   \
	"WHERE (w.events >> k.kind) & 1 = 1 ON CONFLICT DO NOTHING"

/* Kinds: 3 sent, 4 delivered (model/status.h). */

static const struct pg_stmt stmt_events = { "outcome_events", EVENTS("") };
static const struct pg_stmt stmt_events_open = { "outcome_events_open",
	EVENTS(WRITTEN(9, 10)) };

/*
 * The graver origin stays: what a person entered, then a complaint, then a
 * bounce; the later end stays, and no end is the latest. Lists go by the id, so
 * it is of the time of the row: one that had expired is a new one.
 */
static const struct pg_stmt stmt_suppress = { "outcome_suppress",
	"INSERT INTO suppressions AS s (account, address, id, origin, reason, "
	"recipient, created_at, expires_at) "
	"SELECT DISTINCT ON (account, address) account, address, "
	"id, origin, reason, recipient, $7::timestamptz, expires_at "
	"FROM unnest($1::int4[], $2::text[], $3::text[], $4::text[], "
	"$5::uuid[], $6::timestamptz[], $8::uuid[]) "
	"AS i(account, address, origin, reason, recipient, expires_at, id) "
	"ORDER BY account, address, origin DESC, expires_at DESC NULLS FIRST "
	"ON CONFLICT (account, address, scope) DO UPDATE SET "
	"origin = excluded.origin, reason = excluded.reason, "
	"recipient = excluded.recipient, expires_at = excluded.expires_at, "
	"id = CASE WHEN s.expires_at <= $7 THEN excluded.id ELSE s.id END, "
	"created_at = CASE WHEN s.expires_at <= $7 THEN excluded.created_at "
	"ELSE s.created_at END "
	"WHERE s.expires_at <= $7 OR (s.origin <> 'manual' "
	"AND s.expires_at IS NOT NULL AND (excluded.expires_at IS NULL "
	"OR excluded.expires_at > s.expires_at))" };

/* Those of the batch that one round of statements is for. */
struct round {
	const struct store_outcome **item;
	size_t n;
	bool only_open;
};

#define PUT(tx, round, type, put, field)                                       \
	do {                                                                   \
		pg_tx_array(tx, type);                                         \
		for (size_t i_ = 0; i_ < (round)->n; i_++)                     \
			put(tx, (round)->item[i_]->field);                     \
		pg_tx_array_end(tx);                                           \
	} while (0)

static void
put_bounds(struct pg_tx *tx, const struct round *r)
{
	struct store_bounds bounds = { 0 };

	for (size_t i = 0; i < r->n; i++)
		store_bounds_add(&bounds, r->item[i]->id);
	store_bounds_put(tx, &bounds);
}

static void
add_attempts(struct pg_tx *tx, const struct round *all, int64_t now_ms)
{
	struct round r = { xcalloc(all->n, sizeof(*r.item)), 0, false };

	for (size_t i = 0; i < all->n; i++)
		if (all->item[i]->n > 0)
			r.item[r.n++] = all->item[i];
	if (r.n > 0) {
		pg_tx_stmt(tx,
		    all->only_open ? &stmt_attempts_open : &stmt_attempts);
		PUT(tx, &r, PG_UUID, pg_tx_id, id);
		PUT(tx, &r, PG_INT2, pg_tx_int2, n);
		PUT(tx, &r, PG_INT4, pg_tx_int4, worker);
		PUT(tx, &r, PG_INT2, pg_tx_int2, outcome);
		PUT(tx, &r, PG_INT2, pg_tx_int2, stage);
		PUT(tx, &r, PG_INT2, pg_tx_int2, code);
		PUT(tx, &r, PG_TEXT, pg_tx_text_or_null, status);
		PUT(tx, &r, PG_TEXT, pg_tx_text_or_null, reply);
		PUT(tx, &r, PG_TEXT, pg_tx_text_or_null, mx);
		put_bounds(tx, &r);
		pg_tx_time(tx, now_ms);
		PUT(tx, &r, PG_TEXT, pg_tx_text_or_null, tls);
		PUT(tx, &r, PG_INT2, pg_tx_int2, class);
		PUT(tx, &r, PG_TEXT, pg_tx_text_or_null, transcript);
		if (all->only_open)
			PUT(tx, &r, PG_TIME, pg_tx_time, claimed_at_ms);
	}
	free(r.item);
}

/* What it raises the number of attempts to. */
static int
attempts_of(const struct store_outcome *o)
{
	bool is_tried = o->outcome != STORE_NOT_TRIED;

	invariant(is_tried || !o->only_open); /* which looks for its number */
	return is_tried ? o->n : 0;
}

static void
add_recipients(struct pg_tx *tx, const struct round *r, int64_t now_ms)
{
	pg_tx_stmt(tx, r->only_open ? &stmt_recipients_open : &stmt_recipients);
	PUT(tx, r, PG_UUID, pg_tx_id, id);
	pg_tx_array(tx, PG_INT2);
	for (size_t i = 0; i < r->n; i++)
		pg_tx_int2(tx, attempts_of(r->item[i]));
	pg_tx_array_end(tx);
	PUT(tx, r, PG_INT2, pg_tx_int2, raise_to);
	PUT(tx, r, PG_TIME, pg_tx_time, retry_at_ms);
	PUT(tx, r, PG_BOOL, pg_tx_bool, finish);
	PUT(tx, r, PG_TEXT, pg_tx_text_or_null, reason);
	PUT(tx, r, PG_INT2, pg_tx_int2, outcome);
	PUT(tx, r, PG_INT4, pg_tx_int4, worker);
	put_bounds(tx, r);
	pg_tx_time(tx, now_ms);
}

#define PUT_EVENTS(tx, r, type, put, value)                                    \
	do {                                                                   \
		pg_tx_array(tx, type);                                         \
		for (size_t i_ = 0; i_ < (r)->n; i_++) {                       \
			const struct store_outcome *o = (r)->item[i_];         \
			for (size_t k = 0; k < o->event_count; k++)            \
				put(tx, value);                                \
		}                                                              \
		pg_tx_array_end(tx);                                           \
	} while (0)

static void
add_events(struct pg_tx *tx, const struct round *r, int64_t now_ms)
{
	size_t count = 0;

	for (size_t i = 0; i < r->n; i++) {
		invariant(r->item[i]->event_count <= STORE_OUTCOME_EVENTS);
		count += r->item[i]->event_count;
	}
	if (count == 0)
		return;
	pg_tx_stmt(tx, r->only_open ? &stmt_events_open : &stmt_events);
	PUT_EVENTS(tx, r, PG_UUID, pg_tx_id, o->id);
	PUT_EVENTS(tx, r, PG_INT4, pg_tx_int4, o->account);
	PUT_EVENTS(tx, r, PG_INT4, pg_tx_int4, o->event[k].dedupe);
	PUT_EVENTS(tx, r, PG_INT2, pg_tx_int2, (int)o->event[k].kind);
	PUT_EVENTS(tx, r, PG_TEXT, pg_tx_text_or_null, o->event[k].data);
	PUT_EVENTS(tx, r, PG_INT2, pg_tx_int2, o->n);
	PUT_EVENTS(tx, r, PG_INT2, pg_tx_int2, o->outcome);
	PUT_EVENTS(tx, r, PG_INT4, pg_tx_int4, o->worker);
	put_bounds(tx, r);
	pg_tx_time(tx, now_ms);
}

static void
add_suppressions(struct pg_tx *tx, const struct round *all, int64_t now_ms)
{
	struct round r = { xcalloc(all->n, sizeof(*r.item)), 0, false };

	for (size_t i = 0; i < all->n; i++)
		if (all->item[i]->suppress.key.len > 0)
			r.item[r.n++] = all->item[i];
	if (r.n > 0) {
		pg_tx_stmt(tx, &stmt_suppress);
		PUT(tx, &r, PG_INT4, pg_tx_int4, account);
		PUT(tx, &r, PG_TEXT, pg_tx_text, suppress.key);
		PUT(tx, &r, PG_TEXT, pg_tx_text, suppress.origin);
		PUT(tx, &r, PG_TEXT, pg_tx_text, suppress.reason);
		PUT(tx, &r, PG_UUID, pg_tx_id, id);
		PUT(tx, &r, PG_TIME, pg_tx_time, suppress.expires_at_ms);
		pg_tx_time(tx, now_ms);
		pg_tx_array(tx, PG_UUID);
		for (size_t i = 0; i < r.n; i++)
			pg_tx_id(tx, id_new(now_ms));
		pg_tx_array_end(tx);
	}
	free(r.item);
}

static void
add_round(struct pg_tx *tx, const struct round *r, int64_t now_ms)
{
	if (r->n == 0)
		return;
	add_attempts(tx, r, now_ms);
	add_recipients(tx, r, now_ms);
	add_events(tx, r, now_ms);
	add_suppressions(tx, r, now_ms);
}

/* By recipient, so that two batches lock rows in the same order. */
static int
compare(const void *a, const void *b)
{
	const struct store_outcome *x = *(const struct store_outcome *const *)a;
	const struct store_outcome *y = *(const struct store_outcome *const *)b;
	int by_id = id_cmp(x->id, y->id);

	if (by_id != 0)
		return by_id;
	return x < y ? -1 : x > y; /* as they stand in the batch */
}

/*
 * Moves from left to r those of one kind whose recipient is not yet in r.
 */
static void
pick_round(struct round *left, struct round *r)
{
	size_t kept = 0;

	r->n = 0;
	for (size_t i = 0; i < left->n; i++) {
		const struct store_outcome *o = left->item[i];

		if (o->only_open == r->only_open &&
		    (r->n == 0 || id_cmp(r->item[r->n - 1]->id, o->id) != 0))
			r->item[r->n++] = o;
		else
			left->item[kept++] = o;
	}
	left->n = kept;
}

struct pg_tx *
store_outcomes_write(struct pg *pg, int64_t now_ms,
    const struct store_outcome *outcomes, size_t n, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct round left = { xcalloc(n, sizeof(*left.item)), n, false };
	struct round r = { xcalloc(n, sizeof(*r.item)), 0, false };

	invariant(n > 0);
	for (size_t i = 0; i < n; i++)
		left.item[i] = &outcomes[i];
	qsort(left.item, n, sizeof(*left.item), compare);
	while (left.n > 0) {
		pick_round(&left, &r);
		add_round(tx, &r, now_ms);
		r.only_open = !r.only_open;
	}
	free(left.item);
	free(r.item);
	return store_send(tx, NULL, done, ctx);
}

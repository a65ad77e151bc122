#include "store/emails.h"

#include "base/mem.h"
#include "pg_priv.h"
#include "store/attempts.h"
#include "store_priv.h"

#define COLUMNS                                                                \
	"e.id, e.account, e.domain, e.stream, e.created_at, e.message_id, "    \
	"e.head"

static const struct pg_stmt stmt_find = { "email_find",
	"SELECT " COLUMNS " FROM emails e "
	"WHERE e.id = $1::uuid AND ($2::int4 = 0 OR e.account = $2)" };

/* The last attempt that has an outcome stands beside its recipient, and of one
 * that is canceled or has bounced what its event says: kind 9 of status 50, 6
 * of 80 (model/status.h). */
static const struct pg_stmt stmt_recipients = { "email_recipients",
	"SELECT r.id, r.address, r.field, r.status, r.attempts, r.retry_at, "
	"r.expires_at, r.finished_at, r.reason, coalesce(a.n, 0::int2), "
	"coalesce(a.outcome, 0::int2), coalesce(a.stage, 0::int2), "
	"coalesce(a.code, 0::int2), a.status, a.reply, a.mx, a.tls, "
	"a.finished_at, coalesce(a.class, 0::int2), r.pool, r.lane, "
	"o.n IS NOT NULL, o.source, c.data, c.at, "
	"r.finished_at IS NULL AND NOT EXISTS (SELECT FROM sources s "
	"JOIN workers w ON w.id = s.owner "
	"WHERE s.pool = r.pool AND s.enabled AND NOT w.dead) "
	"FROM recipients r LEFT JOIN LATERAL (SELECT a.* "
	"FROM attempts a WHERE a.recipient = r.id "
	"AND a.recipient BETWEEN $1::uuid AND $2::uuid "
	"AND a.outcome <> " SQL_NOT_TRIED " "
	"ORDER BY a.n DESC LIMIT 1) a ON true "
	"LEFT JOIN LATERAL (SELECT a.n, " SQL_SOURCE " AS source "
	"FROM attempts a LEFT JOIN sources s ON s.number = a.source "
	"WHERE a.recipient = r.id AND a.recipient BETWEEN $1 AND $2 "
	"AND a.n = r.attempts + 1 AND a.outcome IS NULL) o ON true "
	"LEFT JOIN events c ON r.status IN (50, 80) AND c.recipient = r.id "
	"AND c.recipient BETWEEN $1 AND $2 AND c.dedupe = 0 "
	"AND c.kind = CASE r.status WHEN 50 THEN 9 ELSE 6 END "
	"WHERE r.id BETWEEN $1 AND $2 ORDER BY r.id" };

static const struct pg_stmt stmt_content = { "email_content",
	"SELECT chunk FROM email_contents WHERE id = $1::uuid ORDER BY n" };

#define OF_EMAIL                                                               \
	"FROM recipients r WHERE r.id > e.id AND r.id <= (left(e.id::text, "   \
	"34) || CASE WHEN get_byte(uuid_send(e.id), 15) >= 128 "               \
	"THEN 'ff' ELSE '7f' END)::uuid"
/* Statuses as a set: they are multiples of five (model/status.h). */
#define LIST(CONDITION, ORDER)                                                 \
	"SELECT " COLUMNS ", (SELECT bit_or(1 << (r.status / 5)) " OF_EMAIL    \
	") FROM emails e "                                                     \
	"WHERE e.account = $1::int4 AND " CONDITION " ORDER BY e.id " ORDER    \
	" LIMIT $3::int8"

static const struct pg_stmt stmt_older = { "email_list_older",
	LIST("e.id < $2::uuid", "DESC") };
static const struct pg_stmt stmt_newer = { "email_list_newer",
	LIST("e.id > $2::uuid", "ASC") };

/* The recipients of the same emails; by OFFSET 0 they are looked up for each
 * email, in the days that it can have them in. */
#define LIST_RECIPIENTS(CONDITION, ORDER)                                      \
	"SELECT r.id, r.address, r.status, r.finished_at, "                    \
	"r.finished_at IS NULL AND EXISTS (SELECT FROM attempts o "            \
	"WHERE o.recipient = r.id AND o.n = r.attempts + 1 "                   \
	"AND o.outcome IS NULL) FROM (SELECT e.id FROM emails e "              \
	"WHERE e.account = $1::int4 AND " CONDITION " ORDER BY e.id " ORDER    \
	" LIMIT $3::int8) e CROSS JOIN LATERAL (SELECT r.* " OF_EMAIL          \
	" OFFSET 0) r ORDER BY r.id"

static const struct pg_stmt stmt_older_recipients = { "email_older_recipients",
	LIST_RECIPIENTS("e.id < $2::uuid", "DESC") };
static const struct pg_stmt stmt_newer_recipients = { "email_newer_recipients",
	LIST_RECIPIENTS("e.id > $2::uuid", "ASC") };

static const struct pg_stmt stmt_events = { "event_list",
	"WITH e AS (SELECT recipient, kind, dedupe, at, data FROM events "
	"WHERE recipient BETWEEN $1::uuid AND $2::uuid) "
	"SELECT * FROM e "
	"UNION ALL SELECT e.recipient, 3::int2, 0, e.at, NULL FROM e "
	"WHERE e.kind = 4 AND NOT EXISTS (SELECT FROM e s "
	"WHERE s.recipient = e.recipient AND s.kind = 3) "
	"UNION ALL SELECT r.id, 1::int2, 0, m.created_at, NULL "
	"FROM recipients r JOIN emails m ON m.id = $1 "
	"WHERE r.id BETWEEN $1 AND $2 AND NOT EXISTS (SELECT FROM e q "
	"WHERE q.recipient = r.id AND (q.kind = 1 "
	"OR q.kind = 8 AND q.at <= m.created_at)) "
	"ORDER BY at, kind, recipient" };

struct find_call {
	store_email_got *done;
	void *ctx;
};

static void
read_email(struct pg_row row, struct store_email *e)
{
	e->id = pg_get_id(row, 0);
	e->account = pg_get_int4(row, 1);
	e->domain = pg_get_int4(row, 2);
	e->stream = pg_get_int2(row, 3);
	e->created_at_ms = pg_get_time(row, 4);
	e->message_id = pg_get_text(row, 5);
	e->head = pg_get_text(row, 6);
}

static void
read_recipient(struct pg_row row, struct store_recipient *r)
{
	r->id = pg_get_id(row, 0);
	r->address = pg_get_text(row, 1);
	r->field = pg_get_int2(row, 2);
	r->status = STATUS_QUEUED;
	status_from_int(pg_get_int2(row, 3), &r->status);
	r->attempts = pg_get_int2(row, 4);
	r->retry_at_ms = pg_get_time(row, 5);
	r->expires_at_ms = pg_get_time(row, 6);
	r->finished_at_ms = pg_get_time(row, 7);
	r->reason = pg_get_text(row, 8);
	r->last.n = pg_get_int2(row, 9);
	r->last.outcome = pg_get_int2(row, 10);
	r->last.stage = pg_get_int2(row, 11);
	r->last.code = pg_get_int2(row, 12);
	r->last.status = pg_get_text(row, 13);
	r->last.reply = pg_get_text(row, 14);
	r->last.mx = pg_get_text(row, 15);
	r->last.tls = pg_get_text(row, 16);
	r->last.finished_at_ms = pg_get_time(row, 17);
	r->last.class = pg_get_int2(row, 18);
	r->pool = pg_get_int4(row, 19);
	r->lane = pg_get_text(row, 20);
	r->is_claimed = pg_get_bool(row, 21);
	r->claim_source = pg_get_text(row, 22);
	r->end_data = pg_get_text(row, 23);
	r->end_at_ms = pg_get_time(row, 24);
	r->pool_is_idle = pg_get_bool(row, 25);
}

/* All chunks in a row; one chunk is used where it lies. */
static struct slice
read_content(const struct pg_reply *reply, size_t stmt)
{
	size_t n = pg_rows(reply, stmt), len = 0;
	struct strbuf all;
	struct slice out = { NULL, 0 };

	if (n == 1)
		return pg_get_text(pg_row(reply, stmt, 0), 0);
	for (size_t i = 0; i < n; i++)
		len += pg_get_text(pg_row(reply, stmt, i), 0).len;
	if (n == 0)
		return out;
	strbuf_init(&all, len);
	for (size_t i = 0; i < n; i++)
		strbuf_add_slice(&all, pg_get_text(pg_row(reply, stmt, i), 0));
	out = arena_slice(&reply->tx->arena, strbuf_slice(&all));
	strbuf_fini(&all);
	return out;
}

static void
on_found(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct find_call *call = ctx;
	struct store_email email = { 0 };
	struct store_recipient *all;
	struct error missing = { 0 };
	size_t n;

	if (err == NULL && pg_rows(reply, 0) == 0) {
		error_set(&missing, ERR_NOTFOUND, "no such email");
		err = &missing;
	}
	if (err != NULL) {
		call->done(call->ctx, NULL, 0, false, err);
		return;
	}
	read_email(pg_row(reply, 0, 0), &email);
	n = pg_rows(reply, 1);
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		read_recipient(pg_row(reply, 1, i), &all[i]);
		email.status_bits |= status_event_bit(all[i].status);
	}
	email.recipient = all;
	email.count = n;
	email.content = read_content(reply, 2);
	call->done(call->ctx, &email, 1, false, NULL);
}

struct pg_tx *
store_email_find(struct pg *pg, int account, struct id id,
    store_email_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct find_call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct find_call){ done, ctx };
	pg_tx_stmt(tx, &stmt_find);
	pg_tx_id(tx, id);
	pg_tx_int4(tx, account);
	pg_tx_stmt(tx, &stmt_recipients);
	pg_tx_id(tx, id);
	pg_tx_id(tx, store_last_recipient(id));
	pg_tx_stmt(tx, &stmt_content);
	pg_tx_id(tx, id);
	pg_tx_send(tx, on_found, call);
	return tx;
}

struct list_call {
	size_t limit;
	bool is_ascending, with_recipients;
	store_email_got *done;
	void *ctx;
};

static unsigned int
event_bits(int statuses)
{
	unsigned int bits = 0;

	for (int i = 0; i < 31; i++) {
		enum status s;

		if (((statuses >> i) & 1) != 0 && status_from_int(i * 5, &s))
			bits |= status_event_bit(s);
	}
	return bits;
}

static void
read_listed_recipient(struct pg_row row, struct store_recipient *r)
{
	r->id = pg_get_id(row, 0);
	r->address = pg_get_text(row, 1);
	r->status = STATUS_QUEUED;
	status_from_int(pg_get_int2(row, 2), &r->status);
	r->finished_at_ms = pg_get_time(row, 3);
	r->is_claimed = pg_get_bool(row, 4);
}

/* Both are in the order of their ids, the emails downwards. */
static void
read_listed_recipients(const struct pg_reply *reply, struct store_email *email,
    size_t count)
{
	size_t n = pg_rows(reply, 1);
	struct store_recipient *all = store_reply_mem(reply, n, sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		struct id of;

		read_listed_recipient(pg_row(reply, 1, i), &all[i]);
		of = id_email_of(all[i].id);
		while (count > 0 && id_cmp(email[count - 1].id, of) < 0)
			count--;
		if (count == 0 || id_cmp(email[count - 1].id, of) != 0)
			continue;
		if (email[count - 1].count++ == 0)
			email[count - 1].recipient = &all[i];
	}
}

static void
on_list(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct list_call *call = ctx;
	struct store_email *all;
	size_t got, n;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, false, err);
		return;
	}
	got = pg_rows(reply, 0);
	n = MIN(got, call->limit);
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);
		struct store_email *e =
		    &all[call->is_ascending ? n - 1 - i : i];

		read_email(row, e);
		e->status_bits = event_bits(pg_get_int4(row, 7));
	}
	if (call->with_recipients)
		read_listed_recipients(reply, all, n);
	call->done(call->ctx, all, n, got > n, NULL);
}

struct pg_tx *
store_email_list(struct pg *pg, int account, size_t limit, struct id after,
    struct id before, bool with_recipients, store_email_got *done, void *ctx)
{
	static const struct pg_stmt *const stmts[2][2] = {
		{ &stmt_older, &stmt_older_recipients },
		{ &stmt_newer, &stmt_newer_recipients },
	};
	struct pg_tx *tx = pg_tx_new(pg);
	struct list_call *call = pg_tx_mem(tx, sizeof(*call));
	bool is_ascending = !id_is_zero(before);
	struct id from = id_is_zero(after) ? store_id_top() : after;

	*call = (struct list_call){ limit, is_ascending, with_recipients, done,
		ctx };
	for (size_t i = 0; i < (with_recipients ? 2 : 1); i++) {
		pg_tx_stmt(tx, stmts[is_ascending][i]);
		pg_tx_int4(tx, account);
		pg_tx_id(tx, is_ascending ? before : from);
		pg_tx_int8(tx, (int64_t)limit + 1);
	}
	pg_tx_send(tx, on_list, call);
	return tx;
}

static void
read_event(struct pg_row row, struct store_event *e)
{
	e->recipient = pg_get_id(row, 0);
	e->kind = pg_get_int2(row, 1);
	e->dedupe = pg_get_int4(row, 2);
	e->at_ms = pg_get_time(row, 3);
	e->data = pg_get_text(row, 4);
}

STORE_ROWS(send_events, struct store_event, read_event)

struct pg_tx *
store_event_list(struct pg *pg, struct id email, store_event_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_events);
	pg_tx_id(tx, email);
	pg_tx_id(tx, store_last_recipient(email));
	return send_events(tx, NULL, done, ctx);
}

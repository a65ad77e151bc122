#include "store/accept.h"

#include "base/mem.h"
#include "pg_priv.h"
#include "store_priv.h"

/*
 * The commit of a batch: one unit of work, at most five statements.
 *
 *   1 keys        only when an item has an idempotency key: takes the free
 *                 and the expired ones, in sorted order against deadlocks;
 *   2 key owners  who has each key now; the answer decides replay, mismatch;
 *   3 emails      all, or with keys: those whose key is theirs;
 *   4 contents    in rows of STORE_CHUNK_BYTES;
 *   5 recipients  looks at suppressions, writes the row, and for a suppressed
 *                 one its event and the deliveries owed for it; answers who
 *                 was. Queued has no row: see store_event_list.
 *
 * 4 and 5 follow 3 in the batch with keys: only where the email is there.
 *
 * A batch that hurts a constraint or brings a value that the server refuses is
 * sent again as one unit per item, all at once; what fails then is refused.
 */

#define KEYS                                                                   \
	"unnest($1::int4[], $2::int2[], $3::text[], $4::bytea[], $5::uuid[], " \
	"$6::timestamptz[]) "                                                  \
	"AS i(account, endpoint, key, body_hash, email, expires_at) "

static const struct pg_stmt stmt_keys = { "accept_keys",
	"INSERT INTO idempotency_keys AS k "
	"(account, endpoint, key, body_hash, email, expires_at) "
	"SELECT DISTINCT ON (account, endpoint, key) "
	"account, endpoint, key, body_hash, email, expires_at FROM " KEYS
	"ORDER BY account, endpoint, key, email "
	"ON CONFLICT (account, endpoint, key) DO UPDATE SET "
	"body_hash = excluded.body_hash, email = excluded.email, "
	"expires_at = excluded.expires_at "
	"WHERE k.expires_at <= $7::timestamptz" };

static const struct pg_stmt stmt_key_owners = { "accept_key_owners",
	"SELECT i.n, k.email, k.body_hash "
	"FROM unnest($1::int4[], $2::int4[], $3::int2[], $4::text[]) "
	"AS i(n, account, endpoint, key) "
	"CROSS JOIN LATERAL (SELECT * FROM idempotency_keys k "
	"WHERE k.account = i.account AND k.endpoint = i.endpoint "
	"AND k.key = i.key OFFSET 0) k" };

/* NULL, which the column refuses, when it was removed (store/removals.h). */
#define NO_DOMAIN "23502"
#define DOMAIN "(SELECT d.number FROM domains d WHERE d.number = i.domain)"

#define EMAILS                                                                 \
	"INSERT INTO emails (id, account, domain, stream, recipient_count, "   \
	"content_bytes, created_at, message_id, head) "                        \
	"SELECT i.id, i.account, " DOMAIN ", i.stream, i.recipient_count, "    \
	"i.content_bytes, $9::timestamptz, i.message_id, i.head "              \
	"FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int2[], "         \
	"$5::int2[], $6::int4[], $7::text[], $8::bytea[]) "                    \
	"AS i(id, account, domain, stream, recipient_count, content_bytes, "   \
	"message_id, head)"

static const struct pg_stmt stmt_emails = { "accept_emails", EMAILS };

/* $10: keys by position, NULL where an item has none. */
static const struct pg_stmt stmt_emails_keyed = { "accept_emails_keyed",
	"INSERT INTO emails (id, account, domain, stream, recipient_count, "
	"content_bytes, created_at, message_id, head) "
	"SELECT i.id, i.account, " DOMAIN ", i.stream, i.recipient_count, "
	"i.content_bytes, $9::timestamptz, i.message_id, i.head "
	"FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int2[], "
	"$5::int2[], $6::int4[], $7::text[], $8::bytea[], $10::int2[], "
	"$11::text[]) "
	"AS i(id, account, domain, stream, recipient_count, content_bytes, "
	"message_id, head, endpoint, key) "
	"WHERE i.key IS NULL OR EXISTS (SELECT FROM idempotency_keys k "
	"WHERE k.account = i.account AND k.endpoint = i.endpoint "
	"AND k.key = i.key AND k.email = i.id OFFSET 0)" };

#define CONTENTS                                                               \
	"INSERT INTO email_contents (id, n, chunk) "                           \
	"SELECT i.id, i.n, i.chunk "                                           \
	"FROM unnest($1::uuid[], $2::int2[], $3::bytea[]) AS i(id, n, chunk)"

static const struct pg_stmt stmt_contents = { "accept_contents", CONTENTS };
static const struct pg_stmt stmt_contents_keyed = { "accept_contents_keyed",
	CONTENTS " WHERE EXISTS (SELECT FROM emails e WHERE e.id = i.id "
		 "AND e.id BETWEEN $4::uuid AND $5::uuid OFFSET 0)" };

/*
 * Numbers: statuses 20 queued, 55 suppressed; kind 8 suppressed
 * (model/status.h).
 */
#define RECIPIENTS(CONDITION)                                                  \
	"WITH r AS (INSERT INTO recipients (id, expires_at, flow, pool, "      \
	"flags, field, status, finished_at, lane, address, reason) "           \
	"SELECT i.id, i.expires_at, i.flow, i.pool, i.flags, i.field, "        \
	"CASE WHEN s.origin IS NULL THEN 20 ELSE 55 END, "                     \
	"CASE WHEN s.origin IS NULL THEN NULL ELSE $10::timestamptz END, "     \
	"i.lane, i.address, s.origin "                                         \
	"FROM unnest($1::uuid[], $2::timestamptz[], $3::int4[], $4::int4[], "  \
	"$5::int2[], $6::int2[], $7::text[], $8::text[], $9::text[]) "         \
	"AS i(id, expires_at, flow, pool, flags, field, lane, address, key) "  \
	"LEFT JOIN LATERAL (SELECT s.origin FROM suppressions s "              \
	"WHERE s.account = i.flow >> 1 AND s.address = i.key "                 \
	"AND s.scope IN (-1, i.flow & 1) "                                     \
	"AND (s.expires_at IS NULL OR s.expires_at > $10) "                    \
	"LIMIT 1) s ON true " CONDITION                                        \
	"RETURNING id, status, flow, reason), "                                \
	"e AS (INSERT INTO events (recipient, at, account, dedupe, kind, "     \
	"data) SELECT r.id, $10, r.flow >> 1, 0, 8, "                          \
	"'{\"origin\":\"' || r.reason || '\"}' FROM r WHERE r.status = 55 "    \
	"RETURNING recipient, kind, account), "                                \
	"d AS (INSERT INTO webhook_deliveries (recipient, kind, dedupe, "      \
	"webhook, next_at) SELECT e.recipient, e.kind, 0, w.id, $10 "          \
	"FROM e JOIN webhooks w ON w.account = e.account AND w.enabled "       \
	"AND (w.events >> e.kind) & 1 = 1) "                                   \
	"SELECT id FROM r WHERE status = 55"

static const struct pg_stmt stmt_recipients = { "accept_recipients",
	RECIPIENTS("") };
static const struct pg_stmt stmt_recipients_keyed = { "accept_recipients_keyed",
	RECIPIENTS("WHERE EXISTS (SELECT FROM emails e WHERE "
		   "e.id = email_of(i.id) "
		   "AND e.id BETWEEN $11::uuid AND $12::uuid "
		   "OFFSET 0) ") };

/* A unit on its way: all items, or one of them. */
struct part {
	struct store_accept *op;
	struct pg_tx *tx;
	struct store_accept_item *const *items;
	size_t n;
	bool has_keys;
};

struct store_accept {
	struct pg *pg;
	int64_t now_ms;
	struct store_accept_item *const *items;
	size_t n;
	store_done *done;
	void *ctx;
	struct part *part;
	size_t part_count, parts_open;
	struct error err; /* the first one that is nobody's value */
};

static void send_part(struct part *p);

static void
destroy(struct store_accept *op)
{
	free(op->part);
	free(op);
}

static void
finish(struct store_accept *op)
{
	store_done *done = op->done;
	void *ctx = op->ctx;
	struct error err = op->err;

	destroy(op);
	done(ctx, err.kind == ERR_NONE ? NULL : &err);
}

/* One unit per item. */
static void
split(struct store_accept *op)
{
	free(op->part);
	op->part = xcalloc(op->n, sizeof(*op->part));
	op->part_count = op->parts_open = op->n;
	for (size_t i = 0; i < op->n; i++) {
		op->part[i].op = op;
		op->part[i].items = op->items + i;
		op->part[i].n = 1;
		send_part(&op->part[i]);
	}
}

/* Results. --------------------------------------------------------------- */

static void
read_key_owners(struct part *p, const struct pg_reply *reply)
{
	for (size_t i = 0; i < pg_rows(reply, 1); i++) {
		struct pg_row row = pg_row(reply, 1, i);
		size_t at = (size_t)pg_get_int4(row, 0);
		struct slice hash = pg_get_text(row, 2);

		if (at >= p->n)
			continue;
		struct store_accept_item *item = p->items[at];
		struct id email = pg_get_id(row, 1);

		if (id_cmp(email, item->email) == 0)
			continue;
		item->replay = email;
		item->result =
		    slice_eq(hash,
			slice_mem(item->body_hash, sizeof(item->body_hash)))
		    ? STORE_ACCEPT_REPLAY
		    : STORE_ACCEPT_MISMATCH;
	}
}

static struct store_accept_item *
find_item(struct part *p, struct id email)
{
	for (size_t i = 0; i < p->n; i++)
		if (id_cmp(p->items[i]->email, email) == 0)
			return p->items[i];
	return NULL;
}

static void
read_suppressed(struct part *p, const struct pg_reply *reply, size_t stmt)
{
	for (size_t i = 0; i < pg_rows(reply, stmt); i++) {
		struct id id = pg_get_id(pg_row(reply, stmt, i), 0);
		struct store_accept_item *item = find_item(p, id_email_of(id));
		unsigned int n = id_recipient_number(id);

		if (item != NULL && n >= 1 && n <= item->count)
			item->recipient[n - 1].suppressed = true;
	}
}

static void
read_results(struct part *p, const struct pg_reply *reply)
{
	for (size_t i = 0; i < p->n; i++)
		p->items[i]->result = STORE_ACCEPT_OK;
	if (p->has_keys)
		read_key_owners(p, reply);
	read_suppressed(p, reply, p->has_keys ? 4 : 2);
}

static void
on_part(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct part *p = ctx;
	struct store_accept *op = p->op;

	p->tx = NULL;
	if (err == NULL) {
		read_results(p, reply);
	} else if (!pg_is_refusal(err)) {
		if (op->err.kind == ERR_NONE)
			op->err = *err;
	} else if (p->n > 1) {
		split(op);
		return;
	} else {
		p->items[0]->result = pg_sqlstate_is(err, NO_DOMAIN)
		    ? STORE_ACCEPT_NO_DOMAIN
		    : STORE_ACCEPT_REFUSED;
		p->items[0]->refused = *err;
	}
	if (--op->parts_open == 0)
		finish(op);
}

/* Parameters. -------------------------------------------------------------- */

static void
put_keys(struct pg_tx *tx, const struct part *p, bool with_position)
{
	if (with_position) {
		pg_tx_array(tx, PG_INT4);
		for (size_t i = 0; i < p->n; i++)
			if (p->items[i]->key.len > 0)
				pg_tx_int4(tx, (int32_t)i);
		pg_tx_array_end(tx);
	}
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_int4(tx, p->items[i]->account);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT2);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_int2(tx, p->items[i]->endpoint);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TEXT);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_text(tx, p->items[i]->key);
	pg_tx_array_end(tx);
}

static void
add_keys(struct pg_tx *tx, const struct part *p, int64_t now_ms)
{
	pg_tx_stmt(tx, &stmt_keys);
	put_keys(tx, p, false);
	pg_tx_array(tx, PG_BYTEA);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_bytea(tx,
			    slice_mem(p->items[i]->body_hash,
				sizeof(p->items[i]->body_hash)));
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_id(tx, p->items[i]->email);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_TIME);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_time(tx, p->items[i]->key_expires_at_ms);
	pg_tx_array_end(tx);
	pg_tx_time(tx, now_ms);
	pg_tx_stmt(tx, &stmt_key_owners);
	put_keys(tx, p, true);
}

#define PUT_COLUMN(tx, p, type, put, field)                                    \
	do {                                                                   \
		pg_tx_array(tx, type);                                         \
		for (size_t i_ = 0; i_ < (p)->n; i_++)                         \
			put(tx, (p)->items[i_]->field);                        \
		pg_tx_array_end(tx);                                           \
	} while (0)

static void
put_size2(struct pg_tx *tx, size_t n)
{
	invariant(n <= INT16_MAX);
	pg_tx_int2(tx, (int)n);
}

static void
put_size4(struct pg_tx *tx, size_t n)
{
	invariant(n <= INT32_MAX);
	pg_tx_int4(tx, (int32_t)n);
}

static void
put_email_keys(struct pg_tx *tx, const struct part *p)
{
	PUT_COLUMN(tx, p, PG_INT2, pg_tx_int2, endpoint);
	pg_tx_array(tx, PG_TEXT);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->key.len > 0)
			pg_tx_text(tx, p->items[i]->key);
		else
			pg_tx_null(tx);
	pg_tx_array_end(tx);
}

static size_t
content_bytes(const struct store_accept_item *item)
{
	return item->content_bytes > 0 ? item->content_bytes
				       : item->content.len;
}

static void
add_emails(struct pg_tx *tx, const struct part *p, int64_t now_ms)
{
	pg_tx_stmt(tx, p->has_keys ? &stmt_emails_keyed : &stmt_emails);
	PUT_COLUMN(tx, p, PG_UUID, pg_tx_id, email);
	PUT_COLUMN(tx, p, PG_INT4, pg_tx_int4, account);
	PUT_COLUMN(tx, p, PG_INT4, pg_tx_int4, domain);
	PUT_COLUMN(tx, p, PG_INT2, pg_tx_int2, stream);
	PUT_COLUMN(tx, p, PG_INT2, put_size2, count);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < p->n; i++)
		put_size4(tx, content_bytes(p->items[i]));
	pg_tx_array_end(tx);
	PUT_COLUMN(tx, p, PG_TEXT, pg_tx_text_or_null, message_id);
	PUT_COLUMN(tx, p, PG_BYTEA, pg_tx_bytea, head);
	pg_tx_time(tx, now_ms);
	if (p->has_keys)
		put_email_keys(tx, p);
}

static size_t
chunk_count(const struct store_accept_item *item)
{
	return (item->content.len + STORE_CHUNK_BYTES - 1) / STORE_CHUNK_BYTES;
}

static void
put_email_bounds(struct pg_tx *tx, const struct part *p)
{
	struct store_bounds bounds = { 0 };

	for (size_t i = 0; i < p->n; i++)
		store_bounds_add(&bounds, p->items[i]->email);
	store_bounds_put(tx, &bounds);
}

static void
add_contents(struct pg_tx *tx, const struct part *p)
{
	pg_tx_stmt(tx, p->has_keys ? &stmt_contents_keyed : &stmt_contents);
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < p->n; i++)
		for (size_t c = 0; c < chunk_count(p->items[i]); c++)
			pg_tx_id(tx, p->items[i]->email);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT2);
	for (size_t i = 0; i < p->n; i++)
		for (size_t c = 0; c < chunk_count(p->items[i]); c++)
			pg_tx_int2(tx, (int)c);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_BYTEA);
	for (size_t i = 0; i < p->n; i++)
		for (size_t c = 0; c < chunk_count(p->items[i]); c++)
			pg_tx_bytea(tx,
			    slice_first(slice_from(p->items[i]->content,
					    c * STORE_CHUNK_BYTES),
				STORE_CHUNK_BYTES));
	pg_tx_array_end(tx);
	if (p->has_keys)
		put_email_bounds(tx, p);
}

/* e: the item, r: its recipient, n: the recipient's number. */
#define PUT_RECIPIENTS(tx, p, type, put, value)                                \
	do {                                                                   \
		pg_tx_array(tx, type);                                         \
		for (size_t i_ = 0; i_ < (p)->n; i_++) {                       \
			const struct store_accept_item *e = (p)->items[i_];    \
			for (unsigned int n = 1; n <= e->count; n++) {         \
				const struct store_accept_recipient *r =       \
				    &e->recipient[n - 1];                      \
				(void)r;                                       \
				put(tx, value);                                \
			}                                                      \
		}                                                              \
		pg_tx_array_end(tx);                                           \
	} while (0)

static void
add_recipients(struct pg_tx *tx, const struct part *p, int64_t now_ms)
{
	pg_tx_stmt(tx, p->has_keys ? &stmt_recipients_keyed : &stmt_recipients);
	PUT_RECIPIENTS(tx, p, PG_UUID, pg_tx_id, id_of_recipient(e->email, n));
	PUT_RECIPIENTS(tx, p, PG_TIME, pg_tx_time, e->expires_at_ms);
	PUT_RECIPIENTS(tx, p, PG_INT4, pg_tx_int4, e->account * 2 + e->stream);
	PUT_RECIPIENTS(tx, p, PG_INT4, pg_tx_int4, r->pool);
	PUT_RECIPIENTS(tx, p, PG_INT2, pg_tx_int2, r->flags);
	PUT_RECIPIENTS(tx, p, PG_INT2, pg_tx_int2, r->field);
	PUT_RECIPIENTS(tx, p, PG_TEXT, pg_tx_text, r->lane);
	PUT_RECIPIENTS(tx, p, PG_TEXT, pg_tx_text, r->address);
	PUT_RECIPIENTS(tx, p, PG_TEXT, pg_tx_text, r->key);
	pg_tx_time(tx, now_ms);
	if (p->has_keys)
		put_email_bounds(tx, p);
}

static void
send_part(struct part *p)
{
	struct store_accept *op = p->op;
	struct pg_tx *tx = pg_tx_new(op->pg);

	for (size_t i = 0; i < p->n; i++)
		p->has_keys = p->has_keys || p->items[i]->key.len > 0;
	if (p->has_keys)
		add_keys(tx, p, op->now_ms);
	add_emails(tx, p, op->now_ms);
	add_contents(tx, p);
	add_recipients(tx, p, op->now_ms);
	p->tx = tx;
	pg_tx_send(tx, on_part, p);
}

struct store_accept *
store_accept_start(struct pg *pg, int64_t now_ms,
    struct store_accept_item *const *items, size_t n, store_done *done,
    void *ctx)
{
	struct store_accept *op = xmalloc(sizeof(*op));

	invariant(n > 0);
	*op = (struct store_accept){ .pg = pg,
		.now_ms = now_ms,
		.items = items,
		.n = n,
		.done = done,
		.ctx = ctx };
	op->part = xcalloc(1, sizeof(*op->part));
	op->part_count = op->parts_open = 1;
	op->part[0] = (struct part){ .op = op, .items = items, .n = n };
	send_part(&op->part[0]);
	return op;
}

void
store_accept_cancel(struct store_accept **opp)
{
	struct store_accept *op = *opp;

	if (op == NULL)
		return;
	*opp = NULL;
	for (size_t i = 0; i < op->part_count; i++)
		pg_tx_cancel(&op->part[i].tx);
	destroy(op);
}

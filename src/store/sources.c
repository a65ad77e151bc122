#include "store/sources.h"

#include "store_priv.h"

#define COLUMNS                                                                \
	"s.number, s.id, host(s.address), s.helo, s.pool, p.name, s.weight, "  \
	"s.node, coalesce(s.owner, 0), s.enabled, s.created_at, "              \
	"coalesce(s.daily_limit, 0)"

static const struct pg_stmt stmt_pool = { "source_pool",
	"INSERT INTO pools (name) VALUES ($1::text) "
	"ON CONFLICT (name) DO NOTHING" };
static const struct pg_stmt stmt_add = { "source_add",
	"INSERT INTO sources (id, address, helo, pool, weight, node, "
	"created_at, daily_limit) SELECT $1::uuid, $2::text::inet, $3::text, "
	"p.number, $5::int2, $6::text, $7::timestamptz, nullif($8::int4, 0) "
	"FROM pools p "
	"WHERE p.name = $4::text" };
/* It may have been removed today: what it sent still counts. */
static const struct pg_stmt stmt_resume = { "source_resume",
	"WITH past AS (DELETE FROM removed_quota "
	"WHERE address = $1::text::inet RETURNING *) "
	"INSERT INTO source_quota (source, day, provider, cap, taken) "
	"SELECT s.number, p.day, p.provider, p.cap, p.taken "
	"FROM past p JOIN sources s ON s.address = p.address" };
static const struct pg_stmt stmt_set = { "source_set",
	"UPDATE sources SET weight = coalesce(nullif($2::int2, 0), weight), "
	"daily_limit = CASE WHEN $3::int4 < 0 THEN daily_limit "
	"ELSE nullif($3, 0) END, "
	"pool = coalesce((SELECT number FROM pools WHERE name = $4::text), "
	"pool), "
	"node = CASE WHEN $5::text IS NULL THEN node ELSE nullif($5, '') END "
	"WHERE id::text = $1::text OR host(address) = $1" };
static const struct pg_stmt stmt_list = { "source_list",
	"SELECT " COLUMNS " FROM sources s JOIN pools p ON p.number = s.pool "
	"WHERE $1::text IS NULL OR (s.enabled AND (s.node IS NULL "
	"OR s.node = $1)) ORDER BY s.number" };
/* An owner gives up what is disabled with one of its next beats. */
static const struct pg_stmt stmt_remove = { "source_remove",
	"WITH found AS (SELECT s.number, EXISTS (SELECT FROM workers w "
	"WHERE w.id = s.owner AND NOT w.dead) AS owned FROM sources s "
	"WHERE s.id::text = $1::text OR host(s.address) = $1), "
	"off AS (UPDATE sources s SET enabled = false FROM found f "
	"WHERE s.number = f.number AND f.owned), "
	"gone AS (DELETE FROM sources s USING found f "
	"WHERE s.number = f.number AND NOT f.owned "
	"RETURNING s.number, s.address), "
	"kept AS (INSERT INTO removed_quota "
	"(address, day, provider, cap, taken) "
	"SELECT g.address, q.day, q.provider, q.cap, q.taken "
	"FROM gone g JOIN source_quota q ON q.source = g.number "
	"WHERE q.day >= floor(extract(epoch FROM now()) / 86400) - 1) "
	"SELECT owned FROM found" };
/* The fence: two workers never own one address. */
static const struct pg_stmt stmt_own = { "source_own",
	"UPDATE sources s SET owner = $1::int4 FROM pools p "
	"WHERE s.number = ANY ($2::int4[]) AND p.number = s.pool AND s.enabled "
	"AND (s.owner IS NULL OR s.owner = $1 "
	"OR s.owner IN (SELECT id FROM workers WHERE dead)) "
	"AND EXISTS (SELECT FROM workers WHERE id = $1 AND NOT dead) "
	"RETURNING " COLUMNS };
static const struct pg_stmt stmt_disown = { "source_disown",
	"UPDATE sources SET owner = NULL WHERE owner = $1::int4 "
	"AND number <> ALL ($2::int4[])" };
static const struct pg_stmt stmt_pools = { "pool_list",
	"SELECT p.number, p.name, (SELECT string_agg(DISTINCT s.owner::text, "
	"' ') FROM sources s JOIN workers w ON w.id = s.owner "
	"WHERE s.pool = p.number AND NOT w.dead) FROM pools p "
	"ORDER BY p.number" };

static void
read_source(struct pg_row row, struct store_source *s)
{
	s->number = pg_get_int4(row, 0);
	s->id = pg_get_id(row, 1);
	s->address = pg_get_text(row, 2);
	s->helo = pg_get_text(row, 3);
	s->pool = pg_get_int4(row, 4);
	s->pool_name = pg_get_text(row, 5);
	s->weight = pg_get_int2(row, 6);
	s->node = pg_get_text(row, 7);
	s->owner = pg_get_int4(row, 8);
	s->enabled = pg_get_bool(row, 9);
	s->created_at_ms = pg_get_time(row, 10);
	s->daily_limit = pg_get_int4(row, 11);
}

STORE_ROWS(send_rows, struct store_source, read_source)

struct pg_tx *
store_source_add(struct pg *pg, const struct store_source *source,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_pool);
	pg_tx_text(tx, source->pool_name);
	pg_tx_stmt(tx, &stmt_add);
	pg_tx_id(tx, source->id);
	pg_tx_text(tx, source->address);
	pg_tx_text(tx, source->helo);
	pg_tx_text(tx, source->pool_name);
	pg_tx_int2(tx, source->weight);
	pg_tx_text_or_null(tx, source->node);
	pg_tx_time(tx, source->created_at_ms);
	pg_tx_int4(tx, source->daily_limit);
	pg_tx_stmt(tx, &stmt_resume);
	pg_tx_text(tx, source->address);
	return store_send(tx, NULL, done, ctx);
}

struct pg_tx *
store_source_list(struct pg *pg, struct slice node, store_source_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	pg_tx_text_or_null(tx, node);
	return send_rows(tx, NULL, done, ctx);
}

static void
put_id_or_address(struct pg_tx *tx, struct slice text)
{
	struct id id;

	pg_tx_text(tx, id_parse(text, &id) ? slice_of(id_text(id).s) : text);
}

struct pg_tx *
store_source_set(struct pg *pg, struct slice id_or_address,
    const struct store_source_change *change, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	if (change->pool_name.ptr != NULL) {
		pg_tx_stmt(tx, &stmt_pool);
		pg_tx_text(tx, change->pool_name);
	}
	pg_tx_stmt(tx, &stmt_set);
	put_id_or_address(tx, id_or_address);
	pg_tx_int2(tx, change->weight);
	pg_tx_int4(tx, change->daily_limit);
	pg_tx_text_or_null(tx, change->pool_name);
	pg_tx_text_or_null(tx, change->node);
	return store_send(tx, "no such source", done, ctx);
}

struct remove_call {
	store_done *done;
	void *ctx;
};

static void
on_removed(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct remove_call *call = ctx;
	struct error no = { 0 };

	if (err == NULL && pg_rows(reply, 0) == 0)
		error_set(&no, ERR_NOTFOUND, "no such source");
	else if (err == NULL && pg_get_bool(pg_row(reply, 0, 0), 0))
		error_set(&no, ERR_CONFLICT,
		    "the source is in use: its owner was told to give it up");
	if (call->done != NULL)
		call->done(call->ctx,
		    err != NULL || no.kind == ERR_NONE ? err : &no);
}

struct pg_tx *
store_source_remove(struct pg *pg, struct slice id_or_address, store_done *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct remove_call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct remove_call){ done, ctx };
	pg_tx_stmt(tx, &stmt_remove);
	put_id_or_address(tx, id_or_address);
	pg_tx_send(tx, on_removed, call);
	return tx;
}

static void
put_numbers(struct pg_tx *tx, const int *numbers, size_t count)
{
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < count; i++)
		pg_tx_int4(tx, numbers[i]);
	pg_tx_array_end(tx);
}

struct pg_tx *
store_source_own(struct pg *pg, int worker, const int *numbers, size_t count,
    store_source_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_own);
	pg_tx_int4(tx, worker);
	put_numbers(tx, numbers, count);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_source_disown(struct pg *pg, int worker, const int *keep, size_t count,
    store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_disown);
	pg_tx_int4(tx, worker);
	put_numbers(tx, keep, count);
	return store_send(tx, NULL, done, ctx);
}

static void
read_pool(struct pg_row row, struct store_pool *p)
{
	p->number = pg_get_int4(row, 0);
	p->name = pg_get_text(row, 1);
	p->owners = pg_get_text(row, 2);
}

STORE_ROWS(send_pools, struct store_pool, read_pool)

struct pg_tx *
store_pool_list(struct pg *pg, store_pool_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_pools);
	return send_pools(tx, NULL, done, ctx);
}

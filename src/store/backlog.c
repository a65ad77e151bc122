#include "store/backlog.h"

#include "store_priv.h"

/*
 * Ids are compared as text, in which they have the same order: uuid has no min
 * and max. The last reply is looked up for the groups that are shown only.
 */
#define LIST(KEY)                                                              \
	"WITH g AS (SELECT " KEY " AS name, count(*) AS n, "                   \
	"count(*) FILTER (WHERE r.retry_at > $1::timestamptz) AS later, "      \
	"min(r.id::text COLLATE \"C\") AS oldest, "                            \
	"max(r.id::text COLLATE \"C\") FILTER (WHERE r.attempts > 0) "         \
	"AS tried FROM recipients r WHERE r.finished_at IS NULL "              \
	"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $2::int8) "                       \
	"SELECT coalesce(g.name, '?'), g.n, g.later, g.oldest::uuid, "         \
	"coalesce(a.code, 0::int2), a.reply, a.mx "                            \
	"FROM g LEFT JOIN LATERAL (SELECT * FROM attempts a "                  \
	"WHERE a.recipient = g.tried::uuid AND a.outcome IS NOT NULL "         \
	"ORDER BY a.n DESC LIMIT 1) a ON true ORDER BY g.n DESC, g.name"

static const struct pg_stmt stmts[] = {
	[BACKLOG_PROVIDER] = { "backlog_provider",
	    LIST("CASE WHEN r.lane ~ '^h[0-9]+$' THEN 'others' "
		 "ELSE r.lane END") },
	[BACKLOG_LANE] = { "backlog_lane",
	    LIST("(SELECT p.name FROM pools p WHERE p.number = r.pool) "
		 "|| '/' || r.lane") },
	[BACKLOG_ACCOUNT] = { "backlog_account",
	    LIST("(SELECT a.name FROM accounts a WHERE a.number = r.flow / "
		 "2)") },
	[BACKLOG_DOMAIN] = { "backlog_domain",
	    LIST("lower(split_part(r.address, '@', -1))") },
};

static void
read_backlog(struct pg_row row, struct store_backlog *b)
{
	b->name = pg_get_text(row, 0);
	b->waiting = pg_get_int8(row, 1);
	b->later = pg_get_int8(row, 2);
	b->oldest_ms = id_time_ms(pg_get_id(row, 3));
	b->code = pg_get_int2(row, 4);
	b->reply = pg_get_text(row, 5);
	b->mx = pg_get_text(row, 6);
}

STORE_ROWS(send_rows, struct store_backlog, read_backlog)

struct pg_tx *
store_backlog_list(struct pg *pg, enum store_backlog_by by, int64_t now_ms,
    size_t limit, store_backlog_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmts[by]);
	pg_tx_time(tx, now_ms);
	pg_tx_int8(tx, (int64_t)limit);
	return send_rows(tx, NULL, done, ctx);
}

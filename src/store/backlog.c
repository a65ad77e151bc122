#include "store/backlog.h"

#include "store_priv.h"

/*
 * Ids are compared as text, in which they have the same order: uuid has no min
 * and max. The last reply is looked up for the groups that are shown only. A
 * recipient's holds are counted with it: of its domain, of that of its account
 * only, and of its account; there is one of each at most. Those of tags stand
 * in the heads of the emails, which nobody reads for this.
 */
#define DOMAIN "lower(split_part(r.address, '@', -1))"
#define HOLD(AS, SCOPE)                                                        \
	"LEFT JOIN rules " AS " ON " AS ".kind = 'hold' AND (" AS              \
	".expires_at IS NULL OR " AS ".expires_at > $1) AND " AS               \
	".scope = '" SCOPE "' AND "
/* clang-format off */
#define LIST(KEY)                                                              \
	"WITH p AS (SELECT " KEY " AS name, d.number AS d, o.number AS o, "    \
	"a.number AS a, r.pool, r.lane, count(*) AS n, "                       \
	"count(*) FILTER (WHERE r.retry_at > $1::timestamptz) AS later, "      \
	"min(r.id::text COLLATE \"C\") AS oldest, "                            \
	"max(r.id::text COLLATE \"C\") FILTER (WHERE r.attempts > 0) "         \
	"AS tried FROM recipients r "                                          \
	HOLD("d", "domain") "d.account IS NULL AND d.value = " DOMAIN " "      \
	HOLD("o", "domain") "o.account = r.flow / 2 AND o.value = " DOMAIN " " \
	HOLD("a", "account") "a.account = r.flow / 2 "                         \
	"WHERE r.finished_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6), "             \
	"g AS (SELECT name, sum(n)::int8 AS n, sum(later)::int8 AS later, "    \
	"coalesce(sum(n) FILTER (WHERE coalesce(d, o, a) IS NOT NULL), "       \
	"0)::int8 AS held, "                                                   \
	"string_agg(nullif(concat_ws(' ', d, o, a), ''), ' ') AS holds, "      \
	"string_agg((SELECT l.name FROM pools l WHERE l.number = p.pool) "     \
	"|| '/' || lane, ' ' ORDER BY n DESC) "                                \
	"FILTER (WHERE coalesce(d, o, a) IS NULL AND n > later) AS lanes, "    \
	"min(oldest) AS oldest, max(tried) AS tried FROM p "                   \
	"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $2::int8) "                       \
	"SELECT coalesce(g.name, '?'), g.n, g.later, g.held, g.holds, "        \
	"g.lanes, g.oldest::uuid, coalesce(t.code, 0::int2), t.reply, t.mx "   \
	"FROM g LEFT JOIN LATERAL (SELECT * FROM attempts t "                  \
	"WHERE t.recipient = g.tried::uuid AND t.outcome IS NOT NULL "         \
	"ORDER BY t.n DESC LIMIT 1) t ON true ORDER BY g.n DESC, g.name"
/* clang-format on */

static const struct pg_stmt stmts[] = {
	[BACKLOG_PROVIDER] = { "backlog_provider",
	    LIST("CASE WHEN r.lane ~ '^h[0-9]+$' THEN 'others' "
		 "ELSE r.lane END") },
	[BACKLOG_LANE] = { "backlog_lane",
	    LIST("(SELECT l.name FROM pools l WHERE l.number = r.pool) "
		 "|| '/' || r.lane") },
	[BACKLOG_ACCOUNT] = { "backlog_account",
	    LIST("(SELECT c.name FROM accounts c WHERE c.number = r.flow / "
		 "2)") },
	[BACKLOG_DOMAIN] = { "backlog_domain", LIST(DOMAIN) },
};

static const struct pg_stmt stmt_last = { "backlog_last",
	"WITH r AS MATERIALIZED (SELECT r.id FROM recipients r "
	"WHERE r.finished_at IS NULL AND r.attempts > 0 "
	"AND " DOMAIN " = lower(split_part($1::text, '@', -1)) "
	"ORDER BY r.id DESC LIMIT 1) "
	"SELECT coalesce(t.code, 0::int2), t.reply, t.mx, t.finished_at "
	"FROM r, LATERAL (SELECT * FROM attempts t WHERE t.recipient = r.id "
	"AND t.outcome IS NOT NULL ORDER BY t.n DESC LIMIT 1) t" };

static void
read_backlog(struct pg_row row, struct store_backlog *b)
{
	b->name = pg_get_text(row, 0);
	b->waiting = pg_get_int8(row, 1);
	b->later = pg_get_int8(row, 2);
	b->held = pg_get_int8(row, 3);
	b->holds = pg_get_text(row, 4);
	b->lanes = pg_get_text(row, 5);
	b->oldest_ms = id_time_ms(pg_get_id(row, 6));
	b->code = pg_get_int2(row, 7);
	b->reply = pg_get_text(row, 8);
	b->mx = pg_get_text(row, 9);
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

static void
read_last(struct pg_row row, struct store_last_reply *l)
{
	l->code = pg_get_int2(row, 0);
	l->reply = pg_get_text(row, 1);
	l->mx = pg_get_text(row, 2);
	l->at_ms = pg_get_time(row, 3);
}

STORE_ROWS(send_last, struct store_last_reply, read_last)

struct pg_tx *
store_backlog_last(struct pg *pg, struct slice address,
    store_last_reply_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_last);
	pg_tx_text(tx, address);
	return send_last(tx, NULL, done, ctx);
}

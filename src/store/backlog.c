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

struct call {
	store_backlog_got *done;
	void *ctx;
};

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_backlog *all;
	size_t n;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	all = store_reply_mem(reply, n, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);

		all[i].name = pg_get_text(row, 0);
		all[i].waiting = pg_get_int8(row, 1);
		all[i].later = pg_get_int8(row, 2);
		all[i].oldest_ms = id_time_ms(pg_get_id(row, 3));
		all[i].code = pg_get_int2(row, 4);
		all[i].reply = pg_get_text(row, 5);
		all[i].mx = pg_get_text(row, 6);
	}
	call->done(call->ctx, all, n, NULL);
}

struct pg_tx *
store_backlog_list(struct pg *pg, enum store_backlog_by by, int64_t now_ms,
    size_t limit, store_backlog_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct call){ done, ctx };
	pg_tx_stmt(tx, &stmts[by]);
	pg_tx_time(tx, now_ms);
	pg_tx_int8(tx, (int64_t)limit);
	pg_tx_send(tx, on_rows, call);
	return tx;
}

#include "store/leader.h"

struct leader_wait {
	store_leader_got *done;
	void *ctx;
};

static const struct pg_stmt try_lock = {
	"leader_try",
	"SELECT pg_try_advisory_lock(6217432)",
};

static void
tried(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct leader_wait *wait = ctx;
	bool is_leader = err == NULL && pg_rows(reply, 0) == 1 &&
	    pg_get_bool(pg_row(reply, 0, 0), 0);

	wait->done(wait->ctx, is_leader, err);
}

static const struct pg_stmt resign = {
	"leader_resign",
	"SELECT pg_advisory_unlock_all() WHERE EXISTS (SELECT FROM workers "
	"WHERE role = 'keeper' AND NOT dead AND node <> $1::text)",
};

static void
resigned(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct leader_wait *wait = ctx;

	wait->done(wait->ctx, err == NULL && pg_rows(reply, 0) == 0, err);
}

struct pg_tx *
store_leader_resign(struct pg *pg, struct slice node, store_leader_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct leader_wait *wait = pg_tx_mem(tx, sizeof(*wait));

	wait->done = done;
	wait->ctx = ctx;
	pg_tx_stmt(tx, &resign);
	pg_tx_text(tx, node);
	pg_tx_send(tx, resigned, wait);
	return tx;
}

struct pg_tx *
store_leader_try(struct pg *pg, store_leader_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct leader_wait *wait = pg_tx_mem(tx, sizeof(*wait));

	wait->done = done;
	wait->ctx = ctx;
	pg_tx_stmt(tx, &try_lock);
	pg_tx_send(tx, tried, wait);
	return tx;
}

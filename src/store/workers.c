#include "store/workers.h"

#include "store_priv.h"

#define COLUMNS                                                                \
	"id, node, role, boot_id, slot, pid, started_at, seen_at, dead, "      \
	"(1000 * extract(epoch FROM clock_timestamp() - seen_at))::int8"

static const struct pg_stmt stmt_add = { "worker_add",
	"INSERT INTO workers (node, role, boot_id, slot, pid, started_at, "
	"seen_at) VALUES ($1::text, $2::text, $3::text, $4::int2, $5::int4, "
	"clock_timestamp(), clock_timestamp()) RETURNING " COLUMNS };
static const struct pg_stmt stmt_beat = { "worker_beat",
	"UPDATE workers SET seen_at = clock_timestamp() WHERE id = $1::int4 "
	"AND NOT dead" };
static const struct pg_stmt stmt_dead = { "worker_dead",
	"UPDATE workers SET dead = true WHERE id = $1::int4" };
static const struct pg_stmt stmt_dead_unseen = { "worker_dead_unseen",
	"UPDATE workers SET dead = true WHERE NOT dead "
	"AND seen_at < clock_timestamp() - $1::int8 * interval '1 ms' "
	"RETURNING " COLUMNS };
static const struct pg_stmt stmt_dead_boots = { "worker_dead_boots",
	"UPDATE workers SET dead = true WHERE NOT dead AND node = $1::text "
	"AND boot_id <> $2::text RETURNING " COLUMNS };
static const struct pg_stmt stmt_dead_slot = { "worker_dead_slot",
	"UPDATE workers SET dead = true WHERE NOT dead AND node = $1::text "
	"AND role = $2::text AND slot = $3::int2 AND id <> $4::int4 "
	"RETURNING " COLUMNS };
static const struct pg_stmt stmt_list = { "worker_list",
	"SELECT " COLUMNS " FROM workers WHERE NOT dead ORDER BY id" };
/* Open claims name their worker; they lie in recent days, so the age given
 * must be longer than any claim can stay open. */
static const struct pg_stmt stmt_trim = { "worker_trim",
	"DELETE FROM workers w WHERE dead "
	"AND seen_at < clock_timestamp() - $1::int8 * interval '1 ms' "
	"AND NOT EXISTS (SELECT FROM sources s WHERE s.owner = w.id)" };

static void
read_worker(struct pg_row row, struct store_worker *w)
{
	w->id = pg_get_int4(row, 0);
	w->node = pg_get_text(row, 1);
	w->role = pg_get_text(row, 2);
	w->boot_id = pg_get_text(row, 3);
	w->slot = pg_get_int2(row, 4);
	w->pid = pg_get_int4(row, 5);
	w->started_at_ms = pg_get_time(row, 6);
	w->seen_at_ms = pg_get_time(row, 7);
	w->dead = pg_get_bool(row, 8);
	w->unseen_ms = pg_get_int8(row, 9);
}

STORE_ROWS(send_rows, struct store_worker, read_worker)

struct pg_tx *
store_worker_add(struct pg *pg, const struct store_worker *worker,
    store_worker_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_add);
	pg_tx_text(tx, worker->node);
	pg_tx_text(tx, worker->role);
	pg_tx_text(tx, worker->boot_id);
	pg_tx_int2(tx, worker->slot);
	pg_tx_int4(tx, worker->pid);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_worker_beat(struct pg *pg, int id, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_beat);
	pg_tx_int4(tx, id);
	return store_send(tx, "the worker was set dead", done, ctx);
}

struct pg_tx *
store_worker_set_dead(struct pg *pg, int id, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_dead);
	pg_tx_int4(tx, id);
	return store_send(tx, "no such worker", done, ctx);
}

struct pg_tx *
store_worker_set_dead_unseen(struct pg *pg, int64_t unseen_ms,
    store_worker_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_dead_unseen);
	pg_tx_int8(tx, unseen_ms);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_worker_set_dead_boots(struct pg *pg, struct slice node,
    struct slice boot_id, store_worker_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_dead_boots);
	pg_tx_text(tx, node);
	pg_tx_text(tx, boot_id);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_worker_set_dead_slot(struct pg *pg, struct slice node, struct slice role,
    int slot, int myself, store_worker_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_dead_slot);
	pg_tx_text(tx, node);
	pg_tx_text(tx, role);
	pg_tx_int2(tx, slot);
	pg_tx_int4(tx, myself);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_worker_list(struct pg *pg, store_worker_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_list);
	return send_rows(tx, NULL, done, ctx);
}

struct pg_tx *
store_worker_trim(struct pg *pg, int64_t unseen_ms, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_trim);
	pg_tx_int8(tx, unseen_ms);
	return store_send(tx, NULL, done, ctx);
}

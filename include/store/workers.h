/*
 * store/workers.h - one row per life of a process: its number is the holder
 * in Redis and the fencing token everywhere, and never used twice.
 */
#ifndef STORE_WORKERS_H
#define STORE_WORKERS_H

#include "store/pg.h"

#define STORE_HEARTBEAT_MS 5000
#define STORE_UNSEEN_MS 30000 /* then the keeper sets it dead */
/* No MAIL FROM later than this after the last heartbeat was sent. */
#define STORE_FENCE_MS 20000

struct store_worker {
	int id;
	struct slice node, role, boot_id;
	int slot;
	int pid;
	int64_t started_at_ms, seen_at_ms;
	bool dead;
};
typedef void store_worker_got(void *ctx, const struct store_worker *worker,
    size_t count, const struct error *err);

/* id, seen_at_ms and dead are not read. done gets the row. */
struct pg_tx *store_worker_add(struct pg *pg, const struct store_worker *worker,
    store_worker_got *done, void *ctx);
/*
 * seen_at := now_ms. ERR_NOTFOUND: set dead by somebody: end this process.
 * Callers note clock_mono_ms() when they send it (STORE_FENCE_MS).
 */
struct pg_tx *store_worker_beat(
    struct pg *pg, int id, int64_t now_ms, store_done *done, void *ctx);
struct pg_tx *store_worker_set_dead(
    struct pg *pg, int id, store_done *done, void *ctx);
/* Sets dead whom nobody has seen since; done gets those. */
struct pg_tx *store_worker_set_dead_unseen(struct pg *pg, int64_t unseen_since,
    store_worker_got *done, void *ctx);
/* Sets dead this node's workers of other boots; done gets those. */
struct pg_tx *store_worker_set_dead_boots(struct pg *pg, struct slice node,
    struct slice boot_id, store_worker_got *done, void *ctx);
/* Sets dead earlier lives in this slot (its flock was free); gets those. */
struct pg_tx *store_worker_set_dead_slot(struct pg *pg, struct slice node,
    struct slice role, int slot, int but_id, store_worker_got *done, void *ctx);
/* Those alive. */
struct pg_tx *store_worker_list(
    struct pg *pg, store_worker_got *done, void *ctx);
/* Forgets dead rows not seen since, unless a source or an open claim names
 * them. */
struct pg_tx *store_worker_trim(
    struct pg *pg, int64_t unseen_since, store_done *done, void *ctx);

#endif

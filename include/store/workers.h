/*
 * store/workers.h - one row per life of a process: its number is the holder
 * in Redis and the fencing token everywhere, and never used twice.
 */
#ifndef STORE_WORKERS_H
#define STORE_WORKERS_H

#include "store/pg.h"

/* All three through clock_patience_ms(). */
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
	int64_t unseen_ms; /* since seen_at, by the clock of the database */
};
typedef void store_worker_got(void *ctx, const struct store_worker *worker,
    size_t count, const struct error *err);

/* id, times and dead are not read. done gets the row. */
struct pg_tx *store_worker_add(struct pg *pg, const struct store_worker *worker,
    store_worker_got *done, void *ctx);
/*
 * Liveness is counted on the one clock that all nodes share, that of the
 * database; it says nothing about mail, so tests do not shift it.
 * ERR_NOTFOUND: set dead by somebody: end this process.
 * Callers note clock_mono_ms() when they send it (STORE_FENCE_MS).
 */
struct pg_tx *store_worker_beat(struct pg *pg, int id, store_done *done,
    void *ctx);
struct pg_tx *store_worker_set_dead(struct pg *pg, int id, store_done *done,
    void *ctx);
/* Sets dead whom nobody has seen for that long; done gets those. */
struct pg_tx *store_worker_set_dead_unseen(struct pg *pg, int64_t unseen_ms,
    store_worker_got *done, void *ctx);
/* Sets dead this node's workers of other boots; done gets those. */
struct pg_tx *store_worker_set_dead_boots(struct pg *pg, struct slice node,
    struct slice boot_id, store_worker_got *done, void *ctx);
/* Sets dead earlier lives in this slot (its flock was free); gets those. */
struct pg_tx *store_worker_set_dead_slot(struct pg *pg, struct slice node,
    struct slice role, int slot, int myself, store_worker_got *done, void *ctx);
/* Those alive. */
struct pg_tx *store_worker_list(struct pg *pg, store_worker_got *done,
    void *ctx);
/* Forgets dead rows not seen for that long, unless a source names them. Must be
 * longer than a claim can stay open: days. */
struct pg_tx *store_worker_trim(struct pg *pg, int64_t unseen_ms,
    store_done *done, void *ctx);

#endif

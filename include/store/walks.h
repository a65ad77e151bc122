/* store/walks.h - unfinished recipients, in the order of their ids. */
#ifndef STORE_WALKS_H
#define STORE_WALKS_H

#include "model/status.h"
#include "store/pg.h"

struct store_unfinished {
	struct id id;
	int pool;
	struct slice lane, address;
	uint32_t flow;
	uint8_t flags;
	enum status status;
	int64_t retry_at_ms; /* 0: now */
	int64_t expires_at_ms;
	struct slice head; /* when asked for */
};
typedef void store_unfinished_got(void *ctx, const struct store_unfinished *row,
    size_t count, const struct error *err);
/* after < id < before, at most limit. */
struct pg_tx *store_walk_unfinished(struct pg *pg, struct id after,
    struct id before, size_t limit, store_unfinished_got *done, void *ctx);
/* The same with the heads of their emails. */
struct pg_tx *store_walk_unfinished_heads(struct pg *pg, struct id after,
    struct id before, size_t limit, store_unfinished_got *done, void *ctx);

/* Gives a recipient another lane, whose job is nowhere in the schedule. */
struct store_move {
	struct id id;
	struct slice from, to;
};
/* Those that are unfinished and still in that lane; moves are read now. */
struct pg_tx *store_walk_move(struct pg *pg, const struct store_move *move,
    size_t count, store_done *done, void *ctx);

#endif

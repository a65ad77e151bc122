/*
 * store/leader.h - one keeper at a time: an advisory lock of the session. It
 * goes with the connection, so whoever loses Postgres is no leader; the server
 * ends that of a keeper that has become silent (silent_max_ms in pg.h).
 */
#ifndef STORE_LEADER_H
#define STORE_LEADER_H

#include "store/pg.h"

typedef void store_leader_got(void *ctx, bool is_leader,
    const struct error *err);
/* Takes the lock if it is free. Not again while one has it: it counts. */
struct pg_tx *store_leader_try(struct pg *pg, store_leader_got *done,
    void *ctx);
/* Lets it go, if another node has a keeper to take it; else done hears that
 * one still leads. */
struct pg_tx *store_leader_resign(struct pg *pg, struct slice node,
    store_leader_got *done, void *ctx);

#endif

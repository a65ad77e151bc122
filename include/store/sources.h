/*
 * store/sources.h - sending addresses, the pools they form, and which worker
 * owns them. One owner at a time: the fence is the UPDATE in
 * store_source_own (contrib/notes/0080).
 */
#ifndef STORE_SOURCES_H
#define STORE_SOURCES_H

#include "store/pg.h"

struct store_source {
	int number;
	struct id id;
	struct slice address; /* as text, without a prefix length */
	struct slice helo;
	int pool;
	struct slice pool_name;
	int weight;
	int daily_limit;   /* mails in a UTC day; 0: no limit */
	struct slice node; /* the only node that may own it; ptr NULL: any */
	int owner;	   /* worker, or 0 */
	bool enabled;
	int64_t created_at_ms;
};

typedef void store_source_got(void *ctx, const struct store_source *source,
    size_t count, const struct error *err);

/* Only id, address, helo, pool_name, weight, daily_limit, node and
 * created_at_ms are read; the pool is made when it is new. ERR_CONFLICT: the
 * address is taken. */
struct pg_tx *store_source_add(struct pg *pg, const struct store_source *source,
    store_done *done, void *ctx);
/* node.ptr NULL: all; else the enabled ones that this node may own. */
struct pg_tx *store_source_list(struct pg *pg, struct slice node,
    store_source_got *done, void *ctx);
/* What is to be another way; ERR_NOTFOUND: no such source. */
struct store_source_change {
	int weight;		/* 0: as it is */
	int daily_limit;	/* -1: as it is; 0: none */
	struct slice pool_name; /* ptr NULL: as it is; made when it is new */
	struct slice node;	/* ptr NULL: as it is; len 0: any */
};
struct pg_tx *store_source_set(struct pg *pg, struct slice id_or_address,
    const struct store_source_change *change, store_done *done, void *ctx);
/*
 * By id or address. ERR_CONFLICT: a living worker owns it. It is disabled then,
 * and free for another call when the owner has done with it, within some beats.
 */
struct pg_tx *store_source_remove(struct pg *pg, struct slice id_or_address,
    store_done *done, void *ctx);
/*
 * Takes those of the numbered sources that are free, or owned by dead
 * workers, or already mine; what was got is given to done.
 */
struct pg_tx *store_source_own(struct pg *pg, int worker, const int *numbers,
    size_t count, store_source_got *done, void *ctx);
/* Gives up what the worker owns, but for those numbered. */
struct pg_tx *store_source_disown(struct pg *pg, int worker, const int *keep,
    size_t count, store_done *done, void *ctx);

struct store_pool {
	int number;
	struct slice name;
	/* The living workers that own a source of it, between blanks; ptr NULL:
	 * none. */
	struct slice owners;
};
typedef void store_pool_got(void *ctx, const struct store_pool *pool,
    size_t count, const struct error *err);
struct pg_tx *store_pool_list(struct pg *pg, store_pool_got *done, void *ctx);

#endif

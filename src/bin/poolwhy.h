/* bin/poolwhy.h - why nothing is sent from a source, or from a whole pool. */
#ifndef BIN_POOLWHY_H
#define BIN_POOLWHY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "store/rules.h"
#include "store/sources.h"

struct session;

/* Of a source, for people, in the arena; len 0: it sends. */
struct slice poolwhy_source(struct arena *arena,
    const struct store_source *source, const struct store_rule *rule,
    size_t rule_count);

struct poolwhy_pool {
	int number;
	struct slice name, owners; /* as of store_pool */
	bool is_open;		   /* one of its sources sends */
	size_t count;		   /* of its sources */
	struct strbuf idle;
};

struct poolwhy {
	struct arena arena;
	struct session *s;
	size_t rule_count, pool_count;
	struct store_rule *rule;
	struct poolwhy_pool *pool;
};

/* Rules, pools and sources as they are now. */
void poolwhy_read(struct poolwhy *w, struct session *s);
void poolwhy_fini(struct poolwhy *w);
/* Borrowed; len 0: one of its sources sends. */
struct slice poolwhy_of(struct poolwhy *w, int pool);
/* The workers that send for it, as of store_pool. */
struct slice poolwhy_owners(struct poolwhy *w, int pool);
/* On standard error, of each pool that has lost its last source since. */
void poolwhy_warn_emptied(struct poolwhy *before);

#endif

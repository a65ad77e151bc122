/*
 * intake/cache.h - answers of the database kept for a short time: bounded, one
 * question for many askers, "no such thing" kept as well.
 *
 * An entry is empty, asked for, or known until a time. Its value is the
 * owner's: a pointer to memory that the cache frees with the entry.
 */
#ifndef INTAKE_CACHE_H
#define INTAKE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"

struct cache;
struct cache_entry;

/* value NULL: no such thing. err: it could not be found out. */
typedef void cache_answer(void *ctx, const void *value,
    const struct error *err);

struct cache_ops {
	/*
	 * Asks for the entry; later, exactly once, cache_known or cache_failed
	 * is called with it, never before this returns.
	 */
	void (*ask)(void *ctx, struct cache_entry *e, struct slice key);
	/* Stops asking: the cache goes away. */
	void (*forget)(void *ctx, struct cache_entry *e);
};

struct cache *cache_new(size_t entries_max, int64_t ttl_ms,
    const struct cache_ops *ops, void *ctx);
/* Waiters are dropped. */
void cache_free(struct cache **c);
size_t cache_count(const struct cache *c);

/* Embed it, zeroed; it must live until it is answered or cancelled. */
struct cache_waiter {
	struct list node;
	cache_answer *answer;
	void *ctx;
};
/* Answers at once, before it returns, when the entry is known and fresh. The
 * value is borrowed for the call. */
void cache_find(struct cache *c, struct slice key, int64_t now_ms,
    struct cache_waiter *w, cache_answer *answer, void *ctx);
void cache_cancel(struct cache_waiter *w);

/* value: taken (free()), or NULL. */
void cache_known(struct cache_entry *e, void *value, int64_t now_ms);
/* Not kept: the next one asks again. */
void cache_failed(struct cache_entry *e, const struct error *err);
/* A place for the handle of the question. */
void **cache_entry_handle(struct cache_entry *e);
void *cache_entry_owner(struct cache_entry *e); /* ctx of cache_new */

#endif

/*
 * intake/cache.c - a hash over entries that also stand in a list by age. All
 * entries live equally long, so the oldest is the first to go: when the bound
 * is reached the oldest that is not being asked for makes room.
 */
#include "intake/cache.h"

#include "base/hash.h"
#include "base/mem.h"

enum cache_state { CACHE_EMPTY, CACHE_ASKED, CACHE_KNOWN };

struct cache_entry {
	struct cache *cache;
	struct list by_age;
	struct list waiters;
	enum cache_state state;
	int64_t fresh_until_ms;
	void *value;
	void *handle;
	char *key;
	size_t key_len;
};

struct cache {
	struct hash *entries;
	struct list by_age; /* the oldest first */
	size_t entries_max;
	int64_t ttl_ms;
	const struct cache_ops *ops;
	void *ctx;
};

struct cache *
cache_new(size_t entries_max, int64_t ttl_ms, const struct cache_ops *ops,
    void *ctx)
{
	struct cache *c = xmalloc(sizeof(*c));

	c->entries = hash_new();
	c->entries_max = entries_max;
	c->ttl_ms = ttl_ms;
	c->ops = ops;
	c->ctx = ctx;
	list_init(&c->by_age);
	return c;
}

static struct slice
entry_key(const struct cache_entry *e)
{
	return slice_mem(e->key, e->key_len);
}

static void
entry_free(struct cache_entry *e)
{
	list_each_safe (node, &e->waiters)
		list_remove(node);
	list_remove(&e->by_age);
	(void)hash_remove(e->cache->entries, entry_key(e));
	free(e->value);
	free(e->key);
	free(e);
}

void
cache_free(struct cache **c)
{
	struct list *node;

	if (*c == NULL)
		return;
	while ((node = list_first(&(*c)->by_age)) != NULL) {
		struct cache_entry *e =
		    list_entry(node, struct cache_entry, by_age);

		if (e->state == CACHE_ASKED)
			(*c)->ops->forget((*c)->ctx, e);
		entry_free(e);
	}
	hash_free(&(*c)->entries);
	free(*c);
	*c = NULL;
}

size_t
cache_count(const struct cache *c)
{
	return hash_count(c->entries);
}

static void
make_room(struct cache *c)
{
	list_each_safe (node, &c->by_age) {
		struct cache_entry *e =
		    list_entry(node, struct cache_entry, by_age);

		if (hash_count(c->entries) < c->entries_max)
			return;
		if (e->state != CACHE_ASKED)
			entry_free(e);
	}
}

static struct cache_entry *
entry_new(struct cache *c, struct slice key)
{
	struct cache_entry *e = xmalloc(sizeof(*e));

	make_room(c);
	e->cache = c;
	e->key = xmemdup(key.ptr, key.len);
	e->key_len = key.len;
	list_init(&e->waiters);
	list_append(&c->by_age, &e->by_age);
	(void)hash_put(c->entries, key, e);
	return e;
}

void
cache_find(struct cache *c, struct slice key, int64_t now_ms,
    struct cache_waiter *w, cache_answer *answer, void *ctx)
{
	struct cache_entry *e = hash_find(c->entries, key);

	if (e == NULL)
		e = entry_new(c, key);
	/* A clock set back must not make an answer immortal. */
	if (e->state == CACHE_KNOWN && now_ms < e->fresh_until_ms &&
	    now_ms >= e->fresh_until_ms - c->ttl_ms) {
		answer(ctx, e->value, NULL);
		return;
	}
	w->answer = answer;
	w->ctx = ctx;
	list_append(&e->waiters, &w->node);
	if (e->state != CACHE_ASKED) {
		e->state = CACHE_ASKED;
		c->ops->ask(c->ctx, e, entry_key(e));
	}
}

void
cache_cancel(struct cache_waiter *w)
{
	list_remove(&w->node);
}

/* The entry counts as asked for meanwhile: then nothing a waiter does pushes
 * it out, and who asks again is told by the same loop. */
static void
tell_all(struct cache_entry *e, const void *value, const struct error *err)
{
	struct list *node;

	while ((node = list_pop(&e->waiters)) != NULL) {
		struct cache_waiter *w =
		    list_entry(node, struct cache_waiter, node);

		w->answer(w->ctx, value, err);
	}
}

void
cache_known(struct cache_entry *e, void *value, int64_t now_ms)
{
	struct cache *c = e->cache;

	free(e->value);
	e->value = value;
	e->fresh_until_ms = now_ms + c->ttl_ms;
	list_remove(&e->by_age);
	list_append(&c->by_age, &e->by_age);
	tell_all(e, value, NULL);
	e->state = CACHE_KNOWN;
}

void
cache_failed(struct cache_entry *e, const struct error *err)
{
	tell_all(e, NULL, err);
	e->state = CACHE_EMPTY;
}

void **
cache_entry_handle(struct cache_entry *e)
{
	return &e->handle;
}

void *
cache_entry_owner(struct cache_entry *e)
{
	return e->cache->ctx;
}

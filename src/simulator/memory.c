/*
 * One entry per sender and recipient. The return path of our own mail names
 * the recipient of one email, so the pair names the mail.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "simulator/simulator_priv.h"

struct entry {
	struct list node; /* oldest first */
	size_t key_len;
	char key[];
};

struct simulator_memory {
	struct hash *entries;
	struct list order;
	size_t max;
};

struct simulator_memory *
simulator_memory_new(size_t max)
{
	struct simulator_memory *m = xmalloc(sizeof(*m));

	m->entries = hash_new();
	list_init(&m->order);
	m->max = max;
	return m;
}

static void
forget(struct simulator_memory *m, struct entry *e)
{
	list_remove(&e->node);
	hash_remove(m->entries, slice_mem(e->key, e->key_len));
	free(e);
}

void
simulator_memory_free(struct simulator_memory **m)
{
	if (*m == NULL)
		return;
	list_each_safe (node, &(*m)->order)
		forget(*m, list_entry(node, struct entry, node));
	hash_free(&(*m)->entries);
	free(*m);
	*m = NULL;
}

bool
simulator_memory_is_new(struct simulator_memory *m, struct slice from,
    struct slice to)
{
	struct entry *e = xmalloc(sizeof(*e) + from.len + 1 + to.len);
	struct list *oldest = list_first(&m->order);
	struct entry *known;

	if (from.len > 0)
		memcpy(e->key, from.ptr, from.len);
	e->key[from.len] = ' ';
	if (to.len > 0)
		memcpy(e->key + from.len + 1, to.ptr, to.len);
	e->key_len = from.len + 1 + to.len;
	for (size_t i = 0; i < e->key_len; i++)
		e->key[i] = ascii_lower(e->key[i]);
	known = hash_find(m->entries, slice_mem(e->key, e->key_len));
	if (known != NULL) {
		forget(m, known);
		free(e);
		return false;
	}
	if (oldest != NULL && hash_count(m->entries) >= m->max)
		forget(m, list_entry(oldest, struct entry, node));
	hash_put(m->entries, slice_mem(e->key, e->key_len), e);
	list_append(&m->order, &e->node);
	return true;
}

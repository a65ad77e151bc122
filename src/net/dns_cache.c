#include <string.h>

#include "base/mem.h"
#include "net/dns_priv.h"

/* What an entry costs beside key and packet, roughly. */
#define ENTRY_BYTES 320

struct cache_entry {
	struct list node;
	struct dns_found *found;
	size_t bytes;
	size_t key_len;
	char key[];
};

struct dns_found *
dns_found_new(struct slice packet, const char *why)
{
	struct dns_found *f = xmalloc(sizeof(*f) + packet.len);

	f->refs = 1;
	f->len = packet.len;
	if (packet.len > 0)
		memcpy(f->packet, packet.ptr, packet.len);
	memcpy(f->why, why, MIN(strlen(why), sizeof(f->why) - 1));
	return f;
}

struct dns_found *
dns_found_ref(struct dns_found *f)
{
	f->refs++;
	return f;
}

void
dns_found_unref(struct dns_found **fp)
{
	struct dns_found *f = *fp;

	*fp = NULL;
	if (f != NULL && --f->refs == 0)
		free(f);
}

struct slice
dns_key(char *out, struct slice name, enum dns_type type)
{
	size_t len = 0;

	out[len++] = (char)((unsigned int)type >> 8);
	out[len++] = (char)((unsigned int)type & 0xff);
	for (size_t i = 0; i < name.len && len < DNS_KEY_MAX; i++)
		out[len++] = ascii_lower(name.ptr[i]);
	return slice_mem(out, len);
}

void
dns_cache_init(struct dns_cache *c, size_t count_max, size_t bytes_max)
{
	*c = (struct dns_cache){ .entries = hash_new(),
		.count_max = count_max,
		.bytes_max = bytes_max };
	list_init(&c->used);
}

static void
forget(struct dns_cache *c, struct cache_entry *e)
{
	(void)hash_remove(c->entries, slice_mem(e->key, e->key_len));
	list_remove(&e->node);
	c->bytes -= e->bytes;
	dns_found_unref(&e->found);
	free(e);
}

void
dns_cache_fini(struct dns_cache *c)
{
	struct list *node;

	while ((node = list_first(&c->used)) != NULL)
		forget(c, list_entry(node, struct cache_entry, node));
	hash_free(&c->entries);
}

struct dns_found *
dns_cache_find(struct dns_cache *c, struct slice key, int64_t now_ms)
{
	struct cache_entry *e = hash_find(c->entries, key);

	if (e == NULL)
		return NULL;
	if (e->found->expires_ms <= now_ms) {
		forget(c, e);
		return NULL;
	}
	list_remove(&e->node);
	list_prepend(&c->used, &e->node);
	return e->found;
}

void
dns_cache_put(struct dns_cache *c, struct slice key, struct dns_found *f)
{
	struct cache_entry *e = hash_find(c->entries, key);

	if (e != NULL)
		forget(c, e);
	e = xmalloc(sizeof(*e) + key.len);
	memcpy(e->key, key.ptr, key.len);
	e->key_len = key.len;
	e->found = dns_found_ref(f);
	e->bytes = ENTRY_BYTES + 2 * key.len + f->len;
	(void)hash_put(c->entries, key, e);
	list_prepend(&c->used, &e->node);
	c->bytes += e->bytes;
	while (hash_count(c->entries) > c->count_max || c->bytes > c->bytes_max)
		forget(c, list_entry(c->used.prev, struct cache_entry, node));
}

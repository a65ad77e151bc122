/*
 * Chains in a table of 2^n heads that doubles when there are as many entries
 * as heads; it never shrinks. An entry holds its key, so one allocation each.
 */
#include "base/hash.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "base/mem.h"

#define HEADS_MIN 16

struct entry {
	struct entry *next;
	uint64_t sum;
	void *value;
	size_t len;
	char key[];
};

struct hash {
	struct entry **head;
	size_t heads; /* a power of two */
	size_t count;
};

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t
rotate(uint64_t x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static void
sip_add(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

/* Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. */
uint64_t
hash_siphash(const uint64_t seed[2], const void *ptr, size_t len)
{
	struct sip s = { seed[0] ^ 0x736f6d6570736575U,
		seed[1] ^ 0x646f72616e646f6dU, seed[0] ^ 0x6c7967656e657261U,
		seed[1] ^ 0x7465646279746573U };
	uint64_t last = (uint64_t)len << 56;
	const unsigned char *in = ptr;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t word = 0;

		for (unsigned int k = 0; k < 8; k++)
			word |= (uint64_t)in[i + k] << (8 * k);
		sip_add(&s, word);
	}
	for (unsigned int k = 0; i + k < len; k++)
		last |= (uint64_t)in[i + k] << (8 * k);
	sip_add(&s, last);
	s.v2 ^= 0xff;
	for (int k = 0; k < 4; k++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* The seed is drawn once per process and then constant. */
uint64_t
hash_bytes(const void *ptr, size_t len)
{
	static uint64_t seed[2];
	static bool seeded;

	if (!seeded) {
		crypto_random(seed, sizeof(seed));
		seeded = true;
	}
	return hash_siphash(seed, ptr, len);
}

uint64_t
hash_stable(const void *ptr, size_t len)
{
	const unsigned char *in = ptr;
	uint64_t sum = 0xcbf29ce484222325U;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ in[i]) * 0x100000001b3U;
	return sum;
}

struct hash *
hash_new(void)
{
	struct hash *h = xmalloc(sizeof(*h));

	h->heads = HEADS_MIN;
	h->head = xcalloc(h->heads, sizeof(*h->head));
	return h;
}

void
hash_free(struct hash **h)
{
	if (*h == NULL)
		return;
	for (size_t i = 0; i < (*h)->heads; i++) {
		struct entry *e = (*h)->head[i];

		while (e != NULL) {
			struct entry *next = e->next;

			free(e);
			e = next;
		}
	}
	free((*h)->head);
	free(*h);
	*h = NULL;
}

size_t
hash_count(const struct hash *h)
{
	return h->count;
}

/* The link that points to the entry, or to the NULL where it would stand. */
static struct entry **
find_link(const struct hash *h, struct slice key, uint64_t sum)
{
	struct entry **link = &h->head[sum & (h->heads - 1)];

	while (*link != NULL &&
	    ((*link)->sum != sum ||
		!slice_eq(slice_mem((*link)->key, (*link)->len), key)))
		link = &(*link)->next;
	return link;
}

void *
hash_find(const struct hash *h, struct slice key)
{
	struct entry *e = *find_link(h, key, hash_bytes(key.ptr, key.len));

	return e != NULL ? e->value : NULL;
}

static void
grow(struct hash *h)
{
	size_t heads = h->heads * 2;
	struct entry **head = xcalloc(heads, sizeof(struct entry *));

	for (size_t i = 0; i < h->heads; i++) {
		struct entry *e = h->head[i];

		while (e != NULL) {
			struct entry *next = e->next;
			struct entry **to = &head[e->sum & (heads - 1)];

			e->next = *to;
			*to = e;
			e = next;
		}
	}
	free(h->head);
	h->head = head;
	h->heads = heads;
}

void *
hash_put(struct hash *h, struct slice key, void *value)
{
	uint64_t sum = hash_bytes(key.ptr, key.len);
	struct entry **link = find_link(h, key, sum);
	struct entry *e = *link;

	invariant(value != NULL);
	if (e != NULL) {
		void *old = e->value;

		e->value = value;
		return old;
	}
	e = xmalloc(sizeof(*e) + key.len);
	e->sum = sum;
	e->value = value;
	e->len = key.len;
	if (key.len > 0)
		memcpy(e->key, key.ptr, key.len);
	*link = e;
	if (++h->count > h->heads)
		grow(h);
	return NULL;
}

void *
hash_remove(struct hash *h, struct slice key)
{
	struct entry **link = find_link(h, key, hash_bytes(key.ptr, key.len));
	struct entry *e = *link;
	void *value;

	if (e == NULL)
		return NULL;
	value = e->value;
	*link = e->next;
	free(e);
	h->count--;
	return value;
}

void
hash_each(struct hash *h, bool (*fn)(void *ctx, struct slice key, void *value),
    void *ctx)
{
	for (size_t i = 0; i < h->heads; i++) {
		struct entry *e = h->head[i];

		while (e != NULL) {
			struct entry *next = e->next;

			if (!fn(ctx, slice_mem(e->key, e->len), e->value))
				return;
			e = next;
		}
	}
}

/*
 * base/hash.h - a hash table from octet strings to pointers.
 *
 * Keys are copied in. SipHash under a random seed per process, because keys
 * come from strangers. Iteration order is undefined.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct hash;

struct hash *hash_new(void);
/* Frees the table and its keys; the values are the caller's. */
void hash_free(struct hash **h);
size_t hash_count(const struct hash *h);
/* NULL when there is no such key. */
void *hash_find(const struct hash *h, struct slice key);
/* Sets or replaces; returns the previous value or NULL. value != NULL. */
void *hash_put(struct hash *h, struct slice key, void *value);
/* Takes the key out; returns its value or NULL. */
void *hash_remove(struct hash *h, struct slice key);
/*
 * Calls fn for every entry until it returns false. fn may remove the entry
 * it was called for and no other, and must not add any.
 */
void hash_each(struct hash *h,
    bool (*fn)(void *ctx, struct slice key, void *value), void *ctx);

/* SipHash-2-4 under the process seed. */
uint64_t hash_bytes(const void *ptr, size_t len);
/* SipHash-2-4 under a given seed, little-endian as in its paper. */
uint64_t hash_siphash(const uint64_t seed[2], const void *ptr, size_t len);
/* A hash that is the same on every machine and for ever (FNV-1a, 64 bits). */
uint64_t hash_stable(const void *ptr, size_t len);

#endif

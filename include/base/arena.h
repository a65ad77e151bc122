/* base/arena.h - memory that is given back all at once. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used_bytes; /* sum of what was handed out */
};

#define ARENA_INIT                                                             \
	{                                                                      \
		NULL, 0                                                        \
	}

void arena_init(struct arena *a);
/* Frees everything that came from it; the arena can be used again. */
void arena_fini(struct arena *a);
/* Zeroed and aligned for any type. */
void *arena_alloc(struct arena *a, size_t size)
    __attribute__((returns_nonnull));
void *arena_calloc(struct arena *a, size_t n, size_t size)
    __attribute__((returns_nonnull));
/* NUL-terminated copy. */
char *arena_dup(struct arena *a, struct slice s)
    __attribute__((returns_nonnull));
/* The copy as a slice. */
struct slice arena_slice(struct arena *a, struct slice s);
char *arena_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));

#endif

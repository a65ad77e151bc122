/*
 * Blocks of doubling size, each filled from the front. A request larger than
 * a block gets one of its own.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define BLOCK_MIN ((size_t)1024)
#define BLOCK_MAX ((size_t)64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) char data[];
};

void
arena_init(struct arena *a)
{
	*a = (struct arena)ARENA_INIT;
}

void
arena_fini(struct arena *a)
{
	while (a->head != NULL) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	arena_init(a);
}

void *
arena_alloc(struct arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct arena_block *block = a->head;
	void *ptr;

	invariant(size < SIZE_MAX / 2);
	size = (size + align - 1) & ~(align - 1);
	if (block == NULL || block->size - block->used < size) {
		size_t want = block != NULL ? block->size * 2 : BLOCK_MIN;

		if (want > BLOCK_MAX)
			want = BLOCK_MAX;
		if (want < size)
			want = size;
		block = xmalloc(sizeof(*block) + want);
		block->size = want;
		block->next = a->head;
		a->head = block;
	}
	ptr = block->data + block->used;
	block->used += size;
	a->used_bytes += size;
	return ptr;
}

void *
arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t total;

	invariant(!__builtin_mul_overflow(n, size, &total));
	return arena_alloc(a, total);
}

char *
arena_dup(struct arena *a, struct slice s)
{
	char *copy = arena_alloc(a, s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.ptr, s.len);
	return copy;
}

struct slice
arena_slice(struct arena *a, struct slice s)
{
	return (struct slice){ arena_dup(a, s), s.len };
}

char *
arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	invariant(n >= 0);
	text = arena_alloc(a, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}

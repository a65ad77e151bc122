/* base/mem.h - allocation that is zeroed and cannot fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

#include "base/attr.h"

/* Zeroed memory; aborts when there is none. size may be 0. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));

/* Zeroed array of n elements; aborts on overflow of n * size. */
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));

/* Grows or shrinks; new octets are not zeroed. Aborts when it fails. */
void *xrealloc(void *ptr, size_t size) __attribute__((returns_nonnull));

/* Copies. xmemdup adds a NUL behind the copy, so it serves for text too. */
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *ptr, size_t len)
    __attribute__((malloc, returns_nonnull));

/* printf into fresh memory, owned by the caller. */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2)
    __attribute__((returns_nonnull));

/* Wipes len octets and frees; accepts NULL. For secrets. */
void mem_wipe_free(void *ptr, size_t len);

#endif

/*
 * base/strbuf.h - a growing, bounded buffer of octets.
 *
 * Append freely and check once at the end: what would pass the bound sets
 * overflow, which sticks, and appends nothing more.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct strbuf {
	char *ptr;  /* NUL behind the last octet once anything was added */
	size_t len; /* without that NUL */
	size_t cap;
	size_t max; /* bound on len */
	bool overflow;
};

/* max_bytes: bound on the content; 0 means STRBUF_MAX_DEFAULT. */
#define STRBUF_MAX_DEFAULT ((size_t)1 << 30)
#define STRBUF_INIT                                                            \
	{                                                                      \
		NULL, 0, 0, STRBUF_MAX_DEFAULT, false                          \
	}
void strbuf_init(struct strbuf *b, size_t max_bytes);
void strbuf_fini(struct strbuf *b);
/* Empties it and clears overflow; keeps the memory. */
void strbuf_reset(struct strbuf *b);
/* Makes room for more octets; false, with overflow set, past the bound. */
bool strbuf_reserve(struct strbuf *b, size_t more);

void strbuf_add(struct strbuf *b, const void *ptr, size_t len);
void strbuf_add_slice(struct strbuf *b, struct slice s);
void strbuf_add_text(struct strbuf *b, const char *text);
void strbuf_add_char(struct strbuf *b, char c);
void strbuf_add_fmt(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_add_vfmt(struct strbuf *b, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);
void strbuf_add_u64(struct strbuf *b, uint64_t value);
/* Cuts to len octets; len must not be larger than it is. */
void strbuf_truncate(struct strbuf *b, size_t len);
/* Drops n octets at the front (moves the rest). */
void strbuf_drop(struct strbuf *b, size_t n);

static inline struct slice
strbuf_slice(const struct strbuf *b)
{
	return (struct slice){ b->ptr, b->len };
}

/* The content as a C string, never NULL; borrowed until the next change. */
const char *strbuf_text(const struct strbuf *b);
/* Hands the memory over (NUL-terminated); the buffer is empty again. */
char *strbuf_take(struct strbuf *b);

#endif

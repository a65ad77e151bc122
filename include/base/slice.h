/* base/slice.h - a borrowed run of octets: read with it, never own. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct slice {
	const char *ptr; /* not NUL-terminated; may be NULL when len is 0 */
	size_t len;
};

/* A string literal as a constant slice. */
#define SLICE(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
/* For printf's "%.*s". The length is cut at INT_MAX / 2. */
#define SLICE_FMT(s) slice_fmt_len(s), ((s).len > 0 ? (s).ptr : "")

static inline int
slice_fmt_len(struct slice s)
{
	return s.len > 0x3fffffff ? 0x3fffffff : (int)s.len;
}

static inline struct slice
slice_of(const char *text)
{
	return (struct slice){ text, text != NULL ? strlen(text) : 0 };
}

static inline struct slice
slice_mem(const void *ptr, size_t len)
{
	return (struct slice){ (const char *)ptr, len };
}

static inline struct slice
slice_from(struct slice s, size_t skip)
{
	if (skip > s.len)
		skip = s.len;
	if (skip == 0) /* ptr may be NULL, and NULL + 0 is undefined */
		return s;
	return (struct slice){ s.ptr + skip, s.len - skip };
}

static inline struct slice
slice_first(struct slice s, size_t len)
{
	return (struct slice){ s.ptr, len < s.len ? len : s.len };
}

bool slice_eq(struct slice a, struct slice b);
bool slice_eq_text(struct slice a, const char *text);
/* ASCII case folding only, never the locale's. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);
/* How many octets must be added, removed or changed to make b of a, without
 * regard to case (Levenshtein); of each the first SLICE_DISTANCE_MAX count. */
#define SLICE_DISTANCE_MAX 64
size_t slice_distance(struct slice a, struct slice b);
/* memcmp order, the shorter first. */
int slice_cmp(struct slice a, struct slice b);

/* Index of the first c, or s.len. */
size_t slice_find_char(struct slice s, char c);
/* Index of the first occurrence of needle, or s.len. */
size_t slice_find(struct slice s, struct slice needle);
bool slice_has_char(struct slice s, char c);

/* Without SP and HTAB at both ends (CR and LF too in slice_trim_lines). */
struct slice slice_trim(struct slice s);
struct slice slice_trim_lines(struct slice s);

/* Takes c off the front; false and untouched when it is not there. */
bool slice_take_char(struct slice *s, char c);
/* Takes 1..max_digits decimal digits off the front. */
bool slice_take_uint(struct slice *s, size_t max_digits, uint16_t *out);
/* Takes what stands before c and c itself; without a c, all of it. */
struct slice slice_take_until(struct slice *s, char c);
/*
 * Takes one line off the front, without its LF or CRLF.
 * Returns false at the end.
 */
bool slice_take_line(struct slice *s, struct slice *line);

/* The whole slice as a decimal number; false on anything else. */
bool slice_to_u64(struct slice s, uint64_t *out);
bool slice_to_i64(struct slice s, int64_t *out);

/* ASCII classes, independent of the locale. */
static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_alpha(c);
}

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* A NUL-terminated copy on the heap, owned by the caller. */
char *slice_dup(struct slice s);

#endif

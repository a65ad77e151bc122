/* json_scan.h - finds where plain text ends, for the reader and the writer. */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Octets of a string that need a look: quote, backslash, control, non-ASCII.
 */
static inline bool
json_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* A bit for each of 16 octets that is not plain. */
static inline unsigned int
json_mask16(__m128i x)
{
	/* Signed: what is above 0x7f counts as below 0x20 too. */
	__m128i odd = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));

	odd = _mm_or_si128(odd, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
	odd = _mm_or_si128(odd, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
	return (unsigned int)_mm_movemask_epi8(odd);
}
#endif

/* How many octets at the front are plain. */
static inline size_t
json_plain_span(const char *p, size_t len)
{
	size_t i = 0;

#ifdef __SSE2__
	for (; len - i >= 16; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i_u *)(p + i));
		unsigned int mask = json_mask16(x);

		if (mask != 0)
			return i + (unsigned int)__builtin_ctz(mask);
	}
#endif
	while (i < len && json_is_plain((unsigned char)p[i]))
		i++;
	return i;
}

/*
 * The same, copying the plain octets to *to, which lies before p in the same
 * buffer; *to is moved behind the copy.
 */
static inline char *
json_scan_copy(char *p, const char *end, char **to)
{
	char *out = *to;

#ifdef __SSE2__
	/* A whole block is in the register before its store can change it, and
	 * the store ends before the next block begins. */
	while (end - p >= 16) {
		__m128i x = _mm_loadu_si128((const __m128i_u *)p);

		if (json_mask16(x) != 0)
			break;
		_mm_storeu_si128((__m128i_u *)out, x);
		p += 16;
		out += 16;
	}
#endif
	while (p < end && json_is_plain((unsigned char)*p))
		*out++ = *p++;
	*to = out;
	return p;
}

#endif

/*
 * api/octets.c - see the header. Both functions write behind where they read:
 * four characters of base64 make three octets, and an array of n integers has
 * at least 2n + 1 characters where its base64 string has at most 4/3 n + 5.
 */
#include "api/octets.h"

#include <stdint.h>
#include <string.h>

#include "base/slice.h"

#define NOT_BASE64 0x80000000U

/* The value of a base64 character, or NOT_BASE64. */
static uint32_t
value_of(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26U;
	if (c >= '0' && c <= '9')
		return c - '0' + 52U;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return NOT_BASE64;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes out blanks; returns the new length. */
static size_t
squeeze(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (!is_blank(text[i]))
			text[n++] = text[i];
	return n;
}

/* The last four characters, which may have padding. */
static bool
decode_last(const unsigned char *in, char *out, size_t *octets)
{
	bool pad3 = in[3] == '=', pad2 = pad3 && in[2] == '=';
	uint32_t v = value_of(in[0]) << 18 | value_of(in[1]) << 12;

	if (((value_of(in[0]) | value_of(in[1])) & NOT_BASE64) != 0)
		return false;
	if (!pad2) {
		if ((value_of(in[2]) & NOT_BASE64) != 0)
			return false;
		v |= value_of(in[2]) << 6;
	}
	if (!pad3) {
		if ((value_of(in[3]) & NOT_BASE64) != 0)
			return false;
		v |= value_of(in[3]);
	}
	/* Spare bits: else two texts would mean the same octets. */
	if ((pad2 && (v & 0xffff) != 0) || (pad3 && (v & 0xff) != 0))
		return false;
	out[0] = (char)(v >> 16);
	*octets = 1;
	if (!pad2)
		out[(*octets)++] = (char)(v >> 8);
	if (!pad3)
		out[(*octets)++] = (char)v;
	return true;
}

struct base64_table {
	uint32_t value[256];
};

static void
table_fill(struct base64_table *t)
{
	for (unsigned int i = 0; i < 256; i++)
		t->value[i] = value_of((unsigned char)i);
}

bool
octets_of_base64(char *text, size_t len, size_t *octets_len)
{
	struct base64_table t;
	size_t i = 0, n = 0, last = 0;

	table_fill(&t);
	while (i + 4 < len) {
		const unsigned char *in = (const unsigned char *)text + i;
		uint32_t a = t.value[in[0]], b = t.value[in[1]],
			 c = t.value[in[2]], d = t.value[in[3]];
		uint32_t v;

		if (((a | b | c | d) & NOT_BASE64) != 0) {
			/* Blanks: taken out once, from here on. */
			size_t rest = squeeze(text + i, len - i);

			if (rest == len - i)
				return false;
			len = i + rest;
			continue;
		}
		v = a << 18 | b << 12 | c << 6 | d;
		text[n++] = (char)(v >> 16);
		text[n++] = (char)(v >> 8);
		text[n++] = (char)v;
		i += 4;
	}
	if (i < len)
		len = i + squeeze(text + i, len - i);
	if (len - i == 4) {
		if (!decode_last(
			(const unsigned char *)text + i, text + n, &last))
			return false;
	} else if (len != i) {
		return false;
	}
	*octets_len = n + last;
	return true;
}

/* ---- Arrays of integers -------------------------------------------------- */

static size_t
skip_blanks(const char *s, size_t i, size_t len)
{
	while (i < len && is_blank(s[i]))
		i++;
	return i;
}

/* An integer 0..255 as JSON writes it; false when something else is there. */
static bool
take_octet(const char *s, size_t *i, size_t len, unsigned int *out)
{
	size_t at = *i, first = at;
	unsigned int v = 0;

	while (at < len && at - first < 4 && ascii_is_digit(s[at]))
		v = v * 10 + (unsigned int)(s[at++] - '0');
	if (at == first || v > 255 || (at - first > 1 && s[first] == '0'))
		return false;
	*out = v;
	*i = at;
	return true;
}

/* Whether s[i] begins an array of octets; *end is behind its bracket. */
static bool
is_octet_array(
    const char *s, size_t i, size_t len, size_t *count, size_t *end)
{
	unsigned int v;

	*count = 0;
	do {
		i = skip_blanks(s, i + 1, len);
		if (!take_octet(s, &i, len, &v))
			return false;
		(*count)++;
		i = skip_blanks(s, i, len);
	} while (i < len && s[i] == ',');
	if (i >= len || s[i] != ']')
		return false;
	*end = i + 1;
	return true;
}

/* Writes the array that stands in s[at..end) as a base64 string over it. */
static void
fold_one(char *s, size_t at, size_t end, size_t count)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij"
				       "klmnopqrstuvwxyz0123456789+/";
	size_t in = at, out = at;

	for (size_t k = 0; k < count; k += 3) {
		size_t n = MIN((size_t)3, count - k);
		unsigned int v[3] = { 0, 0, 0 };

		for (size_t j = 0; j < n; j++) {
			in = skip_blanks(s, in + 1, end);
			/* Cannot fail: is_octet_array read the same. */
			if (!take_octet(s, &in, end, &v[j]))
				return;
			in = skip_blanks(s, in, end);
		}
		if (k == 0)
			s[out++] = '"';
		s[out++] = alphabet[v[0] >> 2];
		s[out++] = alphabet[(v[0] & 3) << 4 | v[1] >> 4];
		s[out++] =
		    n > 1 ? alphabet[(v[1] & 15) << 2 | v[2] >> 6] : '=';
		s[out++] = n > 2 ? alphabet[v[2] & 63] : '=';
	}
	s[out++] = '"';
	memset(s + out, ' ', end - out);
}

/* Behind the string that begins at s[i], or len. */
static size_t
skip_string(const char *s, size_t i, size_t len)
{
	for (i++; i < len; i++) {
		const char *quote = memchr(s + i, '"', len - i);
		size_t back = 0;

		if (quote == NULL)
			return len;
		while (quote - back > s + i && quote[-1 - (ptrdiff_t)back] == '\\')
			back++;
		i = (size_t)(quote - s);
		if (back % 2 == 0)
			return i + 1;
	}
	return len;
}

void
octets_fold_arrays(char *json, size_t len)
{
	size_t i = 0, count, end;

	while (i < len) {
		if (json[i] == '"') {
			i = skip_string(json, i, len);
		} else if (json[i] == '[' &&
		    is_octet_array(json, i, len, &count, &end)) {
			if (count >= OCTETS_FOLD_MIN)
				fold_one(json, i, end, count);
			i = end;
		} else {
			i++;
		}
	}
}

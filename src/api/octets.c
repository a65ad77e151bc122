/*
 * api/octets.c - see the header. Four characters make three octets, so what is
 * written stays behind what is read.
 */
#include "api/octets.h"

#include <stdint.h>

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
		if (!decode_last((const unsigned char *)text + i, text + n,
			&last))
			return false;
	} else if (len != i) {
		return false;
	}
	*octets_len = n + last;
	return true;
}

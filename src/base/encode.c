#include "base/encode.h"

#include "base/attr.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char crockford_digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz0123456789-_";

void
hex_encode(struct strbuf *out, struct slice in)
{
	if (in.len > SIZE_MAX / 2 || !strbuf_reserve(out, in.len * 2)) {
		out->overflow = true;
		return;
	}
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		char pair[2] = { hex_digits[c >> 4], hex_digits[c & 15] };

		strbuf_add(out, pair, sizeof(pair));
	}
}

/* 16 and above: no hex digit. */
static unsigned int
hex_value(char c)
{
	if (ascii_is_digit(c))
		return (unsigned int)(c - '0');
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : 16;
}

bool
hex_decode(struct slice in, void *out, size_t out_len)
{
	uint8_t *to = out;

	if (in.len % 2 != 0 || in.len / 2 != out_len)
		return false;
	for (size_t i = 0; i < in.len; i++)
		if (hex_value(in.ptr[i]) > 15)
			return false;
	for (size_t i = 0; i < out_len; i++)
		to[i] = (uint8_t)(hex_value(in.ptr[2 * i]) << 4 |
		    hex_value(in.ptr[2 * i + 1]));
	return true;
}

void
base32_encode(const void *in, size_t len, char *out)
{
	const uint8_t *from = in;
	unsigned int bits = 0, n = 0;

	for (size_t i = 0; i < len; i++) {
		bits = (bits << 8 | from[i]) & 0xfff;
		for (n += 8; n >= 5; n -= 5)
			*out++ = base32_digits[bits >> (n - 5) & 31];
	}
	if (n > 0)
		*out = base32_digits[bits << (5 - n) & 31];
}

static int
base32_value(char c)
{
	c = ascii_lower(c);
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

bool
base32_decode(struct slice in, void *out, size_t out_len)
{
	uint8_t *to = out;
	unsigned int bits = 0, n = 0;

	if (out_len > SIZE_MAX / 16 || in.len != BASE32_LEN(out_len))
		return false;
	for (size_t i = 0; i < in.len; i++)
		if (base32_value(in.ptr[i]) < 0)
			return false;
	if (in.len > 0) {
		unsigned int spare = (unsigned int)(in.len * 5 - out_len * 8);
		unsigned int last =
		    (unsigned int)base32_value(in.ptr[in.len - 1]);

		if ((last & ((1U << spare) - 1)) != 0)
			return false;
	}
	for (size_t i = 0; i < in.len; i++) {
		bits =
		    (bits << 5 | (unsigned int)base32_value(in.ptr[i])) & 0xfff;
		n += 5;
		if (n >= 8) {
			n -= 8;
			*to++ = (uint8_t)(bits >> n);
		}
	}
	return true;
}

/* 128 bits in 26 digits: two zero bits lead, so the first digit is 0..7. */
void
crockford_encode_id(const uint8_t in[16], char out[CROCKFORD_ID_LEN])
{
	unsigned int bits = 0, n = 2;

	for (size_t i = 0; i < 16; i++) {
		bits = (bits << 8 | in[i]) & 0xfff;
		for (n += 8; n >= 5; n -= 5)
			*out++ = crockford_digits[bits >> (n - 5) & 31];
	}
}

static int
crockford_value(char c)
{
	const char *at;

	c = ascii_lower(c);
	if (c == 'i' || c == 'l')
		c = '1';
	if (c == 'o')
		c = '0';
	at = memchr(crockford_digits, c, 32);
	return at != NULL ? (int)(at - crockford_digits) : -1;
}

bool
crockford_decode_id(struct slice in, uint8_t out[16])
{
	unsigned int bits = 0, n = 0;
	uint8_t id[17];
	size_t len = 0;

	if (in.len != CROCKFORD_ID_LEN || crockford_value(in.ptr[0]) > 7)
		return false;
	for (size_t i = 0; i < in.len; i++) {
		int v = crockford_value(in.ptr[i]);

		if (v < 0)
			return false;
		bits = (bits << 5 | (unsigned int)v) & 0xfff;
		n += i == 0 ? 3 : 5;
		if (n >= 8) {
			n -= 8;
			id[len++] = (uint8_t)(bits >> n);
		}
	}
	memcpy(out, id, 16);
	return true;
}

/* Writes 4 characters for 1..3 octets; '=' fills up. */
static void
base64_group(const char *digits, const uint8_t *in, size_t n, char out[4])
{
	unsigned int v = (unsigned int)in[0] << 16;

	if (n > 1)
		v |= (unsigned int)in[1] << 8;
	if (n > 2)
		v |= in[2];
	out[0] = digits[v >> 18];
	out[1] = digits[v >> 12 & 63];
	out[2] = n > 1 ? digits[v >> 6 & 63] : '=';
	out[3] = n > 2 ? digits[v & 63] : '=';
}

/* One line, into room that was reserved. */
static void
base64_line(struct strbuf *out, const char *digits, struct slice in)
{
	const uint8_t *from = (const uint8_t *)in.ptr;
	char *to = out->ptr + out->len;
	size_t i;

	for (i = 0; i + 3 <= in.len; i += 3, to += 4)
		base64_group(digits, from + i, 3, to);
	if (i < in.len) {
		base64_group(digits, from + i, in.len - i, to);
		to += 4;
	}
	*to = '\0';
	out->len = (size_t)(to - out->ptr);
}

void
base64_encode(struct strbuf *out, struct slice in, size_t line_len)
{
	size_t step = line_len > 0 ? line_len / 4 * 3 : in.len;

	invariant(line_len % 4 == 0);
	if (in.len == 0)
		return;
	if (in.len > SIZE_MAX / 4 ||
	    !strbuf_reserve(out,
		(in.len + 2) / 3 * 4 + (in.len + step - 1) / step * 2)) {
		out->overflow = true;
		return;
	}
	while (in.len > 0) {
		base64_line(out, base64_digits, slice_first(in, step));
		if (line_len > 0)
			strbuf_add(out, "\r\n", 2);
		in = slice_from(in, step);
	}
}

void
base64url_encode(struct strbuf *out, struct slice in)
{
	if (in.len > SIZE_MAX / 4 ||
	    !strbuf_reserve(out, (in.len + 2) / 3 * 4)) {
		out->overflow = true;
		return;
	}
	base64_line(out, base64url_digits, in);
	while (out->len > 0 && out->ptr[out->len - 1] == '=')
		strbuf_truncate(out, out->len - 1);
}

/* 0..63; 64 for '=', 65 for blanks, 66 for the rest. */
#define B64_PAD 64
#define B64_BLANK 65
#define B64_BAD 66

static uint8_t
base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	switch (c) {
	case '+':
		return 62;
	case '/':
		return 63;
	case '=':
		return B64_PAD;
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		return B64_BLANK;
	default:
		return B64_BAD;
	}
}

static void
base64_table(uint8_t table[256])
{
	for (unsigned int c = 0; c < 256; c++)
		table[c] = base64_value((unsigned char)c);
}

/* Whole groups of four digits without blanks; stops at anything else. */
static size_t
base64_fast(const uint8_t table[256], struct slice in, uint8_t **to)
{
	const uint8_t *p = (const uint8_t *)in.ptr;
	size_t i = 0;

	while (i + 4 <= in.len) {
		uint8_t a = table[p[i]], b = table[p[i + 1]];
		uint8_t c = table[p[i + 2]], d = table[p[i + 3]];

		if ((a | b | c | d) >= 64)
			break;
		(*to)[0] = (uint8_t)(a << 2 | b >> 4);
		(*to)[1] = (uint8_t)(b << 4 | c >> 2);
		(*to)[2] = (uint8_t)(c << 6 | d);
		*to += 3;
		i += 4;
	}
	return i;
}

/* One group with blanks in it, or the last one. 0 at the end, -1 on error. */
static int
base64_slow(const uint8_t table[256], struct slice *in, bool allow_space,
    uint8_t **to, bool *ended)
{
	unsigned int bits = 0, n = 0, pads = 0;

	while (in->len > 0 && n + pads < 4) {
		uint8_t v = table[(unsigned char)*in->ptr];

		*in = slice_from(*in, 1);
		if (v == B64_BLANK && allow_space)
			continue;
		if (v == B64_PAD && n >= 2) {
			pads++;
			continue;
		}
		if (v >= 64 || pads > 0 || *ended)
			return -1;
		bits = bits << 6 | v;
		n++;
	}
	if (n + pads == 0)
		return 0;
	if (n + pads != 4)
		return -1;
	bits <<= 6 * pads;
	if ((pads == 1 && (bits & 0xff) != 0) ||
	    (pads == 2 && (bits & 0xffff) != 0))
		return -1;
	*ended = pads > 0;
	for (unsigned int i = 0; i < 3 - pads; i++)
		*(*to)++ = (uint8_t)(bits >> (16 - 8 * i));
	return 1;
}

bool
base64_decode(struct strbuf *out, struct slice in, bool allow_space)
{
	uint8_t table[256], *to;
	bool ended = false;
	int rc = 1;

	if (!strbuf_reserve(out, in.len / 4 * 3 + 3))
		return false;
	base64_table(table);
	to = (uint8_t *)out->ptr + out->len;
	while (rc > 0) {
		if (!ended)
			in = slice_from(in, base64_fast(table, in, &to));
		rc = base64_slow(table, &in, allow_space, &to, &ended);
	}
	out->len = (size_t)((char *)to - out->ptr);
	out->ptr[out->len] = '\0';
	return rc == 0;
}

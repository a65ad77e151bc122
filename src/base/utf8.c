/* UTF-8 as RFC 3629 has it, by the table of its section 4. */
#include "base/encode.h"

static bool
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t
utf8_span(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;

	if (s.len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < 2 || !is_tail(p[1]))
		return 0;
	if (p[0] < 0xe0)
		return 2;
	if (s.len < 3 || !is_tail(p[2]))
		return 0;
	if (p[0] < 0xf0) {
		bool overlong = p[0] == 0xe0 && p[1] < 0xa0;
		bool surrogate = p[0] == 0xed && p[1] >= 0xa0;

		return overlong || surrogate ? 0 : 3;
	}
	if (s.len < 4 || !is_tail(p[3]) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] >= 0x90))
		return 0;
	return 4;
}

/* Octets below 0x80 at the front, eight at a time. */
static size_t
ascii_span(struct slice s)
{
	size_t i = 0;
	uint64_t eight;

	for (; i + sizeof(eight) <= s.len; i += sizeof(eight)) {
		memcpy(&eight, s.ptr + i, sizeof(eight));
		if ((eight & 0x8080808080808080U) != 0)
			break;
	}
	while (i < s.len && (unsigned char)s.ptr[i] < 0x80)
		i++;
	return i;
}

bool
ascii_only(struct slice s)
{
	return ascii_span(s) == s.len;
}

bool
utf8_is_valid(struct slice s)
{
	for (;;) {
		size_t n;

		s = slice_from(s, ascii_span(s));
		if (s.len == 0)
			return true;
		n = utf8_span(s);
		if (n == 0)
			return false;
		s = slice_from(s, n);
	}
}

uint32_t
utf8_take(struct slice *s)
{
	const unsigned char *p = (const unsigned char *)s->ptr;
	size_t n = utf8_span(*s);
	uint32_t c = 0xfffd;

	switch (n) {
	case 1:
		c = p[0];
		break;
	case 2:
		c = (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
		break;
	case 3:
		c = (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
		break;
	case 4:
		c = (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 |
		    (p[2] & 0x3fU) << 6 | (p[3] & 0x3fU);
		break;
	default:
		break;
	}
	*s = slice_from(*s, n > 0 ? n : 1);
	return c;
}

size_t
utf8_put(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

void
utf8_add(struct strbuf *out, uint32_t code_point)
{
	char octets[4];

	strbuf_add(out, octets, utf8_put(code_point, octets));
}

struct slice
utf8_cut(struct slice s, size_t max)
{
	if (s.len <= max)
		return s;
	/* Back to the first octet of the character that max would split. */
	for (size_t back = 0; back < 4 && back < max; back++) {
		size_t at = max - back;

		if (!is_tail((unsigned char)s.ptr[at]))
			return slice_first(s, at);
	}
	return slice_first(s, max);
}

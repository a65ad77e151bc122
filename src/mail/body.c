#include "body_priv.h"

#include "base/encode.h"

#define LINE_MAX 998
#define QP_LINE_MAX 75 /* and the "=" of a soft break */
#define BASE64_LINE 76

const char *
body_encoding_name(enum body_encoding e)
{
	switch (e) {
	case BODY_7BIT:
		return "7bit";
	case BODY_QUOTED_PRINTABLE:
		return "quoted-printable";
	case BODY_BASE64:
		return "base64";
	}
	invariant_failed("an encoding without a name", __FILE__, __LINE__);
}

/* ---- choosing ---- */

/* Printable ASCII and HTAB. CR is a line end here, wherever it stands. */
static bool
is_text_octet(unsigned char c)
{
	return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\r';
}

#define ONES (UINT64_MAX / 255)
#define HIGHS (ONES * 0x80)

/*
 * Whether any of the eight octets may be none of 0x20..0x7e. Exact up to the
 * first such octet, which is all that the caller needs.
 */
static bool
has_odd_octet(uint64_t v)
{
	uint64_t below = (v - ONES * 0x20) & ~v;
	uint64_t del = v ^ (ONES * 0x7f);

	del = (del - ONES) & ~del;
	return ((v | below | del) & HIGHS) != 0;
}

static bool
is_text_run(const char *p, size_t len)
{
	while (len >= sizeof(uint64_t)) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		if (has_odd_octet(v))
			for (size_t i = 0; i < sizeof(v); i++)
				if (!is_text_octet((unsigned char)p[i]))
					return false;
		p += sizeof(v);
		len -= sizeof(v);
	}
	for (size_t i = 0; i < len; i++)
		if (!is_text_octet((unsigned char)p[i]))
			return false;
	return true;
}

/* Reads lines; the place of the next LF is kept, so that a text full of CR is
 * not searched again and again. */
struct lines {
	struct slice rest;
	const char *lf; /* the first in rest, or its end */
};

static struct lines
lines_of(struct slice text)
{
	return (struct lines){ text, NULL };
}

/* False at the end. *ended: the line has an end of its own. */
static bool
next_line(struct lines *l, struct slice *line, bool *ended)
{
	const char *at = l->rest.ptr, *cr;
	size_t len, skip;

	if (l->rest.len == 0)
		return false;
	if (l->lf == NULL || l->lf < at) {
		l->lf = memchr(at, '\n', l->rest.len);
		if (l->lf == NULL)
			l->lf = at + l->rest.len;
	}
	len = (size_t)(l->lf - at);
	cr = len > 0 ? memchr(at, '\r', len) : NULL;
	if (cr != NULL)
		len = (size_t)(cr - at);
	skip = cr != NULL && cr + 1 == l->lf ? 2 : 1;
	*line = slice_mem(at, len);
	*ended = len < l->rest.len;
	l->rest = slice_from(l->rest, len + skip);
	return true;
}

/* Relays of old put a ">" in front of such a line: signatures break. */
static bool
is_from_line(struct slice line)
{
	return line.len >= 5 && memcmp(line.ptr, "From ", 5) == 0;
}

/* "=_", which boundaries begin with: memmem looks at every octet of a text, to
 * memchr an "=" is rare. */
static bool
has_boundary_mark(struct slice text)
{
	for (;;) {
		text = slice_from(text, slice_find_char(text, '='));
		if (text.len < 2)
			return false;
		if (text.ptr[1] == '_')
			return true;
		text = slice_from(text, 1);
	}
}

static bool
fits_7bit(struct slice text)
{
	struct lines lines = lines_of(text);
	struct slice line;
	bool ended;

	if (has_boundary_mark(text))
		return false;
	while (next_line(&lines, &line, &ended)) {
		if (line.len > LINE_MAX || is_from_line(line) ||
		    !is_text_run(line.ptr, line.len))
			return false;
	}
	return true;
}

/* Octets that quoted-printable may write as themselves, but for blanks at the
 * end of a line. */
static bool
is_qp_safe(unsigned char c)
{
	return (c >= 0x20 && c < 0x7f && c != '=') || c == '\t';
}

enum body_encoding
body_choose(struct slice text)
{
	size_t qp = 0, base64 = text.len / 3 * 4;

	if (fits_7bit(text))
		return BODY_7BIT;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		qp += is_qp_safe(c) || c == '\n' || c == '\r' ? 1 : 3;
	}
	return qp <= base64 ? BODY_QUOTED_PRINTABLE : BODY_BASE64;
}

/* ---- writing ---- */

static void
add_lines(struct strbuf *out, struct slice text)
{
	struct lines lines = lines_of(text);
	struct slice line;
	bool ended;

	strbuf_reserve(out, text.len + text.len / 32);
	while (next_line(&lines, &line, &ended)) {
		strbuf_add_slice(out, line);
		if (ended)
			strbuf_add(out, "\r\n", 2);
	}
}

/* Octets in the UTF-8 character that begins with c; 1 for anything else. */
static size_t
char_len(unsigned char c)
{
	if (c < 0xc2 || c > 0xf4)
		return 1;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Whether octet i of line must be encoded; col: where it would stand. */
static bool
must_encode(struct slice line, size_t i, size_t col)
{
	unsigned char c = (unsigned char)line.ptr[i];

	if (!is_qp_safe(c))
		return true;
	if ((c == ' ' || c == '\t') && i + 1 == line.len)
		return true;
	if (col != 0)
		return false;
	return c == '.' || (c == 'F' && is_from_line(slice_from(line, i)));
}

/* One line without its end; a break never stands inside a character. */
static void
add_qp_line(struct strbuf *out, struct slice line)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t col = 0;
	char *to;

	/* Three for each octet, and a break after no less than 64 of these. */
	if (line.len > SIZE_MAX / 8 ||
	    !strbuf_reserve(out, line.len * 3 + line.len / 4 + 16)) {
		out->overflow = true;
		return;
	}
	to = out->ptr + out->len;
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];
		bool encode = must_encode(line, i, col);
		size_t need = !encode ? 1 : 3 * char_len(c);

		if (col + need > QP_LINE_MAX) {
			memcpy(to, "=\r\n", 3);
			to += 3;
			col = 0;
			encode = must_encode(line, i, col);
		}
		if (encode) {
			*to++ = '=';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
			col += 3;
		} else {
			*to++ = (char)c;
			col++;
		}
	}
	*to = '\0';
	out->len = (size_t)(to - out->ptr);
}

static void
add_qp(struct strbuf *out, struct slice text)
{
	struct lines lines = lines_of(text);
	struct slice line;
	bool ended;

	while (next_line(&lines, &line, &ended)) {
		add_qp_line(out, line);
		if (ended)
			strbuf_add(out, "\r\n", 2);
	}
}

void
body_add(struct strbuf *out, struct slice text, enum body_encoding e)
{
	struct strbuf lines = STRBUF_INIT;

	switch (e) {
	case BODY_7BIT:
		add_lines(out, text);
		break;
	case BODY_QUOTED_PRINTABLE:
		add_qp(out, text);
		break;
	case BODY_BASE64:
		add_lines(&lines, text);
		base64_encode(out, strbuf_slice(&lines), BASE64_LINE);
		strbuf_fini(&lines);
		break;
	}
}

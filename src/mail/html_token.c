/*
 * A simplified form of the tokenizer in the HTML standard (section 13.2.5):
 * enough to see tags, attributes and text as browsers do. What is never closed
 * (a comment, a tag, a script) swallows the rest, as in the standard; so each
 * search moves the front, and the whole is linear.
 */
#include "html_priv.h"

#include "base/attr.h"
#include "base/encode.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void
skip_space(struct slice *in)
{
	while (in->len > 0 && is_space(in->ptr[0]))
		*in = slice_from(*in, 1);
}

static void
skip_past(struct slice *in, struct slice end)
{
	*in = slice_from(*in, slice_find(*in, end) + end.len);
}

/* Content that is not text, up to its end tag. */
static bool
is_raw(const char *name)
{
	static const char *const raw[] = { "script", "style", "title",
		"textarea", "xmp", "iframe", "noembed", "noframes" };

	for (size_t i = 0; i < ARRAY_LEN(raw); i++)
		if (strcmp(name, raw[i]) == 0)
			return true;
	return false;
}

/* Up to "</name", which is left for the next call. */
static void
skip_raw(struct slice *in, const char *name)
{
	struct slice want = slice_of(name);

	for (;;) {
		size_t at = slice_find(*in, SLICE("</"));

		*in = slice_from(*in, at);
		if (in->len == 0 ||
		    slice_starts_nocase(slice_from(*in, 2), want))
			return;
		*in = slice_from(*in, 2);
	}
}

static struct slice
take_name(struct slice *in)
{
	size_t n = 0;

	while (n < in->len && !is_space(in->ptr[n]) && in->ptr[n] != '>' &&
	    in->ptr[n] != '/' && (n == 0 || in->ptr[n] != '='))
		n++;
	*in = slice_from(*in, n);
	return slice_mem(in->ptr - n, n);
}

static struct slice
take_value(struct slice *in)
{
	char quote;
	size_t n = 0;

	skip_space(in);
	if (in->len == 0)
		return SLICE("");
	quote = in->ptr[0];
	if (quote == '"' || quote == '\'') {
		*in = slice_from(*in, 1);
		return slice_take_until(in, quote);
	}
	while (n < in->len && !is_space(in->ptr[n]) && in->ptr[n] != '>')
		n++;
	*in = slice_from(*in, n);
	return slice_mem(in->ptr - n, n);
}

/* The first of several attributes of one name counts. */
static void
set_attribute(struct html_token *t, struct slice name, struct slice value)
{
	if (slice_eq_nocase(name, SLICE("href")) && t->href.ptr == NULL)
		t->href = value;
	else if (slice_eq_nocase(name, SLICE("alt")) && t->alt.ptr == NULL)
		t->alt = value;
	else if (slice_eq_nocase(name, SLICE("style")) && t->style.ptr == NULL)
		t->style = value;
	else if (slice_eq_nocase(name, SLICE("hidden")))
		t->hidden = true;
}

/* Behind the tag's name, up to and with '>'. */
static void
take_attributes(struct slice *in, struct html_token *t)
{
	for (;;) {
		struct slice name, value = SLICE("");

		while (
		    in->len > 0 && (is_space(in->ptr[0]) || in->ptr[0] == '/'))
			*in = slice_from(*in, 1);
		if (in->len == 0 || slice_take_char(in, '>'))
			return;
		name = take_name(in);
		skip_space(in);
		if (slice_take_char(in, '='))
			value = take_value(in);
		set_attribute(t, name, value);
	}
}

static void
take_tag(struct slice *in, struct html_token *t)
{
	struct slice name = take_name(in);

	for (size_t i = 0; i < name.len && i < HTML_NAME_MAX - 1; i++)
		t->name[i] = ascii_lower(name.ptr[i]);
	take_attributes(in, t);
	if (t->type == HTML_START && is_raw(t->name))
		skip_raw(in, t->name);
}

/* Text up to the next '<' that may begin markup; at least one octet. */
static struct slice
take_text(struct slice *in)
{
	size_t n = 1 + slice_find_char(slice_from(*in, 1), '<');
	struct slice text = slice_first(*in, n);

	*in = slice_from(*in, n);
	return text;
}

bool
html_take(struct slice *in, struct html_token *out)
{
	while (in->len > 0) {
		char next = in->len > 1 ? in->ptr[1] : ' ';

		*out = (struct html_token){ .type = HTML_TEXT };
		if (in->ptr[0] != '<' ||
		    (!ascii_is_alpha(next) && strchr("/!?", next) == NULL)) {
			out->text = take_text(in);
			return true;
		}
		if (slice_starts(*in, SLICE("<!--"))) {
			skip_past(in, SLICE("-->"));
		} else if (next == '!' || next == '?') {
			skip_past(in, SLICE(">"));
		} else if (next != '/') {
			*in = slice_from(*in, 1);
			out->type = HTML_START;
			take_tag(in, out);
			return true;
		} else {
			*in = slice_from(*in, 2);
			out->type = HTML_END;
			take_tag(in, out);
			return true;
		}
	}
	return false;
}

/* ---- character references ---- */

/* The ones that mail has; the rest stays as written. */
static const struct {
	const char *name;
	uint16_t c;
} entities[] = {
	{ "AElig", 198 },
	{ "Aacute", 193 },
	{ "Acirc", 194 },
	{ "Agrave", 192 },
	{ "Aring", 197 },
	{ "Atilde", 195 },
	{ "Auml", 196 },
	{ "Ccedil", 199 },
	{ "Eacute", 201 },
	{ "Ecirc", 202 },
	{ "Egrave", 200 },
	{ "Euml", 203 },
	{ "Iacute", 205 },
	{ "Ntilde", 209 },
	{ "Oacute", 211 },
	{ "Ocirc", 212 },
	{ "Oslash", 216 },
	{ "Ouml", 214 },
	{ "Uacute", 218 },
	{ "Uuml", 220 },
	{ "aacute", 225 },
	{ "acirc", 226 },
	{ "aelig", 230 },
	{ "agrave", 224 },
	{ "amp", '&' },
	{ "apos", '\'' },
	{ "aring", 229 },
	{ "atilde", 227 },
	{ "auml", 228 },
	{ "bdquo", 0x201e },
	{ "bull", 0x2022 },
	{ "ccedil", 231 },
	{ "cent", 162 },
	{ "check", 0x2713 },
	{ "copy", 169 },
	{ "darr", 0x2193 },
	{ "deg", 176 },
	{ "divide", 247 },
	{ "eacute", 233 },
	{ "ecirc", 234 },
	{ "egrave", 232 },
	{ "emsp", 0x2003 },
	{ "ensp", 0x2002 },
	{ "euml", 235 },
	{ "euro", 0x20ac },
	{ "frac12", 189 },
	{ "frac14", 188 },
	{ "ge", 0x2265 },
	{ "gt", '>' },
	{ "hearts", 0x2665 },
	{ "hellip", 0x2026 },
	{ "iacute", 237 },
	{ "icirc", 238 },
	{ "iexcl", 161 },
	{ "igrave", 236 },
	{ "iquest", 191 },
	{ "iuml", 239 },
	{ "laquo", 171 },
	{ "larr", 0x2190 },
	{ "ldquo", 0x201c },
	{ "le", 0x2264 },
	{ "lsaquo", 0x2039 },
	{ "lsquo", 0x2018 },
	{ "lt", '<' },
	{ "mdash", 0x2014 },
	{ "middot", 183 },
	{ "minus", 0x2212 },
	{ "nbsp", 160 },
	{ "ndash", 0x2013 },
	{ "ne", 0x2260 },
	{ "ntilde", 241 },
	{ "oacute", 243 },
	{ "ocirc", 244 },
	{ "ograve", 242 },
	{ "oslash", 248 },
	{ "otilde", 245 },
	{ "ouml", 246 },
	{ "para", 182 },
	{ "plusmn", 177 },
	{ "pound", 163 },
	{ "quot", '"' },
	{ "raquo", 187 },
	{ "rarr", 0x2192 },
	{ "rdquo", 0x201d },
	{ "reg", 174 },
	{ "rsaquo", 0x203a },
	{ "rsquo", 0x2019 },
	{ "sbquo", 0x201a },
	{ "sect", 167 },
	{ "shy", 173 },
	{ "star", 0x2606 },
	{ "szlig", 223 },
	{ "thinsp", 0x2009 },
	{ "times", 215 },
	{ "trade", 0x2122 },
	{ "uacute", 250 },
	{ "uarr", 0x2191 },
	{ "ucirc", 251 },
	{ "ugrave", 249 },
	{ "uuml", 252 },
	{ "yen", 165 },
	{ "zwj", 0x200d },
	{ "zwnj", 0x200c },
};

/* Numbers 128..159 mean Windows-1252 (HTML standard, section 13.2.5.80). */
static const uint16_t windows_1252[32] = { 0x20ac, 0xfffd, 0x201a, 0x192,
	0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152,
	0xfffd, 0x17d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0xfffd, 0x17e,
	0x178 };

static uint32_t
checked(uint32_t c)
{
	if (c >= 128 && c < 160)
		return windows_1252[c - 128];
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0xfffd;
	return c;
}

static int
digit_value(char c, bool hex)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return hex && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "&#". */
static bool
take_number(struct slice *in, uint32_t *out)
{
	struct slice rest = *in;
	uint32_t c = 0;
	size_t digits = 0;
	bool hex = slice_take_char(&rest, 'x') || slice_take_char(&rest, 'X');

	while (rest.len > 0 && digit_value(rest.ptr[0], hex) >= 0) {
		c = c * (hex ? 16 : 10) +
		    (uint32_t)digit_value(rest.ptr[0], hex);
		c = MIN(c, 0x110000u);
		digits++;
		rest = slice_from(rest, 1);
	}
	if (digits == 0)
		return false;
	(void)slice_take_char(&rest, ';');
	*out = checked(c);
	*in = rest;
	return true;
}

/* Behind "&"; names end in ';'. */
static bool
take_named(struct slice *in, uint32_t *out)
{
	struct slice head = slice_first(*in, 10), name;
	size_t end = slice_find_char(head, ';');

	if (end == head.len)
		return false;
	name = slice_first(head, end);
	for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
		if (slice_eq_text(name, entities[i].name)) {
			*out = entities[i].c;
			*in = slice_from(*in, end + 1);
			return true;
		}
	}
	return false;
}

uint32_t
html_take_char(struct slice *in)
{
	struct slice rest = *in;
	uint32_t c;

	if (slice_take_char(&rest, '&')) {
		if (slice_take_char(&rest, '#') ? take_number(&rest, &c)
						: take_named(&rest, &c)) {
			*in = rest;
			return c;
		}
	}
	return utf8_take(in);
}

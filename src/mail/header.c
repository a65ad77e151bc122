#include "mail/header.h"

#include "base/encode.h"

#define WIDTH 78
#define ENCODED_WIDTH                                                          \
	76		 /* of a line with encoded words, RFC 2047 section 2   \
			  */
#define ENCODED_MAX 75	 /* of one encoded word */
#define ENCODED_FRAME 12 /* "=?utf-8?q?" and "?=" */
#define ENCODED_LEAST 12 /* one character of four octets in "q" */
/* A longer run without a blank could not be kept within 998 octets. */
#define RUN_MAX 900
#define QUOTED_MAX 60 /* quoted strings cannot be folded safely */

void
mail_header_open(struct mail_header *h, struct strbuf *out, size_t width)
{
	*h = (struct mail_header){ .out = out, .width = width };
}

void
mail_header_begin(struct mail_header *h, struct strbuf *out, struct slice name)
{
	mail_header_open(h, out, WIDTH);
	strbuf_add_slice(out, name);
	strbuf_add_char(out, ':');
	h->col = name.len + 1;
	h->gap = true;
}

void
mail_header_end(struct mail_header *h)
{
	strbuf_add(h->out, "\r\n", 2);
}

/* Blanks (at least one when folding) and a word, on a new line if need be. */
static void
put(struct mail_header *h, struct slice blanks, struct slice word, size_t width)
{
	if (h->width != 0 && h->can_fold &&
	    h->col + blanks.len + word.len > width) {
		strbuf_add(h->out, "\r\n", 2);
		h->col = 0;
	}
	strbuf_add_slice(h->out, blanks);
	strbuf_add_slice(h->out, word);
	h->col += blanks.len + word.len;
	h->gap = true;
	h->can_fold = true;
}

void
mail_header_word(struct mail_header *h, struct slice word)
{
	put(h, h->gap ? SLICE(" ") : SLICE(""), word, h->width);
}

void
mail_header_char(struct mail_header *h, char c)
{
	strbuf_add_char(h->out, c);
	h->col++;
}

/* ---- what a text is made of ---- */

static bool
is_clean(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return utf8_is_valid(text);
}

/*
 * text, or a copy in *copy with blanks for control characters and U+FFFD for
 * what is not UTF-8: the last line of defence against injected lines.
 */
static struct slice
cleaned(struct slice text, struct strbuf *copy)
{
	if (is_clean(text))
		return slice_trim(text);
	while (text.len > 0) {
		uint32_t c = utf8_take(&text);

		utf8_add(copy, c < 0x20 || c == 0x7f ? ' ' : c);
	}
	return slice_trim(strbuf_slice(copy));
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Whether runs of blanks and of others are all short enough to be folded. */
static bool
has_short_runs(struct slice text)
{
	size_t run = 0;

	for (size_t i = 0; i < text.len; i++) {
		run =
		    i > 0 && is_blank(text.ptr[i]) == is_blank(text.ptr[i - 1])
		    ? run + 1
		    : 1;
		if (run > (is_blank(text.ptr[i]) ? QUOTED_MAX : RUN_MAX))
			return false;
	}
	return true;
}

/* "=?" in plain text would be read as an encoded word. */
static bool
is_plain(struct slice text)
{
	return ascii_only(text) && slice_find(text, SLICE("=?")) == text.len &&
	    has_short_runs(text);
}

/* ---- encoded words ---- */

/* What may stand as itself in "q", also within a phrase: RFC 2047 section 5. */
static bool
is_q_safe(char c)
{
	return ascii_is_alnum(c) || c == '!' || c == '*' || c == '+' ||
	    c == '-' || c == '/';
}

static size_t
q_len(struct slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += is_q_safe(text.ptr[i]) || text.ptr[i] == ' ' ? 1 : 3;
	return n;
}

static void
q_encode(struct strbuf *out, struct slice text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		char triple[3] = { '=', digits[c >> 4], digits[c & 15] };

		if (c == ' ')
			strbuf_add_char(out, '_');
		else if (is_q_safe(text.ptr[i]))
			strbuf_add_char(out, text.ptr[i]);
		else
			strbuf_add(out, triple, sizeof(triple));
	}
}

/* The longest head of text, in whole characters, whose code fits room. */
static struct slice
fitting(struct slice text, size_t room, bool q)
{
	struct slice rest = text;
	size_t used = 0;

	if (!q)
		return utf8_cut(text, room / 4 * 3);
	while (rest.len > 0) {
		struct slice next = rest;
		size_t len;

		(void)utf8_take(&next);
		len = q_len(slice_first(rest, rest.len - next.len));
		if (used + len > room)
			break;
		used += len;
		rest = next;
	}
	return slice_first(text, text.len - rest.len);
}

static size_t
encoded_room(const struct mail_header *h)
{
	size_t used = h->col + 1 + ENCODED_FRAME;
	size_t most = ENCODED_MAX - ENCODED_FRAME;

	if (h->width == 0)
		return most;
	return used >= ENCODED_WIDTH ? 0 : MIN(ENCODED_WIDTH - used, most);
}

/* text: clean. Blanks between encoded words are not shown by readers. */
static void
put_encoded(struct mail_header *h, struct slice text)
{
	bool q = q_len(text) <= (text.len + 2) / 3 * 4;
	struct strbuf word = STRBUF_INIT;

	while (text.len > 0) {
		size_t room = encoded_room(h);
		struct slice head;

		if (room < ENCODED_LEAST && h->can_fold)
			room = ENCODED_MAX - ENCODED_FRAME; /* on a new line */
		head = fitting(text, MAX(room, ENCODED_LEAST), q);
		strbuf_reset(&word);
		strbuf_add_text(&word, q ? "=?utf-8?q?" : "=?utf-8?b?");
		if (q)
			q_encode(&word, head);
		else
			base64_encode(&word, head, 0);
		strbuf_add_text(&word, "?=");
		put(h, h->gap ? SLICE(" ") : SLICE(""), strbuf_slice(&word),
		    ENCODED_WIDTH);
		text = slice_from(text, head.len);
	}
	strbuf_fini(&word);
}

/* ---- texts, phrases, addresses ---- */

static void
put_plain(struct mail_header *h, struct slice text)
{
	while (text.len > 0) {
		size_t blanks = 0, end;

		while (blanks < text.len && is_blank(text.ptr[blanks]))
			blanks++;
		end = blanks;
		while (end < text.len && !is_blank(text.ptr[end]))
			end++;
		if (blanks == 0)
			mail_header_word(h, slice_first(text, end));
		else
			put(h, slice_first(text, blanks),
			    slice_from(slice_first(text, end), blanks),
			    h->width);
		text = slice_from(text, end);
	}
}

void
mail_header_text(struct mail_header *h, struct slice text)
{
	struct strbuf copy = STRBUF_INIT;

	text = cleaned(text, &copy);
	if (is_plain(text))
		put_plain(h, text);
	else
		put_encoded(h, text);
	strbuf_fini(&copy);
}

/* Atoms with single blanks between them need no quotes. */
static bool
is_atoms(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == ' ' ? text.ptr[i - 1] == ' '
			     : !ascii_is_alnum(c) &&
			    strchr("!#$%&'*+-/=?^_`{|}~", c) == NULL)
			return false;
	}
	return true;
}

static void
put_quoted(struct mail_header *h, struct slice before, struct slice text)
{
	struct strbuf word = STRBUF_INIT;

	strbuf_add_slice(&word, before);
	strbuf_add_char(&word, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			strbuf_add_char(&word, '\\');
		strbuf_add_char(&word, text.ptr[i]);
	}
	strbuf_add_char(&word, '"');
	mail_header_word(h, strbuf_slice(&word));
	strbuf_fini(&word);
}

void
mail_header_phrase(struct mail_header *h, struct slice text)
{
	struct strbuf copy = STRBUF_INIT;

	text = cleaned(text, &copy);
	if (text.len > 0) {
		if (is_plain(text) && is_atoms(text))
			put_plain(h, text);
		else if (is_plain(text) && text.len <= QUOTED_MAX &&
		    !slice_has_char(text, '\t'))
			put_quoted(h, SLICE(""), text);
		else
			put_encoded(h, text);
	}
	strbuf_fini(&copy);
}

void
mail_header_address(struct mail_header *h, const struct mail_address *a,
    bool comma)
{
	struct strbuf word = STRBUF_INIT;

	mail_header_phrase(h, a->display);
	if (a->display.len > 0)
		strbuf_add_char(&word, '<');
	mail_address_add_addr(&word, a);
	if (a->display.len > 0)
		strbuf_add_char(&word, '>');
	if (comma)
		strbuf_add_char(&word, ',');
	mail_header_word(h, strbuf_slice(&word));
	strbuf_fini(&word);
}

/* ---- parameters ---- */

static bool
is_attr_char(char c)
{
	return ascii_is_alnum(c) ||
	    (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
}

static void
percent_encode(struct strbuf *out, struct slice text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		char triple[3] = { '%', digits[c >> 4], digits[c & 15] };

		if (is_attr_char(text.ptr[i]))
			strbuf_add_char(out, text.ptr[i]);
		else
			strbuf_add(out, triple, sizeof(triple));
	}
}

/* name*0*=utf-8''...; name*1*=...; characters are not split. */
static void
put_extended(struct mail_header *h, const char *name, struct slice value)
{
	struct strbuf word = STRBUF_INIT;
	unsigned int n = 0;

	while (value.len > 0) {
		/* At most three octets of code for each. */
		struct slice head = utf8_cut(value, 16);

		strbuf_reset(&word);
		if (n == 0 && head.len == value.len)
			strbuf_add_fmt(&word, "%s*=", name);
		else
			strbuf_add_fmt(&word, "%s*%u*=", name, n);
		strbuf_add_text(&word, n == 0 ? "utf-8''" : "");
		percent_encode(&word, head);
		mail_header_char(h, ';');
		mail_header_word(h, strbuf_slice(&word));
		value = slice_from(value, head.len);
		n++;
	}
	strbuf_fini(&word);
}

void
mail_header_param(struct mail_header *h, const char *name, struct slice value)
{
	struct strbuf copy = STRBUF_INIT, start = STRBUF_INIT;

	value = cleaned(value, &copy);
	if (value.len == 0) {
		/* Nothing to say. */
	} else if (value.len <= QUOTED_MAX && is_plain(value) &&
	    !slice_has_char(value, '"') && !slice_has_char(value, '\\') &&
	    !slice_has_char(value, '\t')) {
		mail_header_char(h, ';');
		strbuf_add_fmt(&start, "%s=", name);
		put_quoted(h, strbuf_slice(&start), value);
	} else {
		put_extended(h, name, value);
	}
	strbuf_fini(&start);
	strbuf_fini(&copy);
}

/*
 * The text grows as it will be shown. When it gets too long a piece behind its
 * first half goes, up to the start of a line: the beginning and what was said
 * last are what one looks for. Pieces are a quarter at least, so that an
 * endless reply does not move the text with every line.
 */
#include "smtp/transcript.h"

#include <string.h>

#include "base/mem.h"

void
smtp_transcript_init(struct smtp_transcript *t, size_t max)
{
	invariant(max >= SMTP_TRANSCRIPT_LEAST);
	*t = (struct smtp_transcript){ .max = max };
	strbuf_init(&t->text, 0);
}

void
smtp_transcript_fini(struct smtp_transcript *t)
{
	strbuf_fini(&t->text);
}

void
smtp_transcript_reset(struct smtp_transcript *t)
{
	strbuf_reset(&t->text);
	t->cut_at = t->dropped = 0;
	t->is_secret = false;
}

static bool
is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '\\';
}

static void
add_escaped(struct strbuf *out, struct slice s)
{
	static const char hex[] = "0123456789abcdef";

	while (s.len > 0) {
		size_t n = 0;
		unsigned char c;

		while (n < s.len && is_plain(s.ptr[n]))
			n++;
		strbuf_add(out, s.ptr, n);
		s = slice_from(s, n);
		if (s.len == 0)
			return;
		c = (unsigned char)s.ptr[0];
		strbuf_add(out,
		    (char[]){ '\\', 'x', hex[c >> 4], hex[c & 0xf] }, 4);
		s = slice_from(s, 1);
	}
}

void
smtp_transcript_format(struct strbuf *out, char who, struct slice line)
{
	struct slice kept = slice_first(line, SMTP_TRANSCRIPT_LINE_MAX);

	strbuf_add(out, who == 'C' ? "> " : who == 'S' ? "< " : "* ", 2);
	add_escaped(out, kept);
	if (kept.len < line.len)
		strbuf_add_fmt(out, " [%zu octets more]", line.len - kept.len);
	strbuf_add_char(out, '\n');
}

static void
cut_middle(struct smtp_transcript *t)
{
	struct strbuf *b = &t->text;
	size_t from = t->cut_at, to;
	const char *lf;

	if (from == 0) {
		lf = memrchr(b->ptr, '\n', t->max / 2);
		from = lf != NULL ? (size_t)(lf - b->ptr) + 1 : t->max / 2;
	}
	to = b->len - (t->max * 3 / 4 - from);
	lf = memchr(b->ptr + to, '\n', b->len - to);
	to = lf != NULL ? (size_t)(lf - b->ptr) + 1 : b->len;
	memmove(b->ptr + from, b->ptr + to, b->len - to);
	strbuf_truncate(b, b->len - (to - from));
	t->cut_at = from;
	t->dropped += to - from;
}

void
smtp_transcript_line(struct smtp_transcript *t, char who, struct slice line)
{
	if (who == 'C' &&
	    (t->is_secret || slice_starts_nocase(line, SLICE("AUTH "))))
		line = t->is_secret ? SLICE("****") : SLICE("AUTH ****");
	if (who == 'S')
		t->is_secret = slice_starts(line, SLICE("334"));
	smtp_transcript_format(&t->text, who, line);
	if (t->text.len > t->max)
		cut_middle(t);
}

void
smtp_transcript_drop(struct smtp_transcript *t, size_t n)
{
	if (t->cut_at == 0 && n <= t->text.len)
		strbuf_drop(&t->text, n);
}

void
smtp_transcript_add(struct strbuf *out, const struct smtp_transcript *t)
{
	struct slice all = strbuf_slice(&t->text);

	if (t->cut_at == 0) {
		strbuf_add_slice(out, all);
		return;
	}
	strbuf_add_slice(out, slice_first(all, t->cut_at));
	strbuf_add_fmt(out, "* [%zu octets left out]\n", t->dropped);
	strbuf_add_slice(out, slice_from(all, t->cut_at));
}

/*
 * A reply is gathered line by line into one text. Everything is bounded: the
 * text is cut, but all lines must still be well formed and bear the same
 * code, or the two sides no longer agree on what answers what.
 */
#include "smtp/reply.h"

#include <string.h>

#include "base/encode.h"

#define CUT_MARK "..."
#define TEXT_ROOM (SMTP_REPLY_TEXT_MAX - (sizeof(CUT_MARK) - 1))

/* Adds n octets, or marks the text as cut; false once it is cut. */
static bool
add(struct smtp_reply_parser *p, const char *ptr, size_t n)
{
	struct smtp_reply *r = &p->reply;

	if (p->cut)
		return false;
	if (r->text_len + n > TEXT_ROOM) {
		memcpy(r->text + r->text_len, CUT_MARK, sizeof(CUT_MARK));
		r->text_len += sizeof(CUT_MARK) - 1;
		p->cut = true;
		return false;
	}
	memcpy(r->text + r->text_len, ptr, n);
	r->text_len += n;
	r->text[r->text_len] = '\0';
	return true;
}

/* Copies text, printable: control characters and broken UTF-8 become '?'. */
static void
add_printable(struct smtp_reply_parser *p, struct slice text)
{
	while (text.len > 0) {
		const char *start = text.ptr;
		uint32_t ch = utf8_take(&text);
		size_t n = (size_t)(text.ptr - start);
		bool ok;

		if (ch == '\t')
			ok = add(p, " ", 1);
		else if (ch < 0x20 || (ch >= 0x7f && ch < 0xa0) ||
		    (ch == 0xfffd && n == 1))
			ok = add(p, "?", 1);
		else
			ok = add(p, start, n);
		if (!ok)
			return;
	}
}

/*
 * The status is that of the first line that has one. Servers repeat it on
 * every line of the reply: it is taken off there, too.
 */
static void
take_status(struct smtp_reply_parser *p, struct slice *text)
{
	struct slice rest = *text;
	struct mail_status status;

	if (mail_status_take(&rest, &status, NULL) != 0)
		return;
	if (status.part[0] != p->reply.code / 100)
		return;
	if (!mail_status_is_set(p->reply.status))
		p->reply.status = status;
	else if (memcmp(&p->reply.status, &status, sizeof(status)) != 0)
		return;
	*text = rest;
}

/* Takes "250", "250 " or "250-" off the front. */
static int
take_code(struct slice *line, unsigned int *code, bool *more, struct error *err)
{
	unsigned int value = 0;

	for (size_t i = 0; i < 3; i++) {
		if (i >= line->len || !ascii_is_digit(line->ptr[i]))
			return error_set(err, ERR_SYNTAX,
			    "reply without a code");
		value = value * 10 + (unsigned int)(line->ptr[i] - '0');
	}
	if (value < 200 || value > 599)
		return error_set(err, ERR_SYNTAX, "reply code %u out of range",
		    value);
	*line = slice_from(*line, 3);
	*more = slice_take_char(line, '-');
	if (!*more && line->len > 0 && !slice_take_char(line, ' '))
		return error_set(err, ERR_SYNTAX, "reply code %u runs on",
		    value);
	*code = value;
	return 0;
}

int
smtp_reply_feed(struct smtp_reply_parser *p, struct slice line,
    void (*on_line)(void *ctx, unsigned int code, struct slice text), void *ctx,
    struct error *err)
{
	struct slice text = line;
	unsigned int code = 0;
	bool more = false;

	if (line.len > SMTP_REPLY_LINE_MAX)
		return error_set(err, ERR_LIMIT, "reply line too long");
	if (take_code(&text, &code, &more, err) != 0)
		return -1;
	if (!p->in_progress)
		*p = (struct smtp_reply_parser){ .reply.code = code };
	else if (code != p->reply.code)
		return error_set(err, ERR_SYNTAX,
		    "reply code changes from %u to %u", p->reply.code, code);
	if (p->lines == SMTP_REPLY_LINES_MAX)
		return error_set(err, ERR_LIMIT, "reply with too many lines");
	p->lines++;
	p->in_progress = more;
	if (on_line != NULL)
		on_line(ctx, code, text);
	take_status(p, &text);
	text = slice_trim(text);
	if (p->reply.text_len > 0 && text.len > 0 && !add(p, " ", 1))
		return more ? 0 : 1;
	add_printable(p, text);
	return more ? 0 : 1;
}

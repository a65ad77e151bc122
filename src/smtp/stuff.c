/*
 * Dot-stuffing (RFC 5321 section 4.5.2): a line that begins with a dot gets
 * another one. Text between two such lines, mostly all of it, is copied as one
 * run; memchr finds the line ends.
 *
 * A dot behind a bare LF is doubled, too: messages of ours have none, but if
 * one came through, no receiver that takes LF for a line end could be led to
 * see the end of the message in it.
 */
#include <string.h>

#include "smtp/client_priv.h"

void
smtp_dot_stuff_part(struct strbuf *out, struct slice part, bool *line_start)
{
	const char *run = part.ptr, *end = part.ptr + part.len, *at;

	if (part.len == 0)
		return;
	/* Room for all of it and a few dots at once. */
	strbuf_reserve(out, part.len + 64);
	if (*line_start && *run == '.')
		strbuf_add_char(out, '.');
	for (at = run; (at = memchr(at, '\n', (size_t)(end - at))) != NULL;) {
		if (++at == end)
			break;
		if (*at == '.') {
			strbuf_add(out, run, (size_t)(at - run));
			strbuf_add_char(out, '.');
			run = at;
		}
	}
	strbuf_add(out, run, (size_t)(end - run));
	*line_start = end[-1] == '\n';
}

bool
smtp_ends_in_crlf(struct slice message)
{
	return message.len == 0 ||
	    (message.len >= 2 &&
		memcmp(message.ptr + message.len - 2, "\r\n", 2) == 0);
}

void
smtp_dot_end(struct strbuf *out, bool ends_in_crlf)
{
	strbuf_add_text(out, ends_in_crlf ? ".\r\n" : "\r\n.\r\n");
}

void
smtp_dot_stuff(struct strbuf *out, struct slice message)
{
	bool line_start = true;

	smtp_dot_stuff_part(out, message, &line_start);
	smtp_dot_end(out, smtp_ends_in_crlf(message));
}

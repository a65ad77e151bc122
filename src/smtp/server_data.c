/*
 * The message as it comes in (RFC 5321 section 4.5.2). One pass, octet runs
 * between line ends are copied whole. Only CRLF is a line end, and a CR or LF
 * that stands alone anywhere ends the session: whatever other servers make of
 * it, here nobody can hide a second message behind it.
 */
#include "smtp/server_priv.h"

#define FLOOD_SPARE ((size_t)16 * 1024 * 1024)

void
smtp_message_begin(struct smtp_message *m, size_t size_max)
{
	strbuf_reset(&m->text);
	m->at = SMTP_AT_START;
	m->size_max = size_max;
	m->dropped = 0;
	m->too_large = false;
}

static void
keep(struct smtp_message *m, const char *ptr, size_t len)
{
	if (!m->too_large && m->text.len + len <= m->size_max) {
		strbuf_add(&m->text, ptr, len);
		return;
	}
	m->too_large = true;
	m->dropped += len;
}

/* Up to the next CR; false when a bare LF stands before it. */
static bool
take_text(struct smtp_message *m, struct slice *in)
{
	struct slice run = slice_first(*in, slice_find_char(*in, '\r'));

	if (slice_has_char(run, '\n'))
		return false;
	keep(m, run.ptr, run.len);
	if (run.len == in->len) {
		*in = slice_from(*in, run.len);
		return true;
	}
	*in = slice_from(*in, run.len + 1);
	m->at = SMTP_AT_CR;
	return true;
}

enum smtp_data_result
smtp_message_take(struct smtp_message *m, struct slice *in)
{
	while (in->len > 0) {
		switch (m->at) {
		case SMTP_AT_START:
			m->at = slice_take_char(in, '.') ? SMTP_AT_DOT
							 : SMTP_AT_TEXT;
			break;
		case SMTP_AT_TEXT:
			if (!take_text(m, in))
				return SMTP_DATA_BARE;
			break;
		case SMTP_AT_CR:
			if (!slice_take_char(in, '\n'))
				return SMTP_DATA_BARE;
			keep(m, "\r\n", 2);
			m->at = SMTP_AT_START;
			break;
		case SMTP_AT_DOT:
			m->at = slice_take_char(in, '\r') ? SMTP_AT_DOT_CR
							  : SMTP_AT_TEXT;
			break;
		case SMTP_AT_DOT_CR:
			return slice_take_char(in, '\n') ? SMTP_DATA_END
							 : SMTP_DATA_BARE;
		}
		if (m->dropped > m->size_max + FLOOD_SPARE)
			return SMTP_DATA_FLOOD;
	}
	return SMTP_DATA_MORE;
}

/* mail/body_priv.h - bodies of text parts and their transfer encodings. */
#ifndef MAIL_BODY_PRIV_H
#define MAIL_BODY_PRIV_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum body_encoding {
	BODY_7BIT,
	BODY_QUOTED_PRINTABLE,
	BODY_BASE64,
};

const char *body_encoding_name(enum body_encoding e);

/*
 * 7bit when it is ASCII in lines of at most 998 octets without control
 * characters, and holds nothing that relays or our own boundaries ("=_") may
 * trip over; else whichever of the others is shorter.
 */
enum body_encoding body_choose(struct slice text);

/* Any of CRLF, LF and CR in text ends a line, and goes out as CRLF. Base64
 * ends in CRLF, the others end as text does. */
void body_add(struct strbuf *out, struct slice text, enum body_encoding e);

#endif

/* mail/html_priv.h - the tokens of HTML, in linear time. */
#ifndef MAIL_HTML_PRIV_H
#define MAIL_HTML_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum html_token_type {
	HTML_TEXT,  /* text: as written, references not resolved */
	HTML_START, /* name, attributes */
	HTML_END,   /* name */
};

#define HTML_NAME_MAX 16 /* longer names are cut: no tag we know */

struct html_token {
	enum html_token_type type;
	struct slice text;
	char name[HTML_NAME_MAX];      /* lower case */
	struct slice href, alt, style; /* raw values; ptr NULL: absent */
	bool hidden;
};

/*
 * Takes a token off the front; false at the end. Comments, declarations and
 * the content of script, style and their like are passed over. Never reads an
 * octet more than a few times, whatever the input.
 */
bool html_take(struct slice *in, struct html_token *out);

/* Takes one character off the front, a reference resolved ("&amp;", "&#8364;");
 * in must not be empty. */
uint32_t html_take_char(struct slice *in);

#endif

/*
 * mail/header.h - writes header fields: folding (RFC 5322 section 2.2.3),
 * encoded words (RFC 2047), phrases, addresses and parameters (RFC 2231).
 *
 *   struct mail_header h;
 *
 *   mail_header_begin(&h, out, SLICE("To"));
 *   mail_header_address(&h, &a, true);
 *   mail_header_address(&h, &b, false);
 *   mail_header_end(&h);
 *
 * No line is longer than 998 octets, and none longer than 78 that has a place
 * to fold. Whatever is put in, no CR, LF or NUL comes out but the folds and the
 * end. What is not ASCII comes out encoded, but for the local part of an
 * address (RFC 6532).
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/address.h"

#define MAIL_HEADER_NAME_MAX 76

struct mail_header {
	struct strbuf *out;
	size_t width;  /* where to fold; 0: nowhere */
	size_t col;    /* octets on this line */
	bool gap;      /* the next word has a space before it */
	bool can_fold; /* a word stands on this line */
};

/* "Name:"; name is taken as it is. */
void mail_header_begin(struct mail_header *h, struct strbuf *out,
    struct slice name);
void mail_header_end(struct mail_header *h);
/* For a piece without a name and an end; width as in the struct. */
void mail_header_open(struct mail_header *h, struct strbuf *out, size_t width);

/* One word that must not be broken, taken as it is. */
void mail_header_word(struct mail_header *h, struct slice word);
/* Right behind the last word, without a space: "," or ";". */
void mail_header_char(struct mail_header *h, char c);
/* Unstructured text: encoded when it is not plain ASCII. Blanks inside are
 * kept, those around it are not. */
void mail_header_text(struct mail_header *h, struct slice text);
/* A display name: atoms, a quoted string, or encoded words. */
void mail_header_phrase(struct mail_header *h, struct slice text);
/* Name <local@domain>, or the bare address; with a comma behind it. */
void mail_header_address(struct mail_header *h, const struct mail_address *a,
    bool comma);
/* ; name="value", or in the form of RFC 2231. */
void mail_header_param(struct mail_header *h, const char *name,
    struct slice value);

#endif

/*
 * mail/content.h - what an email says, before it is MIME: the fields of the
 * API, and the compact record in which the store keeps them.
 *
 * Record: octet version 1, then fields as in mail/record.h; addresses,
 * attachments and headers nest the same form.
 */
#ifndef MAIL_CONTENT_H
#define MAIL_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/address.h"

struct mail_attachment {
	struct slice filename;	   /* UTF-8 */
	struct slice content_type; /* "" : guessed from the file name */
	struct slice content_id;   /* set: inline, multipart/related */
	struct slice data;	   /* decoded octets */
};

struct mail_field {
	struct slice name;
	struct slice value; /* UTF-8, no CR or LF */
};

struct mail_content {
	struct mail_address from;
	size_t to_count, cc_count, bcc_count, reply_to_count;
	struct mail_address *to, *cc, *bcc, *reply_to;
	struct slice subject; /* UTF-8 */
	struct slice html;    /* ptr NULL: absent */
	struct slice text;    /* ptr NULL: absent (generated from html) */
	bool text_opted_out;  /* text was "" beside an html: no text part */
	bool exactly_once;    /* rather not delivered than sent twice */
	bool broadcast;	      /* one of many alike: not before transactional */
	size_t header_count;
	struct mail_field *header;
	size_t attachment_count;
	struct mail_attachment *attachment;
	size_t tag_count;
	struct mail_field *tag;
};

/* Appends the record. */
void mail_content_encode(const struct mail_content *content,
    struct strbuf *out);
/* Slices point into record (borrowed); arrays live in the arena. */
int mail_content_decode(struct arena *arena, struct slice record,
    struct mail_content *out, struct error *err) MUST_CHECK;

/* Whether a field of the header will have octets beyond ASCII, which only a
 * server that offers SMTPUTF8 may be given (RFC 6531 section 3.1.8): texts are
 * encoded, local parts cannot be. */
bool mail_content_needs_smtputf8(const struct mail_content *content);

#endif

/*
 * mail/mime.h - builds the message that goes on the wire (RFC 5322, 2045,
 * 2046, 2047, 2183, 2231, 2387). CRLF throughout, lines of at most 998
 * octets (header lines folded at 78 where they can be), no bare CR or LF, not
 * dot-stuffed. Deterministic: the same input gives the same octets, so that a
 * retry sends the same message (boundaries derive from the id).
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/error.h"
#include "base/strbuf.h"
#include "mail/content.h"

struct mime_options {
	const char *message_id;	   /* without brackets; from the email's id */
	int64_t date_ms;	   /* Date field: when it was accepted */
	const char *boundary_seed; /* short, unique per email, [A-Za-z0-9] */
	const char *reference;	   /* value of X-Verpost-Ref (per recipient),
				      or NULL */
};

/*
 * Appends header section, empty line and body.
 * Structure: text only -> text/plain; html -> multipart/alternative (text
 * generated from the html unless opted out); inline attachments ->
 * multipart/related around the html; others -> multipart/mixed around all.
 * Transfer encoding per text part: 7bit when it fits, else quoted-printable or
 * base64, whichever is shorter. Bcc is never written. Fields in
 * content->header that the builder writes itself (From, To, Date, MIME-Version,
 * Content-*, DKIM-Signature, Return-Path, Received, Bcc, ...) are refused
 * when an email is accepted (mime_header_name_check) and skipped here.
 */
void mime_build(const struct mail_content *content,
    const struct mime_options *opt, struct strbuf *out);

/*
 * Whether a user may set this header field, and whether name and value are
 * well-formed (RFC 5322 section 2.2; no CR, LF, NUL). Message-ID may be set.
 */
int mime_header_check(struct slice name, struct slice value,
    struct error *err) MUST_CHECK;

/* Readable plain text out of html: blocks to lines, links as "text (url)",
 * lists, tables, entities; script, style and comments dropped. Linear time.
 */
void mime_text_of_html(struct slice html, struct strbuf *out);

/* "application/pdf" out of "report.pdf"; "application/octet-stream" if in
 * doubt. */
const char *mime_type_of_filename(struct slice filename);

/* One header field, folded, with CRLF: encoded words where value is not
 * ASCII. */
void mime_add_unstructured(struct strbuf *out, const char *name,
    struct slice value);

#endif

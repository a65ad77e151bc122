/*
 * smtp/transcript.h - what was said on a connection, for people: bounded,
 * printable, without secrets.
 *
 *   * mx1.example.com[192.0.2.1]:25        a note of ours
 *   < 220 mx1.example.com ESMTP            they
 *   > EHLO mail.example.org                we
 *   ...
 *   > <10240 octets>                       a message is only counted
 *
 * What follows AUTH is masked, with the answers to 334. A backslash and octets
 * that are not printable ASCII stand as \xNN. A long line loses its end, a long
 * transcript its middle, and a mark says how much.
 */
#ifndef SMTP_TRANSCRIPT_H
#define SMTP_TRANSCRIPT_H

#include "base/slice.h"
#include "base/strbuf.h"

/* Octets that are shown of a line; escaped they are four times as many. */
#define SMTP_TRANSCRIPT_LINE_MAX 300
#define SMTP_TRANSCRIPT_LEAST ((size_t)5 * SMTP_TRANSCRIPT_LINE_MAX)

struct smtp_transcript {
	struct strbuf text;
	size_t max;
	size_t cut_at;	/* where the middle was cut; 0: it was not */
	size_t dropped; /* octets of the middle */
	bool is_secret; /* our next line answers a challenge */
};

/* max: octets that are kept; SMTP_TRANSCRIPT_LEAST at least. */
void smtp_transcript_init(struct smtp_transcript *t, size_t max);
void smtp_transcript_fini(struct smtp_transcript *t);
void smtp_transcript_reset(struct smtp_transcript *t);
/* who: 'C' our line, 'S' theirs, '*' a note. line: without CRLF. */
void smtp_transcript_line(struct smtp_transcript *t, char who,
    struct slice line);
/* Forgets the first n octets, unless the middle is gone already. */
void smtp_transcript_drop(struct smtp_transcript *t, size_t n);
/* Appends the whole to out; at most max and one mark. */
void smtp_transcript_add(struct strbuf *out, const struct smtp_transcript *t);

/* Appends one line, as it stands in a transcript, with LF. */
void smtp_transcript_format(struct strbuf *out, char who, struct slice line);

#endif

/*
 * bounce/report.h - what a returned mail says, as the parser process tells it
 * to the matcher: the struct, and its form on the socket between them.
 *
 * Frames, both ways: {length u32 big-endian, octets}. To the parser: the raw
 * message. From it: one octet version 1, then fields of {type u8, length u32
 * big-endian, octets}; a recipient's fields nest in one field. The answer of a
 * parser that a hostile mail took over is foreign input like any other: it is
 * bounded and checked on reading.
 */
#ifndef BOUNCE_REPORT_H
#define BOUNCE_REPORT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/dsn.h"

enum bounce_kind {
	BOUNCE_NONE,	  /* kept, and nothing follows from it */
	BOUNCE_FAILED,	  /* a DSN: at least one recipient failed */
	BOUNCE_DELAYED,	  /* a DSN: none failed, at least one is delayed */
	BOUNCE_DELIVERED, /* a DSN: delivered, relayed or expanded */
};
#define BOUNCE_KIND_COUNT 4

/* As stored in returns.kind: "none", "failed", ... */
const char *bounce_kind_name(enum bounce_kind kind);

/* Bounds on what crosses the socket. */
#define BOUNCE_RAW_MAX ((size_t)4 << 20) /* what is beyond is not sent */
#define BOUNCE_ANSWER_MAX ((size_t)1 << 20)
#define BOUNCE_TEXT_MAX 512 /* each text, in octets */

struct bounce_report {
	enum bounce_kind kind;
	struct slice subject; /* decoded, printable, for logs */
	struct slice detail;  /* why kind is none; or "" */
	struct dsn dsn;	      /* count 0 with BOUNCE_NONE */
};

/* Appends the answer, without the length in front. */
void bounce_report_encode(const struct bounce_report *report,
    struct strbuf *out);
/* Texts are copied into the arena, cut at BOUNCE_TEXT_MAX and made printable.
 * -1 with ERR_SYNTAX or ERR_LIMIT. */
int bounce_report_decode(struct arena *arena, struct slice answer,
    struct bounce_report *out, struct error *err) MUST_CHECK;

/*
 * The recipient block that the token's recipient is taken to be about: with
 * one block, that one; with several, the one whose final or original
 * recipient is address (without regard to case), else the worst. NULL when
 * there is none. The token says who bounced; this only says what happened.
 */
const struct dsn_recipient *
bounce_report_pick(const struct bounce_report *report, struct slice address);

#endif

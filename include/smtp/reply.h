/*
 * smtp/reply.h - SMTP replies (RFC 5321 section 4.2), line by line, bounded.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "mail/status.h"

#define SMTP_REPLY_TEXT_MAX 512	 /* kept; more is cut, marked by "..." */
#define SMTP_REPLY_LINE_MAX 4096 /* longer lines are a protocol error */
#define SMTP_REPLY_LINES_MAX 128

struct smtp_reply {
	unsigned int code;	   /* 200..599 */
	struct mail_status status; /* unset when absent or of another class */
	size_t text_len;
	char text[SMTP_REPLY_TEXT_MAX + 1]; /* lines joined by " ", without
				code and status, printable UTF-8 or '?';
				NUL-terminated */
};

struct smtp_reply_parser {
	struct smtp_reply reply;
	unsigned int lines;
	bool in_progress; /* more lines are to come */
	bool cut;
};

/*
 * line: without CRLF. Returns 1 when the reply is complete (in p->reply), 0
 * when more lines follow, -1 on a mangled line (ERR_SYNTAX) or too many
 * (ERR_LIMIT). on_line, if not NULL, sees each line's text (EHLO keywords).
 */
int smtp_reply_feed(struct smtp_reply_parser *p, struct slice line,
    void (*on_line)(void *ctx, unsigned int code, struct slice text), void *ctx,
    struct error *err) MUST_CHECK;

#endif

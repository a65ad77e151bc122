/*
 * mail/dsn.h - delivery status notifications (RFC 3464, 6522): the machine
 * readable part of a message, field by field.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "mail/status.h"

enum dsn_action {
	DSN_FAILED,
	DSN_DELAYED,
	DSN_DELIVERED,
	DSN_RELAYED,
	DSN_EXPANDED,
};

struct dsn_recipient {
	enum dsn_action action;	   /* by the status' class when there is none */
	struct mail_status status; /* all 0: none was readable */
	struct slice final_recipient;	 /* address after "rfc822;" */
	struct slice original_recipient; /* the same */
	struct slice remote_mta;
	struct slice diagnostic; /* text after "smtp;", one line */
	unsigned int reply_code; /* from the diagnostic; 0: none */
};

#define DSN_RECIPIENTS_MAX 100 /* further ones are passed over */
#define DSN_TEXT_MAX 512       /* octets of each text */

struct dsn {
	struct slice reporting_mta;
	size_t count;
	struct dsn_recipient recipient[DSN_RECIPIENTS_MAX];
};

/*
 * body: decoded content of the message/delivery-status part (or its global
 * form, RFC 6533). Everything handed out is in the arena: bounded, printable.
 * -1 with ERR_SYNTAX when there is no usable recipient block.
 */
int dsn_parse(struct arena *arena, struct slice body, struct dsn *out,
    struct error *err) MUST_CHECK;

/*
 * Foreign text as one bounded line of printable UTF-8: runs of blanks and
 * control characters become one blank, what is not UTF-8 becomes '?'.
 */
struct slice dsn_text(struct arena *arena, struct slice raw);

#endif

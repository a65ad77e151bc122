/* mail/status.h - enhanced status codes X.Y.Z (RFC 3463 section 2). */
#ifndef MAIL_STATUS_H
#define MAIL_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct mail_status {
	uint16_t part[3]; /* class 2, 4 or 5; subject and detail 0..999; all 0:
			     none */
};

/*
 * Takes a status code off the front of *text, with the space after it.
 *
 * text: borrowed; moved past the code on success, otherwise unchanged.
 * Returns 0, or -1 with err->kind ERR_SYNTAX and *out unchanged.
 * Source: RFC 3463 section 2; its place in a reply: RFC 2034 section 4.
 */
int mail_status_take(struct slice *text, struct mail_status *out,
    struct error *err) MUST_CHECK;

/* "5.1.1"; "" when there is none. */
#define MAIL_STATUS_TEXT 16
void mail_status_format(struct mail_status s, char out[MAIL_STATUS_TEXT]);
bool mail_status_is_set(struct mail_status s);
bool mail_status_is(struct mail_status s, unsigned int class,
    unsigned int subject, unsigned int detail);

#endif

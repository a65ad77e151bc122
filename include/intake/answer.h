/*
 * intake/answer.h - what a client is told: the status, name and message of the
 * Resend API. The names are the table of reference A.3; a test walks it.
 */
#ifndef INTAKE_ANSWER_H
#define INTAKE_ANSWER_H

#include "base/attr.h"
#include "base/slice.h"

enum answer_kind {
	ANSWER_OK,
	ANSWER_VALIDATION,	 /* 400 validation_error */
	ANSWER_IDEMPOTENCY_KEY,	 /* 400 invalid_idempotency_key */
	ANSWER_KEY_MISSING,	 /* 401 missing_api_key */
	ANSWER_KEY_RESTRICTED,	 /* 401 restricted_api_key */
	ANSWER_KEY_INVALID,	 /* 403 invalid_api_key */
	ANSWER_DOMAIN,		 /* 403 validation_error: from not allowed */
	ANSWER_NOT_FOUND,	 /* 404 not_found */
	ANSWER_IDEMPOTENT_CLASH, /* 409 invalid_idempotent_request */
	ANSWER_IDEMPOTENT_BUSY,	 /* 409 concurrent_idempotent_requests */
	ANSWER_CONFLICT,	 /* 409 resource_locked */
	ANSWER_TOO_LARGE,	 /* 413 validation_error */
	ANSWER_FIELD_MISSING,	 /* 422 missing_required_field */
	ANSWER_PARAMETER,	 /* 422 invalid_parameter */
	ANSWER_ATTACHMENT,	 /* 422 invalid_attachment */
	ANSWER_SUPPRESSED,	 /* 422 email_suppressed */
	ANSWER_RATE,		 /* 429 rate_limit_exceeded */
	ANSWER_INTERNAL,	 /* 500 internal_server_error */
	ANSWER_UNAVAILABLE,	 /* 503 service_unavailable */
};
#define ANSWER_KIND_COUNT 19

#define ANSWER_TEXT_MAX 320

struct intake_answer {
	enum answer_kind kind;
	unsigned int retry_after_s; /* 0: say nothing */
	char message[ANSWER_TEXT_MAX];
};

int answer_status(enum answer_kind kind);
const char *answer_name(enum answer_kind kind);

/*
 * Sets kind and message and returns -1, so that "return answer_set(...)" reads
 * well. Control characters become "?". A text too long is cut
 * between characters and ends in "...".
 */
int answer_set(struct intake_answer *a, enum answer_kind kind, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

/* Foreign text for a message, cut and without control characters:
 * answer_quote(text).s */
#define ANSWER_QUOTE_MAX 72
struct answer_quote {
	char s[ANSWER_QUOTE_MAX + 4];
};
struct answer_quote answer_quote(struct slice text);

#endif

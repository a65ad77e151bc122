/*
 * intake/check.h - whether a message may be accepted, as far as the message
 * alone can tell. Pure. Every refusal names the field, what is wrong with it
 * and what to do: "to[3]: 'x@' is not an email address: no domain after @".
 */
#ifndef INTAKE_CHECK_H
#define INTAKE_CHECK_H

#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "intake/answer.h"
#include "mail/content.h"

#define CHECK_TO_MAX 50
#define CHECK_REPLY_TO_MAX 50
#define CHECK_SUBJECT_MAX 998 /* octets of UTF-8 */
#define CHECK_DISPLAY_MAX 256
#define CHECK_HEADERS_MAX 100
#define CHECK_HEADER_BYTES_MAX 65536
#define CHECK_TAGS_MAX 50
#define CHECK_TAG_BYTES_MAX 256
#define CHECK_ATTACHMENTS_MAX 100
#define CHECK_FILENAME_MAX 255
#define CHECK_CONTENT_ID_MAX 127

/* "to[3]", or "from" with index -1. */
#define CHECK_FIELD_MAX 40
struct check_field {
	char s[CHECK_FIELD_MAX];
};
struct check_field check_field(const char *name, int index);

/*
 * One address as a client wrote it. index: place in the list, -1 for a single
 * one. Returns 0, or -1 with the refusal in *no.
 */
int check_address(struct arena *arena, const char *field, int index,
    struct slice text, struct mail_address *out,
    struct intake_answer *no) MUST_CHECK;

/* For readers that want to refuse a list before they parse it. */
int check_address_count(const char *field, size_t count, size_t most,
    struct intake_answer *no) MUST_CHECK;

enum check_rcpt_field { CHECK_TO, CHECK_CC, CHECK_BCC };

struct check_rcpt {
	struct slice address; /* local@domain */
	struct slice key;     /* the same in lower case, for suppressions */
	struct slice domain;
	enum check_rcpt_field field; /* the first that names it */
};

struct check_limits {
	size_t recipients_max;
	size_t message_bytes_max; /* html, text, attachments after base64 */
};

/*
 * Checks every field of content and makes the list of its recipients: each
 * address once, in the order to, cc, bcc. The list lives in the arena.
 * Returns 0, or -1 with the refusal in *no.
 */
int check_content(struct arena *arena, const struct mail_content *content,
    const struct check_limits *limits, struct check_rcpt **rcpt,
    size_t *rcpt_count, struct intake_answer *no) MUST_CHECK;

/* 1..256 characters, no control characters: of the Idempotency-Key header. */
int check_idempotency_key(struct slice key,
    struct intake_answer *no) MUST_CHECK;

/* Octets after base64 with line breaks, as a message carries them. */
size_t check_base64_bytes(size_t data_bytes);

#endif

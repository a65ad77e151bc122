/*
 * model/id.h - the one kind of identifier.
 *
 * 128 bits, time-ordered (UUIDv7, RFC 9562 section 5.7). The first 48 bits are
 * milliseconds since 1970, so the UTC day, and with it the partition of every
 * table that grows with mail, follows from the id. An email's id ends in
 * seven zero bits; its recipient n (1..100) has the id + n. Two written forms,
 * both accepted everywhere: a UUID, and "gm_" + 26 Crockford base32 letters.
 */
#ifndef MODEL_ID_H
#define MODEL_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

struct id {
	uint8_t b[16];
};

#define ID_UUID_LEN 36
#define ID_GM_LEN 29
#define ID_RECIPIENTS_MAX 100 /* per email */

/*
 * A new id for the time now_ms. Strictly increasing within a process, also
 * within one millisecond and when the clock steps back a little (RFC 9562
 * section 6.2). id_new_email leaves the last seven bits zero.
 */
struct id id_new(int64_t now_ms);
struct id id_new_email(int64_t now_ms);

struct id id_of_recipient(struct id email, unsigned int n); /* n 1..100 */
struct id id_email_of(struct id recipient);
unsigned int id_recipient_number(struct id recipient); /* 0 for an email */

int64_t id_time_ms(struct id id);
int32_t id_day(struct id id); /* days since 1970-01-01 UTC */
/* The smallest id of that millisecond: bounds for walks and partitions. */
struct id id_floor(int64_t ms);

bool id_parse(struct slice text, struct id *out); /* either written form */
void id_format(struct id id, char out[ID_UUID_LEN + 1]);
void id_format_gm(struct id id, char out[ID_GM_LEN + 1]);
/* Appends "<id@domain>", the Message-ID of an email: the sender's own, or with
 * ptr NULL the one that follows from the email's id. */
void id_add_message_id(struct strbuf *out, struct slice own, struct id email,
    struct slice domain);

int id_cmp(struct id a, struct id b);
bool id_is_zero(struct id id);

/* For "%s" in one expression: id_text(id).s */
struct id_text {
	char s[ID_UUID_LEN + 1];
};
struct id_text id_text(struct id id);

#endif

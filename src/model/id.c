/*
 * Layout (RFC 9562 section 5.7, big-endian):
 *
 *   48 bits  milliseconds since 1970
 *    4 bits  version 7
 *   12 bits  counter within the millisecond (method 1 of section 6.2)
 *    2 bits  variant 10
 *   55 bits  random
 *    7 bits  number of the recipient; random in ids that have none
 *
 * The counter starts each millisecond at a random value below half its range,
 * so two processes rarely share one, and there is room for 2,048 ids or more;
 * when it is used up the id takes the next millisecond.
 */
#include "model/id.h"

#include "base/attr.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"

#define MS_MAX (((int64_t)1 << 48) - 1)
#define COUNTER_MAX 0xfffu
#define NUMBER_MASK 0x7fu
/* A clock that steps back further was set: ids follow it. */
#define STEP_BACK_MS 10000

/* The only state of the room: ids are increasing within a process. */
static struct {
	int64_t ms;
	unsigned int counter;
} last;

static void
advance(int64_t now_ms, unsigned int seed)
{
	if (now_ms > last.ms || now_ms < last.ms - STEP_BACK_MS) {
		last.ms = now_ms;
		last.counter = seed & (COUNTER_MAX >> 1);
	} else if (last.counter == COUNTER_MAX) {
		last.ms++;
		last.counter = seed & (COUNTER_MAX >> 1);
	} else {
		last.counter++;
	}
}

static void
put_ms(struct id *id, int64_t ms)
{
	for (int i = 5; i >= 0; i--) {
		id->b[i] = (uint8_t)(ms & 0xff);
		ms >>= 8;
	}
}

struct id
id_new(int64_t now_ms)
{
	uint8_t random[10];
	struct id id = { { 0 } };

	if (now_ms < 0)
		now_ms = 0;
	if (now_ms > MS_MAX)
		now_ms = MS_MAX;
	crypto_random(random, sizeof(random));
	advance(now_ms, (unsigned int)random[8] << 8 | random[9]);
	put_ms(&id, last.ms);
	id.b[6] = (uint8_t)(0x70 | last.counter >> 8);
	id.b[7] = (uint8_t)(last.counter & 0xff);
	memcpy(id.b + 8, random, 8);
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	return id;
}

struct id
id_new_email(int64_t now_ms)
{
	return id_email_of(id_new(now_ms));
}

struct id
id_of_recipient(struct id email, unsigned int n)
{
	invariant(n >= 1 && n <= ID_RECIPIENTS_MAX);
	email = id_email_of(email);
	email.b[15] = (uint8_t)(email.b[15] | n);
	return email;
}

struct id
id_email_of(struct id recipient)
{
	recipient.b[15] = (uint8_t)(recipient.b[15] & ~NUMBER_MASK);
	return recipient;
}

unsigned int
id_recipient_number(struct id recipient)
{
	return recipient.b[15] & NUMBER_MASK;
}

int64_t
id_time_ms(struct id id)
{
	int64_t ms = 0;

	for (size_t i = 0; i < 6; i++)
		ms = ms << 8 | id.b[i];
	return ms;
}

int32_t
id_day(struct id id)
{
	return (int32_t)(id_time_ms(id) / CLOCK_DAY_MS);
}

struct id
id_floor(int64_t ms)
{
	struct id id = { { 0 } };

	put_ms(&id, ms < 0 ? 0 : MIN(ms, MS_MAX));
	return id;
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool
parse_uuid(struct slice text, struct id *out)
{
	char hex[32];
	size_t n = 0;

	for (size_t i = 0; i < ID_UUID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text.ptr[i] != '-')
				return false;
			continue;
		}
		hex[n++] = text.ptr[i];
	}
	return hex_decode(slice_mem(hex, n), out->b, sizeof(out->b));
}

bool
id_parse(struct slice text, struct id *out)
{
	struct id id;
	bool ok = false;

	if (text.len == ID_UUID_LEN)
		ok = parse_uuid(text, &id);
	else if (text.len == ID_GM_LEN &&
	    slice_starts_nocase(text, SLICE("gm_")))
		ok = crockford_decode_id(slice_from(text, 3), id.b);
	if (ok)
		*out = id;
	return ok;
}

void
id_format(struct id id, char out[ID_UUID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(id.b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[id.b[i] >> 4];
		*out++ = digits[id.b[i] & 0xf];
	}
	*out = '\0';
}

void
id_format_gm(struct id id, char out[ID_GM_LEN + 1])
{
	memcpy(out, "gm_", 3);
	crockford_encode_id(id.b, out + 3);
	out[ID_GM_LEN] = '\0';
}

void
id_add_message_id(struct strbuf *out, struct slice own, struct id email,
    struct slice domain)
{
	char gm[ID_GM_LEN + 1];

	strbuf_add_char(out, '<');
	if (own.ptr != NULL) {
		strbuf_add_slice(out, own);
	} else {
		id_format_gm(email, gm);
		strbuf_add_fmt(out, "%s@%.*s", gm, SLICE_FMT(domain));
	}
	strbuf_add_char(out, '>');
}

int
id_cmp(struct id a, struct id b)
{
	return memcmp(a.b, b.b, sizeof(a.b));
}

bool
id_is_zero(struct id id)
{
	static const struct id zero;

	return id_cmp(id, zero) == 0;
}

struct id_text
id_text(struct id id)
{
	struct id_text text = { { 0 } };

	id_format(id, text.s);
	return text;
}

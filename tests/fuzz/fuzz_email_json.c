/*
 * fuzz_email_json - the JSON of POST /emails, from octets to a record and
 * back: what is accepted must be checked, encoded and decoded without loss.
 *
 * fuzz-rooms: mail base
 * fuzz-files: src/api/email_json.c src/api/members.c src/api/octets.c
 * src/intake/check.c fuzz-files: src/intake/answer.c fuzz-packages: libidn2
 * libcrypto opendkim
 */
#include "fuzz.h"

#include <string.h>

#include "api/email_json.h"
#include "base/mem.h"
#include "intake/check.h"

static void
no_line_break(struct slice s)
{
	invariant(!slice_has_char(s, '\r') && !slice_has_char(s, '\n') &&
	    !slice_has_char(s, '\0'));
}

/* What goes into header fields and SMTP commands, whoever writes them. */
static void
hold(const struct mail_content *c, const struct check_rcpt *rcpt, size_t n)
{
	no_line_break(c->subject);
	no_line_break(c->from.display);
	for (size_t i = 0; i < n; i++) {
		no_line_break(rcpt[i].address);
		invariant(slice_has_char(rcpt[i].address, '@'));
	}
	for (size_t i = 0; i < c->header_count; i++) {
		no_line_break(c->header[i].name);
		no_line_break(c->header[i].value);
	}
	for (size_t i = 0; i < c->attachment_count; i++) {
		no_line_break(c->attachment[i].filename);
		no_line_break(c->attachment[i].content_type);
		no_line_break(c->attachment[i].content_id);
	}
}

static void
round_trip(struct arena *arena, const struct mail_content *c)
{
	struct strbuf record = STRBUF_INIT;
	struct mail_content back;
	struct error err = { 0 };

	mail_content_encode(c, &record);
	invariant(!record.overflow);
	invariant(mail_content_decode(arena, strbuf_slice(&record), &back,
		      &err) == 0);
	invariant(slice_eq(back.subject, c->subject));
	invariant(slice_eq(back.html, c->html));
	invariant(slice_eq(back.text, c->text));
	invariant(back.to_count == c->to_count);
	invariant(back.header_count == c->header_count);
	invariant(back.attachment_count == c->attachment_count);
	for (size_t i = 0; i < c->attachment_count; i++)
		invariant(
		    slice_eq(back.attachment[i].data, c->attachment[i].data));
	strbuf_fini(&record);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct check_limits limits = { 50, 1 << 20 };
	struct arena arena = ARENA_INIT;
	struct mail_content c;
	struct check_rcpt *rcpt;
	struct intake_answer no = { 0 };
	char *body = xmemdup(data, size);
	size_t n;

	if (email_json_read(&arena, body, size, 50, &c, &no) == 0 &&
	    check_content(&arena, &c, &limits, &rcpt, &n, &no) == 0) {
		invariant(n >= 1 && n <= 50);
		hold(&c, rcpt, n);
		round_trip(&arena, &c);
	} else {
		invariant(no.kind != ANSWER_OK && no.message[0] != '\0');
		invariant(memchr(no.message, '\n', strlen(no.message)) == NULL);
	}
	arena_fini(&arena);
	free(body);
	return 0;
}

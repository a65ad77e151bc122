/*
 * The machine-readable part of a report, and the answer of the parser process.
 *
 * fuzz-rooms: mail base
 * fuzz-files: src/bounce/report.c
 * fuzz-packages: opendkim libidn2 libcrypto
 */
#include "base/encode.h"
#include "bounce/report.h"
#include "fuzz.h"
#include "mail/dsn.h"

static void
check_text(struct slice text)
{
	invariant(text.len <= DSN_TEXT_MAX);
	invariant(utf8_is_valid(text));
	for (size_t i = 0; i < text.len; i++)
		invariant(
		    (unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 0x7f);
}

static void
check_dsn(const struct dsn *dsn)
{
	invariant(dsn->count <= DSN_RECIPIENTS_MAX);
	check_text(dsn->reporting_mta);
	for (size_t i = 0; i < dsn->count; i++) {
		const struct dsn_recipient *r = &dsn->recipient[i];

		check_text(r->final_recipient);
		check_text(r->original_recipient);
		check_text(r->remote_mta);
		check_text(r->diagnostic);
		invariant(r->action <= DSN_EXPANDED);
		invariant(r->reply_code == 0 ||
		    (r->reply_code >= 200 && r->reply_code <= 599));
		invariant(!mail_status_is_set(r->status) ||
		    (r->status.part[0] < 6 && r->status.part[1] < 1000 &&
			r->status.part[2] < 1000));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	struct arena arena = ARENA_INIT;
	struct strbuf answer = STRBUF_INIT;
	struct bounce_report a = { .kind = BOUNCE_FAILED }, b;
	struct error err;

	if (dsn_parse(&arena, in, &a.dsn, &err) == 0) {
		check_dsn(&a.dsn);
		bounce_report_encode(&a, &answer);
		invariant(bounce_report_decode(&arena, strbuf_slice(&answer),
			      &b, &err) == 0);
		invariant(b.dsn.count == a.dsn.count);
		(void)bounce_report_pick(&b, in);
	}
	if (bounce_report_decode(&arena, in, &b, &err) == 0) {
		check_text(b.subject);
		invariant(b.dsn.count <= DSN_RECIPIENTS_MAX);
	}
	strbuf_fini(&answer);
	arena_fini(&arena);
	return 0;
}

/* What a message may be: one row per rule. */
#include "test.h"

#include <stdio.h>

#include "base/mem.h"
#include "intake/check.h"

static const struct check_limits limits = { 50, 40U << 20 };

static struct mail_address
address(const char *local, const char *domain)
{
	return (struct mail_address){ .local = slice_of(local),
		.domain = slice_of(domain) };
}

struct sample {
	struct mail_address to[64], cc[64], bcc[64], reply_to[64];
	struct mail_field header[128], tag[64];
	struct mail_attachment file[128];
	struct mail_content c;
};

static struct sample *
sample_new(void)
{
	struct sample *s = xmalloc(sizeof(*s));

	s->to[0] = address("a", "example.com");
	s->c = (struct mail_content){
		.from = address("me", "example.org"),
		.to_count = 1,
		.to = s->to,
		.cc = s->cc,
		.bcc = s->bcc,
		.reply_to = s->reply_to,
		.subject = SLICE("Hello"),
		.text = SLICE("Hi"),
		.header = s->header,
		.tag = s->tag,
		.attachment = s->file,
	};
	return s;
}

static const char long_text[1100] = { [0 ... 1098] = 'x' };

static void
no_from(struct sample *s)
{
	s->c.from = (struct mail_address){ 0 };
}
static void
no_to(struct sample *s)
{
	s->c.to_count = 0;
}
static void
no_subject(struct sample *s)
{
	s->c.subject.ptr = NULL;
}
static void
no_body(struct sample *s)
{
	s->c.text.ptr = NULL;
}
static void
subject_lf(struct sample *s)
{
	s->c.subject = SLICE("Hi\nBcc: x@example.com");
}
static void
subject_cr(struct sample *s)
{
	s->c.subject = SLICE("Hi\rthere");
}
static void
subject_nul(struct sample *s)
{
	s->c.subject = SLICE("Hi\0");
}
static void
subject_bad_utf8(struct sample *s)
{
	s->c.subject = SLICE("Hi \xff");
}
static void
subject_long(struct sample *s)
{
	s->c.subject = slice_first(slice_of(long_text), 999);
}
static void
text_nul(struct sample *s)
{
	s->c.text = SLICE("a\0b");
}
static void
html_nul(struct sample *s)
{
	s->c.html = SLICE("\0");
}
static void
to_many(struct sample *s)
{
	s->c.to_count = 51;
}
static void
cc_many(struct sample *s)
{
	s->c.cc_count = 51;
}
static void
reply_to_many(struct sample *s)
{
	s->c.reply_to_count = 51;
}
static char local_parts[64][8];
static void
together_many(struct sample *s)
{
	for (int i = 0; i < 30; i++) {
		(void)snprintf(local_parts[i], 8, "u%d", i);
		s->to[i] = address(local_parts[i], "example.com");
		s->cc[i] = address(local_parts[i], "example.net");
	}
	s->c.to_count = s->c.cc_count = 30;
}
static void
header_own(struct sample *s)
{
	s->header[0] =
	    (struct mail_field){ SLICE("DKIM-Signature"), SLICE("v=1") };
	s->c.header_count = 1;
}
static void
header_break(struct sample *s)
{
	s->header[0] =
	    (struct mail_field){ SLICE("X-A"), SLICE("b\r\nBcc: c@d.org") };
	s->c.header_count = 1;
}
static void
header_name(struct sample *s)
{
	s->header[0] = (struct mail_field){ SLICE("X A"), SLICE("b") };
	s->c.header_count = 1;
}
static void
header_twice(struct sample *s)
{
	s->header[0] =
	    (struct mail_field){ SLICE("References"), SLICE("<a@b>") };
	s->header[1] =
	    (struct mail_field){ SLICE("references"), SLICE("<c@b>") };
	s->c.header_count = 2;
}
static void
header_many(struct sample *s)
{
	s->c.header_count = 101;
}
static void
header_big(struct sample *s)
{
	for (int i = 0; i < 100; i++)
		s->header[i] = (struct mail_field){ SLICE("X-Big"),
			slice_first(slice_of(long_text), 800) };
	s->c.header_count = 100;
}
static void
tag_bad(struct sample *s)
{
	s->tag[0] = (struct mail_field){ SLICE("a"), SLICE("b c") };
	s->c.tag_count = 1;
}
static void
tag_empty(struct sample *s)
{
	s->tag[0] = (struct mail_field){ SLICE(""), SLICE("b") };
	s->c.tag_count = 1;
}
static void
tag_long(struct sample *s)
{
	s->tag[0] = (struct mail_field){ SLICE("a"),
		slice_first(slice_of(long_text), 257) };
	s->c.tag_count = 1;
}
static void
tag_twice(struct sample *s)
{
	s->tag[0] = (struct mail_field){ SLICE("a"), SLICE("b") };
	s->tag[1] = (struct mail_field){ SLICE("a"), SLICE("c") };
	s->c.tag_count = 2;
}
static void
tag_many(struct sample *s)
{
	s->c.tag_count = 51;
}
static void
file_many(struct sample *s)
{
	s->c.attachment_count = 101;
}
static void
file_name_break(struct sample *s)
{
	s->file[0].filename = SLICE("a\r\nb");
	s->c.attachment_count = 1;
}
static void
file_name_long(struct sample *s)
{
	s->file[0].filename = slice_first(slice_of(long_text), 256);
	s->c.attachment_count = 1;
}
static void
file_type_bad(struct sample *s)
{
	s->file[0].content_type = SLICE("pdf");
	s->c.attachment_count = 1;
}
static void
file_type_break(struct sample *s)
{
	s->file[0].content_type = SLICE("text/plain\nX: y");
	s->c.attachment_count = 1;
}
static void
file_cid_long(struct sample *s)
{
	s->file[0].content_id = slice_first(slice_of(long_text), 128);
	s->c.attachment_count = 1;
}
static void
file_cid_bad(struct sample *s)
{
	s->file[0].content_id = SLICE("<a>");
	s->c.attachment_count = 1;
}
static void
file_big(struct sample *s)
{
	/* Only its length is looked at. */
	s->file[0].data = (struct slice){ long_text, 31U << 20 };
	s->c.attachment_count = 1;
}

static const struct {
	void (*spoil)(struct sample *s);
	enum answer_kind kind;
	const char *begins;
} refusals[] = {
	{ no_from, ANSWER_FIELD_MISSING, "Missing `from` field." },
	{ no_to, ANSWER_FIELD_MISSING, "Missing `to` field." },
	{ no_subject, ANSWER_FIELD_MISSING, "Missing `subject` field." },
	{ no_body, ANSWER_FIELD_MISSING, "Missing `html` or `text` field." },
	{ subject_lf, ANSWER_VALIDATION,
	    "subject: has a line break at octet 3" },
	{ subject_cr, ANSWER_VALIDATION,
	    "subject: has a line break at octet 3" },
	{ subject_nul, ANSWER_VALIDATION,
	    "subject: has the control character 0x00 at octet 3" },
	{ subject_bad_utf8, ANSWER_VALIDATION, "subject: is not valid UTF-8" },
	{ subject_long, ANSWER_VALIDATION, "subject: has 999 octets" },
	{ text_nul, ANSWER_VALIDATION, "text: has a NUL character at octet 2" },
	{ html_nul, ANSWER_VALIDATION, "html: has a NUL character at octet 1" },
	{ to_many, ANSWER_VALIDATION, "to: has 51 addresses, at most 50" },
	{ cc_many, ANSWER_VALIDATION, "cc: has 51 addresses" },
	{ reply_to_many, ANSWER_VALIDATION, "reply_to: has 51 addresses" },
	{ together_many, ANSWER_VALIDATION, "to, cc, bcc: 60 recipients" },
	{ header_own, ANSWER_VALIDATION, "headers['DKIM-Signature']: " },
	{ header_break, ANSWER_VALIDATION, "headers['X-A']: " },
	{ header_name, ANSWER_VALIDATION, "headers['X A']: " },
	{ header_twice, ANSWER_VALIDATION, "headers['references']: is given" },
	{ header_many, ANSWER_VALIDATION, "headers: has 101 fields" },
	{ header_big, ANSWER_VALIDATION, "headers: more than 65536 octets" },
	{ tag_bad, ANSWER_VALIDATION, "tags[0]: its value 'b c' may have" },
	{ tag_empty, ANSWER_VALIDATION, "tags[0]: its name is empty" },
	{ tag_long, ANSWER_VALIDATION, "tags[0]: its value has 257" },
	{ tag_twice, ANSWER_VALIDATION, "tags[1]: the name 'a' is used twice" },
	{ tag_many, ANSWER_VALIDATION, "tags: has 51 tags" },
	{ file_many, ANSWER_ATTACHMENT, "attachments: has 101 files" },
	{ file_name_break, ANSWER_VALIDATION, "attachments[0].filename: has" },
	{ file_name_long, ANSWER_ATTACHMENT, "attachments[0]: its filename" },
	{ file_type_bad, ANSWER_ATTACHMENT,
	    "attachments[0]: its content_type" },
	{ file_type_break, ANSWER_VALIDATION,
	    "attachments[0].content_type: has a line break" },
	{ file_cid_long, ANSWER_ATTACHMENT, "attachments[0]: its content_id" },
	{ file_cid_bad, ANSWER_ATTACHMENT, "attachments[0]: its content_id" },
	{ file_big, ANSWER_TOO_LARGE, "html, text, attachments: " },
};

static void
each_rule_refuses_with_its_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct sample *s = sample_new();
		struct arena arena = ARENA_INIT;
		struct check_rcpt *rcpt;
		struct intake_answer no = { 0 };
		size_t n;

		refusals[i].spoil(s);
		print_message("%s\n", refusals[i].begins);
		assert_int_equal(check_content(&arena, &s->c, &limits, &rcpt,
				     &n, &no),
		    -1);
		print_message("  %s\n", no.message);
		assert_int_equal(no.kind, refusals[i].kind);
		assert_true(slice_starts(slice_of(no.message),
		    slice_of(refusals[i].begins)));
		arena_fini(&arena);
		free(s);
	}
}

static void
each_address_is_one_recipient_in_the_order_to_cc_bcc(void **state)
{
	static const struct {
		const char *address, *key, *domain;
		enum check_rcpt_field field;
	} want[] = {
		{ "a@example.com", "a@example.com", "example.com", CHECK_TO },
		{ "B@example.com", "b@example.com", "example.com", CHECK_TO },
		{ "c@example.net", "c@example.net", "example.net", CHECK_CC },
		{ "d@example.net", "d@example.net", "example.net", CHECK_BCC },
	};
	struct sample *s = sample_new();
	struct arena arena = ARENA_INIT;
	struct check_rcpt *rcpt;
	struct intake_answer no;
	size_t n;

	(void)state;
	s->to[1] = address("B", "example.com");
	s->to[2] = address("a", "example.com");
	s->cc[0] = address("A", "example.com");
	s->cc[1] = address("c", "example.net");
	s->bcc[0] = address("b", "example.com");
	s->bcc[1] = address("d", "example.net");
	s->c.to_count = 3;
	s->c.cc_count = s->c.bcc_count = 2;
	assert_int_equal(check_content(&arena, &s->c, &limits, &rcpt, &n, &no),
	    0);
	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++) {
		assert_true(slice_eq_text(rcpt[i].address, want[i].address));
		assert_true(slice_eq_text(rcpt[i].key, want[i].key));
		assert_true(slice_eq_text(rcpt[i].domain, want[i].domain));
		assert_int_equal(rcpt[i].field, want[i].field);
	}
	arena_fini(&arena);
	free(s);
}

static void
addresses_are_refused_with_place_and_reason(void **state)
{
	static const struct {
		const char *text, *begins;
	} rows[] = {
		{ "x@", "to[3]: 'x@' is not an email address: " },
		{ "", "to[3]: '' is not an email address: " },
		{ "x", "to[3]: 'x' is not an email address: " },
		{ "x@localhost", "to[3]: 'x@localhost' is not an email" },
		{ "x@[127.0.0.1]", "to[3]: 'x@[127.0.0.1]' is not an email" },
		{ "a@example.com\r\nBcc: b@example.com",
		    "to[3]: has a line break at octet 14" },
		{ "a@example.com, b@example.com", "to[3]: 'a@example.com, b" },
		{ "A\x01 <a@example.com>",
		    "to[3]: has the control character 0x01" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct mail_address a;
		struct intake_answer no = { 0 };

		assert_int_equal(check_address(&arena, "to", 3,
				     slice_of(rows[i].text), &a, &no),
		    -1);
		print_message("%s\n", no.message);
		assert_int_equal(no.kind, ANSWER_VALIDATION);
		assert_true(slice_starts(slice_of(no.message),
		    slice_of(rows[i].begins)));
		arena_fini(&arena);
	}
}

static void
idempotency_keys_have_1_to_256_characters(void **state)
{
	struct intake_answer no;
	struct slice s = slice_of(long_text);

	(void)state;
	assert_int_equal(check_idempotency_key(slice_first(s, 1), &no), 0);
	assert_int_equal(check_idempotency_key(slice_first(s, 256), &no), 0);
	assert_int_equal(check_idempotency_key(slice_first(s, 257), &no), -1);
	assert_int_equal(no.kind, ANSWER_IDEMPOTENCY_KEY);
	assert_int_equal(check_idempotency_key(SLICE(""), &no), -1);
	assert_int_equal(check_idempotency_key(SLICE("a\tb"), &no), -1);
	assert_int_equal(check_idempotency_key(SLICE("\xc3\xa4"), &no), -1);
}

static void
answers_have_the_names_and_statuses_of_the_api(void **state)
{
	static const struct {
		enum answer_kind kind;
		int status;
		const char *name;
	} rows[] = {
		{ ANSWER_OK, 200, "ok" },
		{ ANSWER_VALIDATION, 400, "validation_error" },
		{ ANSWER_IDEMPOTENCY_KEY, 400, "invalid_idempotency_key" },
		{ ANSWER_KEY_MISSING, 401, "missing_api_key" },
		{ ANSWER_KEY_RESTRICTED, 401, "restricted_api_key" },
		{ ANSWER_KEY_INVALID, 403, "invalid_api_key" },
		{ ANSWER_DOMAIN, 403, "validation_error" },
		{ ANSWER_NOT_FOUND, 404, "not_found" },
		{ ANSWER_IDEMPOTENT_CLASH, 409, "invalid_idempotent_request" },
		{ ANSWER_IDEMPOTENT_BUSY, 409,
		    "concurrent_idempotent_requests" },
		{ ANSWER_CONFLICT, 409, "resource_locked" },
		{ ANSWER_TOO_LARGE, 413, "validation_error" },
		{ ANSWER_FIELD_MISSING, 422, "missing_required_field" },
		{ ANSWER_PARAMETER, 422, "invalid_parameter" },
		{ ANSWER_ATTACHMENT, 422, "invalid_attachment" },
		{ ANSWER_SUPPRESSED, 422, "email_suppressed" },
		{ ANSWER_RATE, 429, "rate_limit_exceeded" },
		{ ANSWER_INTERNAL, 500, "internal_server_error" },
		{ ANSWER_UNAVAILABLE, 503, "service_unavailable" },
	};

	(void)state;
	assert_int_equal(ARRAY_LEN(rows), ANSWER_KIND_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(rows[i].kind, i);
		assert_int_equal(answer_status(rows[i].kind), rows[i].status);
		assert_string_equal(answer_name(rows[i].kind), rows[i].name);
	}
}

static void
long_messages_are_cut_between_characters(void **state)
{
	struct intake_answer a;

	(void)state;
	(void)answer_set(&a, ANSWER_VALIDATION, "%.318s\xc3\xa4\xc3\xa4",
	    long_text);
	assert_int_equal(strlen(a.message), 316 + 3);
	assert_string_equal(a.message + 316, "...");
	(void)answer_set(&a, ANSWER_VALIDATION, "%.315s\xc3\xa4\xc3\xa4",
	    long_text);
	assert_int_equal(strlen(a.message), 319);
	assert_string_equal(a.message + 315, "\xc3\xa4\xc3\xa4");
	assert_string_equal(answer_quote(SLICE("a\r\nb")).s, "a??b");
	assert_int_equal(strlen(answer_quote(slice_of(long_text)).s), 75);
}

TEST_MAIN(cmocka_unit_test(each_rule_refuses_with_its_field),
    cmocka_unit_test(each_address_is_one_recipient_in_the_order_to_cc_bcc),
    cmocka_unit_test(addresses_are_refused_with_place_and_reason),
    cmocka_unit_test(idempotency_keys_have_1_to_256_characters),
    cmocka_unit_test(answers_have_the_names_and_statuses_of_the_api),
    cmocka_unit_test(long_messages_are_cut_between_characters))

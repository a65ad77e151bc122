#include "test.h"

#include <stdlib.h>

#include "mail/content.h"

static void
make_content(struct mail_content *c)
{
	static struct mail_address to[2], cc[1], bcc[1], reply[1];
	static struct mail_field headers[2], tags[1];
	static struct mail_attachment files[2];

	to[0] = (struct mail_address){ SLICE("B"), SLICE("b"),
		SLICE("example.com"), false };
	to[1] = (struct mail_address){ SLICE(""), SLICE("\xc3\xbc"),
		SLICE("example.com"), true };
	cc[0] = bcc[0] = reply[0] = to[0];
	headers[0] = (struct mail_field){ SLICE("X-A"), SLICE("1") };
	headers[1] = (struct mail_field){ SLICE("X-B"), SLICE("") };
	tags[0] = (struct mail_field){ SLICE("kind"), SLICE("welcome") };
	files[0] = (struct mail_attachment){ SLICE("a.pdf"), SLICE(""),
		SLICE(""), SLICE("\0\1\2") };
	files[1] = (struct mail_attachment){ SLICE("b.png"), SLICE("image/png"),
		SLICE("logo"), SLICE("") };
	*c = (struct mail_content){
		.from = { SLICE("A"), SLICE("a"), SLICE("example.org"), false },
		.to_count = 2,
		.cc_count = 1,
		.bcc_count = 1,
		.reply_to_count = 1,
		.to = to,
		.cc = cc,
		.bcc = bcc,
		.reply_to = reply,
		.subject = SLICE("Subject"),
		.html = SLICE("<p>x"),
		.text = SLICE(""),
		.text_opted_out = true,
		.exactly_once = true,
		.broadcast = true,
		.header_count = 2,
		.header = headers,
		.attachment_count = 2,
		.attachment = files,
		.tag_count = 1,
		.tag = tags,
	};
}

static void
a_record_reads_as_it_was_written(void **state)
{
	struct strbuf record = STRBUF_INIT, again = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct mail_content c, d;
	struct error err;

	(void)state;
	make_content(&c);
	mail_content_encode(&c, &record);
	assert_int_equal(mail_content_decode(&arena, strbuf_slice(&record), &d,
			     &err),
	    0);
	assert_int_equal(d.to_count, 2);
	assert_true(d.to[1].smtputf8);
	assert_true(slice_eq_text(d.to[1].local, "\xc3\xbc"));
	assert_true(slice_eq_text(d.from.display, "A"));
	assert_int_equal(d.header_count, 2);
	assert_true(slice_eq_text(d.header[1].name, "X-B"));
	assert_int_equal(d.attachment_count, 2);
	assert_true(slice_eq(d.attachment[0].data, SLICE("\0\1\2")));
	assert_true(slice_eq_text(d.tag[0].value, "welcome"));
	assert_true(d.text_opted_out);
	assert_true(d.exactly_once);
	assert_true(d.broadcast);
	assert_non_null(d.text.ptr);
	mail_content_encode(&d, &again);
	assert_true(slice_eq(strbuf_slice(&record), strbuf_slice(&again)));
	strbuf_fini(&record);
	strbuf_fini(&again);
	arena_fini(&arena);
}

static void
absent_is_not_empty(void **state)
{
	struct strbuf record = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct mail_content c = { 0 }, d;
	struct error err;

	(void)state;
	mail_content_encode(&c, &record);
	assert_int_equal(mail_content_decode(&arena, strbuf_slice(&record), &d,
			     &err),
	    0);
	assert_null(d.html.ptr);
	assert_null(d.text.ptr);
	strbuf_fini(&record);
	arena_fini(&arena);
}

static void
fields_of_later_versions_are_passed_over(void **state)
{
	struct strbuf record = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct mail_content c, d;
	struct error err;

	(void)state;
	make_content(&c);
	mail_content_encode(&c, &record);
	strbuf_add(&record, "\xc8\0\0\0\3xyz", 8);
	assert_int_equal(mail_content_decode(&arena, strbuf_slice(&record), &d,
			     &err),
	    0);
	assert_true(slice_eq_text(d.subject, "Subject"));
	strbuf_fini(&record);
	arena_fini(&arena);
}

/* Wherever a record is cut or changed, reading ends well or says so. */
static void
broken_records_are_refused_and_never_read_beyond(void **state)
{
	struct strbuf record = STRBUF_INIT;
	struct mail_content c, d;
	struct error err;
	size_t refused = 0;

	(void)state;
	make_content(&c);
	mail_content_encode(&c, &record);
	for (size_t n = 0; n < record.len; n++) {
		struct arena arena = ARENA_INIT;
		/* A copy of its own, so that ASan sees a step beyond. */
		char *cut = slice_dup(slice_first(strbuf_slice(&record), n));

		if (mail_content_decode(&arena, slice_mem(cut, n), &d, &err) !=
		    0)
			refused++;
		free(cut);
		arena_fini(&arena);
		for (int bit = 0; bit < 8; bit++) {
			record.ptr[n] = (char)(record.ptr[n] ^ (1 << bit));
			(void)!mail_content_decode(&arena,
			    strbuf_slice(&record), &d, &err);
			record.ptr[n] = (char)(record.ptr[n] ^ (1 << bit));
			arena_fini(&arena);
		}
	}
	/* Cuts between two fields are whole records. */
	assert_true(refused > record.len * 3 / 4);
	strbuf_fini(&record);
}

static void
one_local_part_in_the_header_asks_for_smtputf8(void **state)
{
	struct mail_address plain = { SLICE("\xc3\xbc"), SLICE("a"),
		SLICE("example.org"), false };
	struct mail_address wide = { SLICE(""), SLICE("\xc3\xbc"),
		SLICE("example.org"), true };
	struct mail_content c = { .from = plain,
		.subject = SLICE("\xc3\xbc"),
		.to = &plain,
		.to_count = 1,
		.bcc = &wide,
		.bcc_count = 1 };

	(void)state;
	assert_false(mail_content_needs_smtputf8(&c));
	c.reply_to = &wide;
	c.reply_to_count = 1;
	assert_true(mail_content_needs_smtputf8(&c));
	c.reply_to_count = 0;
	c.cc = &wide;
	c.cc_count = 1;
	assert_true(mail_content_needs_smtputf8(&c));
	c.cc_count = 0;
	c.to = &wide;
	assert_true(mail_content_needs_smtputf8(&c));
	c.to = &plain;
	c.from = wide;
	assert_true(mail_content_needs_smtputf8(&c));
}

TEST_MAIN(cmocka_unit_test(one_local_part_in_the_header_asks_for_smtputf8),
    cmocka_unit_test(a_record_reads_as_it_was_written),
    cmocka_unit_test(absent_is_not_empty),
    cmocka_unit_test(fields_of_later_versions_are_passed_over),
    cmocka_unit_test(broken_records_are_refused_and_never_read_beyond))

#include "test.h"

#include <stdlib.h>

#include "mail/mime.h"

static const struct mime_options options = {
	.message_id = "id@example.org",
	.date_ms = 1764535199540,
	.boundary_seed = "seed",
	.reference = "b-token",
};

#define HEAD                                                                   \
	"From: A <a@example.org>\r\n"                                          \
	"To: b@example.com\r\n"                                                \
	"Subject: S\r\n"                                                       \
	"Date: Sun, 30 Nov 2025 20:39:59 +0000\r\n"                            \
	"Message-ID: <id@example.org>\r\n"                                     \
	"X-Verpost-Ref: b-token\r\n"                                           \
	"MIME-Version: 1.0\r\n"
#define PLAIN                                                                  \
	"Content-Type: text/plain; charset=utf-8\r\n"                          \
	"Content-Transfer-Encoding: 7bit\r\n\r\n"
#define HTML                                                                   \
	"Content-Type: text/html; charset=utf-8\r\n"                           \
	"Content-Transfer-Encoding: 7bit\r\n\r\n"
#define B(n) "--=_seed_" n "\r\n"
#define E(n) "--=_seed_" n "--\r\n"

static struct mail_address to = { { NULL, 0 }, { "b", 1 },
	{ "example.com", 11 }, false };

static struct mail_content
base_content(void)
{
	return (struct mail_content){
		.from = { SLICE("A"), SLICE("a"), SLICE("example.org"), false },
		.to = &to,
		.to_count = 1,
		.subject = SLICE("S"),
	};
}

static void
check(const struct mail_content *c, const char *want)
{
	struct strbuf out = STRBUF_INIT;

	mime_build(c, &options, &out);
	assert_string_equal(strbuf_text(&out), want);
	strbuf_fini(&out);
}

static void
each_shape_has_its_tree(void **state)
{
	struct mail_attachment files[2] = {
		{ SLICE("a.txt"), SLICE(""), SLICE(""), SLICE("hello") },
		{ SLICE("l.png"), SLICE("image/png"), SLICE("<logo>"),
		    SLICE("png") },
	};
	struct mail_content c = base_content();

	(void)state;
	c.text = SLICE("text\n");
	check(&c, HEAD PLAIN "text\r\n");
	c.html = SLICE("<p>html");
	check(&c,
	    HEAD
	    "Content-Type: multipart/alternative; boundary=\"=_seed_0\"\r\n"
	    "\r\n" B("0") PLAIN "text\r\n\r\n" B("0") HTML
	    "<p>html\r\n" E("0"));
	c.text = (struct slice){ NULL, 0 };
	check(&c,
	    HEAD
	    "Content-Type: multipart/alternative; boundary=\"=_seed_0\"\r\n"
	    "\r\n" B("0") PLAIN "html\r\n\r\n" B("0") HTML
	    "<p>html\r\n" E("0"));
	c.text_opted_out = true;
	check(&c, HEAD HTML "<p>html\r\n");
	c.attachment = files;
	c.attachment_count = 2;
	check(&c,
	    HEAD
	    "Content-Type: multipart/mixed; boundary=\"=_seed_0\"\r\n"
	    "\r\n" B(
		"0") "Content-Type: multipart/related; type=\"text/html\"; "
		     "boundary=\"=_seed_1\"\r\n\r\n" B("1") HTML
	    "<p>html\r\n" B(
		"1") "Content-Type: image/png\r\n"
		     "Content-Transfer-Encoding: base64\r\n"
		     "Content-Disposition: inline; filename=\"l.png\"\r\n"
		     "Content-ID: <logo>\r\n\r\ncG5n\r\n" E("1")
			 B("0") "Content-Type: text/plain\r\n"
				"Content-Transfer-Encoding: base64\r\n"
				"Content-Disposition: attachment; "
				"filename=\"a.txt\"\r\n"
				"\r\naGVsbG8=\r\n" E("0"));
}

static const struct {
	const char *text, *encoding, *body;
} bodies[] = {
	{ "", "7bit", "" },
	{ "a", "7bit", "a\r\n" },
	{ "a\nb\rc\r\nd\r\r\n", "7bit", "a\r\nb\r\nc\r\nd\r\n\r\n" },
	{ ".\n..\n", "7bit", ".\r\n..\r\n" },
	{ "The caf\xc3\xa9 is open\n", "quoted-printable",
	    "The caf=C3=A9 is open\r\n" },
	{ "From me\n From\n", "quoted-printable", "=46rom me\r\n From\r\n" },
	{ "=_ is a boundary's \n", "quoted-printable",
	    "=3D_ is a boundary's=20\r\n" },
	{ "the bell \a rings\n", "quoted-printable", "the bell =07 rings\r\n" },
	{ "\xc3\xa4\xc3\xa4\xc3\xa4\n", "base64", "w6TDpMOkDQo=\r\n" },
};

static void
a_body_takes_the_encoding_it_needs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct mail_content c = base_content();
		struct strbuf want = STRBUF_INIT;

		c.text = slice_of(bodies[i].text);
		strbuf_add_fmt(&want,
		    HEAD "Content-Type: text/plain; charset=utf-8\r\n"
			 "Content-Transfer-Encoding: %s\r\n\r\n%s",
		    bodies[i].encoding, bodies[i].body);
		print_message("case %zu\n", i);
		check(&c, strbuf_text(&want));
		strbuf_fini(&want);
	}
}

static void
a_nul_in_a_text_is_encoded(void **state)
{
	struct mail_content c = base_content();

	(void)state;
	c.text = SLICE("a\0b and enough besides\n");
	check(&c,
	    HEAD "Content-Type: text/plain; charset=utf-8\r\n"
		 "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
		 "a=00b and enough besides\r\n");
}

/* A line of n octets at the very end and before others. */
static void
long_lines_leave_7bit_at_998(void **state)
{
	(void)state;
	for (size_t n = 990; n < 1010; n++) {
		struct mail_content c = base_content();
		struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
		struct slice rest, line;

		for (size_t i = 0; i < n; i++)
			strbuf_add_char(&text, "abc "[i % 4]);
		strbuf_add_text(&text, "\nend\n");
		c.text = strbuf_slice(&text);
		mime_build(&c, &options, &out);
		assert_int_equal(slice_find(strbuf_slice(&out), SLICE("7bit")) <
			out.len,
		    n <= 998);
		rest = strbuf_slice(&out);
		while (slice_take_line(&rest, &line))
			assert_true(line.len <= (n <= 998 ? 998 : 78));
		strbuf_fini(&text);
		strbuf_fini(&out);
	}
}

/* A search per line would make this take minutes. */
static void
a_text_of_nothing_but_line_ends_is_built_at_once(void **state)
{
	struct mail_content c = base_content();
	struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;

	(void)state;
	for (int i = 0; i < 3000000; i++)
		strbuf_add_char(&text, '\r');
	c.text = strbuf_slice(&text);
	mime_build(&c, &options, &out);
	assert_true(out.len > 6000000);
	strbuf_fini(&text);
	strbuf_fini(&out);
}

static void
the_same_input_gives_the_same_octets(void **state)
{
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
	struct mail_content c = base_content();

	(void)state;
	c.html = SLICE("<p>x <a href='https://example.com'>y</a>");
	mime_build(&c, &options, &a);
	mime_build(&c, &options, &b);
	assert_true(slice_eq(strbuf_slice(&a), strbuf_slice(&b)));
	strbuf_fini(&a);
	strbuf_fini(&b);
}

static void
bcc_and_fields_of_ours_are_not_written(void **state)
{
	struct mail_field headers[] = {
		{ SLICE("X-Good"), SLICE("yes") },
		{ SLICE("bcc"), SLICE("hidden@example.com") },
		{ SLICE("From"), SLICE("x@example.com") },
		{ SLICE("X-Bad"), SLICE("a\r\nBcc: hidden@example.com") },
		{ SLICE("Message-Id"), SLICE("<mine@example.org>") },
		{ SLICE("message-id"), SLICE("<second@example.org>") },
	};
	struct mail_content c = base_content();
	struct strbuf out = STRBUF_INIT;

	(void)state;
	c.text = SLICE("x");
	c.bcc = &to;
	c.bcc_count = 1;
	c.to_count = 0;
	c.header = headers;
	c.header_count = ARRAY_LEN(headers);
	mime_build(&c, &options, &out);
	assert_non_null(strstr(out.ptr, "\r\nX-Good: yes\r\n"));
	assert_non_null(
	    strstr(out.ptr, "\r\nTo: undisclosed-recipients:;\r\n"));
	assert_non_null(strstr(out.ptr, "\r\nMessage-Id: <mine@example.org>"));
	assert_null(strstr(out.ptr, "hidden"));
	assert_null(strstr(out.ptr, "second"));
	assert_null(strstr(out.ptr, "x@example.com"));
	assert_null(strstr(out.ptr, "id@example.org>\r\nX"));
	assert_null(strstr(out.ptr, "b@example.com"));
	strbuf_fini(&out);
}

static const struct {
	const char *given, *written;
} content_types[] = {
	{ "application/pdf", "Content-Type: application/pdf\r\n" },
	{ " text/calendar; method=REQUEST; charset=\"utf-8\"",
	    "Content-Type: text/calendar; method=\"REQUEST\"; "
	    "charset=\"utf-8\"\r\n" },
	{ "text/plain; charset", "Content-Type: text/plain\r\n" },
	{ "text/plain\r\nX-Evil: 1", "Content-Type: text/plain\r\n" },
	{ "multipart/mixed; boundary=x",
	    "Content-Type: application/octet-stream\r\n" },
	{ "message/rfc822", "Content-Type: application/octet-stream\r\n" },
	{ "nonsense", "Content-Type: application/octet-stream\r\n" },
	{ "a/b/c", "Content-Type: a/b\r\n" },
};

static void
content_types_of_attachments_inject_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(content_types); i++) {
		struct mail_attachment file = { SLICE("x"),
			slice_of(content_types[i].given),
			SLICE("<a b\r\nX-Evil: 2>"), SLICE("x") };
		struct mail_content c = base_content();
		struct strbuf out = STRBUF_INIT;

		c.text = SLICE("x");
		c.attachment = &file;
		c.attachment_count = 1;
		mime_build(&c, &options, &out);
		print_message("case %zu: %s\n", i, content_types[i].given);
		assert_non_null(strstr(out.ptr, content_types[i].written));
		assert_null(strstr(out.ptr, "\nX-Evil"));
		assert_non_null(
		    strstr(out.ptr, "Content-ID: <a_b__X-Evil:_2>\r\n"));
		strbuf_fini(&out);
	}
}

static const struct {
	const char *name, *value;
	bool ok;
} fields[] = {
	{ "X-Entity-Ref-ID", "123", true },
	{ "List-Unsubscribe", "<https://example.com/u?x=1>", true },
	{ "In-Reply-To", "<a@b>", true },
	{ "Message-ID", "<a@b>", true },
	{ "X-\xc3\xa4", "x", false },
	{ "X A", "x", false },
	{ "X:", "x", false },
	{ "", "x", false },
	{ "X-A", "a\nb", false },
	{ "X-A", "a\rb", false },
	{ "X-A", "\x7f", false },
	{ "X-A", "\xff", false },
	{ "X-A", "gr\xc3\xbc\xc3\x9f", true },
	{ "Message-ID", "a@b", false },
	{ "Message-ID", "<a b@c>", false },
	{ "message-id", "<@c>", false },
	{ "FROM", "x", false },
	{ "Content-Type", "x", false },
	{ "content-foo", "x", false },
	{ "DKIM-Signature", "x", false },
	{ "Return-Path", "x", false },
	{ "Received", "x", false },
	{ "ARC-Seal", "x", false },
	{ "Sender", "x", false },
	{ "X-Verpost-Ref", "x", false },
};

static void
users_may_set_some_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct error err = { 0 };

		print_message("case %zu: %s\n", i, fields[i].name);
		assert_int_equal(mime_header_check(slice_of(fields[i].name),
				     slice_of(fields[i].value), &err) == 0,
		    fields[i].ok);
	}
}

static void
types_follow_from_file_names(void **state)
{
	(void)state;
	assert_string_equal(mime_type_of_filename(SLICE("A.B.PDF")),
	    "application/pdf");
	assert_string_equal(mime_type_of_filename(SLICE("x.jpeg")),
	    "image/jpeg");
	assert_string_equal(mime_type_of_filename(SLICE("pdf")),
	    "application/octet-stream");
	assert_string_equal(mime_type_of_filename(SLICE("")),
	    "application/octet-stream");
	assert_string_equal(mime_type_of_filename(SLICE("x.")),
	    "application/octet-stream");
}

TEST_MAIN(cmocka_unit_test(each_shape_has_its_tree),
    cmocka_unit_test(a_body_takes_the_encoding_it_needs),
    cmocka_unit_test(a_nul_in_a_text_is_encoded),
    cmocka_unit_test(long_lines_leave_7bit_at_998),
    cmocka_unit_test(a_text_of_nothing_but_line_ends_is_built_at_once),
    cmocka_unit_test(the_same_input_gives_the_same_octets),
    cmocka_unit_test(bcc_and_fields_of_ours_are_not_written),
    cmocka_unit_test(content_types_of_attachments_inject_nothing),
    cmocka_unit_test(users_may_set_some_fields),
    cmocka_unit_test(types_follow_from_file_names))

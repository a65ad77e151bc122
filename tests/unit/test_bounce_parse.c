#include "test.h"

#include "bounce/parse.h"

#define HEAD                                                                   \
	"From: MAILER-DAEMON@mx.example.com\r\n"                               \
	"To: b-token@bounces.example.org\r\n"                                  \
	"Subject: =?utf-8?q?Unzustellbar=3A_Gr=C3=BC=C3=9Fe?=\r\n"             \
	"MIME-Version: 1.0\r\n"
#define REPORT                                                                 \
	HEAD "Content-Type: multipart/report;\r\n"                             \
	     " report-type=delivery-status; boundary=\"b\"\r\n\r\n"            \
	     "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
#define STATUS "--b\r\nContent-Type: message/delivery-status\r\n"
#define BLOCKS                                                                 \
	"\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"                       \
	"Final-Recipient: rfc822; a@example.com\r\n"                           \
	"Action: failed\r\nStatus: 5.1.1\r\n"                                  \
	"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n"
#define RETURNED                                                               \
	"--b\r\nContent-Type: message/rfc822\r\n\r\n"                          \
	"Subject: mine\r\n\r\nHello\r\n"
#define BASE64_BLOCKS                                                          \
	"Content-Transfer-Encoding: base64\r\n\r\n"                            \
	"RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGFAZXhhbXBsZS5jb20NCkFjdGlvbjogZmFp" \
	"bGVk\r\nDQpTdGF0dXM6IDUuMS4xDQo=\r\n"

static const struct {
	const char *raw;
	enum bounce_kind kind;
	const char *detail;
} cases[] = {
	{ REPORT STATUS BLOCKS RETURNED "--b--\r\n", BOUNCE_FAILED, "" },
	/* Never closed, as when it was cut. */
	{ REPORT STATUS BLOCKS, BOUNCE_FAILED, "" },
	{ "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\r\n" REPORT STATUS BLOCKS
	  "--b--\r\n",
	    BOUNCE_FAILED, "" },
	{ REPORT STATUS BASE64_BLOCKS "--b--\r\n", BOUNCE_FAILED, "" },
	/* In a multipart within, of another type. */
	{ HEAD "Content-Type: multipart/mixed; boundary=o\r\n\r\n"
	       "--o\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" STATUS
		   BLOCKS "--b--\r\n--o--\r\n",
	    BOUNCE_FAILED, "" },
	{ REPORT STATUS "\r\nFinal-Recipient: rfc822; a@example.com\r\n"
			"Action: delayed\r\nStatus: 4.4.1\r\n\r\n--b--\r\n",
	    BOUNCE_DELAYED, "" },
	{ REPORT STATUS "\r\nFinal-Recipient: rfc822; a@example.com\r\n"
			"Action: delivered\r\nStatus: 2.0.0\r\n\r\n"
			"Final-Recipient: rfc822; b@example.com\r\n"
			"Action: failed\r\nStatus: 5.0.0\r\n\r\n--b--\r\n",
	    BOUNCE_FAILED, "" },
	{ REPORT STATUS "\r\nFinal-Recipient: rfc822; a@example.com\r\n"
			"Action: relayed\r\nStatus: 2.0.0\r\n\r\n--b--\r\n",
	    BOUNCE_DELIVERED, "" },
	{ REPORT STATUS "\r\nnothing: here\r\n--b--\r\n", BOUNCE_NONE,
	    "no recipient with an action in the delivery status" },
	{ REPORT "--b--\r\n", BOUNCE_NONE, "no delivery status part" },
	{ HEAD "\r\nUser a@example.com is unknown. 550 5.1.1\r\n", BOUNCE_NONE,
	    "no delivery status part" },
	/* A report about another mail, returned inside this one. */
	{ HEAD
	    "Content-Type: multipart/mixed; boundary=o\r\n\r\n"
	    "--o\r\nContent-Type: message/rfc822\r\n\r\n" REPORT STATUS BLOCKS
	    "--b--\r\n--o--\r\n",
	    BOUNCE_NONE, "no delivery status part" },
};

static void
a_standard_report_is_found_and_nothing_else(void **state)
{
	(void)state;
	bounce_parse_init();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct bounce_report r;

		bounce_parse(&arena, slice_of(cases[i].raw), &r);
		print_message("case %zu: %.*s\n", i, SLICE_FMT(r.detail));
		assert_int_equal(r.kind, cases[i].kind);
		assert_true(slice_eq_text(r.detail, cases[i].detail));
		assert_true(slice_eq_text(r.subject,
		    "Unzustellbar: Gr\xc3\xbc\xc3\x9f"
		    "e"));
		if (i == 0) {
			assert_int_equal(r.dsn.count, 1);
			assert_true(slice_eq_text(r.dsn.reporting_mta,
			    "mx.example.com"));
			assert_true(slice_eq_text(r.dsn.recipient[0].diagnostic,
			    "550 5.1.1 no such user"));
			assert_int_equal(r.dsn.recipient[0].reply_code, 550);
		}
		arena_fini(&arena);
	}
}

/* The same with bare LF, which some systems leave. */
static void
line_ends_do_not_matter(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf raw = STRBUF_INIT;
		struct arena arena = ARENA_INIT;
		struct bounce_report r;

		for (const char *p = cases[i].raw; *p != '\0'; p++)
			if (*p != '\r')
				strbuf_add_char(&raw, *p);
		bounce_parse(&arena, strbuf_slice(&raw), &r);
		print_message("case %zu\n", i);
		assert_int_equal(r.kind, cases[i].kind);
		strbuf_fini(&raw);
		arena_fini(&arena);
	}
}

static void
nonsense_is_none(void **state)
{
	static const char *const texts[] = { "", "\r\n", "x", "\r\n\r\n", ":",
		"Content-Type: multipart/report\r\n\r\n",
		"Content-Type: multipart/report; boundary=\"\"\r\n\r\n--\r\n",
		"Content-Type: message/delivery-status\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct arena arena = ARENA_INIT;
		struct bounce_report r;

		bounce_parse(&arena, slice_of(texts[i]), &r);
		print_message("case %zu\n", i);
		assert_int_equal(r.kind, BOUNCE_NONE);
		assert_true(r.detail.len > 0);
		arena_fini(&arena);
	}
}

/* Parts within parts, and parts beside parts, beyond the bounds. */
static void
depth_and_number_of_parts_are_bounded(void **state)
{
	struct strbuf deep = STRBUF_INIT, wide = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct bounce_report r;

	(void)state;
	for (int i = 0; i < 200; i++)
		strbuf_add_fmt(&deep,
		    "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n"
		    "--b%d\r\n",
		    i, i);
	strbuf_add_text(&deep,
	    "Content-Type: message/delivery-status\r\n" BLOCKS);
	bounce_parse(&arena, strbuf_slice(&deep), &r);
	assert_int_equal(r.kind, BOUNCE_NONE);
	strbuf_add_text(&wide,
	    "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < 20000; i++)
		strbuf_add_text(&wide, "--b\r\n\r\nx\r\n");
	strbuf_add_text(&wide, STATUS BLOCKS "--b--\r\n");
	bounce_parse(&arena, strbuf_slice(&wide), &r);
	assert_int_equal(r.kind, BOUNCE_NONE);
	strbuf_fini(&deep);
	strbuf_fini(&wide);
	arena_fini(&arena);
}

/* Each of them ended the process or took most of its memory. */
static void
endless_fields_and_parts_do_no_harm(void **state)
{
	static const struct {
		const char *head, *again;
		bool is_found; /* the status that stands in front */
	} bombs[] = {
		{ "To: ", "g:", false },
		{ "To: a\r\n", " g:\r\n", false },
		{ "From: ", "((", false },
		{ "Subject: x\r\n", " y\r\n", false },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
		    "--b\r\n\r\n", false },
		{ "", "X: y\r\n", false },
		{ REPORT STATUS BLOCKS
		    "--b\r\nContent-Type: message/rfc822\r\n\r\nTo: ",
		    "g:", true },
		{ REPORT STATUS BLOCKS
		    "--b\r\nContent-Type: message/rfc822\r\n\r\nTo: x\r\n",
		    "\tg:((\r\n", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bombs); i++) {
		struct strbuf raw = STRBUF_INIT;
		struct arena arena = ARENA_INIT;
		struct bounce_report r;

		strbuf_add_text(&raw, bombs[i].head);
		while (raw.len < 2000000)
			strbuf_add_text(&raw, bombs[i].again);
		bounce_parse(&arena, strbuf_slice(&raw), &r);
		assert_int_equal(r.kind,
		    bombs[i].is_found ? BOUNCE_FAILED : BOUNCE_NONE);
		strbuf_fini(&raw);
		arena_fini(&arena);
	}
}

TEST_MAIN(cmocka_unit_test(a_standard_report_is_found_and_nothing_else),
    cmocka_unit_test(line_ends_do_not_matter),
    cmocka_unit_test(nonsense_is_none),
    cmocka_unit_test(depth_and_number_of_parts_are_bounded),
    cmocka_unit_test(endless_fields_and_parts_do_no_harm))

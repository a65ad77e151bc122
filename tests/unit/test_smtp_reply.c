#include "test.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "smtp/reply.h"

static const struct {
	const char *lines[6];
	unsigned int code; /* 0: must be refused at the last line */
	const char *status, *text;
} cases[] = {
	{ { "250 Ok" }, 250, "", "Ok" },
	{ { "250" }, 250, "", "" },
	{ { "250 " }, 250, "", "" },
	{ { "250-", "250" }, 250, "", "" },
	{ { "250-one", "250-two", "250 three" }, 250, "", "one two three" },
	{ { "550 5.1.1 No such user" }, 550, "5.1.1", "No such user" },
	{ { "550 5.1.1" }, 550, "5.1.1", "" },
	/* servers repeat the status on each line */
	{ { "550-5.1.1 No such", "550 5.1.1 user" }, 550, "5.1.1",
	    "No such user" },
	/* ... or give it on one of them only */
	{ { "550-Sorry:", "550 5.7.1 blocked" }, 550, "5.7.1",
	    "Sorry: blocked" },
	/* another status is text */
	{ { "550-5.1.1 a", "550 5.7.1 b" }, 550, "5.1.1", "a 5.7.1 b" },
	/* a status of another class is text */
	{ { "550 2.1.5 fine" }, 550, "", "2.1.5 fine" },
	{ { "450 5.1.1 gone" }, 450, "", "5.1.1 gone" },
	{ { "250 version 5.1.1" }, 250, "", "version 5.1.1" },
	{ { "571 odd code" }, 571, "", "odd code" },
	/* what must not reach a log or a database */
	{ { "250 a\tb\x01"
	    "c\x1b[31m" },
	    250, "", "a b?c?[31m" },
	{ { "250 gr\xc3\xbc\xc3\x9f" }, 250, "", "gr\xc3\xbc\xc3\x9f" },
	{ { "250 a\xff\xc3" }, 250, "", "a??" },
	{ { "250 csi \xc2\x9b!" }, 250, "", "csi ?!" },
	{ { "250 cr\rlf" }, 250, "", "cr?lf" },
	{ { "" }, 0, NULL, NULL },
	{ { "2" }, 0, NULL, NULL },
	{ { "25" }, 0, NULL, NULL },
	{ { "250ok" }, 0, NULL, NULL },
	{ { "250_ok" }, 0, NULL, NULL },
	{ { "2500 ok" }, 0, NULL, NULL },
	{ { " 250 ok" }, 0, NULL, NULL },
	{ { "abc def" }, 0, NULL, NULL },
	{ { "150 wait" }, 0, NULL, NULL },
	{ { "000 nothing" }, 0, NULL, NULL },
	{ { "600 much" }, 0, NULL, NULL },
	{ { "+OK" }, 0, NULL, NULL },
	{ { "250-a", "550 b" }, 0, NULL, NULL },
	{ { "250-a", "b" }, 0, NULL, NULL },
};

static void
takes_a_reply_or_refuses_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct smtp_reply_parser p = { 0 };
		struct error err = { 0 };
		char status[MAIL_STATUS_TEXT];
		size_t last = 0;
		int rc = 0;

		print_message("case %zu: '%s'\n", i, cases[i].lines[0]);
		while (cases[i].lines[last + 1] != NULL)
			last++;
		for (size_t n = 0; n <= last; n++) {
			rc = smtp_reply_feed(&p, slice_of(cases[i].lines[n]),
			    NULL, NULL, &err);
			if (n < last)
				assert_int_equal(rc, 0);
		}
		assert_int_equal(rc, cases[i].code != 0 ? 1 : -1);
		if (cases[i].code == 0) {
			assert_int_equal(err.kind, ERR_SYNTAX);
			continue;
		}
		mail_status_format(p.reply.status, status);
		assert_int_equal(p.reply.code, cases[i].code);
		assert_string_equal(status, cases[i].status);
		assert_string_equal(p.reply.text, cases[i].text);
		assert_int_equal(p.reply.text_len, strlen(cases[i].text));
	}
}

static void
a_parser_is_ready_for_the_next_reply(void **state)
{
	struct smtp_reply_parser p = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(smtp_reply_feed(&p, SLICE("550-5.1.1 a"), NULL, NULL,
			     &err),
	    0);
	assert_int_equal(smtp_reply_feed(&p, SLICE("550 b"), NULL, NULL, &err),
	    1);
	assert_int_equal(smtp_reply_feed(&p, SLICE("250 c"), NULL, NULL, &err),
	    1);
	assert_int_equal(p.reply.code, 250);
	assert_false(mail_status_is_set(p.reply.status));
	assert_string_equal(p.reply.text, "c");
}

static void
cuts_long_texts_between_characters(void **state)
{
	struct smtp_reply_parser p = { 0 };
	struct error err = { 0 };
	struct strbuf line = STRBUF_INIT;

	(void)state;
	strbuf_add_text(&line, "250-");
	for (int i = 0; i < 300; i++)
		strbuf_add_text(&line, "\xc3\xa9"); /* 2 octets each */
	assert_int_equal(smtp_reply_feed(&p, strbuf_slice(&line), NULL, NULL,
			     &err),
	    0);
	assert_int_equal(smtp_reply_feed(&p, SLICE("250 more"), NULL, NULL,
			     &err),
	    1);
	assert_in_range(p.reply.text_len, SMTP_REPLY_TEXT_MAX - 2,
	    SMTP_REPLY_TEXT_MAX);
	assert_int_equal(strlen(p.reply.text), p.reply.text_len);
	assert_string_equal(p.reply.text + p.reply.text_len - 5, "\xc3\xa9...");
	strbuf_fini(&line);
}

static void
refuses_what_is_too_long(void **state)
{
	struct smtp_reply_parser p = { 0 };
	struct error err = { 0 };
	char *line = xmalloc(SMTP_REPLY_LINE_MAX + 2);

	(void)state;
	memset(line, 'x', SMTP_REPLY_LINE_MAX + 1);
	memcpy(line, "250-", 4);
	assert_int_equal(smtp_reply_feed(&p,
			     slice_mem(line, SMTP_REPLY_LINE_MAX), NULL, NULL,
			     &err),
	    0);
	assert_int_equal(smtp_reply_feed(&p,
			     slice_mem(line, SMTP_REPLY_LINE_MAX + 1), NULL,
			     NULL, &err),
	    -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	free(line);
}

static void
refuses_too_many_lines(void **state)
{
	struct smtp_reply_parser p = { 0 };
	struct error err = { 0 };

	(void)state;
	for (int i = 0; i < SMTP_REPLY_LINES_MAX; i++)
		assert_int_equal(smtp_reply_feed(&p, SLICE("250-x"), NULL, NULL,
				     &err),
		    0);
	assert_int_equal(smtp_reply_feed(&p, SLICE("250 x"), NULL, NULL, &err),
	    -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

TEST_MAIN(cmocka_unit_test(takes_a_reply_or_refuses_it),
    cmocka_unit_test(a_parser_is_ready_for_the_next_reply),
    cmocka_unit_test(cuts_long_texts_between_characters),
    cmocka_unit_test(refuses_what_is_too_long),
    cmocka_unit_test(refuses_too_many_lines))

/* The transcript: its form, its bounds, and whose lines the client's are. */
#include "test.h"

#include <stdio.h>

#include "base/mem.h"
#include "smtp/client.h"
#include "smtp/transcript.h"

#define KEEP SMTP_TRANSCRIPT_LEAST

static void
check(const struct smtp_transcript *t, const char *expected)
{
	struct strbuf out = STRBUF_INIT;

	smtp_transcript_add(&out, t);
	assert_string_equal(strbuf_text(&out), expected);
	strbuf_fini(&out);
}

static void
each_line_stands_as_it_was_and_harms_nobody(void **state)
{
	static const struct {
		char who;
		const char *line, *shown;
	} rows[] = {
		{ 'S', "220 mx ESMTP", "< 220 mx ESMTP\n" },
		{ 'C', "EHLO me", "> EHLO me\n" },
		{ '*', "a note", "* a note\n" },
		{ 'S', "", "< \n" },
		{ 'S', "250 \x1b[31m red", "< 250 \\x1b[31m red\n" },
		{ 'S', "250 a\\b", "< 250 a\\x5cb\n" },
		{ 'S', "250 caf\xc3\xa9\xff\r",
		    "< 250 caf\\xc3\\xa9\\xff\\x0d\n" },
		{ 'C', "AUTH PLAIN AGEAYg==", "> AUTH ****\n" },
		{ 'C', "auth login", "> AUTH ****\n" },
		{ 'C', "AUTHOR", "> AUTHOR\n" },
		{ 'S', "250-AUTH PLAIN", "< 250-AUTH PLAIN\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_transcript t;

		smtp_transcript_init(&t, KEEP);
		smtp_transcript_line(&t, rows[i].who, slice_of(rows[i].line));
		check(&t, rows[i].shown);
		smtp_transcript_fini(&t);
	}
}

static void
what_answers_a_challenge_is_secret(void **state)
{
	struct smtp_transcript t;

	(void)state;
	smtp_transcript_init(&t, KEEP);
	smtp_transcript_line(&t, 'C', SLICE("AUTH LOGIN"));
	smtp_transcript_line(&t, 'S', SLICE("334 VXNlcm5hbWU6"));
	smtp_transcript_line(&t, 'C', SLICE("dXNlcg=="));
	smtp_transcript_line(&t, 'S', SLICE("334 UGFzc3dvcmQ6"));
	smtp_transcript_line(&t, 'C', SLICE("c2VjcmV0"));
	smtp_transcript_line(&t, 'S', SLICE("235 ok"));
	smtp_transcript_line(&t, 'C', SLICE("MAIL FROM:<>"));
	check(&t,
	    "> AUTH ****\n< 334 VXNlcm5hbWU6\n> ****\n"
	    "< 334 UGFzc3dvcmQ6\n> ****\n< 235 ok\n> MAIL FROM:<>\n");
	smtp_transcript_fini(&t);
}

static void
a_long_line_loses_its_end(void **state)
{
	struct smtp_transcript t;
	char line[SMTP_TRANSCRIPT_LINE_MAX + 7];
	struct strbuf out = STRBUF_INIT;

	(void)state;
	memset(line, 'x', sizeof(line));
	smtp_transcript_init(&t, KEEP);
	smtp_transcript_line(&t, 'S',
	    slice_mem(line, SMTP_TRANSCRIPT_LINE_MAX));
	assert_int_equal(t.text.len, SMTP_TRANSCRIPT_LINE_MAX + 3);
	smtp_transcript_reset(&t);
	smtp_transcript_line(&t, 'S', slice_mem(line, sizeof(line)));
	smtp_transcript_add(&out, &t);
	assert_true(slice_ends_nocase(strbuf_slice(&out),
	    SLICE("x [7 octets more]\n")));
	strbuf_fini(&out);
	smtp_transcript_fini(&t);
}

/* Lines "0000".., of which the first and the last must be there. */
static void
a_long_transcript_loses_its_middle(void **state)
{
	struct smtp_transcript t;
	struct strbuf out = STRBUF_INIT;
	size_t shown, dropped = 0;
	char text[32];

	(void)state;
	smtp_transcript_init(&t, KEEP);
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "%04d line", i);
		smtp_transcript_line(&t, 'S', slice_of(text));
		assert_true(t.text.len <= KEEP);
		assert_true(t.text.cap <= 2 * KEEP);
	}
	smtp_transcript_add(&out, &t);
	shown = t.text.len;
	dropped = t.dropped;
	assert_int_equal(shown + dropped, 10000 * strlen("< 0000 line\n"));
	assert_true(shown >= KEEP / 2);
	assert_true(slice_starts(strbuf_slice(&out), SLICE("< 0000 line\n")));
	assert_true(
	    slice_ends_nocase(strbuf_slice(&out), SLICE("\n< 9999 line\n")));
	snprintf(text, sizeof(text), "\n* [%zu octets", dropped);
	assert_true(slice_find(strbuf_slice(&out), slice_of(text)) < out.len);
	strbuf_fini(&out);
	smtp_transcript_fini(&t);
}

static void
the_widest_lines_stay_within_the_bound(void **state)
{
	struct smtp_transcript t;
	char line[1000];

	(void)state;
	memset(line, 1, sizeof(line));
	smtp_transcript_init(&t, KEEP);
	for (int i = 0; i < 50; i++) {
		smtp_transcript_line(&t, 'S', slice_mem(line, sizeof(line)));
		assert_true(t.text.len <= KEEP);
	}
	smtp_transcript_fini(&t);
}

static void
the_beginning_can_be_forgotten(void **state)
{
	struct smtp_transcript t;

	(void)state;
	smtp_transcript_init(&t, KEEP);
	smtp_transcript_line(&t, '*', SLICE("one"));
	smtp_transcript_line(&t, '*', SLICE("two"));
	smtp_transcript_drop(&t, 6);
	check(&t, "* two\n");
	smtp_transcript_drop(&t, 600);
	check(&t, "* two\n");
	smtp_transcript_fini(&t);
}

/* ---- Whose line ---------------------------------------------------------- */

struct owner {
	struct smtp_client *client;
	struct mail_address to;
	char name[2][2];
	int sent;
	struct strbuf lines; /* "1> MAIL", "-> EHLO": mail, or none, and line */
};

static void
on_line(void *ctx, void *mail, char who, struct slice line)
{
	struct owner *o = ctx;

	strbuf_add_text(&o->lines, mail != NULL ? mail : "-");
	smtp_transcript_format(&o->lines, who, slice_first(line, 6));
}

static void
on_ready(void *ctx)
{
	struct owner *o = ctx;
	struct smtp_mail mail = { .recipient = &o->to,
		.message = SLICE("Subject: x\r\n\r\nx\r\n") };

	if (o->sent == 2)
		return;
	mail.ctx = o->name[o->sent++];
	smtp_client_send(o->client, &mail);
}

static void
on_done(void *ctx, void *mail, const struct smtp_outcome *outcome)
{
	(void)ctx;
	(void)outcome;
	assert_non_null(mail);
}

static void
on_nothing(void *ctx)
{
	(void)ctx;
}

static void
on_closed(void *ctx, const struct smtp_outcome *why)
{
	(void)ctx;
	(void)why;
}

static void
on_deadline(void *ctx, unsigned int seconds, const char *label)
{
	(void)ctx;
	(void)seconds;
	(void)label;
}

static void
a_line_belongs_to_its_transaction_as_long_as_that_lasts(void **state)
{
	static const struct smtp_client_ops ops = {
		.need_tls = on_nothing,
		.ready = on_ready,
		.mail_done = on_done,
		.closed = on_closed,
		.deadline = on_deadline,
	};
	static const char *const replies[] = { "220 x", "250-x",
		"250 PIPELINING", "250 m", "250 r", "354 d", "250 taken",
		"250 m", "550 r", "503 d" };
	struct owner o = { .to = { SLICE(""), SLICE("u"), SLICE("x.example"),
			       false },
		.name = { "1", "2" } };
	struct smtp_client_options opt = { .helo_name = "me",
		.tls = SMTP_TLS_NEVER,
		.transcript = on_line };

	(void)state;
	strbuf_init(&o.lines, 0);
	o.client = smtp_client_new(&opt, &ops, &o);
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		strbuf_reset(smtp_client_output(o.client)); /* it is sent */
		smtp_client_feed(o.client, slice_of(replies[i]));
	}
	assert_string_equal(strbuf_text(&o.lines),
	    "-< 220 x\n-> EHLO m\n-< 250-x\n-< 250 PI\n"
	    "1> MAIL F\n1> RCPT T\n1> DATA\n1< 250 m\n1< 250 r\n1< 354 d\n"
	    "1> <17 oc\n1> .\n"
	    "2> MAIL F\n2> RCPT T\n2> DATA\n1< 250 ta\n"
	    "2< 250 m\n2< 550 r\n-< 503 d\n");
	smtp_client_free(&o.client);
	strbuf_fini(&o.lines);
}

TEST_MAIN(cmocka_unit_test(each_line_stands_as_it_was_and_harms_nobody),
    cmocka_unit_test(what_answers_a_challenge_is_secret),
    cmocka_unit_test(a_long_line_loses_its_end),
    cmocka_unit_test(a_long_transcript_loses_its_middle),
    cmocka_unit_test(the_widest_lines_stay_within_the_bound),
    cmocka_unit_test(the_beginning_can_be_forgotten),
    cmocka_unit_test(a_line_belongs_to_its_transaction_as_long_as_that_lasts))

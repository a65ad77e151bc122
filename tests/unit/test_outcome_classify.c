/* Which class a temporary failure is of, and the time that a text names. */
#include "test.h"

#include <stdio.h>

#include "outcome/classify.h"

static const struct {
	enum smtp_stage stage;
	unsigned int code;
	uint16_t status[3];
	const char *text;
	enum delay_class class;
	int64_t wait_s;
} replies[] = {
	/* Words come before numbers. */
	{ SMTP_STAGE_RCPT, 450, { 4, 2, 0 }, "Greylisted, see the manual",
	    DELAY_GREYLISTED, 0 },
	{ SMTP_STAGE_RCPT, 451, { 4, 7, 1 }, "GREYLISTED for 300 seconds",
	    DELAY_GREYLISTED, 300 },
	{ SMTP_STAGE_RCPT, 451, { 4, 7, 1 },
	    "Greylisting in action, please come back in 00:05:00",
	    DELAY_GREYLISTED, 300 },
	{ SMTP_STAGE_DOT, 451, { 0 }, "grey-listed, wait 10 minutes",
	    DELAY_GREYLISTED, 600 },
	{ SMTP_STAGE_RCPT, 451, { 0 }, "unknown triplet", DELAY_GREYLISTED, 0 },
	{ SMTP_STAGE_RCPT, 451, { 4, 7, 1 }, "please try again later",
	    DELAY_GREYLISTED, 0 },
	{ SMTP_STAGE_RCPT, 452, { 0 }, "<u@x.example> Mailbox size limit hit",
	    DELAY_MAILBOX_FULL, 0 },
	{ SMTP_STAGE_RCPT, 452, { 4, 2, 2 }, "no room", DELAY_MAILBOX_FULL, 0 },
	{ SMTP_STAGE_DOT, 452, { 4, 3, 1 }, "user is over quota, in 5 minutes",
	    DELAY_MAILBOX_FULL, 0 }, /* no time of theirs counts here */
	{ SMTP_STAGE_RCPT, 450, { 0 }, "your daily quota exceeded",
	    DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_MAIL, 452, { 4, 3, 2 }, "Connection rate limit exceeded.",
	    DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_BANNER, 421, { 4, 7, 0 }, "too many connections from you",
	    DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_RCPT, 450, { 4, 2, 1 },
	    "The user is receiving mail too quickly, retry in 1 h",
	    DELAY_RATE_LIMITED, 3600 },
	{ SMTP_STAGE_MAIL, 451, { 4, 7, 650 },
	    "The server [192.0.2.25] has been temporarily rate limited due to "
	    "reputation",
	    DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_MAIL, 451, { 4, 7, 500 }, "Wait", DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_DOT, 421, { 4, 7, 28 }, "odd", DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_RCPT, 452, { 4, 5, 3 }, "no", DELAY_RATE_LIMITED, 0 },
	{ SMTP_STAGE_MAIL, 451, { 0 }, "Must issue a STARTTLS first", DELAY_TLS,
	    0 },
	{ SMTP_STAGE_MAIL, 451, { 4, 7, 10 }, "no", DELAY_TLS, 0 },
	{ SMTP_STAGE_STARTTLS, 454, { 4, 7, 0 }, "not now", DELAY_POLICY, 0 },
	{ SMTP_STAGE_STARTTLS, 454, { 0 }, "not now", DELAY_TLS, 0 },
	{ SMTP_STAGE_RCPT, 450, { 4, 7, 1 },
	    "cannot find your reverse hostname", DELAY_POLICY, 0 },
	{ SMTP_STAGE_MAIL, 450, { 4, 1, 8 }, "Domain not found", DELAY_DNS, 0 },
	{ SMTP_STAGE_MAIL, 450, { 4, 1, 8 }, "bad sender", DELAY_DNS, 0 },
	{ SMTP_STAGE_RCPT, 451, { 4, 4, 3 }, "hm", DELAY_DNS, 0 },
	{ SMTP_STAGE_BANNER, 554, { 5, 7, 1 }, "go away", DELAY_POLICY, 0 },
	{ SMTP_STAGE_BANNER, 554, { 0 }, "Blocked by a DNSBL", DELAY_POLICY,
	    0 },
	{ SMTP_STAGE_DOT, 450, { 4, 7, 26 }, "no", DELAY_POLICY, 0 },
	{ SMTP_STAGE_DOT, 421, { 4, 4, 2 }, "timed out", DELAY_CONNECTION, 0 },
	{ SMTP_STAGE_BANNER, 421, { 0 }, "busy", DELAY_CONNECTION, 0 },
	{ SMTP_STAGE_EHLO, 550, { 0 }, "no", DELAY_CONNECTION, 0 },
	{ SMTP_STAGE_RCPT, 421, { 0 }, "bye", DELAY_CONNECTION, 0 },
	/* Nothing known in it. */
	{ SMTP_STAGE_RCPT, 451, { 4, 3, 0 }, "Temporary failure, try later",
	    DELAY_OTHER, 0 },
	{ SMTP_STAGE_RCPT, 450, { 0 }, "", DELAY_OTHER, 0 },
	{ SMTP_STAGE_DOT, 452, { 4, 3, 1 }, "Insufficient disk space",
	    DELAY_OTHER, 0 },
};

static void
each_reply_has_its_class(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct smtp_outcome o = { .source = SMTP_REMOTE,
			.stage = replies[i].stage };
		struct delay d;

		o.reply.code = replies[i].code;
		memcpy(o.reply.status.part, replies[i].status,
		    sizeof(replies[i].status));
		o.reply.text_len = (size_t)snprintf(o.reply.text,
		    sizeof(o.reply.text), "%s", replies[i].text);
		d = delay_of_smtp(&o);
		print_message("%s: %s\n", replies[i].text,
		    delay_class_name(d.class));
		assert_int_equal(d.class, replies[i].class);
		assert_int_equal(d.wait_ms, replies[i].wait_s * 1000);
	}
}

static void
each_failure_of_ours_has_its_class(void **state)
{
	static const struct {
		enum smtp_stage stage;
		enum err_kind kind;
		enum delay_class class;
	} rows[] = {
		{ SMTP_STAGE_CONNECT, ERR_NET, DELAY_CONNECTION },
		{ SMTP_STAGE_CONNECT, ERR_TIMEOUT, DELAY_CONNECTION },
		{ SMTP_STAGE_CONNECT, ERR_DENIED, DELAY_CONNECTION },
		{ SMTP_STAGE_BANNER, ERR_SYNTAX, DELAY_CONNECTION },
		{ SMTP_STAGE_STARTTLS, ERR_NET, DELAY_TLS },
		{ SMTP_STAGE_TLS, ERR_TIMEOUT, DELAY_TLS },
		{ SMTP_STAGE_MAIL, ERR_TLS, DELAY_TLS },
		{ SMTP_STAGE_CONNECT, ERR_DNS, DELAY_DNS },
		{ SMTP_STAGE_BODY, ERR_TIMEOUT, DELAY_CONNECTION },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_outcome o = { .source = SMTP_LOCAL,
			.stage = rows[i].stage,
			.error = { .kind = rows[i].kind } };

		error_set(&o.error, rows[i].kind, "spam: try again in 5 min");
		assert_int_equal(delay_of_smtp(&o).class, rows[i].class);
		assert_int_equal(delay_of_smtp(&o).wait_ms, 0);
	}
}

static void
a_text_names_a_time_or_none(void **state)
{
	static const struct {
		const char *text;
		int64_t wait_s;
	} rows[] = {
		{ "try again in 5 minutes", 300 },
		{ "try again in 5minutes.", 300 },
		{ "retry after 120 seconds", 120 },
		{ "Wait 90 SEC", 90 },
		{ "at least 2 hours", 7200 },
		{ "in another 15 min", 900 },
		{ "back in 01:00:30", 3630 },
		{ "in 10-minutes", 600 },
		{ "in 1 second", 30 },	      /* at least */
		{ "in 900 hours", 4 * 3600 }, /* at most */
		{ "in 60000 hours", 4 * 3600 },
		{ "in 99999 hours", 0 },
		{ "", 0 },
		{ "in", 0 },
		{ "in ", 0 },
		{ "5 minutes ago", 0 },
		{ "in 5", 0 },
		{ "in 5 parsecs", 0 },
		{ "for 192.0.2.1", 0 },
		{ "in 123456789 seconds", 0 },
		{ "in 12:30 today", 0 },
		{ "begin 5 minutes", 0 },
		{ "for you, in 7 minutes", 420 },
		{ "in -5 minutes", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].text);
		assert_int_equal(delay_wait_ms(slice_of(rows[i].text)),
		    rows[i].wait_s * 1000);
	}
}

static void
every_class_has_a_name(void **state)
{
	(void)state;
	for (int i = 1; i < DELAY_CLASS_COUNT; i++)
		assert_true(strlen(delay_class_name_of(i)) > 2);
	assert_null(delay_class_name_of(DELAY_NONE));
	assert_null(delay_class_name_of(-1));
	assert_null(delay_class_name_of(DELAY_CLASS_COUNT));
}

TEST_MAIN(cmocka_unit_test(each_reply_has_its_class),
    cmocka_unit_test(each_failure_of_ours_has_its_class),
    cmocka_unit_test(a_text_names_a_time_or_none),
    cmocka_unit_test(every_class_has_a_name))

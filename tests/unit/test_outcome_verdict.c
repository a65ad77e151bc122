#include "test.h"

#include <stdio.h>

#include "model/status.h"
#include "outcome/verdict.h"

/* What the far end says at a stage; code 0: a local failure of that kind. */
static const struct {
	enum smtp_stage stage;
	unsigned int code;
	enum err_kind kind;
	const char *status;
	enum verdict verdict;
	const char *reason;
	bool suppress;
} cases[] = {
	/* before MAIL everything is about this host */
	{ SMTP_STAGE_CONNECT, 0, ERR_NET, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_CONNECT, 0, ERR_TIMEOUT, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_CONNECT, 0, ERR_DENIED, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_BANNER, 421, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_BANNER, 450, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_BANNER, 554, 0, "5.7.1", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_BANNER, 0, ERR_SYNTAX, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_EHLO, 550, 0, "5.1.1", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_EHLO, 421, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_STARTTLS, 454, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_STARTTLS, 501, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_TLS, 0, ERR_TLS, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_TLS, 0, ERR_TIMEOUT, "", VERDICT_NEXT_HOST, NULL, 0 },
	/* MAIL, RCPT, DATA */
	{ SMTP_STAGE_MAIL, 451, 0, "4.7.1", VERDICT_DEFERRED, NULL, 0 },
	{ SMTP_STAGE_MAIL, 421, 0, "", VERDICT_DEFERRED, NULL, 0 },
	{ SMTP_STAGE_MAIL, 550, 0, "5.1.1", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_MAIL, 0, ERR_LIMIT, "", VERDICT_FAILED, FAIL_CONTENT, 0 },
	{ SMTP_STAGE_MAIL, 0, ERR_NOTFOUND, "", VERDICT_FAILED, FAIL_CONTENT,
	    0 },
	{ SMTP_STAGE_MAIL, 0, ERR_DENIED, "", VERDICT_FAILED, FAIL_CONTENT, 0 },
	{ SMTP_STAGE_MAIL, 0, ERR_SYNTAX, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_MAIL, 0, ERR_NET, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_RCPT, 450, 0, "4.2.0", VERDICT_DEFERRED, NULL, 0 },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.1", VERDICT_BOUNCED, NULL, true },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.2", VERDICT_BOUNCED, NULL, true },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.3", VERDICT_BOUNCED, NULL, true },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.6", VERDICT_BOUNCED, NULL, true },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.10", VERDICT_BOUNCED, NULL, true },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.0", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_RCPT, 550, 0, "5.1.8", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_RCPT, 552, 0, "5.2.2", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_RCPT, 554, 0, "5.7.1", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_RCPT, 550, 0, "", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_RCPT, 0, ERR_TIMEOUT, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_DATA, 451, 0, "", VERDICT_DEFERRED, NULL, 0 },
	{ SMTP_STAGE_DATA, 554, 0, "5.1.1", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_DATA, 250, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_BODY, 0, ERR_NET, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_BODY, 421, 0, "", VERDICT_DEFERRED, NULL, 0 },
	/* after the dot only a reply counts */
	{ SMTP_STAGE_DOT, 250, 0, "2.0.0", VERDICT_DELIVERED, NULL, 0 },
	{ SMTP_STAGE_DOT, 451, 0, "4.3.0", VERDICT_DEFERRED, NULL, 0 },
	{ SMTP_STAGE_DOT, 421, 0, "", VERDICT_DEFERRED, NULL, 0 },
	{ SMTP_STAGE_DOT, 554, 0, "5.6.0", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_DOT, 550, 0, "5.1.1", VERDICT_BOUNCED, NULL, 0 },
	{ SMTP_STAGE_DOT, 0, ERR_NET, "", VERDICT_UNKNOWN, NULL, 0 },
	{ SMTP_STAGE_DOT, 0, ERR_TIMEOUT, "", VERDICT_UNKNOWN, NULL, 0 },
	{ SMTP_STAGE_DOT, 0, ERR_SYNTAX, "", VERDICT_UNKNOWN, NULL, 0 },
	/* a claim that never got its turn */
	{ SMTP_STAGE_IDLE, 0, ERR_TIMEOUT, "", VERDICT_NEXT_HOST, NULL, 0 },
	{ SMTP_STAGE_IDLE, 421, 0, "", VERDICT_NEXT_HOST, NULL, 0 },
};

static void
every_stage_and_class_has_its_verdict(void **state)
{
	bool seen[SMTP_STAGE_IDLE + 1] = { false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct smtp_outcome o = { .stage = cases[i].stage };
		struct slice text = slice_of(cases[i].status);
		struct verdict_result r;

		print_message("%s code %u kind %s\n", smtp_stage_name(o.stage),
		    cases[i].code, error_kind_name(cases[i].kind));
		seen[o.stage] = true;
		o.source = cases[i].code != 0 ? SMTP_REMOTE : SMTP_LOCAL;
		o.reply.code = cases[i].code;
		o.error.kind = cases[i].kind;
		if (text.len > 0)
			assert_int_equal(mail_status_take(&text,
					     &o.reply.status, NULL),
			    0);
		r = verdict_of_smtp(&o);
		assert_string_equal(verdict_name(r.verdict),
		    verdict_name(cases[i].verdict));
		assert_true((r.reason == NULL) == (cases[i].reason == NULL));
		if (r.reason != NULL)
			assert_string_equal(r.reason, cases[i].reason);
		assert_int_equal(r.suppress, cases[i].suppress);
	}
	for (size_t s = 0; s < ARRAY_LEN(seen); s++)
		assert_true(seen[s]);
}

static void
dns_says_for_good_or_for_now(void **state)
{
	static const struct {
		enum verdict_dns what;
		enum verdict verdict;
	} rows[] = {
		{ VERDICT_DNS_NXDOMAIN, VERDICT_FAILED },
		{ VERDICT_DNS_NULL_MX, VERDICT_FAILED },
		{ VERDICT_DNS_NO_HOST, VERDICT_FAILED },
		{ VERDICT_DNS_REFUSED, VERDICT_FAILED },
		{ VERDICT_DNS_FAILED, VERDICT_DEFERRED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct verdict_result r = verdict_of_dns(rows[i].what);
		struct slice status =
		    slice_of(verdict_dns_status(rows[i].what));
		struct mail_status parsed;

		assert_int_equal(r.verdict, rows[i].verdict);
		assert_false(r.suppress);
		assert_int_equal(mail_status_take(&status, &parsed, NULL), 0);
		assert_int_equal(parsed.part[0],
		    r.verdict == VERDICT_FAILED ? 5 : 4);
		assert_true(strlen(verdict_dns_text(rows[i].what)) > 10);
	}
}

static const struct delay other = { DELAY_OTHER, 0 };

static void
back_off_doubles_with_jitter_up_to_its_bounds(void **state)
{
	const struct retry_policy p = { 300000, 4 * 3600000, 900000 };
	const int64_t now = 1000000000, far = now + 72 * 3600000;
	int64_t expect = 300000;

	(void)state;
	for (unsigned int n = 1; n <= 20; n++) {
		int64_t low = verdict_retry_at(&p, VERDICT_DEFERRED, &other, n,
		    now, now, far, 0);
		int64_t high = verdict_retry_at(&p, VERDICT_DEFERRED, &other, n,
		    now, now, far, 1023);

		assert_int_equal(low - now, expect * 4 / 5);
		assert_int_equal(high - now, expect * 6 / 5);
		expect = MIN(expect * 2, p.max_ms);
	}
}

static void
the_last_look_is_at_max_age_and_never_in_the_past(void **state)
{
	const struct retry_policy p = { 300000, 4 * 3600000, 900000 };

	(void)state;
	assert_int_equal(verdict_retry_at(&p, VERDICT_DEFERRED, &other, 5,
			     1000000, 1000000, 1060000, 7),
	    1060000);
	assert_int_equal(verdict_retry_at(&p, VERDICT_DEFERRED, &other, 5,
			     1000000, 1000000, 900000, 7),
	    1001000);
}

#define MIN_MS ((int64_t)60000)

/* The middle of the jitter, of attempts 1, 2, 3 and 20; in minutes. */
static void
each_class_has_its_schedule(void **state)
{
	static const struct {
		enum delay_class class;
		int64_t minutes[4];
	} rows[] = {
		{ DELAY_GREYLISTED, { 5, 10, 20, 60 } },
		{ DELAY_MAILBOX_FULL, { 60, 120, 240, 480 } },
		{ DELAY_RATE_LIMITED, { 10, 20, 40, 120 } },
		{ DELAY_CONNECTION, { 3, 6, 12, 30 } },
		{ DELAY_TLS, { 3, 6, 12, 30 } },
		{ DELAY_DNS, { 3, 6, 12, 30 } },
		{ DELAY_POLICY, { 30, 60, 120, 240 } },
		{ DELAY_OTHER, { 3, 6, 12, 30 } },
	};
	static const unsigned int n[] = { 1, 2, 3, 20 };
	const struct retry_policy p = { 3 * MIN_MS, 30 * MIN_MS, 900000 };

	(void)state;
	assert_int_equal(ARRAY_LEN(rows), DELAY_CLASS_COUNT - 1);
	for (size_t i = 0; i < ARRAY_LEN(rows) * 4; i++) {
		struct delay why = { rows[i / 4].class, 0 };
		int64_t want = rows[i / 4].minutes[i % 4] * MIN_MS;

		assert_int_equal(verdict_retry_at(&p, VERDICT_DEFERRED, &why,
				     n[i % 4], 0, 0, INT64_MAX, 0),
		    want * 4 / 5);
		assert_int_equal(verdict_retry_at(&p, VERDICT_DEFERRED, &why,
				     n[i % 4], 0, 0, INT64_MAX, 1023),
		    want * 6 / 5);
	}
}

static void
a_named_time_is_never_undercut(void **state)
{
	static const struct {
		unsigned int n;
		int64_t named;	     /* minutes */
		int64_t least, most; /* seconds */
	} rows[] = {
		{ 1, 1, 60, 72 },      /* sooner than the schedule */
		{ 1, 60, 3600, 4320 }, /* later */
		{ 2, 1, 480, 720 },    /* refused again: 10 minutes */
		{ 3, 17, 1020, 1440 }, /* within the jitter of 20 */
		{ 3, 60, 3600, 4320 },
	};
	const struct retry_policy p = { 1000, 2000, 900000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct delay why = { DELAY_GREYLISTED, rows[i].named * MIN_MS };
		int64_t low = verdict_retry_at(&p, VERDICT_DEFERRED, &why,
		    rows[i].n, 0, 0, INT64_MAX, 0);
		int64_t high = verdict_retry_at(&p, VERDICT_DEFERRED, &why,
		    rows[i].n, 0, 0, INT64_MAX, 1023);

		assert_int_equal(low, rows[i].least * 1000);
		assert_int_equal(high, rows[i].most * 1000);
	}
}

static void
an_unknown_outcome_waits_15_minutes_from_the_claim(void **state)
{
	const struct retry_policy p = { 1000, 2000, 900000 };

	(void)state;
	assert_int_equal(verdict_retry_at(&p, VERDICT_UNKNOWN, &other, 1,
			     5000000, 4900000, 99000000, 5),
	    5800000);
	/* found long after: at once */
	assert_int_equal(verdict_retry_at(&p, VERDICT_UNKNOWN, &other, 1,
			     9000000, 4900000, 99000000, 5),
	    9001000);
}

static void
only_what_was_certainly_not_taken_is_retried_exactly_once(void **state)
{
	static const struct {
		enum verdict verdict;
		bool at_least_once, exactly_once;
	} rows[] = {
		{ VERDICT_DELIVERED, false, false },
		{ VERDICT_DEFERRED, true, true },
		{ VERDICT_BOUNCED, false, false },
		{ VERDICT_FAILED, false, false },
		{ VERDICT_UNKNOWN, true, false },
		{ VERDICT_NEXT_HOST, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(verdict_is_retried(rows[i].verdict, false),
		    rows[i].at_least_once);
		assert_int_equal(verdict_is_retried(rows[i].verdict, true),
		    rows[i].exactly_once);
	}
}

TEST_MAIN(cmocka_unit_test(every_stage_and_class_has_its_verdict),
    cmocka_unit_test(dns_says_for_good_or_for_now),
    cmocka_unit_test(back_off_doubles_with_jitter_up_to_its_bounds),
    cmocka_unit_test(the_last_look_is_at_max_age_and_never_in_the_past),
    cmocka_unit_test(each_class_has_its_schedule),
    cmocka_unit_test(a_named_time_is_never_undercut),
    cmocka_unit_test(an_unknown_outcome_waits_15_minutes_from_the_claim),
    cmocka_unit_test(only_what_was_certainly_not_taken_is_retried_exactly_once))

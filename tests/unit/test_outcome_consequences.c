/* What follows from each verdict, DSN and end: a row for each. */
#include "test.h"

#include "outcome/canceled.h"
#include "outcome/outcome_priv.h"
#include "store/attempts.h"

struct expected {
	enum status raise_to;
	bool finish, retries, suppresses;
	const char *reason;
	size_t event_count;
	enum event_kind event[2];
	int dedupe;	  /* of the last event */
	const char *data; /* must stand in its data */
};

static const struct {
	struct verdict_result verdict;
	struct expected then;
	bool exactly_once;
} attempts[] = {
	{ { VERDICT_DELIVERED, NULL, false },
	    { STATUS_DELIVERED, true, false, false, NULL, 1,
		{ EVENT_DELIVERED }, 0, "\"code\":250" },
	    false },
	{ { VERDICT_DEFERRED, NULL, false },
	    { STATUS_DEFERRED, false, true, false, NULL, 1,
		{ EVENT_DELIVERY_DELAYED }, 3, "\"retry_at\":\"" },
	    false },
	{ { VERDICT_NEXT_HOST, NULL, false },
	    { STATUS_DEFERRED, false, true, false, NULL, 1,
		{ EVENT_DELIVERY_DELAYED }, 3, "\"attempt\":3" },
	    false },
	{ { VERDICT_UNKNOWN, NULL, false },
	    { STATUS_DEFERRED, false, true, false, NULL, 1,
		{ EVENT_DELIVERY_DELAYED }, 3, "\"outcome_unknown\":true" },
	    false },
	/* Exactly once differs in nothing but what nobody knows. */
	{ { VERDICT_UNKNOWN, NULL, false },
	    { STATUS_FAILED, true, false, false, FAIL_OUTCOME_UNKNOWN, 1,
		{ EVENT_FAILED }, 0,
		"\"reason\":\"outcome_unknown\",\"outcome_unknown\":true" },
	    true },
	{ { VERDICT_DEFERRED, NULL, false },
	    { STATUS_DEFERRED, false, true, false, NULL, 1,
		{ EVENT_DELIVERY_DELAYED }, 3, "\"retry_at\":\"" },
	    true },
	{ { VERDICT_BOUNCED, NULL, false },
	    { STATUS_BOUNCED, true, false, false, NULL, 1, { EVENT_BOUNCED }, 0,
		"\"status\":\"5.1.1\"" },
	    false },
	{ { VERDICT_BOUNCED, NULL, true },
	    { STATUS_BOUNCED, true, false, true, NULL, 1, { EVENT_BOUNCED }, 0,
		"\"mx\":\"mx.example\"" },
	    false },
	{ { VERDICT_FAILED, FAIL_EXPIRED, false },
	    { STATUS_FAILED, true, false, false, FAIL_EXPIRED, 1,
		{ EVENT_FAILED }, 0, "\"reason\":\"" FAIL_EXPIRED "\"" },
	    false },
};

static bool
has(struct slice text, const char *part)
{
	return slice_find(text, slice_of(part)) < text.len;
}

static void
check(const struct record *r, const struct expected *then)
{
	const struct store_outcome *row = &r->row;
	const struct store_outcome_event *last =
	    &row->event[row->event_count - 1];

	assert_int_equal(row->raise_to, then->raise_to);
	assert_int_equal(row->finish, then->finish);
	assert_int_equal(row->retry_at_ms != 0, then->retries);
	assert_int_equal(row->suppress.key.len > 0, then->suppresses);
	if (then->reason == NULL)
		assert_null(row->reason.ptr);
	else
		assert_true(slice_eq_text(row->reason, then->reason));
	assert_int_equal(row->event_count, then->event_count);
	for (size_t i = 0; i < then->event_count; i++)
		assert_int_equal(row->event[i].kind, then->event[i]);
	assert_int_equal(last->dedupe, then->dedupe);
	assert_true(has(last->data, then->data));
}

static void
every_verdict_has_its_consequences(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		struct outcome_attempt a = {
			.recipient = { { 7 } },
			.account = 5,
			.n = 3,
			.worker = 9,
			.address_key = SLICE("user@example.org"),
			.at_ms = 1000000,
			.verdict = attempts[i].verdict,
			.exactly_once = attempts[i].exactly_once,
			.stage = SMTP_STAGE_RCPT,
			.code = 250,
			.status = { { 5, 1, 1 } },
			.text = SLICE("said"),
			.mx = SLICE("mx.example"),
		};
		struct record *r;

		if (attempts[i].then.retries)
			a.retry_at_ms = 2000000;
		print_message("%s\n", verdict_name(a.verdict.verdict));
		r = record_of_attempt(&a);
		check(r, &attempts[i].then);
		assert_int_equal(r->row.n, 3);
		assert_int_equal(r->row.worker, 9);
		assert_int_equal(r->row.account, 5);
		assert_int_equal(r->row.code, 250);
		assert_true(slice_eq_text(r->row.status, "5.1.1"));
		assert_null(r->row.tls.ptr); /* nothing said is NULL */
		record_free(r);
	}
}

static void
an_attempt_keeps_its_class_and_its_transcript(void **state)
{
	struct outcome_attempt a = {
		.n = 1,
		.verdict = { VERDICT_DEFERRED, NULL, false },
		.why = { DELAY_GREYLISTED, 300000 },
		.transcript = SLICE("> EHLO me\n"),
	};
	struct record *r = record_of_attempt(&a);

	(void)state;
	assert_int_equal(r->row.class, DELAY_GREYLISTED);
	assert_true(slice_eq(r->row.transcript, a.transcript));
	assert_ptr_not_equal(r->row.transcript.ptr, a.transcript.ptr);
	assert_true(has(r->row.event[0].data, "\"class\":\"greylisted\""));
	record_free(r);
	a.why.class = DELAY_NONE;
	a.transcript.len = 0;
	r = record_of_attempt(&a);
	assert_int_equal(r->row.class, 0);
	assert_null(r->row.transcript.ptr);
	assert_false(has(r->row.event[0].data, "class"));
	record_free(r);
}

static void
a_suppression_lasts_ninety_days_with_its_evidence(void **state)
{
	struct outcome_attempt a = {
		.address_key = SLICE("user@example.org"),
		.at_ms = 1000,
		.verdict = { VERDICT_BOUNCED, NULL, true },
		.text = SLICE("no such user"),
	};
	struct record *r = record_of_attempt(&a);

	(void)state;
	assert_true(slice_eq_text(r->row.suppress.key, "user@example.org"));
	assert_true(slice_eq_text(r->row.suppress.origin, "bounce"));
	assert_true(slice_eq_text(r->row.suppress.reason, "no such user"));
	assert_int_equal(r->row.suppress.expires_at_ms,
	    1000 + (int64_t)90 * 24 * 3600 * 1000);
	/* The texts are copies. */
	assert_ptr_not_equal(r->row.suppress.key.ptr, a.address_key.ptr);
	record_free(r);
	a.address_key.len = 0;
	r = record_of_attempt(&a);
	assert_int_equal(r->row.suppress.key.len, 0);
	record_free(r);
}

static const struct {
	enum outcome_dsn_says says;
	struct mail_status status;
	struct expected then;
} reports[] = {
	{ OUTCOME_DSN_FAILED, { { 5, 1, 1 } },
	    { STATUS_BOUNCED, true, false, true, NULL, 1, { EVENT_BOUNCED }, 0,
		"\"dsn\":true" } },
	{ OUTCOME_DSN_FAILED, { { 5, 2, 2 } },
	    { STATUS_BOUNCED, true, false, false, NULL, 1, { EVENT_BOUNCED }, 0,
		"\"text\":\"full\"" } },
	{ OUTCOME_DSN_DELAYED, { { 4, 4, 7 } },
	    { 0, false, false, false, NULL, 1, { EVENT_DELIVERY_DELAYED },
		10000, "\"dsn\":true" } },
	{ OUTCOME_DSN_DELIVERED, { { 2, 0, 0 } },
	    { STATUS_DELIVERED, true, false, false, NULL, 1,
		{ EVENT_DELIVERED }, 0, "\"dsn\":true" } },
};

static void
a_report_bounces_settles_or_says_that_it_takes_longer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
		struct outcome_dsn d = {
			.address_key = SLICE("user@example.org"),
			.at_ms = 1000,
			.says = reports[i].says,
			.status = reports[i].status,
			.diagnostic = SLICE("full"),
		};
		struct record *r = record_of_dsn(&d);

		check(r, &reports[i].then);
		assert_int_equal(r->row.n, 0); /* no attempt of ours */
		record_free(r);
	}
}

static void
an_end_without_a_transaction_has_its_own_event(void **state)
{
	static const struct expected failed = { STATUS_FAILED, true, false,
		false, FAIL_EXPIRED, 1, { EVENT_FAILED }, 0, "\"reason\":" };
	static const struct expected suppressed = { STATUS_SUPPRESSED, true,
		false, false, NULL, 1, { EVENT_SUPPRESSED }, 0,
		"\"text\":\"t\"" };
	static const struct expected canceled = { STATUS_CANCELED, true, false,
		false, NULL, 1, { EVENT_CANCELED }, 0,
		"{\"text\":\"canceled by the operator: tag a=b (why)\","
		"\"by\":\"operator\",\"scope\":\"tag\",\"value\":\"a=b\","
		"\"reason\":\"why\"}" };
	static const struct canceled by = {
		.by_operator = true,
		.scope = SLICE("tag"),
		.value = SLICE("a=b"),
		.reason = SLICE("why"),
	};
	struct outcome_end e = {
		.n = 2,
		.worker = 4,
		.status = STATUS_FAILED,
		.reason = FAIL_EXPIRED,
		.text = SLICE("t"),
	};
	struct record *r = record_of_end(&e);

	(void)state;
	check(r, &failed);
	record_free(r);
	e.status = STATUS_SUPPRESSED;
	e.reason = NULL;
	r = record_of_end(&e);
	check(r, &suppressed);
	assert_int_equal(r->row.n, 2);
	assert_int_equal(r->row.worker, 4);
	/* The claim is over, and was no attempt. */
	assert_int_equal(r->row.outcome, STORE_NOT_TRIED);
	record_free(r);
	e.status = STATUS_CANCELED;
	e.canceled = &by;
	r = record_of_end(&e);
	check(r, &canceled);
	record_free(r);
}

TEST_MAIN(cmocka_unit_test(every_verdict_has_its_consequences),
    cmocka_unit_test(an_attempt_keeps_its_class_and_its_transcript),
    cmocka_unit_test(a_suppression_lasts_ninety_days_with_its_evidence),
    cmocka_unit_test(a_report_bounces_settles_or_says_that_it_takes_longer),
    cmocka_unit_test(an_end_without_a_transaction_has_its_own_event))

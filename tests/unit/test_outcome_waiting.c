#include "test.h"

#include "outcome/bounced.h"
#include "outcome/event_data.h"
#include "outcome/verdict.h"
#include "outcome/waiting.h"

#define NOW 1700000000000

static const struct store_rule hold = {
	.kind = RULE_HOLD,
	.scope = RULE_TAG,
	.value = SLICE("kind=news"),
};
static const struct store_rule why = {
	.kind = RULE_HOLD,
	.scope = RULE_DOMAIN,
	.value = SLICE("example.com"),
	.reason = SLICE("asked to"),
};
static const struct store_rule cancel = { .kind = RULE_CANCEL };

static const struct {
	struct store_recipient r;
	const struct store_rule *rule, *other;
	const char *lane_why;
	enum status status;
	const char *text; /* NULL: it is finished */
} cases[] = {
	{ { .status = STATUS_QUEUED }, NULL, NULL, "", STATUS_QUEUED,
	    "waits for its turn" },
	{ { .status = STATUS_QUEUED }, NULL, NULL, "no quota until 00:00",
	    STATUS_QUEUED, "no quota until 00:00" },
	{ { .status = STATUS_QUEUED }, &hold, NULL, "no quota", STATUS_QUEUED,
	    "on hold: tag kind=news" },
	{ { .status = STATUS_DEFERRED, .retry_at_ms = NOW + 1 }, &why, NULL, "",
	    STATUS_DEFERRED, "on hold: domain example.com (asked to)" },
	{ { .status = STATUS_QUEUED }, &hold, &why, "", STATUS_QUEUED,
	    "on hold: tag kind=news, domain example.com (asked to)" },
	{ { .status = STATUS_QUEUED }, &cancel, NULL, "", STATUS_CANCELED,
	    NULL },
	/* What is being sent may still be delivered. */
	{ { .status = STATUS_QUEUED, .is_claimed = true }, &cancel, NULL, "",
	    STATUS_QUEUED, "being sent" },
	{ { .status = STATUS_QUEUED,
	      .is_claimed = true,
	      .claim_source = SLICE("192.0.2.9") },
	    &hold, NULL, "", STATUS_QUEUED, "being sent from 192.0.2.9" },
	/* What is finished is not canceled any more, nor on hold. */
	{ { .status = STATUS_DELIVERED, .finished_at_ms = 1 }, &cancel, NULL,
	    "", STATUS_DELIVERED, NULL },
	{ { .status = STATUS_FAILED, .finished_at_ms = 1 }, &hold, NULL, "",
	    STATUS_FAILED, NULL },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW + 60000,
	      .last = { .n = 1,
		  .code = 451,
		  .status = SLICE("4.7.1"),
		  .reply = SLICE("later"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, NULL, "", STATUS_DEFERRED,
	    "next attempt at 2023-11-14T22:14:20.000Z: 451 4.7.1 later, said "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW + 60000,
	      .last = { .n = 1,
		  .reply = SLICE("connection refused"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, NULL, "", STATUS_DEFERRED,
	    "next attempt at 2023-11-14T22:14:20.000Z: connection refused, at "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW + 60000,
	      .last = { .n = 1,
		  .outcome = VERDICT_UNKNOWN,
		  .reply = SLICE("the host closed the connection"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, NULL, "", STATUS_DEFERRED,
	    "next attempt at 2023-11-14T22:14:20.000Z, although the host may "
	    "have taken it: the host closed the connection, at "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED, .retry_at_ms = NOW }, NULL, NULL, "",
	    STATUS_DEFERRED, "waits for its turn" },
	/* What its host said is not hidden by what its lane waits for. */
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW,
	      .last = { .n = 1,
		  .code = 451,
		  .status = SLICE("4.7.1"),
		  .reply = SLICE("later"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, NULL, "", STATUS_DEFERRED,
	    "waits for its turn; last time: 451 4.7.1 later, said "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW,
	      .last = { .n = 1, .reply = SLICE("connection refused") } },
	    NULL, NULL, "daily limit", STATUS_DEFERRED,
	    "daily limit; last time: connection refused" },
};

static void
one_line_says_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct store_rule *holds[] = { cases[i].rule,
			cases[i].other };
		struct rules_found found = { .first = cases[i].rule,
			.hold = holds };
		struct strbuf out = STRBUF_INIT;
		bool waits;

		if (found.first != NULL && found.first->kind == RULE_HOLD)
			found.hold_count = cases[i].other != NULL ? 2 : 1;
		print_message("case %zu\n", i);
		assert_int_equal(waiting_status(&cases[i].r, cases[i].rule),
		    cases[i].status);
		waits = waiting_because(&out, &cases[i].r, &found,
		    slice_of(cases[i].lane_why), NOW);
		assert_int_equal(waits, cases[i].text != NULL);
		assert_string_equal(strbuf_text(&out),
		    waits ? cases[i].text : "");
		strbuf_fini(&out);
	}
}

static const struct store_rule priced = {
	.kind = RULE_CANCEL,
	.scope = RULE_DOMAIN,
	.value = SLICE("example.com"),
	.reason = SLICE("wrong price"),
};

static const struct {
	struct store_recipient r;
	bool by_rule;	  /* priced applies to it */
	const char *text; /* NULL: nobody canceled it */
	int64_t at_ms;	  /* 0: of the rule */
} ends[] = {
	{ { .status = STATUS_QUEUED }, false, NULL, 0 },
	{ { .status = STATUS_QUEUED }, true,
	    "canceled by the operator: domain example.com (wrong price)", 0 },
	{ { .status = STATUS_QUEUED, .is_claimed = true }, true, NULL, 0 },
	{ { .status = STATUS_FAILED, .finished_at_ms = 5 }, true, NULL, 0 },
	/* It was canceled by something else before. */
	{ { .status = STATUS_CANCELED,
	      .finished_at_ms = 5,
	      .end_data = SLICE("{\"by\":\"sender\"}") },
	    true, "canceled by the sender", 5 },
	{ { .status = STATUS_CANCELED,
	      .finished_at_ms = 5,
	      .end_data = SLICE("{\"by\":\"operator\",\"scope\":\"tag\","
				"\"value\":\"a\"}") },
	    false, "canceled by the operator: tag a", 5 },
	/* Nothing is known, or nothing that can be read. */
	{ { .status = STATUS_CANCELED, .finished_at_ms = 5 }, false,
	    "canceled by the sender", 5 },
	{ { .status = STATUS_CANCELED,
	      .finished_at_ms = 5,
	      .end_data = SLICE("{") },
	    false, "canceled by the sender", 5 },
};

static void
who_canceled_it_is_told(void **state)
{
	struct store_rule rule = priced;

	(void)state;
	rule.id = id_new(NOW);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct arena arena = ARENA_INIT;
		struct strbuf out = STRBUF_INIT;
		struct canceled c;
		bool is_canceled = waiting_canceled(&arena, &ends[i].r,
		    ends[i].by_rule ? &rule : NULL, &c);

		print_message("case %zu\n", i);
		assert_int_equal(is_canceled, ends[i].text != NULL);
		if (is_canceled) {
			canceled_add_text(&out, &c);
			assert_string_equal(strbuf_text(&out), ends[i].text);
			assert_true(c.at_ms ==
			    (ends[i].at_ms != 0 ? ends[i].at_ms
						: id_time_ms(rule.id)));
		}
		strbuf_fini(&out);
		arena_fini(&arena);
	}
}

static void
what_is_written_of_a_cancel_is_read_again(void **state)
{
	struct store_rule rule = priced;
	struct canceled c, again;
	struct strbuf text = STRBUF_INIT;
	struct event_data data = { .canceled = &c };
	struct store_recipient r = { .status = STATUS_CANCELED,
		.finished_at_ms = NOW + 90000 };
	struct arena arena = ARENA_INIT;

	(void)state;
	rule.id = id_new(NOW);
	c = canceled_by_rule(&rule);
	event_data_write(&text, &data);
	r.end_data = strbuf_slice(&text);
	assert_true(waiting_canceled(&arena, &r, NULL, &again));
	assert_true(again.by_operator);
	assert_int_equal(id_cmp(again.rule, rule.id), 0);
	assert_true(slice_eq_text(again.scope, "domain"));
	assert_true(slice_eq_text(again.value, "example.com"));
	assert_true(slice_eq_text(again.reason, "wrong price"));
	/* When the rule was made, not when it was applied. */
	assert_true(again.at_ms == id_time_ms(rule.id));
	/* A rule that is gone. */
	c = canceled_by_rule(NULL);
	strbuf_fini(&text);
	canceled_add_text(&text, &c);
	assert_string_equal(strbuf_text(&text), "canceled by the operator");
	strbuf_fini(&text);
	arena_fini(&arena);
}

static const struct {
	struct store_recipient r;
	const char *text; /* NULL: it has not bounced */
	bool by_dsn;
} bounces[] = {
	{ { .status = STATUS_DELIVERED,
	      .end_data = SLICE("{\"code\":550}"),
	      .end_at_ms = NOW },
	    NULL, false },
	{ { .status = STATUS_BOUNCED,
	      .finished_at_ms = NOW,
	      .end_at_ms = NOW + 60000,
	      .end_data = SLICE(
		  "{\"code\":550,\"status\":\"5.1.1\",\"text\":\"550 5.1.1 "
		  "User unknown later\",\"mx\":\"mx.a\",\"dsn\":true}") },
	    "bounced at 2023-11-14T22:14:20.000Z: 550 5.1.1 User unknown "
	    "later, reported by mx.a",
	    true },
	/* Refused at once. */
	{ { .status = STATUS_BOUNCED,
	      .end_at_ms = NOW,
	      .end_data = SLICE(
		  "{\"code\":554,\"status\":\"5.7.1\",\"text\":\"no "
		  "thanks\",\"mx\":\"mx.a[192.0.2.1]:25\",\"attempt\":1}") },
	    "bounced at 2023-11-14T22:13:20.000Z: 554 5.7.1 no thanks, said "
	    "mx.a[192.0.2.1]:25",
	    false },
	{ { .status = STATUS_BOUNCED,
	      .end_at_ms = NOW,
	      .end_data = SLICE("{\"status\":\"5.0.0\",\"dsn\":true}") },
	    "bounced at 2023-11-14T22:13:20.000Z: 5.0.0", true },
	/* Its event is gone, or nothing that can be read. */
	{ { .status = STATUS_BOUNCED, .finished_at_ms = NOW },
	    "bounced at 2023-11-14T22:13:20.000Z", false },
	{ { .status = STATUS_BOUNCED,
	      .end_at_ms = NOW,
	      .end_data = SLICE("[{\"code\":\"x\"}") },
	    "bounced at 2023-11-14T22:13:20.000Z", false },
	{ { .status = STATUS_BOUNCED,
	      .end_at_ms = NOW,
	      .end_data = SLICE("{\"code\":\"x\",\"text\":5,\"dsn\":1}") },
	    "bounced at 2023-11-14T22:13:20.000Z", false },
};

static void
what_was_said_of_a_bounce_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bounces); i++) {
		struct arena arena = ARENA_INIT;
		struct strbuf out = STRBUF_INIT;
		struct bounced b;
		bool is_bounced = bounced_read(&arena, &bounces[i].r, &b);

		print_message("case %zu\n", i);
		assert_int_equal(is_bounced, bounces[i].text != NULL);
		if (is_bounced) {
			bounced_add_text(&out, &b);
			assert_string_equal(strbuf_text(&out), bounces[i].text);
			assert_int_equal(b.by_dsn, bounces[i].by_dsn);
		}
		strbuf_fini(&out);
		arena_fini(&arena);
	}
}

TEST_MAIN(cmocka_unit_test(one_line_says_why),
    cmocka_unit_test(who_canceled_it_is_told),
    cmocka_unit_test(what_is_written_of_a_cancel_is_read_again),
    cmocka_unit_test(what_was_said_of_a_bounce_is_told))

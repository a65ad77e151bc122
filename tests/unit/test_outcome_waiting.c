#include "test.h"

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
	const struct store_rule *rule;
	const char *lane_why;
	enum status status;
	const char *text; /* NULL: it is finished */
} cases[] = {
	{ { .status = STATUS_QUEUED }, NULL, "", STATUS_QUEUED,
	    "waits for its turn" },
	{ { .status = STATUS_QUEUED }, NULL, "no quota until 00:00",
	    STATUS_QUEUED, "no quota until 00:00" },
	{ { .status = STATUS_QUEUED }, &hold, "no quota", STATUS_QUEUED,
	    "on hold: tag kind=news" },
	{ { .status = STATUS_DEFERRED, .retry_at_ms = NOW + 1 }, &why, "",
	    STATUS_DEFERRED, "on hold: domain example.com (asked to)" },
	{ { .status = STATUS_QUEUED }, &cancel, "", STATUS_CANCELED, NULL },
	/* What is being sent may still be delivered. */
	{ { .status = STATUS_QUEUED, .is_claimed = true }, &cancel, "",
	    STATUS_QUEUED, "being sent" },
	{ { .status = STATUS_QUEUED, .is_claimed = true }, &hold, "",
	    STATUS_QUEUED, "being sent" },
	/* What is finished is not canceled any more, nor on hold. */
	{ { .status = STATUS_DELIVERED, .finished_at_ms = 1 }, &cancel, "",
	    STATUS_DELIVERED, NULL },
	{ { .status = STATUS_FAILED, .finished_at_ms = 1 }, &hold, "",
	    STATUS_FAILED, NULL },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW + 60000,
	      .last = { .n = 1,
		  .code = 451,
		  .status = SLICE("4.7.1"),
		  .reply = SLICE("later"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, "", STATUS_DEFERRED,
	    "next attempt at 2023-11-14T22:14:20.000Z: 451 4.7.1 later, said "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW + 60000,
	      .last = { .n = 1,
		  .reply = SLICE("connection refused"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, "", STATUS_DEFERRED,
	    "next attempt at 2023-11-14T22:14:20.000Z: connection refused, at "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED,
	      .retry_at_ms = NOW + 60000,
	      .last = { .n = 1,
		  .outcome = VERDICT_UNKNOWN,
		  .reply = SLICE("the host closed the connection"),
		  .mx = SLICE("mx.a[192.0.2.1]:25") } },
	    NULL, "", STATUS_DEFERRED,
	    "next attempt at 2023-11-14T22:14:20.000Z, although the host may "
	    "have taken it: the host closed the connection, at "
	    "mx.a[192.0.2.1]:25" },
	{ { .status = STATUS_DEFERRED, .retry_at_ms = NOW }, NULL, "",
	    STATUS_DEFERRED, "waits for its turn" },
};

static void
one_line_says_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT;
		bool waits;

		print_message("case %zu\n", i);
		assert_int_equal(waiting_status(&cases[i].r, cases[i].rule),
		    cases[i].status);
		waits = waiting_because(&out, &cases[i].r, cases[i].rule,
		    slice_of(cases[i].lane_why), NOW);
		assert_int_equal(waits, cases[i].text != NULL);
		assert_string_equal(strbuf_text(&out),
		    waits ? cases[i].text : "");
		strbuf_fini(&out);
	}
}

TEST_MAIN(cmocka_unit_test(one_line_says_why))

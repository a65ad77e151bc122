#include "test.h"

#include <string.h>

#include "hooks/payload.h"
#include "mail/content.h"

/* 2026-01-02T03:04:05.678Z */
#define CREATED_MS 1767323045678
#define EVENT_MS (CREATED_MS + 1500)

static struct strbuf head;

static int
make_head(void **state)
{
	struct mail_field tags[] = { { SLICE("kind"), SLICE("re\"set") },
		{ SLICE("kind"), SLICE("again") },
		{ SLICE("lang"), SLICE("d\xc3\xa9") } };
	struct mail_content content = {
		.from = { .display = SLICE("Acme \xc3\x89"),
		    .local = SLICE("hi"),
		    .domain = SLICE("acme.example") },
		.subject = SLICE("Hello\tyou"),
		.tag_count = ARRAY_LEN(tags),
		.tag = tags,
	};

	strbuf_init(&head, 0);
	mail_content_encode(&content, &head);
	return test_log_setup_(state);
}

static int
free_head(void **state)
{
	strbuf_fini(&head);
	return test_log_teardown_(state);
}

static struct hooks_event
event_of(enum event_kind kind, const char *data)
{
	struct hooks_event e = { .kind = kind,
		.at_ms = EVENT_MS,
		.data = slice_of(data),
		.email_created_at_ms = CREATED_MS,
		.head = strbuf_slice(&head),
		.address = SLICE("ann@x.example") };

	assert_true(
	    id_parse(SLICE("019b7d2b-9d2e-7000-8000-000000000080"), &e.email));
	return e;
}

#define COMMON(type)                                                           \
	"{\"type\":\"" type "\",\"created_at\":\"2026-01-02T03:04:07.178Z\","  \
	"\"data\":{\"email_id\":\"019b7d2b-9d2e-7000-8000-000000000080\","     \
	"\"message_id\":\"<gm_01kdyjq79ee008000000000040@acme.example>\","     \
	"\"created_at\":\"2026-01-02T03:04:05.678Z\","                         \
	"\"from\":\"Acme \xc3\x89 <hi@acme.example>\","                        \
	"\"to\":[\"ann@x.example\"],\"subject\":\"Hello\\tyou\","              \
	"\"tags\":{\"kind\":\"re\\\"set\",\"lang\":\"d\xc3\xa9\"}"

static const struct {
	enum event_kind kind;
	const char *data, *want;
} cases[] = {
	{ EVENT_SENT, NULL, COMMON("email.sent") "}}" },
	{ EVENT_DELIVERED, "{\"code\":250,\"text\":\"ok\"}",
	    COMMON("email.delivered") "}}" },
	{ EVENT_BOUNCED,
	    "{\"code\":550,\"status\":\"5.1.1\",\"text\":\"no such user\"}",
	    COMMON("email.bounced") ",\"bounce\":{\"type\":\"Permanent\","
				    "\"subType\":\"NoEmail\","
				    "\"message\":\"no such user\","
				    "\"diagnosticCode\":[\"smtp; 550 5.1.1 no "
				    "such user\"]}}}" },
	/* The text has the status already; and one that is not in the table. */
	{ EVENT_BOUNCED,
	    "{\"code\":550,\"status\":\"5.7.1\",\"text\":\"5.7.1 go away\"}",
	    COMMON("email.bounced") ",\"bounce\":{\"type\":\"Permanent\","
				    "\"subType\":\"General\","
				    "\"message\":\"5.7.1 go away\","
				    "\"diagnosticCode\":[\"smtp; 550 5.7.1 go "
				    "away\"]}}}" },
	{ EVENT_BOUNCED, "{}",
	    COMMON("email.bounced") ",\"bounce\":{\"type\":\"Permanent\","
				    "\"subType\":\"General\","
				    "\"message\":\"The recipient's server "
				    "refused the message.\","
				    "\"diagnosticCode\":[]}}}" },
	{ EVENT_FAILED,
	    "{\"reason\":\"outcome_unknown\",\"outcome_unknown\":true}",
	    COMMON(
		"email.failed") ",\"failed\":{\"reason\":\"outcome_unknown\","
				"\"outcome_unknown\":true}}}" },
	{ EVENT_CANCELED,
	    "{\"text\":\"canceled by the operator: tag a\","
	    "\"by\":\"operator\",\"scope\":\"tag\",\"value\":\"a\"}",
	    COMMON("email.canceled") ",\"canceled\":{\"by\":\"operator\","
				     "\"scope\":\"tag\",\"value\":\"a\","
				     "\"message\":\"canceled by the "
				     "operator: tag a\"}}}" },
	{ EVENT_FAILED, "{\"reason\":\"dns\",\"text\":\"no such domain\"}",
	    COMMON("email.failed") ",\"failed\":{\"reason\":\"dns\","
				   "\"message\":\"no such domain\"}}}" },
	{ EVENT_SUPPRESSED, "{\"origin\":\"complaint\"}",
	    COMMON("email.suppressed") ",\"suppressed\":{\"type\":"
				       "\"OnAccountSuppressionList\","
				       "\"reason\":\"previous_complaint\","
				       "\"message\":\"Not sent: the "
				       "recipient complained about an earlier "
				       "email.\","
				       "\"diagnosticCode\":[]}}}" },
	{ EVENT_SUPPRESSED, NULL,
	    COMMON("email.suppressed") ",\"suppressed\":{\"type\":"
				       "\"OnAccountSuppressionList\","
				       "\"reason\":\"on_suppression_list\","
				       "\"message\":\"Not sent: the "
				       "address is on the suppression "
				       "list.\",\"diagnosticCode\":[]}}}" },
	{ EVENT_DELIVERY_DELAYED,
	    "{\"code\":451,\"status\":\"4.7.1\",\"text\":\"later\","
	    "\"retry_at\":\"2026-01-02T04:00:00.000Z\",\"attempt\":1}",
	    COMMON(
		"email.delivery_delayed") ",\"delay\":{\"message\":\"later\","
					  "\"diagnosticCode\":[\"smtp; 451 "
					  "4.7.1 later\"],"
					  "\"retry_at\":\"2026-01-02T04:00:00."
					  "000Z\"}}}" },
};

static void
has_the_shape_of_resend_and_is_the_same_every_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hooks_event e = event_of(cases[i].kind, cases[i].data);
		struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
		struct error err = { 0 };

		print_message("case %zu: kind %d\n", i, (int)cases[i].kind);
		assert_int_equal(hooks_payload_write(&first, &e, &err), 0);
		assert_int_equal(hooks_payload_write(&second, &e, &err), 0);
		assert_string_equal(strbuf_text(&first), cases[i].want);
		assert_string_equal(strbuf_text(&second), cases[i].want);
		strbuf_fini(&first);
		strbuf_fini(&second);
	}
}

static void
a_message_id_of_the_sender_is_kept(void **state)
{
	struct hooks_event e = event_of(EVENT_SENT, NULL);
	struct strbuf out = STRBUF_INIT;
	struct error err = { 0 };

	(void)state;
	e.message_id = SLICE("own@acme.example");
	assert_int_equal(hooks_payload_write(&out, &e, &err), 0);
	assert_non_null(
	    strstr(strbuf_text(&out), "\"message_id\":\"<own@acme.example>\""));
	strbuf_fini(&out);
}

static void
what_cannot_be_read_is_an_error(void **state)
{
	struct hooks_event broken_data = event_of(EVENT_BOUNCED, "{\"code\":");
	struct hooks_event broken_head = event_of(EVENT_SENT, NULL);
	struct hooks_event no_webhook = event_of(EVENT_QUEUED, NULL);
	struct strbuf out = STRBUF_INIT;
	struct error err = { 0 };

	(void)state;
	broken_head.head = SLICE("\x07not a record");
	assert_int_equal(hooks_payload_write(&out, &broken_data, &err), -1);
	assert_int_equal(hooks_payload_write(&out, &broken_head, &err), -1);
	assert_int_equal(hooks_payload_write(&out, &no_webhook, &err), -1);
	assert_int_equal(err.kind, ERR_SYNTAX);
	strbuf_fini(&out);
}

/*
 * The example of the Standard Webhooks libraries; computed once more with
 *   printf '%s' "$id.$ts.$body" | openssl dgst -sha256 -mac HMAC \
 *       -macopt hexkey:$(printf %s "$secret" | base64 -d | xxd -p -c 99)
 */
static void
signs_as_standard_webhooks_says(void **state)
{
	struct strbuf out = STRBUF_INIT;
	struct error err = { 0 };
	struct slice secret = SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
	struct slice body = SLICE("{\"test\": 2432232314}");

	(void)state;
	assert_int_equal(hooks_sign(&out, secret,
			     SLICE("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
			     body, &err),
	    0);
	assert_string_equal(strbuf_text(&out),
	    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	/* A second one, while the secret changes. */
	assert_int_equal(hooks_sign(&out, slice_from(secret, 6),
			     SLICE("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
			     body, &err),
	    0);
	assert_string_equal(strbuf_text(&out),
	    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
	    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	strbuf_fini(&out);
}

static void
a_bad_secret_is_an_error_that_does_not_show_it(void **state)
{
	static const char *const bad[] = { "", "whsec_", "whsec_???",
		"whsec_abc" };
	struct strbuf out = STRBUF_INIT;
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(hooks_sign(&out, slice_of(bad[i]), SLICE("id"),
				     1, SLICE("{}"), &err),
		    -1);
		assert_int_equal(err.kind, ERR_CRYPTO);
		assert_null(strstr(err.text, "???"));
	}
	assert_int_equal(out.len, 0);
	strbuf_fini(&out);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_head, free_head)

TEST_MAIN(TEST(has_the_shape_of_resend_and_is_the_same_every_time),
    TEST(a_message_id_of_the_sender_is_kept),
    TEST(what_cannot_be_read_is_an_error),
    TEST(signs_as_standard_webhooks_says),
    TEST(a_bad_secret_is_an_error_that_does_not_show_it))

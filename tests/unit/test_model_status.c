#include "test.h"

#include "model/status.h"

static const enum status all[] = {
	STATUS_SCHEDULED,
	STATUS_QUEUED,
	STATUS_DEFERRED,
	STATUS_SENT,
	STATUS_CANCELED,
	STATUS_SUPPRESSED,
	STATUS_FAILED,
	STATUS_DELIVERED,
	STATUS_BOUNCED,
	STATUS_COMPLAINED,
};

static void
every_pair_ends_the_same_in_both_orders(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t j = 0; j < ARRAY_LEN(all); j++) {
			enum status ij = status_raise(all[i], all[j]);
			enum status ji = status_raise(all[j], all[i]);

			assert_int_equal(ij, ji);
			assert_true(ij == all[i] || ij == all[j]);
			/* What is final stays final. */
			if (status_is_final(all[i]))
				assert_true(status_is_final(ij));
			/* Said twice changes nothing. */
			assert_int_equal(status_raise(ij, all[j]), ij);
		}
	}
}

static void
after_delivered_only_bounced_and_complained(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		enum status s = status_raise(STATUS_DELIVERED, all[i]);

		if (all[i] == STATUS_BOUNCED || all[i] == STATUS_COMPLAINED)
			assert_int_equal(s, all[i]);
		else
			assert_int_equal(s, STATUS_DELIVERED);
	}
	assert_int_equal(status_raise(STATUS_COMPLAINED, STATUS_BOUNCED),
	    STATUS_COMPLAINED);
}

static void
names_and_numbers_come_back(void **state)
{
	enum status s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_true(status_parse(slice_of(status_name(all[i])), &s));
		assert_int_equal(s, all[i]);
		assert_true(status_from_int(all[i], &s));
		assert_int_equal(s, all[i]);
	}
	assert_false(status_parse(slice_of("Delivered"), &s));
	assert_false(status_parse(slice_of(""), &s));
	assert_false(status_from_int(0, &s));
	assert_false(status_from_int(71, &s));
}

static void
only_what_is_over_is_final(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(status_is_final(all[i]),
		    all[i] >= STATUS_SENT);
}

static void
kinds_have_names_and_some_have_webhooks(void **state)
{
	enum event_kind k;

	(void)state;
	for (int i = 1; i < EVENT_KIND_COUNT; i++) {
		const char *name = event_kind_name((enum event_kind)i);
		const char *hook = event_webhook_type((enum event_kind)i);

		assert_true(event_kind_parse(slice_of(name), &k));
		assert_int_equal(k, i);
		if (hook != NULL) {
			assert_memory_equal(hook, "email.", 6);
			assert_string_equal(hook + 6, name);
		}
	}
	assert_null(event_webhook_type(EVENT_QUEUED));
	assert_false(event_kind_parse(slice_of("email.sent"), &k));
}

/* Statuses of an email's recipients, 0 ends them, and its last_event. */
static const struct {
	enum status of[4];
	const char *last_event;
} folds[] = {
	{ { STATUS_DELIVERED }, "delivered" },
	{ { STATUS_DELIVERED, STATUS_QUEUED }, "queued" },
	{ { STATUS_DEFERRED, STATUS_QUEUED }, "queued" },
	{ { STATUS_DEFERRED, STATUS_SCHEDULED }, "delivery_delayed" },
	{ { STATUS_DEFERRED, STATUS_BOUNCED }, "delivery_delayed" },
	{ { STATUS_SCHEDULED, STATUS_CANCELED }, "scheduled" },
	{ { STATUS_SENT, STATUS_COMPLAINED }, "sent" },
	{ { STATUS_COMPLAINED, STATUS_BOUNCED, STATUS_FAILED }, "complained" },
	{ { STATUS_BOUNCED, STATUS_FAILED, STATUS_DELIVERED }, "bounced" },
	{ { STATUS_FAILED, STATUS_SUPPRESSED }, "failed" },
	{ { STATUS_SUPPRESSED, STATUS_CANCELED }, "suppressed" },
	{ { STATUS_CANCELED, STATUS_DELIVERED }, "canceled" },
};

static void
the_fold_names_the_first_that_any_has(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
		unsigned int bits = 0;

		for (size_t j = 0; j < 4 && folds[i].of[j] != 0; j++)
			bits |= status_event_bit(folds[i].of[j]);
		print_message("case %zu\n", i);
		assert_string_equal(status_fold(bits), folds[i].last_event);
	}
	/* Opened and clicked are events of a delivered mail, not statuses. */
	assert_string_equal(status_fold(
				1u << EVENT_OPENED | 1u << EVENT_DELIVERED),
	    "opened");
	assert_string_equal(status_fold(
				1u << EVENT_OPENED | 1u << EVENT_CLICKED),
	    "clicked");
}

TEST_MAIN(cmocka_unit_test(every_pair_ends_the_same_in_both_orders),
    cmocka_unit_test(after_delivered_only_bounced_and_complained),
    cmocka_unit_test(names_and_numbers_come_back),
    cmocka_unit_test(only_what_is_over_is_final),
    cmocka_unit_test(kinds_have_names_and_some_have_webhooks),
    cmocka_unit_test(the_fold_names_the_first_that_any_has))

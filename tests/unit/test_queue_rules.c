#include "test.h"

#include "base/arena.h"
#include "mail/content.h"
#include "queue/rules.h"

#define NOW 1000000

static struct store_rule
rule(enum store_rule_kind kind, enum store_rule_scope scope, const char *value,
    int account)
{
	return (struct store_rule){
		.kind = kind,
		.scope = scope,
		.value = slice_of(value),
		.account = account,
		.issued_at_ms = NOW - 1000,
	};
}

static const struct {
	const char *name;
	enum store_rule_scope scope;
	const char *value;
	int account;
	bool applies;
} cases[] = {
	{ "its domain", RULE_DOMAIN, "example.com", 0, true },
	{ "in capitals", RULE_DOMAIN, "EXAMPLE.com", 0, true },
	{ "a parent domain", RULE_DOMAIN, "com", 0, false },
	{ "a subdomain", RULE_DOMAIN, "a.example.com", 0, false },
	{ "an ending only", RULE_DOMAIN, "ample.com", 0, false },
	{ "a domain in its local part", RULE_DOMAIN, "b.example", 0, false },
	{ "its domain, its account", RULE_DOMAIN, "example.com", 7, true },
	{ "its domain, another account", RULE_DOMAIN, "example.com", 8, false },
	{ "its account", RULE_ACCOUNT, "seven", 7, true },
	{ "another account", RULE_ACCOUNT, "eight", 8, false },
	{ "a tag by name", RULE_TAG, "campaign", 0, true },
	{ "a tag with its value", RULE_TAG, "campaign=spring", 0, true },
	{ "the second tag", RULE_TAG, "kind=a=b", 0, true },
	{ "a tag with another value", RULE_TAG, "campaign=autumn", 0, false },
	{ "an empty value", RULE_TAG, "campaign=", 0, false },
	{ "a tag it has not", RULE_TAG, "camp", 0, false },
	{ "a value as a name", RULE_TAG, "spring", 0, false },
	{ "a tag, another account", RULE_TAG, "campaign", 8, false },
	{ "a source", RULE_SOURCE, "192.0.2.1", 0, false },
};

static struct mail_field tags[] = {
	{ SLICE("campaign"), SLICE("spring") },
	{ SLICE("kind"), SLICE("a=b") },
};

static struct strbuf head;

static struct rules_subject
subject(void)
{
	struct mail_content content = { .tag_count = 2, .tag = tags };

	strbuf_fini(&head);
	strbuf_init(&head, 0);
	mail_content_encode(&content, &head);
	return (struct rules_subject){
		.account = 7,
		.address = SLICE("\"a@b.example\"@example.com"),
		.head = strbuf_slice(&head),
		.accepted_at_ms = NOW - 2000,
	};
}

static void
a_rule_applies_to_what_it_names(void **state)
{
	struct rules_subject what = subject();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_rule r = rule(RULE_HOLD, cases[i].scope,
		    cases[i].value, cases[i].account);

		print_message("%s\n", cases[i].name);
		assert_ptr_equal(rules_find(&r, 1, &what, NOW),
		    cases[i].applies ? &r : NULL);
		if (cases[i].scope == RULE_SOURCE)
			continue;
		r.kind = RULE_CANCEL;
		assert_ptr_equal(rules_find(&r, 1, &what, NOW),
		    cases[i].applies ? &r : NULL);
	}
	strbuf_fini(&head);
}

static void
a_cancel_covers_what_is_older_and_a_hold_everything(void **state)
{
	struct rules_subject what = subject();
	struct store_rule r = rule(RULE_CANCEL, RULE_ACCOUNT, "seven", 7);

	(void)state;
	what.accepted_at_ms = r.issued_at_ms - 1;
	assert_non_null(rules_find(&r, 1, &what, NOW));
	what.accepted_at_ms = r.issued_at_ms;
	assert_null(rules_find(&r, 1, &what, NOW));
	r.kind = RULE_HOLD;
	assert_non_null(rules_find(&r, 1, &what, NOW));
	strbuf_fini(&head);
}

static void
a_rule_ends_with_its_time(void **state)
{
	struct rules_subject what = subject();
	struct store_rule r = rule(RULE_HOLD, RULE_ACCOUNT, "seven", 7);

	(void)state;
	r.expires_at_ms = NOW + 1;
	assert_non_null(rules_find(&r, 1, &what, NOW));
	r.expires_at_ms = NOW;
	assert_null(rules_find(&r, 1, &what, NOW));
	strbuf_fini(&head);
}

static void
a_cancel_goes_before_holds_and_the_oldest_hold_first(void **state)
{
	struct rules_subject what = subject();
	struct store_rule r[] = {
		rule(RULE_HOLD, RULE_DOMAIN, "elsewhere.example", 0),
		rule(RULE_HOLD, RULE_DOMAIN, "example.com", 0),
		rule(RULE_HOLD, RULE_ACCOUNT, "seven", 7),
		rule(RULE_CANCEL, RULE_TAG, "campaign", 0),
		rule(RULE_CANCEL, RULE_ACCOUNT, "seven", 7),
	};

	(void)state;
	assert_ptr_equal(rules_find(r, 3, &what, NOW), &r[1]);
	assert_ptr_equal(rules_find(r, 5, &what, NOW), &r[3]);
	assert_null(rules_find(r, 0, &what, NOW));
	strbuf_fini(&head);
}

static void
all_holds_that_apply_are_found_for_people(void **state)
{
	struct rules_subject what = subject();
	struct arena arena = ARENA_INIT;
	struct store_rule r[] = {
		rule(RULE_HOLD, RULE_DOMAIN, "example.com", 0),
		rule(RULE_HOLD, RULE_SOURCE, "192.0.2.1", 0),
		rule(RULE_HOLD, RULE_ACCOUNT, "eight", 8),
		rule(RULE_HOLD, RULE_ACCOUNT, "seven", 7),
		rule(RULE_HOLD, RULE_TAG, "campaign", 0),
		rule(RULE_CANCEL, RULE_ACCOUNT, "seven", 7),
	};
	struct rules_found found;

	(void)state;
	r[4].expires_at_ms = NOW;
	found = rules_find_all(&arena, r, 5, &what, NOW);
	assert_ptr_equal(found.first, &r[0]);
	assert_int_equal(found.hold_count, 2);
	assert_ptr_equal(found.hold[0], &r[0]);
	assert_ptr_equal(found.hold[1], &r[3]);
	r[4].expires_at_ms = 0;
	found = rules_find_all(&arena, r, 5, &what, NOW);
	assert_int_equal(found.hold_count, 3);
	assert_ptr_equal(found.hold[2], &r[4]);
	/* What is canceled is not on hold. */
	found = rules_find_all(&arena, r, 6, &what, NOW);
	assert_ptr_equal(found.first, &r[5]);
	assert_int_equal(found.hold_count, 0);
	found = rules_find_all(&arena, &r[1], 2, &what, NOW);
	assert_null(found.first);
	assert_int_equal(found.hold_count, 0);
	arena_fini(&arena);
	strbuf_fini(&head);
}

static void
heads_are_wanted_for_tags_only_and_garbage_has_none(void **state)
{
	struct rules_subject what = subject();
	struct store_rule r[] = {
		rule(RULE_HOLD, RULE_DOMAIN, "example.com", 0),
		rule(RULE_HOLD, RULE_TAG, "campaign", 0),
	};

	(void)state;
	assert_false(rules_want_heads(r, 0));
	assert_false(rules_want_heads(r, 1));
	assert_true(rules_want_heads(r, 2));
	what.head = SLICE("\377 no record at all");
	assert_null(rules_find(&r[1], 1, &what, NOW));
	what.head = (struct slice){ NULL, 0 };
	assert_null(rules_find(&r[1], 1, &what, NOW));
	strbuf_fini(&head);
}

static void
a_source_is_held_by_its_address(void **state)
{
	struct store_rule r[] = {
		rule(RULE_HOLD, RULE_DOMAIN, "192.0.2.1", 0),
		rule(RULE_HOLD, RULE_SOURCE, "192.0.2.2", 0),
	};

	(void)state;
	assert_false(rules_hold_source(r, 2, SLICE("192.0.2.1"), NOW));
	assert_true(rules_hold_source(r, 2, SLICE("192.0.2.2"), NOW));
	assert_false(rules_hold_source(r, 2, SLICE("192.0.2.22"), NOW));
	r[1].expires_at_ms = NOW;
	assert_false(rules_hold_source(r, 2, SLICE("192.0.2.2"), NOW));
}

TEST_MAIN(cmocka_unit_test(a_rule_applies_to_what_it_names),
    cmocka_unit_test(a_cancel_covers_what_is_older_and_a_hold_everything),
    cmocka_unit_test(a_rule_ends_with_its_time),
    cmocka_unit_test(a_cancel_goes_before_holds_and_the_oldest_hold_first),
    cmocka_unit_test(all_holds_that_apply_are_found_for_people),
    cmocka_unit_test(heads_are_wanted_for_tags_only_and_garbage_has_none),
    cmocka_unit_test(a_source_is_held_by_its_address))

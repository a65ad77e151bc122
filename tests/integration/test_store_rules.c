/* Holds and cancels as rows, against a real server. */
#include "tests/unit/test.h"

#include "store/rules.h"
#include "tests/integration/mail_world.h"

struct rules_seen {
	bool done;
	int generation;
	size_t count;
	struct store_rule first;
	char value[64], reason[64];
};

static void
on_rules(void *ctx, const struct store_rule *rule, size_t count, int generation,
    const struct error *err)
{
	struct rules_seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->generation = generation;
	seen->count = count;
	if (count == 0)
		return;
	seen->first = rule[0];
	snprintf(seen->value, sizeof(seen->value), "%.*s",
	    SLICE_FMT(rule[0].value));
	snprintf(seen->reason, sizeof(seen->reason), "%.*s",
	    SLICE_FMT(rule[0].reason));
}

static struct rules_seen
list(int64_t now_ms)
{
	struct rules_seen seen = { 0 };

	store_rule_list(pg, now_ms, on_rules, &seen);
	servers_until(&seen.done);
	return seen;
}

static struct error
add(enum store_rule_kind kind, enum store_rule_scope scope, const char *value,
    int account, const char *reason)
{
	struct outcome_seen seen = { 0 };
	struct store_rule r = {
		.id = id_new(clock_now_ms()),
		.kind = kind,
		.scope = scope,
		.value = slice_of(value),
		.account = account,
		.reason = slice_of(reason),
		.issued_at_ms = clock_now_ms(),
		.expires_at_ms = kind == RULE_HOLD ? in_ms(3600000) : 0,
	};

	store_rule_add(pg, &r, servers_done, &seen);
	servers_until(&seen.done);
	return seen.err;
}

static struct error
release(enum store_rule_scope scope, const char *value, int account)
{
	struct outcome_seen seen = { 0 };

	store_rule_release(pg, scope, slice_of(value), account, servers_done,
	    &seen);
	servers_until(&seen.done);
	return seen.err;
}

static void
forget(void)
{
	SQL_NUMBER(pg, "DELETE FROM rules");
}

static void
a_hold_is_there_once_and_can_be_renewed(void **state)
{
	struct rules_seen before, after;

	(void)state;
	forget();
	before = list(clock_now_ms());
	assert_int_equal(before.count, 0);
	add(RULE_HOLD, RULE_TAG, "kind=news", 0, "first");
	add(RULE_HOLD, RULE_TAG, "kind=news", 0, "second");
	after = list(clock_now_ms());
	assert_int_equal(after.count, 1);
	assert_int_equal(after.generation, before.generation + 2);
	assert_string_equal(after.value, "kind=news");
	assert_string_equal(after.reason, "second");
	assert_int_equal(after.first.kind, RULE_HOLD);
	assert_int_equal(after.first.scope, RULE_TAG);
	assert_int_equal(after.first.account, 0);
	assert_int_equal(list(in_ms(7200000)).count, 0);
	/* Of one account it is another one. */
	add(RULE_HOLD, RULE_TAG, "kind=news", ACCOUNT, "");
	assert_int_equal(list(clock_now_ms()).count, 2);
	assert_int_equal(release(RULE_TAG, "kind=news", OTHER).kind,
	    ERR_NOTFOUND);
	assert_int_equal(release(RULE_DOMAIN, "kind=news", 0).kind,
	    ERR_NOTFOUND);
	assert_int_equal(release(RULE_TAG, "kind=news", 0).kind, ERR_NONE);
	assert_int_equal(list(clock_now_ms()).first.account, ACCOUNT);
	forget();
}

static void
there_is_a_bound(void **state)
{
	(void)state;
	forget();
	SQL_NUMBER(pg,
	    "INSERT INTO rules (id, kind, scope, value, issued_at) "
	    "SELECT gen_random_uuid(), 'hold', 'tag', n::text, now() "
	    "FROM generate_series(1, 1000) n");
	assert_int_equal(add(RULE_HOLD, RULE_TAG, "more", 0, "").kind,
	    ERR_LIMIT);
	assert_int_equal(list(clock_now_ms()).count, STORE_RULES_MAX);
	forget();
}

static void
trim(int64_t now_ms)
{
	struct outcome_seen seen = { 0 };

	store_rule_trim(pg, now_ms, servers_done, &seen);
	servers_ok(&seen);
}

static void
a_cancel_goes_when_nothing_older_is_left(void **state)
{
	struct mail m;

	(void)state;
	forget();
	SQL_NUMBER(pg,
	    "UPDATE recipients SET finished_at = now() "
	    "WHERE finished_at IS NULL");
	mail_init(&m, "trim", 1);
	accept_all(&m, 1);
	SQL_NUMBER(pg, "SELECT count(*) FROM pg_sleep(0.01)");
	add(RULE_CANCEL, RULE_DOMAIN, "example.org", 0, "");
	add(RULE_HOLD, RULE_DOMAIN, "example.org", 0, "");
	trim(in_ms(20 * 60000));
	assert_int_equal(list(clock_now_ms()).count, 2);
	SQL_NUMBER(pg,
	    "UPDATE recipients SET finished_at = now() "
	    "WHERE finished_at IS NULL");
	trim(in_ms(5 * 60000));
	assert_int_equal(list(clock_now_ms()).count, 2);
	trim(in_ms(20 * 60000));
	assert_int_equal(list(clock_now_ms()).count, 1);
	assert_int_equal(list(clock_now_ms()).first.kind, RULE_HOLD);
	/* And a hold when its hour is over. */
	trim(in_ms(2 * 3600000));
	assert_int_equal(list(clock_now_ms()).count, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(a_hold_is_there_once_and_can_be_renewed),
    CASE(there_is_a_bound), CASE(a_cancel_goes_when_nothing_older_is_left))

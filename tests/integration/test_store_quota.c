/* Daily limits: what the database hands out, and to whom. */
#include "tests/unit/test.h"

#include "store/quota.h"
#include "store/sources.h"
#include "store/workers.h"
#include "tests/integration/servers.h"

static struct pg *pg;

struct seen {
	bool done, is_there;
	struct error err;
	int number;
	struct store_quota quota;
};

static void
on_worker(void *ctx, const struct store_worker *w, size_t n,
    const struct error *err)
{
	struct seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->number = n > 0 ? w->id : 0;
}

static void
on_source(void *ctx, const struct store_source *s, size_t n,
    const struct error *err)
{
	struct seen *seen = ctx;

	assert_null(err);
	assert_int_equal(n, 1);
	seen->done = true;
	seen->number = s->number;
	seen->quota.taken = s->daily_limit;
}

static void
on_quota(void *ctx, const struct store_quota *quota, const struct error *err)
{
	struct seen *seen = ctx;

	seen->done = true;
	seen->err = err != NULL ? *err : (struct error){ 0 };
	seen->is_there = quota != NULL;
	if (quota != NULL)
		seen->quota = *quota;
}

static int
add_worker(void)
{
	struct seen seen = { 0 };
	struct store_worker w = { .node = SLICE("n"),
		.role = SLICE("mta"),
		.boot_id = SLICE("b"),
		.pid = 9 };

	store_worker_add(pg, &w, on_worker, &seen);
	servers_until(&seen.done);
	return seen.number;
}

/* A source of a worker's own. */
static int
add_source(const char *address, int worker)
{
	struct outcome_seen added = { 0 };
	struct seen seen = { 0 };
	struct store_source s = { .id = id_new(clock_now_ms()),
		.address = slice_of(address),
		.helo = SLICE("h"),
		.pool_name = SLICE("default"),
		.weight = 1,
		.created_at_ms = clock_now_ms() };
	int number;

	store_source_add(pg, &s, servers_done, &added);
	servers_ok(&added);
	number = (int)SQL_NUMBER(pg, "SELECT max(number)::int8 FROM sources");
	store_source_own(pg, worker, &number, 1, on_source, &seen);
	servers_until(&seen.done);
	return number;
}

static struct seen
take(int worker, int source, const char *provider, int cap, int want)
{
	struct seen seen = { 0 };

	store_quota_take(pg, worker, source, slice_of(provider), cap, want,
	    on_quota, &seen);
	servers_until(&seen.done);
	if (seen.err.kind != ERR_NONE)
		fail_msg("%s", seen.err.text);
	return seen;
}

static int
granted(int worker, int source, const char *provider, int cap, int want)
{
	struct seen seen = take(worker, source, provider, cap, want);

	assert_true(seen.is_there);
	return seen.quota.granted;
}

static void
no_more_is_handed_out_than_the_limit(void **state)
{
	int worker = add_worker();
	int source = add_source("192.0.2.1", worker);
	struct seen seen;

	(void)state;
	assert_int_equal(granted(worker, source, "", 100, 40), 40);
	assert_int_equal(granted(worker, source, "", 100, 40), 40);
	assert_int_equal(granted(worker, source, "", 100, 40), 20);
	assert_int_equal(granted(worker, source, "", 100, 40), 0);
	/* Each provider counts for itself. */
	assert_int_equal(granted(worker, source, "google", 30, 40), 30);
	assert_int_equal(granted(worker, source, "google", 30, 1), 0);
	/* A limit that was raised, and one that was lowered. */
	seen = take(worker, source, "", 110, 40);
	assert_int_equal(seen.quota.granted, 10);
	assert_int_equal(seen.quota.taken, 110);
	assert_int_equal(granted(worker, source, "", 50, 40), 0);
	assert_in_range(seen.quota.left_ms, 1, 86400000);
	assert_int_equal(seen.quota.day,
	    SQL_NUMBER(pg,
		"SELECT floor(extract(epoch FROM now()) / 86400)::int8"));
}

static void
only_the_owner_takes_and_gives_back(void **state)
{
	int worker = add_worker(), other = add_worker();
	int source = add_source("192.0.2.2", worker);
	struct outcome_seen back = { 0 };
	struct seen seen = take(worker, source, "", 10, 10);

	(void)state;
	assert_int_equal(seen.quota.granted, 10);
	assert_false(take(other, source, "", 10, 1).is_there);
	store_quota_return(pg, other, source, SLICE(""), seen.quota.day, 4,
	    servers_done, &back);
	servers_ok(&back);
	assert_int_equal(granted(worker, source, "", 10, 9), 0);
	store_quota_return(pg, worker, source, SLICE(""), seen.quota.day, 4,
	    servers_done, &back);
	servers_ok(&back);
	assert_int_equal(granted(worker, source, "", 10, 9), 4);
	/* What is left of yesterday is of no use today. */
	store_quota_return(pg, worker, source, SLICE(""), seen.quota.day - 1, 4,
	    servers_done, &back);
	servers_ok(&back);
	assert_int_equal(granted(worker, source, "", 10, 9), 0);
}

static void
old_days_go(void **state)
{
	int worker = add_worker();
	int source = add_source("192.0.2.3", worker);

	(void)state;
	assert_int_equal(granted(worker, source, "", 10, 1), 1);
	SQL_NUMBER(pg,
	    "INSERT INTO source_quota SELECT source, day - 41, '', 1, 1 "
	    "FROM source_quota WHERE provider = '' RETURNING 1::int8");
	assert_int_equal(granted(worker, source, "", 10, 1), 1);
	assert_int_equal(SQL_NUMBER(pg,
			     "SELECT count(*) FROM source_quota q JOIN "
			     "sources s ON s.number = q.source "
			     "WHERE host(s.address) = '192.0.2.3'"),
	    1);
}

static void
what_was_sent_counts_when_a_source_is_removed_and_added(void **state)
{
	int worker = add_worker(), source = add_source("192.0.2.15", worker);
	struct outcome_seen gone = { 0 }, removed = { 0 };

	(void)state;
	assert_int_equal(granted(worker, source, "google", 30, 20), 20);
	assert_int_equal(granted(worker, source, "", 100, 40), 40);
	store_source_disown(pg, worker, NULL, 0, servers_done, &gone);
	servers_ok(&gone);
	store_source_remove(pg, SLICE("192.0.2.15"), servers_done, &removed);
	servers_ok(&removed);
	/* Another address begins with nothing. */
	source = add_source("192.0.2.16", worker);
	assert_int_equal(granted(worker, source, "google", 30, 40), 30);
	source = add_source("192.0.2.15", worker);
	assert_int_equal(granted(worker, source, "google", 30, 40), 10);
	assert_int_equal(granted(worker, source, "", 100, 100), 60);
	assert_int_equal(SQL_NUMBER(pg, "SELECT count(*) FROM removed_quota"),
	    0);
}

/* Of one source. */
struct uses {
	bool done;
	int source;
	struct strbuf text;
};

static void
on_uses(void *ctx, const struct store_quota_use *use, size_t count,
    const struct error *err)
{
	struct uses *uses = ctx;

	assert_null(err);
	for (size_t i = 0; i < count; i++)
		if (use[i].source == uses->source)
			strbuf_add_fmt(&uses->text, "%.*s=%d;",
			    SLICE_FMT(use[i].provider), use[i].taken);
	uses->done = true;
}

static void
what_is_used_today_is_told(void **state)
{
	int worker = add_worker();
	struct uses uses = { .source = add_source("192.0.2.5", worker),
		.text = STRBUF_INIT };

	(void)state;
	assert_int_equal(granted(worker, uses.source, "", 10, 4), 4);
	assert_int_equal(granted(worker, uses.source, "", 10, 3), 3);
	assert_int_equal(granted(worker, uses.source, "google", 30, 2), 2);
	SQL_NUMBER(pg,
	    "INSERT INTO source_quota SELECT source, day - 1, provider, 9, 9 "
	    "FROM source_quota WHERE source = (SELECT max(number) FROM "
	    "sources) RETURNING 1::int8");
	store_quota_list(pg, on_uses, &uses);
	servers_until(&uses.done);
	assert_string_equal(strbuf_text(&uses.text), "=7;google=2;");
	strbuf_fini(&uses.text);
}

static void
a_source_is_changed_in_what_is_said(void **state)
{
	int worker = add_worker();
	int source = add_source("192.0.2.4", worker);
	struct outcome_seen done = { 0 };
	struct store_source_change change = { .daily_limit = 500 };
	struct seen seen = { 0 };

	(void)state;
	store_source_set(pg, SLICE("192.0.2.4"), &change, servers_done, &done);
	servers_ok(&done);
	change = (struct store_source_change){ .weight = 7,
		.daily_limit = -1,
		.pool_name = SLICE("fresh") };
	store_source_set(pg, SLICE("192.0.2.4"), &change, servers_done, &done);
	servers_ok(&done);
	store_source_own(pg, worker, &source, 1, on_source, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.quota.taken, 500);
	assert_int_equal(SQL_NUMBER(pg,
			     "SELECT count(*) FROM sources s JOIN pools p "
			     "ON p.number = s.pool WHERE p.name = 'fresh' "
			     "AND s.weight = 7"),
	    1);
	change = (struct store_source_change){ .daily_limit = 0 };
	store_source_set(pg, SLICE("192.0.2.4"), &change, servers_done, &done);
	servers_ok(&done);
	assert_int_equal(SQL_NUMBER(pg,
			     "SELECT count(*) FROM sources "
			     "WHERE daily_limit IS NOT NULL"),
	    0);
	store_source_set(pg, SLICE("192.0.2.9"), &change, servers_done, &done);
	servers_until(&done.done);
	assert_int_equal(done.err.kind, ERR_NOTFOUND);
}

static int
setup(void **state)
{
	test_log_setup_(state);
	pg = servers_pg();
	return 0;
}

static int
teardown(void **state)
{
	pg_free(&pg);
	return test_log_teardown_(state);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(no_more_is_handed_out_than_the_limit),
    CASE(only_the_owner_takes_and_gives_back), CASE(old_days_go),
    CASE(what_was_sent_counts_when_a_source_is_removed_and_added),
    CASE(what_is_used_today_is_told), CASE(a_source_is_changed_in_what_is_said))

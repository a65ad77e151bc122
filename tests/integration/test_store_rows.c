/* The tables of the operator, against a real server. */
#include "tests/unit/test.h"

#include "store/domains.h"
#include "store/keys.h"
#include "store/outcomes.h"
#include "store/removals.h"
#include "store/sources.h"
#include "store/suppressions.h"
#include "store/workers.h"
#include "tests/integration/rows_world.h"

static void
on_removed(void *ctx, int64_t waiting, const struct error *err)
{
	struct rows *r = ctx;

	begin(r, 0, err);
	r->number = (int)waiting;
}

static void
accounts_are_found_by_name_or_id(void **state)
{
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };
	int number = add_account("acme");

	(void)state;
	store_account_add(pg, id_new(clock_now_ms()), SLICE("acme"),
	    clock_now_ms(), on_account, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_CONFLICT);
	r = (struct rows){ 0 };
	store_account_set(pg, number, &(struct store_account_change){ 200, 2 },
	    servers_done, &seen);
	servers_ok(&seen);
	store_account_find(pg, SLICE("acme"), on_account, &r);
	wait_for(&r);
	assert_string_equal(r.text, "acme 200");
	r = (struct rows){ 0 };
	store_account_find(pg, SLICE("nobody"), on_account, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
	r = (struct rows){ 0 };
	store_account_list(pg, on_account, &r);
	wait_for(&r);
	assert_true(r.count >= 1);
	r = (struct rows){ 0 };
	store_account_remove(pg, number, on_removed, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	r = (struct rows){ 0 };
	store_account_remove(pg, number, on_removed, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
}

static void
on_domain(void *ctx, const struct store_domain *d, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (!begin(r, n, err))
		return;
	r->number = d->number;
	snprintf(r->text, sizeof(r->text), "%.*s %.*s %.*s %.*s",
	    SLICE_FMT(d->name), SLICE_FMT(d->return_path_host),
	    SLICE_FMT(d->status), SLICE_FMT(d->checks));
}

static void
on_dkim(void *ctx, const struct store_dkim_key *k, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (begin(r, n, err))
		snprintf(r->text, sizeof(r->text), "%.*s %zu",
		    SLICE_FMT(k->selector), k->private_key.len);
}

static void
a_domain_has_its_keys_and_checks(void **state)
{
	int account = add_account("domains"), number;
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };
	struct store_domain d = { .id = id_new(clock_now_ms()),
		.account = account,
		.name = SLICE("example.org"),
		.return_path_host = SLICE("send.example.org"),
		.created_at_ms = clock_now_ms() };
	struct store_dkim_key k = { .id = id_new(clock_now_ms()),
		.selector = SLICE("s1"),
		.algorithm = SLICE("rsa-sha256"),
		.private_key = slice_mem("\0\1\2", 3),
		.public_txt = SLICE("v=DKIM1"),
		.created_at_ms = clock_now_ms() };

	(void)state;
	store_domain_add(pg, &d, &k, on_domain, &r);
	wait_for(&r);
	assert_string_equal(r.text,
	    "example.org send.example.org not_started []");
	number = r.number;
	r = (struct rows){ 0 };
	store_domain_add(pg, &d, &k, on_domain, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_CONFLICT);
	store_domain_set_checks(pg, number, SLICE("verified"),
	    SLICE("[{\"a\": 1}]"), clock_now_ms(), servers_done, &seen);
	servers_ok(&seen);
	store_domain_set_checks(pg, number, SLICE("nonsense"), SLICE("[]"),
	    clock_now_ms(), servers_done, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.err.kind, ERR_CONFLICT);
	seen.done = false;
	r = (struct rows){ 0 };
	store_domain_find_name(pg, account, SLICE("example.org"), on_domain,
	    &r);
	wait_for(&r);
	assert_string_equal(r.text,
	    "example.org send.example.org verified [{\"a\": 1}]");
	r = (struct rows){ 0 };
	store_domain_find_name(pg, account + 1, SLICE("example.org"), on_domain,
	    &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
	r = (struct rows){ 0 };
	store_domain_find_number(pg, number, on_domain, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	r = (struct rows){ 0 };
	store_domain_list(pg, 0, on_domain, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	/* Another key: the older one signs no more. */
	k.id = id_new(clock_now_ms());
	k.domain = number;
	k.selector = SLICE("s2");
	store_dkim_key_add(pg, &k, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_dkim_key_list(pg, number, on_dkim, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	assert_string_equal(r.text, "s2 3");
	r = (struct rows){ 0 };
	store_domain_remove(pg, account + 1, number, on_removed, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
	r = (struct rows){ 0 };
	store_domain_remove(pg, account, number, on_removed, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	assert_int_equal(r.number, 0);
	r = (struct rows){ 0 };
	store_dkim_key_list(pg, number, on_dkim, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
}

static void
on_auth(void *ctx, const struct store_key_auth *a, const struct error *err)
{
	struct rows *r = ctx;

	if (begin(r, a != NULL, err))
		snprintf(r->text, sizeof(r->text), "%.*s %d %d/%d %d/%d",
		    SLICE_FMT(a->account.name), a->key.sending_only,
		    a->stream[0].pool, a->stream[0].weight_log2,
		    a->stream[1].pool, a->stream[1].weight_log2);
}

static void
on_key(void *ctx, const struct store_key *k, size_t n, const struct error *err)
{
	struct rows *r = ctx;

	if (begin(r, n, err))
		snprintf(r->text, sizeof(r->text), "%.*s %.*s %d",
		    SLICE_FMT(k->name), SLICE_FMT(k->prefix),
		    k->last_used_at_ms > 0);
}

static void
a_key_says_all_that_intake_needs(void **state)
{
	int account = add_account("keys");
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };
	uint8_t hash[32] = { 1, 2, 3 };
	struct store_key k = { .id = id_new(clock_now_ms()),
		.account = account,
		.name = SLICE("ci"),
		.prefix = SLICE("re_1"),
		.sending_only = true,
		.created_at_ms = clock_now_ms() };

	(void)state;
	store_key_add(pg, &k, hash, servers_done, &seen);
	servers_ok(&seen);
	store_key_find(pg, hash, on_auth, &r);
	wait_for(&r);
	assert_string_equal(r.text, "keys 1 1/3 1/0");
	store_key_touch(pg, k.id, clock_now_ms(), servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_key_list(pg, account, on_key, &r);
	wait_for(&r);
	assert_string_equal(r.text, "ci re_1 1");
	store_key_remove(pg, account, k.id, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_key_find(pg, hash, on_auth, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
}

static void
on_source(void *ctx, const struct store_source *s, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (!begin(r, n, err))
		return;
	r->number = s->number;
	snprintf(r->text, sizeof(r->text), "%.*s %.*s %d",
	    SLICE_FMT(s->address), SLICE_FMT(s->pool_name), s->owner);
}

static void
on_worker(void *ctx, const struct store_worker *w, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (begin(r, n, err))
		r->number = w->id;
}

static int
add_worker(const char *node, const char *boot)
{
	struct rows r = { 0 };
	struct store_worker w = { .node = slice_of(node),
		.role = SLICE("mta"),
		.boot_id = slice_of(boot),
		.slot = 1,
		.pid = 9 };

	store_worker_add(pg, &w, on_worker, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	return r.number;
}

static void
a_source_has_one_living_owner(void **state)
{
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };
	int first = add_worker("n", "b"), second = add_worker("n", "b");
	struct store_source s = { .id = id_new(clock_now_ms()),
		.address = SLICE("2001:db8::1"),
		.helo = SLICE("h"),
		.pool_name = SLICE("other"),
		.weight = 1,
		.node = { NULL, 0 },
		.created_at_ms = clock_now_ms() };
	int number;

	(void)state;
	store_source_add(pg, &s, servers_done, &seen);
	servers_ok(&seen);
	store_source_list(pg, SLICE("n"), on_source, &r);
	wait_for(&r);
	assert_string_equal(r.text, "2001:db8::1 other 0");
	number = r.number;
	r = (struct rows){ 0 };
	store_source_own(pg, first, &number, 1, on_source, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	r = (struct rows){ 0 };
	store_source_own(pg, second, &number, 1, on_source, &r);
	wait_for(&r);
	assert_int_equal(r.count, 0);
	store_source_remove(pg, s.address, servers_done, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.err.kind, ERR_CONFLICT);
	seen.done = false;
	/* Nobody takes it any more; here it is taken back. */
	r = (struct rows){ 0 };
	store_source_own(pg, first, &number, 1, on_source, &r);
	wait_for(&r);
	assert_int_equal(r.count, 0);
	assert_true(SQL_NUMBER(pg,
			"WITH u AS (UPDATE sources SET enabled = true "
			"WHERE helo = 'h' AND NOT enabled RETURNING 1) "
			"SELECT count(*) FROM u") == 1);
	/* The owner is dead: the next one may have it; the dead may not. */
	store_worker_set_dead(pg, first, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_source_own(pg, second, &number, 1, on_source, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	r = (struct rows){ 0 };
	store_source_own(pg, first, &number, 1, on_source, &r);
	wait_for(&r);
	assert_int_equal(r.count, 0);
	/* What it keeps stays its own. */
	store_source_disown(pg, second, &number, 1, servers_done, &seen);
	servers_ok(&seen);
	store_source_remove(pg, s.address, servers_done, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.err.kind, ERR_CONFLICT);
	seen.done = false;
	store_source_disown(pg, second, NULL, 0, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_source_own(pg, first, &number, 1, on_source, &r);
	wait_for(&r);
	assert_int_equal(r.count, 0);
	store_source_remove(pg, s.address, servers_done, &seen);
	servers_ok(&seen);
}

static void
workers_live_while_they_beat(void **state)
{
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };
	int a = add_worker("w1", "boot-1"), b = add_worker("w1", "boot-2");
	int c = add_worker("w2", "boot-1");

	(void)state;
	assert_true(a < b && b < c);
	store_worker_beat(pg, a, servers_done, &seen);
	servers_ok(&seen);
	store_worker_set_dead_boots(pg, SLICE("w1"), SLICE("boot-2"), on_worker,
	    &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.number, a);
	store_worker_beat(pg, a, servers_done, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.err.kind, ERR_NOTFOUND);
	seen.done = false;
	r = (struct rows){ 0 };
	store_worker_set_dead_slot(pg, SLICE("w2"), SLICE("mta"), 1, c,
	    on_worker, &r);
	wait_for(&r);
	assert_int_equal(r.count, 0);
	r = (struct rows){ 0 };
	store_worker_set_dead_unseen(pg, 30000, on_worker, &r);
	wait_for(&r);
	assert_int_equal(r.count, 0);
	SQL_NUMBER(pg,
	    "UPDATE workers SET seen_at = seen_at - interval "
	    "'31 s' WHERE node = 'w2'");
	r = (struct rows){ 0 };
	store_worker_set_dead_unseen(pg, 30000, on_worker, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.number, c);
	store_worker_trim(pg, 10000, servers_done, &seen);
	servers_ok(&seen);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM workers "
			"WHERE node = 'w2'") == 0);
}

static void
on_suppression(void *ctx, const struct store_suppression *s, size_t n,
    bool has_more, const struct error *err)
{
	struct rows *r = ctx;

	r->has_more = has_more;
	if (begin(r, n, err))
		snprintf(r->text, sizeof(r->text), "%.*s %.*s %d",
		    SLICE_FMT(s->address), SLICE_FMT(s->origin),
		    s->expires_at_ms == 0);
}

static void
suppressions_are_listed_found_and_removed(void **state)
{
	static const char *const addresses[] = { "a@x", "b@x", "c@x" };
	const struct id none = { { 0 } };
	int account = add_account("suppressions");
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct store_suppression s = { .id = id_new(clock_now_ms()),
			.account = account,
			.address = slice_of(addresses[i]),
			.scope = -1,
			.origin = i == 1 ? SLICE("bounce") : SLICE("manual"),
			.created_at_ms = clock_now_ms(),
			.expires_at_ms = i == 1 ? clock_now_ms() + 50 : 0 };

		r = (struct rows){ 0 };
		store_suppression_add(pg, &s, on_suppression, &r);
		wait_for(&r);
		assert_int_equal(r.err.kind, ERR_NONE);
	}
	r = (struct rows){ 0 };
	store_suppression_list(pg, account, SLICE(""), 2, none, none,
	    clock_now_ms() - 1000, on_suppression, &r);
	wait_for(&r);
	assert_int_equal(r.count, 2);
	assert_true(r.has_more);
	assert_string_equal(r.text, "c@x manual 1");
	r = (struct rows){ 0 };
	store_suppression_list(pg, account, SLICE("manual"), 9, none, none,
	    clock_now_ms(), on_suppression, &r);
	wait_for(&r);
	assert_int_equal(r.count, 2);
	/* What is over is not found, and trimmed. */
	r = (struct rows){ 0 };
	store_suppression_find(pg, account, SLICE("b@x"), none,
	    clock_now_ms() + 1000, on_suppression, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
	store_suppression_trim(pg, clock_now_ms() + 1000, 10, servers_done,
	    &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_suppression_remove(pg, account, SLICE("a@x"), none,
	    on_suppression, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	assert_true(SQL_NUMBER(pg, "SELECT count(*) FROM suppressions") == 1);
}

struct page {
	struct rows rows;
	char addresses[60]; /* "a@x b@x " */
	struct id last;
};

static void
on_page(void *ctx, const struct store_suppression *s, size_t n, bool has_more,
    const struct error *err)
{
	struct page *page = ctx;

	page->rows.has_more = has_more;
	if (!begin(&page->rows, n, err))
		return;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(page->addresses);

		snprintf(page->addresses + len, sizeof(page->addresses) - len,
		    "%.*s ", SLICE_FMT(s[i].address));
		page->last = s[i].id;
	}
}

static void
bounced(int account, const char *address, int64_t now_ms)
{
	struct outcome_seen seen = { 0 };
	struct store_outcome o = { .id = id_new(now_ms), .account = account };

	o.suppress.key = slice_of(address);
	o.suppress.origin = SLICE("bounce");
	o.suppress.reason = SLICE("550 no");
	o.suppress.expires_at_ms = now_ms + 1000;
	store_outcomes_write(pg, now_ms, &o, 1, servers_done, &seen);
	servers_ok(&seen);
}

static void
list_page(struct page *page, int account, size_t limit, struct id after,
    struct id before, int64_t now_ms)
{
	*page = (struct page){ 0 };
	store_suppression_list(pg, account, SLICE(""), limit, after, before,
	    now_ms, on_page, page);
	wait_for(&page->rows);
	assert_int_equal(page->rows.err.kind, ERR_NONE);
}

/* Also those that bounces made; a page goes on behind a row that is gone. */
static void
suppressions_are_listed_newest_first(void **state)
{
	static const char *const addresses[] = { "a@x", "b@x", "c@x", "d@x",
		"e@x", "f@x" };
	const struct id none = { { 0 } };
	int account = add_account("newest first");
	int64_t start_ms = clock_now_ms();
	struct rows r = { 0 };
	struct page page;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		bounced(account, addresses[i], start_ms + (int64_t)i * 10);
	list_page(&page, account, 4, none, none, start_ms);
	assert_string_equal(page.addresses, "f@x e@x d@x c@x ");
	assert_true(page.rows.has_more);
	store_suppression_remove(pg, account, SLICE("c@x"), none,
	    on_suppression, &r);
	wait_for(&r);
	list_page(&page, account, 4, page.last, none, start_ms);
	assert_string_equal(page.addresses, "b@x a@x ");
	assert_false(page.rows.has_more);
	list_page(&page, account, 2, none, page.last, start_ms);
	assert_string_equal(page.addresses, "d@x b@x ");
	/* Over, and there again: the newest. */
	bounced(account, "a@x", start_ms + 5000);
	bounced(account, "b@x", start_ms + 5001);
	list_page(&page, account, 9, none, none, start_ms + 5001);
	assert_string_equal(page.addresses, "b@x a@x ");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(accounts_are_found_by_name_or_id),
    CASE(a_domain_has_its_keys_and_checks),
    CASE(a_key_says_all_that_intake_needs), CASE(a_source_has_one_living_owner),
    CASE(workers_live_while_they_beat),
    CASE(suppressions_are_listed_found_and_removed),
    CASE(suppressions_are_listed_newest_first))

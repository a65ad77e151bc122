/* The tables of the operator, of webhooks, returns and the simulator. */
#include "tests/unit/test.h"

#include "store/accept.h"
#include "store/domains.h"
#include "store/keys.h"
#include "store/leader.h"
#include "store/outcomes.h"
#include "store/returns.h"
#include "store/simulator.h"
#include "store/sources.h"
#include "store/suppressions.h"
#include "store/webhooks.h"
#include "store/workers.h"
#include "tests/integration/servers.h"

static struct pg *pg;

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

/* What any of the callbacks saw: the first row, as a text. */
struct rows {
	bool done, has_more;
	size_t count;
	struct error err;
	int number;
	char text[200];
	struct store_delivery delivery[4];
	struct store_return back[4];
};

static bool
begin(struct rows *r, size_t count, const struct error *err)
{
	r->done = true;
	r->count = count;
	r->err = err != NULL ? *err : (struct error){ 0 };
	return count > 0;
}

static void
wait_for(struct rows *r)
{
	servers_until(&r->done);
}

static void
on_account(void *ctx, const struct store_account *a, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (!begin(r, n, err))
		return;
	r->number = a->number;
	snprintf(r->text, sizeof(r->text), "%.*s %d", SLICE_FMT(a->name),
	    a->suppressed_answer);
}

static int
add_account(const char *name)
{
	struct rows r = { 0 };

	store_account_add(pg, id_new(clock_now_ms()), slice_of(name),
	    clock_now_ms(), on_account, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	return r.number;
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
	store_account_set_answer(pg, number, 200, servers_done, &seen);
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
	store_account_remove(pg, number, servers_done, &seen);
	servers_ok(&seen);
	store_account_remove(pg, number, servers_done, &seen);
	servers_until(&seen.done);
	assert_int_equal(seen.err.kind, ERR_NOTFOUND);
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
	store_domain_remove(pg, account, d.id, servers_done, &seen);
	servers_ok(&seen);
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
	store_source_disown(pg, second, servers_done, &seen);
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

/* Webhooks. ---------------------------------------------------------------- */

static void
on_webhook(void *ctx, const struct store_webhook *w, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (begin(r, n, err))
		snprintf(r->text, sizeof(r->text), "%.*s %u %d",
		    SLICE_FMT(w->url), w->events, w->enabled);
}

static void
on_delivery(void *ctx, const struct store_delivery *d, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (!begin(r, n, err))
		return;
	for (size_t i = 0; i < MIN(n, ARRAY_LEN(r->delivery)); i++)
		r->delivery[i] = d[i];
	snprintf(r->text, sizeof(r->text), "%.*s %.*s %.*s", SLICE_FMT(d->url),
	    SLICE_FMT(d->event_data), SLICE_FMT(d->address));
}

static void
on_due_time(void *ctx, int64_t due_at_ms, const struct error *err)
{
	struct rows *r = ctx;

	begin(r, 0, err);
	r->number = due_at_ms > 0;
}

/* An email of this account with one event for each kind given. */
static struct id
mail_with_events(int account, enum event_kind a, enum event_kind b)
{
	struct store_accept_recipient rcpt = { .address = SLICE("u@x"),
		.key = SLICE("u@x"),
		.pool = 1,
		.lane = SLICE("h1") };
	struct store_accept_item item = { .email = id_new_email(clock_now_ms()),
		.account = account,
		.domain = 1,
		.head = SLICE("h"),
		.content = SLICE("c"),
		.expires_at_ms = clock_now_ms() + 1000,
		.count = 1,
		.recipient = &rcpt };
	struct store_accept_item *list[] = { &item };
	struct outcome_seen seen = { 0 };
	struct store_outcome o = { .account = account,
		.event_count = 2,
		.event = { { a, 0, SLICE("{\"n\":1}") },
		    { b, 0, { NULL, 0 } } } };

	store_accept_start(pg, clock_now_ms(), list, 1, servers_done, &seen);
	servers_ok(&seen);
	o.id = id_of_recipient(item.email, 1);
	store_outcomes_write(pg, clock_now_ms(), &o, 1, servers_done, &seen);
	servers_ok(&seen);
	return o.id;
}

static void
claim(struct rows *r, int64_t now_ms, const struct id *busy, size_t n)
{
	*r = (struct rows){ 0 };
	store_delivery_claim(pg, now_ms, 60000, 10, busy, n, on_delivery, r);
	wait_for(r);
	if (r->err.kind != ERR_NONE)
		fail_msg("%s", r->err.text);
}

static void
deliveries_are_owed_claimed_and_finished(void **state)
{
	int account = add_account("webhooks");
	struct rows r = { 0 };
	struct outcome_seen seen = { 0 };
	struct store_webhook w = { .id = id_new(clock_now_ms()),
		.account = account,
		.url = SLICE("https://h/1"),
		.events = 1U << EVENT_DELIVERED,
		.secret = SLICE("s"),
		.enabled = true,
		.created_at_ms = clock_now_ms() };
	struct store_delivery_result res;
	struct id rcpt, delivery;
	int64_t now_ms;

	(void)state;
	store_webhook_add(pg, &w, servers_done, &seen);
	servers_ok(&seen);
	store_delivery_next(pg, on_due_time, &r);
	wait_for(&r);
	assert_int_equal(r.number, 0);
	rcpt = mail_with_events(account, EVENT_DELIVERED, EVENT_SENT);
	now_ms = clock_now_ms() + 1;
	claim(&r, now_ms, &w.id, 1);
	assert_int_equal(r.count, 0); /* its endpoint is busy */
	claim(&r, now_ms, NULL, 0);
	assert_int_equal(r.count, 1); /* sent is not wanted */
	assert_string_equal(r.text, "https://h/1 {\"n\":1} u@x");
	assert_int_equal(id_cmp(r.delivery[0].recipient, rcpt), 0);
	assert_int_equal(id_cmp(r.delivery[0].email, id_email_of(rcpt)), 0);
	assert_int_equal(r.delivery[0].kind, EVENT_DELIVERED);
	assert_int_equal(r.delivery[0].tries, 1);
	assert_true(r.delivery[0].enabled);
	delivery = r.delivery[0].id;
	/* Leased: nobody else's, until the lease is over. */
	claim(&r, now_ms, NULL, 0);
	assert_int_equal(r.count, 0);
	claim(&r, now_ms + 60001, NULL, 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.delivery[0].tries, 2);
	assert_int_equal(id_cmp(r.delivery[0].id, delivery), 0);
	/* The first claimer comes too late: dropped. */
	res = (struct store_delivery_result){ .recipient = rcpt,
		.kind = EVENT_DELIVERED,
		.webhook = w.id,
		.tries = 1,
		.delivered = true,
		.status = 200,
		.error = { NULL, 0 } };
	store_delivery_finish(pg, now_ms, &res, 1, servers_done, &seen);
	servers_ok(&seen);
	res.tries = 2;
	res.delivered = false;
	res.status = 503;
	res.error = SLICE("busy");
	res.next_at_ms = now_ms + 90000;
	store_delivery_finish(pg, now_ms, &res, 1, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_delivery_list(pg, w.id, 10, on_delivery, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	assert_false(r.delivery[0].delivered);
	assert_int_equal(r.delivery[0].last_status, 503);
	assert_true(r.delivery[0].due_at_ms == now_ms + 90000);
	claim(&r, now_ms + 90001, NULL, 0);
	assert_int_equal(r.delivery[0].tries, 3);
	res.tries = 3;
	res.delivered = true;
	res.next_at_ms = 0;
	store_delivery_finish(pg, now_ms, &res, 1, servers_done, &seen);
	servers_ok(&seen);
	claim(&r, now_ms + 1000000, NULL, 0);
	assert_int_equal(r.count, 0);
	store_delivery_replay(pg, account, delivery, now_ms, servers_done,
	    &seen);
	servers_ok(&seen);
	claim(&r, now_ms + 1, NULL, 0);
	assert_int_equal(r.count, 1);
	/* A webhook that was removed is owed nothing more. */
	w.enabled = false;
	w.url = SLICE("https://h/2");
	store_webhook_update(pg, &w, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_webhook_find(pg, account, w.id, on_webhook, &r);
	wait_for(&r);
	assert_string_equal(r.text, "https://h/2 16 0");
	r = (struct rows){ 0 };
	store_webhook_list(pg, account, on_webhook, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	store_webhook_remove(pg, account, w.id, servers_done, &seen);
	servers_ok(&seen);
	claim(&r, now_ms + 1000000, NULL, 0);
	assert_int_equal(r.count, 0);
}

static void
two_claimers_never_get_the_same_delivery(void **state)
{
	int account = add_account("claimers");
	struct pg *other = servers_pg();
	struct rows a = { 0 }, b = { 0 };
	struct outcome_seen seen = { 0 };
	struct store_webhook w = { .id = id_new(clock_now_ms()),
		.account = account,
		.url = SLICE("https://h/1"),
		.events = 1U << EVENT_DELIVERED | 1U << EVENT_SENT,
		.secret = SLICE("s"),
		.enabled = true,
		.created_at_ms = clock_now_ms() };

	(void)state;
	store_webhook_add(pg, &w, servers_done, &seen);
	servers_ok(&seen);
	mail_with_events(account, EVENT_DELIVERED, EVENT_SENT);
	mail_with_events(account, EVENT_DELIVERED, EVENT_SENT);
	store_delivery_claim(pg, clock_now_ms() + 1, 60000, 4, NULL, 0,
	    on_delivery, &a);
	store_delivery_claim(other, clock_now_ms() + 1, 60000, 4, NULL, 0,
	    on_delivery, &b);
	wait_for(&a);
	wait_for(&b);
	assert_int_equal(a.count + b.count, 4);
	for (size_t i = 0; i < a.count; i++)
		for (size_t k = 0; k < b.count; k++)
			assert_int_not_equal(id_cmp(a.delivery[i].id,
						 b.delivery[k].id),
			    0);
	pg_free(&other);
}

/* Returns, simulator, leader. --------------------------------------------- */

static void
on_return(void *ctx, const struct store_return *row, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (!begin(r, n, err))
		return;
	for (size_t i = 0; i < MIN(n, ARRAY_LEN(r->back)); i++)
		r->back[i] = row[i];
	snprintf(r->text, sizeof(r->text), "<%.*s> %.*s %zu",
	    SLICE_FMT(row->mail_from), SLICE_FMT(row->rcpt_to), row->raw.len);
}

static void
claim_returns(struct rows *r, int64_t now_ms)
{
	*r = (struct rows){ 0 };
	store_return_claim(pg, now_ms, 60000, 10, on_return, r);
	wait_for(r);
	if (r->err.kind != ERR_NONE)
		fail_msg("%s", r->err.text);
}

static void
a_return_is_kept_until_it_is_worked_on(void **state)
{
	int64_t now_ms = clock_now_ms();
	struct outcome_seen seen = { 0 };
	struct rows r;
	struct store_return rows[2] = {
		{ .id = id_new(now_ms),
		    .mail_from = SLICE(""),
		    .rcpt_to = SLICE("b-x@r"),
		    .peer = SLICE("127.0.0.1"),
		    .raw = slice_mem("a\0\xff", 3) },
		{ .id = id_new(now_ms),
		    .mail_from = { NULL, 0 },
		    .rcpt_to = SLICE("postmaster@r"),
		    .peer = SLICE("127.0.0.1"),
		    .raw = SLICE("x") },
	};
	struct store_return_result res[2] = {
		{ .id = rows[0].id,
		    .kind = SLICE("failed"),
		    .detail = { NULL, 0 } },
		{ .id = rows[1].id,
		    .kind = SLICE("none"),
		    .detail = SLICE("later"),
		    .again_at_ms = now_ms + 5000 },
	};

	(void)state;
	claim_returns(&r, now_ms);
	assert_int_equal(r.count, 0);
	store_return_add(pg, now_ms, rows, 2, servers_done, &seen);
	servers_ok(&seen);
	claim_returns(&r, now_ms);
	assert_int_equal(r.count, 2);
	assert_string_equal(r.text, "<> b-x@r 3");
	assert_int_equal(r.back[0].tries, 1);
	assert_true(id_is_zero(r.back[0].recipient));
	claim_returns(&r, now_ms);
	assert_int_equal(r.count, 0);
	claim_returns(&r, now_ms + 60001); /* who had them is gone */
	assert_int_equal(r.count, 2);
	assert_int_equal(r.back[0].tries, 2);
	store_return_finish(pg, now_ms, res, 2, servers_done, &seen);
	servers_ok(&seen);
	claim_returns(&r, now_ms + 4999);
	assert_int_equal(r.count, 0);
	claim_returns(&r, now_ms + 5000);
	assert_int_equal(r.count, 1);
	assert_string_equal(r.text, "<> postmaster@r 1");
	res[1].again_at_ms = 0;
	store_return_finish(pg, now_ms, res, 2, servers_done, &seen);
	servers_ok(&seen);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM returns WHERE "
			"processed_at IS NOT NULL AND due_at IS "
			"NULL") == 2);
}

static void
on_mail(void *ctx, const struct store_simulator_mail *m, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (begin(r, n, err))
		snprintf(r->text, sizeof(r->text), "%.*s %d %zu",
		    SLICE_FMT(m->rcpt_to), m->raw.ptr != NULL, m->raw_bytes);
}

static void
the_simulator_keeps_the_newest(void **state)
{
	struct outcome_seen seen = { 0 };
	struct rows r = { 0 };
	struct store_simulator_mail m[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		m[i] = (struct store_simulator_mail){
			.id = id_new(clock_now_ms()),
			.mail_from = SLICE("f@x"),
			.rcpt_to = i == 2 ? SLICE("c@x") : SLICE("a@x"),
			.outcome = SLICE("delivered"),
			.raw = SLICE("raw mail"),
		};
	store_simulator_add(pg, m, 3, servers_done, &seen);
	servers_ok(&seen);
	store_simulator_list(pg, 10, on_mail, &r);
	wait_for(&r);
	assert_int_equal(r.count, 3);
	assert_string_equal(r.text, "c@x 0 8");
	r = (struct rows){ 0 };
	store_simulator_find(pg, m[0].id, on_mail, &r);
	wait_for(&r);
	assert_string_equal(r.text, "a@x 1 8");
	store_simulator_trim(pg, 1, servers_done, &seen);
	servers_ok(&seen);
	r = (struct rows){ 0 };
	store_simulator_list(pg, 10, on_mail, &r);
	wait_for(&r);
	assert_int_equal(r.count, 1);
	assert_string_equal(r.text, "c@x 0 8");
	r = (struct rows){ 0 };
	store_simulator_find(pg, m[0].id, on_mail, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NOTFOUND);
}

static void
on_leader(void *ctx, bool is_leader, const struct error *err)
{
	struct rows *r = ctx;

	begin(r, 0, err);
	r->number = is_leader;
}

static bool
leads(struct pg *who)
{
	struct rows r = { 0 };

	store_leader_try(who, on_leader, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	return r.number != 0;
}

static void
one_leads_until_its_connection_ends(void **state)
{
	struct pg *other = servers_pg();
	int64_t end_ms = clock_mono_ms() + 10000;
	bool got = false;

	(void)state;
	assert_true(leads(pg));
	assert_false(leads(other));
	pg_free(&pg);
	while (!got && clock_mono_ms() < end_ms)
		got = leads(other);
	assert_true(got);
	pg_free(&other);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(accounts_are_found_by_name_or_id),
    CASE(a_domain_has_its_keys_and_checks),
    CASE(a_key_says_all_that_intake_needs), CASE(a_source_has_one_living_owner),
    CASE(workers_live_while_they_beat),
    CASE(suppressions_are_listed_found_and_removed),
    CASE(deliveries_are_owed_claimed_and_finished),
    CASE(two_claimers_never_get_the_same_delivery),
    CASE(a_return_is_kept_until_it_is_worked_on),
    CASE(the_simulator_keeps_the_newest),
    CASE(one_leads_until_its_connection_ends))

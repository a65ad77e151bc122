/* The tables of webhooks, returns and the simulator, and who leads. */
#include "tests/unit/test.h"

#include "store/accept.h"
#include "store/leader.h"
#include "store/outcomes.h"
#include "store/simulator.h"
#include "tests/integration/rows_world.h"

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

/* An email of this account with one event for each kind given (b: or 0). */
static struct id
mail_with_events(int account, enum event_kind a, int b)
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
		.event_count = b == 0 ? 1 : 2,
		.event = { { a, 0, SLICE("{\"n\":1}") },
		    { (enum event_kind)b, 0, { NULL, 0 } } } };

	servers_domain(pg);
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

/* Delivered says sent, too, at the same time and without its data. */
static size_t
check_events(const struct rows *r)
{
	size_t sent = 0;

	for (size_t i = 0; i < r->count; i++) {
		assert_true(r->delivery[i].event_at_ms > 0);
		if (r->delivery[i].kind == EVENT_SENT) {
			assert_null(r->delivery[i].event_data.ptr);
			sent++;
		} else {
			assert_int_equal(r->delivery[i].kind, EVENT_DELIVERED);
			assert_non_null(r->delivery[i].event_data.ptr);
		}
	}
	return sent;
}

static void
two_claimers_never_get_the_same_delivery(void **state)
{
	int account = add_account("claimers");
	struct pg *other = servers_pg();
	struct rows a = { 0 }, b = { 0 };
	size_t sent;
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
	mail_with_events(account, EVENT_DELIVERED, 0);
	mail_with_events(account, EVENT_DELIVERED, 0);
	store_delivery_claim(pg, clock_now_ms() + 1, 60000, 4, NULL, 0,
	    on_delivery, &a);
	store_delivery_claim(other, clock_now_ms() + 1, 60000, 4, NULL, 0,
	    on_delivery, &b);
	wait_for(&a);
	wait_for(&b);
	assert_int_equal(a.count + b.count, 4);
	sent = check_events(&a) + check_events(&b);
	assert_int_equal(sent, 2);
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

static bool
still_leads(struct pg *who, const char *node)
{
	struct rows r = { 0 };

	store_leader_resign(who, slice_of(node), on_leader, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	return r.number != 0;
}

static void
one_resigns_only_if_another_node_can_lead(void **state)
{
	struct pg *other = servers_pg();

	(void)state;
	SQL_NUMBER(pg,
	    "INSERT INTO workers (node, role, boot_id, slot, pid, started_at, "
	    "seen_at, dead) SELECT n, 'keeper', 'b', 0, 1, now(), now(), d "
	    "FROM (VALUES ('here', false), ('gone', true)) v (n, d)");
	assert_true(leads(pg));
	assert_true(leads(pg)); /* it counts */
	assert_true(still_leads(pg, "here"));
	assert_false(leads(other));
	assert_false(still_leads(pg, "there"));
	assert_true(leads(other));
	pg_free(&other);
}

/* Nothing is asked of its loop for a while: as a stopped process does. */
static void
one_that_is_silent_leads_no_more(void **state)
{
	struct pg_options options = { .conninfo = servers.conninfo,
		.silent_max_ms = 300 };
	struct loop *stopped = loop_new();
	struct pg *silent = pg_new(stopped, &options, NULL, NULL);
	int64_t end_ms = clock_mono_ms() + 20000;
	struct rows r = { 0 };
	bool got = false;

	(void)state;
	store_leader_try(silent, on_leader, &r);
	while (!r.done && clock_mono_ms() < end_ms)
		loop_turn(stopped, 10);
	assert_int_equal(r.number, 1);
	while (!got && clock_mono_ms() < end_ms)
		got = leads(pg);
	assert_true(got);
	test_log_expect(1);
	while (pg_is_up(silent) && clock_mono_ms() < end_ms)
		loop_turn(stopped, 10);
	assert_false(pg_is_up(silent));
	pg_free(&silent);
	loop_free(&stopped);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(deliveries_are_owed_claimed_and_finished),
    CASE(two_claimers_never_get_the_same_delivery),
    CASE(a_return_is_kept_until_it_is_worked_on),
    CASE(the_simulator_keeps_the_newest),
    CASE(one_leads_until_its_connection_ends),
    CASE(one_resigns_only_if_another_node_can_lead),
    CASE(one_that_is_silent_leads_no_more))

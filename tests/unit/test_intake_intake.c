/* The answers of the intake, its bounds, and the keys of its callers. */
#include "intake_world.h"

/* ---- Suppression and idempotency ----------------------------------------- */

static void
all_suppressed_is_422_or_200_as_the_account_wants(void **state)
{
	struct world *w = world_ready(&no_gap);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct answer a = { 0 };

		w->account.suppressed_answer = i == 0 ? 422 : 200;
		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		fake.items[0]->recipient[0].suppressed = true;
		commit_ends(NULL);
		assert_int_equal(a.kind,
		    i == 0 ? ANSWER_SUPPRESSED : ANSWER_OK);
		assert_true(a.all_suppressed);
		assert_false(id_is_zero(a.email));
		assert_int_equal(fake.pushes, 0);
	}
	world_free(w);
}

static void
exactly_once_is_in_the_row_and_in_the_job(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 };

	(void)state;
	w->content.exactly_once = true;
	fake.more_flags = QUEUE_EXACTLY_ONCE;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	assert_int_equal(fake.items[0]->recipient[0].flags,
	    0x31 | QUEUE_EXACTLY_ONCE);
	commit_ends(NULL);
	assert_int_equal(a.kind, ANSWER_OK);
	assert_int_equal(fake.pushes, 1);
	world_free(w);
}

static void
a_key_used_before_answers_as_before(void **state)
{
	static const struct {
		int kinds[2];
		enum answer_kind want;
	} rows[] = {
		{ { EVENT_QUEUED, EVENT_SUPPRESSED }, ANSWER_OK },
		{ { EVENT_SUPPRESSED, EVENT_SUPPRESSED }, ANSWER_SUPPRESSED },
	};
	struct world *w = world_ready(&no_gap);

	(void)state;
	w->request.idempotency_key = SLICE("k");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_event events[2] = { { .kind = rows[i].kinds[0] },
			{ .kind = rows[i].kinds[1] } };
		struct answer a = { 0 };
		struct id old = id_new_email(1000);

		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		assert_true(slice_eq_text(fake.items[0]->key, "k"));
		assert_int_equal(fake.items[0]->endpoint, 1);
		fake.items[0]->result = STORE_ACCEPT_REPLAY;
		fake.items[0]->replay = old;
		commit_ends(NULL);
		assert_int_equal(a.told, 0);
		fake.events_done(fake.events_ctx, events, 2, NULL);
		assert_int_equal(a.kind, rows[i].want);
		assert_true(a.replayed);
		assert_int_equal(id_cmp(a.email, old), 0);
		assert_int_equal(fake.pushes, 0);
	}
	world_free(w);
}

static void
a_key_for_another_body_or_in_use_is_a_conflict(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	w->request.idempotency_key = SLICE("k");
	intake_submit(w->in, &w->request, on_done, &a);
	intake_submit(w->in, &w->request, on_done, &b);
	assert_int_equal(b.told, 0); /* never before it returns */
	turn(w);
	assert_int_equal(b.kind, ANSWER_IDEMPOTENT_BUSY);
	assert_int_equal(fake.n, 1);
	fake.items[0]->result = STORE_ACCEPT_MISMATCH;
	commit_ends(NULL);
	assert_int_equal(a.kind, ANSWER_IDEMPOTENT_CLASH);
	/* Free again. */
	intake_submit(w->in, &w->request, on_done, &c);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(c.kind, ANSWER_OK);
	world_free(w);
}

static void
a_full_queue_says_when_to_come_again(void **state)
{
	struct intake_limits limits = { .queue_max = 100, .commit_gap_ms = -1 };
	struct world *w = world_ready(&limits);
	struct answer a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	intake_queue_asked(w->in);
	intake_queue_counted(w->in, 100);
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.kind, ANSWER_RATE);
	assert_int_equal(a.retry_after_s, 5);
	assert_non_null(strstr(a.message, "100 recipients wait"));

	intake_queue_asked(w->in);
	intake_queue_counted(w->in, 99);
	intake_submit(w->in, &w->request, on_done, &b);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(b.kind, ANSWER_OK);
	/* It counts although nobody has counted again. */
	intake_submit(w->in, &w->request, on_done, &c);
	turn(w);
	assert_int_equal(c.kind, ANSWER_RATE);
	world_free(w);
}

static void
broadcast_mail_is_told_for_whom_the_last_tenth_is_kept(void **state)
{
	struct intake_limits limits = { .queue_max = 100, .commit_gap_ms = -1 };
	struct world *w = world_ready(&limits);
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	intake_queue_asked(w->in);
	intake_queue_counted(w->in, 90);
	w->request.stream = STORE_BROADCAST;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	assert_int_equal(a.kind, ANSWER_RATE);
	assert_string_equal(a.message,
	    "The queue is full for broadcast mail (90 recipients wait, and "
	    "queue_max is 100, whose last tenth is kept for transactional "
	    "mail): send the message again after the time in Retry-After");
	intake_queue_asked(w->in);
	intake_queue_counted(w->in, 100);
	w->request.stream = STORE_TRANSACTIONAL;
	intake_submit(w->in, &w->request, on_done, &b);
	turn(w);
	assert_string_equal(b.message,
	    "The queue is full (100 recipients wait, and queue_max is 100): "
	    "send the message again after the time in Retry-After");
	world_free(w);
}

/* ---- Refusals before the commit ------------------------------------------ */

static void
only_a_verified_domain_of_the_account_sends(void **state)
{
	static const struct {
		const char *status; /* NULL: no such domain */
		bool verified;
		int number, bound_to;
		enum answer_kind want;
		const char *begins;
	} rows[] = {
		{ NULL, false, 0, 0, ANSWER_DOMAIN,
		    "from: the domain example.org is not one of this" },
		{ "pending", false, 9, 0, ANSWER_DOMAIN,
		    "from: the domain example.org is not verified (it is pen" },
		{ "verified", true, 9, 8, ANSWER_DOMAIN,
		    "from: this API key may not send for the domain" },
		{ "away", false, 0, 0, ANSWER_UNAVAILABLE, "The database is" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(NULL);
		struct error no = { ERR_NOTFOUND, 0, "no" };
		struct error away = { ERR_STORE, 0, "away" };
		struct answer a = { 0 };

		w->account.domain = rows[i].bound_to;
		intake_submit(w->in, &w->request, on_done, &a);
		if (rows[i].status == NULL)
			fake.domain_done(fake.domain_ctx, NULL, 0, &no);
		else if (strcmp(rows[i].status, "away") == 0)
			fake.domain_done(fake.domain_ctx, NULL, 0, &away);
		else
			domain_is(rows[i].status, rows[i].verified,
			    rows[i].number);
		turn(w);
		assert_int_equal(a.told, 1);
		assert_int_equal(a.kind, rows[i].want);
		assert_true(slice_starts(slice_of(a.message),
		    slice_of(rows[i].begins)));
		assert_int_equal(fake.commits, 0);
		world_free(w);
	}
}

static void
what_waits_is_bounded(void **state)
{
	struct intake_limits limits = long_gap;
	struct world *w;
	struct answer a[4] = { 0 };

	(void)state;
	limits.pending_items_max = 3;
	w = world_busy(&limits);
	for (int i = 0; i < 4; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(a[2].told, 0);
	assert_int_equal(a[3].kind, ANSWER_UNAVAILABLE);
	assert_int_equal(a[3].retry_after_s, 1);
	world_free(w);
	/* Nobody was told after the end. */
	assert_int_equal(a[0].told + a[1].told + a[2].told, 0);
}

static void
octets_that_wait_are_bounded_but_one_always_may(void **state)
{
	struct intake_limits limits = long_gap;
	struct world *w;
	struct answer a[2] = { 0 };
	static char text[8000];

	(void)state;
	memset(text, 'x', sizeof(text));
	limits.pending_bytes_max = 5000;
	w = world_busy(&limits);
	w->content.text = slice_mem(text, sizeof(text));
	intake_submit(w->in, &w->request, on_done, &a[0]);
	intake_submit(w->in, &w->request, on_done, &a[1]);
	turn(w);
	assert_int_equal(a[0].told, 0);
	assert_int_equal(a[1].kind, ANSWER_UNAVAILABLE);
	world_free(w);
}

static bool drained;

static void
on_drained(void *ctx)
{
	(void)ctx;
	drained = true;
}

static void
draining_finishes_what_is_under_way_and_takes_no_more(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	drained = false;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	intake_drain(w->in, 60000, on_drained, NULL);
	intake_submit(w->in, &w->request, on_done, &b);
	turn(w);
	assert_int_equal(b.kind, ANSWER_UNAVAILABLE);
	assert_false(drained);
	commit_ends(NULL);
	assert_int_equal(a.kind, ANSWER_OK);
	turn(w);
	assert_true(drained);
	world_free(w);
}

static void
freeing_cancels_the_commit_under_way(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	world_free(w);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(a.told, 0);
}

/* ---- Keys ---------------------------------------------------------------- */

struct who {
	int told;
	int account;
	enum answer_kind kind;
};

static void
on_authorized(void *ctx, const struct intake_account *account,
    const struct intake_answer *no)
{
	struct who *who = ctx;

	who->told++;
	who->account = account != NULL ? account->number : 0;
	who->kind = no != NULL ? no->kind : ANSWER_OK;
}

static void
known_and_unknown_keys_are_asked_for_once(void **state)
{
	struct world *w = world_new(&no_gap);
	struct store_key_auth auth = { .account.number = 7 };
	struct error none = { ERR_NOTFOUND, 0, "no" };
	struct error away = { ERR_STORE, 0, "away" };
	struct who a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 };

	(void)state;
	intake_authorize(w->in, SLICE("re_a"), on_authorized, &a);
	intake_authorize(w->in, SLICE("re_a"), on_authorized, &b);
	assert_int_equal(fake.key_finds, 1);
	fake.key_done(fake.key_ctx, &auth, NULL);
	assert_int_equal(a.account, 7);
	assert_int_equal(b.account, 7);
	assert_int_equal(fake.touches, 1);
	intake_authorize(w->in, SLICE("re_a"), on_authorized, &c);
	assert_int_equal(c.account, 7);
	assert_int_equal(fake.key_finds, 1);

	intake_authorize(w->in, SLICE("re_b"), on_authorized, &d);
	fake.key_done(fake.key_ctx, NULL, &none);
	assert_int_equal(d.kind, ANSWER_KEY_INVALID);
	intake_authorize(w->in, SLICE("re_b"), on_authorized, &d);
	assert_int_equal(d.told, 2);
	assert_int_equal(fake.key_finds, 2);

	intake_authorize(w->in, SLICE("re_c"), on_authorized, &e);
	fake.key_done(fake.key_ctx, NULL, &away);
	assert_int_equal(e.kind, ANSWER_UNAVAILABLE);
	intake_authorize(w->in, SLICE("re_c"), on_authorized, &e);
	assert_int_equal(fake.key_finds, 4);
	world_free(w);
}

static void
no_key_and_odd_keys_are_refused_without_a_question(void **state)
{
	struct world *w = world_new(NULL);
	struct who a = { 0 }, b = { 0 };
	static char long_key[300];

	(void)state;
	memset(long_key, 'k', sizeof(long_key));
	intake_authorize(w->in, SLICE(""), on_authorized, &a);
	assert_int_equal(a.kind, ANSWER_KEY_MISSING);
	intake_authorize(w->in, slice_mem(long_key, sizeof(long_key)),
	    on_authorized, &b);
	assert_int_equal(b.kind, ANSWER_KEY_INVALID);
	assert_int_equal(fake.key_finds, 0);
	world_free(w);
}

TEST_MAIN(cmocka_unit_test(all_suppressed_is_422_or_200_as_the_account_wants),
    cmocka_unit_test(exactly_once_is_in_the_row_and_in_the_job),
    cmocka_unit_test(a_key_used_before_answers_as_before),
    cmocka_unit_test(a_key_for_another_body_or_in_use_is_a_conflict),
    cmocka_unit_test(only_a_verified_domain_of_the_account_sends),
    cmocka_unit_test(a_full_queue_says_when_to_come_again),
    cmocka_unit_test(broadcast_mail_is_told_for_whom_the_last_tenth_is_kept),
    cmocka_unit_test(what_waits_is_bounded),
    cmocka_unit_test(octets_that_wait_are_bounded_but_one_always_may),
    cmocka_unit_test(draining_finishes_what_is_under_way_and_takes_no_more),
    cmocka_unit_test(freeing_cancels_the_commit_under_way),
    cmocka_unit_test(known_and_unknown_keys_are_asked_for_once),
    cmocka_unit_test(no_key_and_odd_keys_are_refused_without_a_question))

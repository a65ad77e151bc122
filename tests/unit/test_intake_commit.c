/* The group commit: when it goes, with whom, and what becomes of each. */
#include "intake_world.h"

/* ---- Commits ------------------------------------------------------------- */

static void
the_first_message_goes_at_once(void **state)
{
	struct world *w = world_new(&long_gap);
	struct answer a = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	domain_is("verified", true, 9);
	turn(w);
	assert_int_equal(fake.commits, 1);
	assert_int_equal(a.told, 0);
	assert_int_equal(fake.items[0]->domain, 9);
	assert_int_equal(fake.items[0]->account, 5);
	assert_int_equal(fake.items[0]->count, 1);
	commit_ends(NULL);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.kind, ANSWER_OK);
	assert_int_equal(a.recipients, 1);
	assert_false(id_is_zero(a.email));
	assert_string_equal(fake.lanes, "he:1 ");
	assert_int_equal(intake_pending(w->in), 0);
	world_free(w);
}

static void
what_comes_during_a_commit_shares_the_next(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[5] = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a[0]);
	turn(w);
	assert_int_equal(fake.n, 1);
	for (int i = 1; i < 5; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.commits, 1);
	commit_ends(NULL);
	assert_int_equal(a[0].told, 1);
	turn(w);
	assert_int_equal(fake.commits, 2);
	assert_int_equal(fake.n, 4);
	for (int i = 1; i < 5; i++)
		assert_int_equal(a[i].told, 0);
	commit_ends(NULL);
	for (int i = 1; i < 5; i++)
		assert_int_equal(a[i].kind == ANSWER_OK && a[i].told == 1, 1);
	world_free(w);
}

static void
under_load_commits_keep_their_gap(void **state)
{
	struct intake_limits limits = long_gap;
	struct world *w;
	struct answer a[6] = { 0 };

	(void)state;
	limits.batch_items_max = 6;
	w = world_busy(&limits);
	for (int i = 0; i < 5; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.commits, 0);
	/* A full batch waits for nothing. */
	intake_submit(w->in, &w->request, on_done, &a[5]);
	turn(w);
	assert_int_equal(fake.commits, 1);
	assert_int_equal(fake.n, 6);
	commit_ends(NULL);
	world_free(w);
}

static void
a_few_clients_do_not_wait_for_a_gap(void **state)
{
	struct world *w = world_ready(&long_gap);
	struct answer a[4] = { 0 };

	(void)state;
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 4; i++)
			intake_submit(w->in, &w->request, on_done, &a[i]);
		turn(w);
		assert_int_equal(fake.commits, round);
		commit_ends(NULL);
	}
	world_free(w);
}

static void
the_gap_ends_by_itself(void **state)
{
	struct intake_limits limits = { .commit_gap_ms = 20,
		.cache_ttl_ms = 60000 };
	struct world *w = world_busy(&limits);
	struct answer a = { 0 };
	int64_t begin_ms = clock_mono_ms();

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	while (fake.commits == 0 && clock_mono_ms() < begin_ms + 5000)
		loop_turn(w->loop, 100);
	assert_int_equal(fake.commits, 1);
	commit_ends(NULL);
	world_free(w);
}

static void
a_batch_is_bounded_in_octets(void **state)
{
	struct intake_limits limits = no_gap;
	struct world *w;
	struct answer a[3] = { 0 };
	static char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text));
	limits.batch_bytes_max = 7000;
	w = world_ready(&limits);
	w->content.text = slice_mem(text, sizeof(text));
	for (int i = 0; i < 3; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.n, 2);
	commit_ends(NULL);
	turn(w);
	assert_int_equal(fake.n, 1);
	commit_ends(NULL);
	assert_int_equal(a[2].told, 1);
	world_free(w);
}

static void
without_the_database_all_are_told_to_come_again(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[2] = { 0 };
	struct error away = { ERR_STORE, 0, "gone" };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a[0]);
	intake_submit(w->in, &w->request, on_done, &a[1]);
	turn(w);
	test_log_expect(1);
	commit_ends(&away);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(a[i].told, 1);
		assert_int_equal(a[i].kind, ANSWER_UNAVAILABLE);
		assert_int_equal(a[i].retry_after_s, 5);
		assert_true(id_is_zero(a[i].email));
	}
	assert_int_equal(fake.pushes, 0);
	world_free(w);
}

static void
a_refused_item_hurts_nobody_else(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[3] = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	fake.items[1]->result = STORE_ACCEPT_REFUSED;
	fake.items[1]->refused = (struct error){ ERR_SYNTAX, 0, "odd" };
	fake.items[2]->result = STORE_ACCEPT_NO_DOMAIN;
	test_log_expect(1);
	commit_ends(NULL);
	assert_int_equal(a[0].kind, ANSWER_OK);
	assert_int_equal(a[1].kind, ANSWER_INTERNAL);
	assert_int_equal(a[2].kind, ANSWER_DOMAIN);
	assert_int_equal(fake.jobs, 1);
	world_free(w);
}

static void
jobs_go_by_lane_in_calls_of_at_most_100(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[130] = { 0 };

	(void)state;
	w->to[1] = address("b", "zeta.example");
	w->content.to_count = 2;
	for (int i = 0; i < 130; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.n, 130);
	fake.items[7]->recipient[1].suppressed = true;
	commit_ends(NULL);
	assert_string_equal(fake.lanes, "he:100 he:30 hz:100 hz:29 ");
	assert_int_equal(a[7].kind, ANSWER_OK);
	assert_false(a[7].all_suppressed);
	world_free(w);
}

/* ---- Large contents ------------------------------------------------------ */

static char large_text[1300000];

static void
puts_end(const struct error *err)
{
	while (fake.put_done != NULL) {
		store_done *done = fake.put_done;

		fake.put_done = NULL;
		done(fake.put_ctx, err);
	}
}

static struct world *
world_large(void)
{
	struct intake_limits limits = no_gap;
	struct world *w;

	memset(large_text, 'x', sizeof(large_text));
	limits.large_bytes = 1000000;
	w = world_ready(&limits);
	w->content.text = slice_mem(large_text, sizeof(large_text));
	return w;
}

static void
a_large_content_goes_ahead_in_slices(void **state)
{
	struct world *w = world_large();
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	assert_int_equal(fake.commits, 0);
	assert_int_equal(fake.put_bytes, 512000);
	/* A small one does not wait for it. */
	w->content.text = SLICE("small");
	intake_submit(w->in, &w->request, on_done, &b);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(b.kind == ANSWER_OK && b.told == 1, 1);

	puts_end(NULL);
	assert_int_equal(fake.puts, 3);
	turn(w);
	assert_int_equal(fake.n, 1);
	assert_int_equal(fake.items[0]->content.len, 0);
	assert_int_equal(fake.items[0]->content_bytes, fake.put_bytes);
	assert_true(fake.put_bytes > sizeof(large_text));
	assert_true(fake.items[0]->head.len < 1000);
	commit_ends(NULL);
	assert_int_equal(a.kind == ANSWER_OK && a.told == 1, 1);
	assert_int_equal(fake.drops, 0);
	world_free(w);
}

static void
slices_of_an_email_that_will_not_be_are_taken_back(void **state)
{
	struct error away = { ERR_STORE, 0, "away" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_large();
		struct answer a = { 0 };

		w->request.idempotency_key = SLICE("k");
		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		if (i == 0) {
			test_log_expect(1);
			puts_end(&away);
			assert_int_equal(a.kind, ANSWER_UNAVAILABLE);
			assert_int_equal(fake.commits, 0);
		} else {
			puts_end(NULL);
			turn(w);
			fake.items[0]->result = STORE_ACCEPT_MISMATCH;
			commit_ends(NULL);
			assert_int_equal(a.kind, ANSWER_IDEMPOTENT_CLASH);
		}
		assert_int_equal(fake.drops, 1);
		world_free(w);
	}
}

static void
days_end(const struct error *err)
{
	store_counted *done = fake.days_done;

	assert_non_null(done);
	fake.days_done = NULL;
	done(fake.days_ctx, 8, err);
}

static const struct error no_day = { ERR_STORE, 0,
	"no partition of relation \"emails\" found for row" };

static void
a_day_without_partitions_gets_them_and_the_batch_goes_again(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[2] = { 0 }, later = { 0 };

	(void)state;
	fake.days = 0;
	for (int i = 0; i < 2; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	commit_ends(&no_day);
	assert_int_equal(fake.days, 1);
	/* What comes meanwhile waits for that. */
	intake_submit(w->in, &w->request, on_done, &later);
	turn(w);
	assert_int_equal(fake.commits, 1);
	test_log_expect(1);
	days_end(NULL);
	assert_int_equal(fake.commits, 2);
	assert_int_equal(fake.n, 2);
	commit_ends(NULL);
	assert_int_equal(a[0].kind, ANSWER_OK);
	assert_int_equal(a[1].kind, ANSWER_OK);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(later.kind, ANSWER_OK);
	assert_int_equal(fake.days, 1);
	world_free(w);
}

static void
a_large_content_does_not_wait_for_the_keeper_either(void **state)
{
	struct world *w = world_large();
	struct answer a = { 0 };
	store_done *put_done;

	(void)state;
	fake.days = 0;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	assert_int_equal(fake.puts, 1);
	put_done = fake.put_done;
	fake.put_done = NULL;
	fake.put_bytes = 0; /* it was not stored */
	put_done(fake.put_ctx, &no_day);
	assert_int_equal(fake.days, 1);
	assert_int_equal(fake.puts, 1);
	days_end(NULL);
	assert_int_equal(fake.puts, 2); /* the same slice once more */
	puts_end(NULL);
	assert_int_equal(fake.puts, 4);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(a.kind == ANSWER_OK && a.told == 1, 1);
	assert_int_equal(fake.drops, 0);
	world_free(w);
}

static void
days_are_made_once_for_a_batch_and_not_for_ever(void **state)
{
	struct error away = { ERR_STORE, 0, "gone" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_ready(&no_gap);
		struct answer a = { 0 };

		fake.days = 0;
		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		commit_ends(&no_day);
		if (i == 0) {
			test_log_expect(1);
			days_end(&away);
		} else {
			test_log_expect(2);
			days_end(NULL);
			commit_ends(&no_day);
		}
		assert_int_equal(a.told, 1);
		assert_int_equal(a.kind, ANSWER_UNAVAILABLE);
		assert_int_equal(fake.days, 1);
		world_free(w);
	}
}

TEST_MAIN(cmocka_unit_test(the_first_message_goes_at_once),
    cmocka_unit_test(
	a_day_without_partitions_gets_them_and_the_batch_goes_again),
    cmocka_unit_test(days_are_made_once_for_a_batch_and_not_for_ever),
    cmocka_unit_test(a_large_content_does_not_wait_for_the_keeper_either),
    cmocka_unit_test(what_comes_during_a_commit_shares_the_next),
    cmocka_unit_test(under_load_commits_keep_their_gap),
    cmocka_unit_test(a_few_clients_do_not_wait_for_a_gap),
    cmocka_unit_test(the_gap_ends_by_itself),
    cmocka_unit_test(a_batch_is_bounded_in_octets),
    cmocka_unit_test(without_the_database_all_are_told_to_come_again),
    cmocka_unit_test(a_refused_item_hurts_nobody_else),
    cmocka_unit_test(jobs_go_by_lane_in_calls_of_at_most_100),
    cmocka_unit_test(a_large_content_goes_ahead_in_slices),
    cmocka_unit_test(slices_of_an_email_that_will_not_be_are_taken_back))

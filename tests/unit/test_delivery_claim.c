/*
 * Whose an open claim is that comes back: delivery/claim.c against a database
 * and an engine that the test plays.
 */
#include "test.h"

#include "delivery/delivery_priv.h"

#include "store/attempts.h"

static struct mta mta;
static struct job job;

/* What became of the job, and what is under way. */
static struct {
	const char *became;
	int64_t delay_ms;
	struct store_claim *claim;
	store_done *done;
	void *ctx;
	int64_t asked_at_ms, given_back_from_ms;
} seen;

/* ---- What the test plays --------------------------------------------------
 */

struct store_claiming *
store_claim_start(struct pg *pg, int worker, int64_t now_ms, bool anyway,
    struct store_claim *claims, size_t n, store_done *done, void *ctx)
{
	(void)pg;
	(void)worker;
	(void)anyway;
	assert_int_equal(n, 1);
	seen.claim = claims;
	seen.done = done;
	seen.ctx = ctx;
	seen.asked_at_ms = now_ms;
	return (struct store_claiming *)&seen;
}

void
store_claim_cancel(struct store_claiming **op)
{
	*op = NULL;
}

struct pg_tx *
store_claim_give_back(struct pg *pg, int worker,
    const struct store_claim *claims, size_t n, store_done *done, void *ctx)
{
	(void)pg;
	(void)worker;
	(void)done;
	(void)ctx;
	assert_int_equal(n, 1);
	seen.given_back_from_ms = claims[0].claimed_at_ms;
	return (struct pg_tx *)&seen;
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	*tx = NULL;
}

struct timer {
	void (*fn)(void *ctx);
	void *ctx;
	bool is_set;
};
static struct timer timer;

struct timer *
timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	(void)l;
	timer = (struct timer){ fn, ctx, false };
	return &timer;
}

void
timer_free(struct timer **t)
{
	*t = NULL;
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	(void)after_ms;
	t->is_set = true;
}

bool
timer_is_set(const struct timer *t)
{
	return t->is_set;
}

void
dest_forget(struct job *j)
{
	(void)j;
}

void
renew_cancel(struct job *j)
{
	(void)j;
}

void
contents_read(struct mta *m, struct list *jobs)
{
	(void)m;
	(void)jobs;
}

void
job_is_placed(struct job *j)
{
	(void)j;
}

bool
job_source_is_held(const struct job *j)
{
	(void)j;
	return false;
}

void
job_claimed(struct job *j)
{
	(void)j;
	seen.became = "claimed";
}

void
job_rules_changed(struct job *j)
{
	(void)j;
	seen.became = "looked at again";
}

void
lane_ack(struct job *j)
{
	(void)j;
	seen.became = "acknowledged";
}

void
lane_defer(struct job *j, int64_t delay_ms)
{
	(void)j;
	seen.became = "deferred";
	seen.delay_ms = delay_ms;
}

void
finish_abandoned(struct job *j, int holder, unsigned int n,
    int64_t claimed_at_ms)
{
	(void)j;
	(void)holder;
	(void)n;
	(void)claimed_at_ms;
	seen.became = "unknown";
}

/* ---- Steps ----------------------------------------------------------------
 */

static int
set_up(void **state)
{
	mta = (struct mta){ .worker = 1 };
	job = (struct job){ .mta = &mta, .n = 1 };
	memset(&seen, 0, sizeof(seen));
	claims_init(&mta);
	return test_log_setup_(state);
}

static int
tear_down(void **state)
{
	claims_fini(&mta);
	return test_log_teardown_(state);
}

static void
ask(void)
{
	claim_job(&job);
	claims_flush(&mta);
	assert_non_null(seen.claim);
}

static void
lose_answer(void)
{
	struct error err = { 0 };

	test_log_expect(1);
	error_set(&err, ERR_NET, "the connection is gone");
	seen.done(seen.ctx, &err);
	assert_true(timer.is_set);
}

/* It is tried again: Postgres may be back. */
static void
wait_a_little(void)
{
	timer.is_set = false;
	timer.fn(timer.ctx);
}

/* Its own open claim of that time is there. */
static void
answer_mine(int64_t claimed_at_ms)
{
	seen.claim->result = STORE_CLAIM_MINE;
	seen.claim->claimed_at_ms = claimed_at_ms;
	seen.done(seen.ctx, NULL);
}

/* ---- Tests ----------------------------------------------------------------
 */

static void
a_new_claim_is_ours(void **state)
{
	(void)state;
	ask();
	answer_mine(0);
	assert_string_equal(seen.became, "claimed");
	assert_int_equal(job.claimed_at_ms, seen.asked_at_ms);
}

static void
one_that_was_asked_for_before_is_ours(void **state)
{
	int64_t first_ms;

	(void)state;
	ask();
	first_ms = seen.asked_at_ms;
	lose_answer();
	wait_a_little();
	answer_mine(first_ms);
	assert_string_equal(seen.became, "claimed");
	assert_int_equal(job.claimed_at_ms, first_ms);
}

static void
one_of_an_earlier_attempt_is_waited_for(void **state)
{
	(void)state;
	ask();
	answer_mine(seen.asked_at_ms - 60000);
	assert_string_equal(seen.became, "deferred");
	assert_int_equal(seen.delay_ms, STORE_CLAIM_AGAIN_MS);
}

static void
but_not_past_its_end(void **state)
{
	(void)state;
	ask();
	answer_mine(seen.asked_at_ms - STORE_CLAIM_MS + 1000);
	assert_string_equal(seen.became, "deferred");
	assert_int_equal(seen.delay_ms, 1000);
}

static void
nor_is_it_ours_when_an_answer_was_lost(void **state)
{
	int64_t first_ms;

	(void)state;
	ask();
	first_ms = seen.asked_at_ms;
	lose_answer();
	wait_a_little();
	answer_mine(first_ms - 60000);
	assert_string_equal(seen.became, "deferred");
	/* The second question may have come a moment later. */
	assert_in_range(seen.delay_ms, 1, STORE_CLAIM_AGAIN_MS);
}

static void
only_what_was_asked_for_is_given_back(void **state)
{
	int64_t first_ms;

	(void)state;
	ask();
	first_ms = seen.asked_at_ms;
	lose_answer();
	claims_give_back(&mta);
	wait_a_little();
	assert_int_equal(seen.given_back_from_ms, first_ms);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(CASE(a_new_claim_is_ours),
    CASE(one_that_was_asked_for_before_is_ours),
    CASE(one_of_an_earlier_attempt_is_waited_for), CASE(but_not_past_its_end),
    CASE(nor_is_it_ours_when_an_answer_was_lost),
    CASE(only_what_was_asked_for_is_given_back))

/*
 * Blocks of a daily limit around the end of a day: delivery/quota.c against a
 * database that the test plays.
 */
#include "test.h"

#include "base/clock.h"
#include "delivery/delivery_priv.h"
#include "delivery/quota.h"
#include "store/quota.h"

#define HOUR_MS 3600000

static struct mta mta;
static struct source source = { .number = 7, .daily = 2000 }; /* blocks of 10 */
static struct route route = { .provider = -1 };
static struct dest dest;

/* The question under way. */
static struct {
	store_quota_got *done;
	void *ctx;
	int want;
} asked;

/* ---- What the test plays --------------------------------------------------
 */

bool
pg_is_up(const struct pg *pg)
{
	(void)pg;
	return true;
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	*tx = NULL;
}

struct pg_tx *
store_quota_take(struct pg *pg, int worker, int number, struct slice provider,
    int cap, int want, store_quota_got *done, void *ctx)
{
	(void)pg;
	(void)worker;
	(void)provider;
	assert_int_equal(number, source.number);
	assert_int_equal(cap, source.daily);
	assert_null(asked.done);
	asked.done = done;
	asked.ctx = ctx;
	asked.want = want;
	return (struct pg_tx *)&asked;
}

struct pg_tx *
store_quota_return(struct pg *pg, int worker, int number, struct slice provider,
    int day, int unused, store_done *done, void *ctx)
{
	(void)pg;
	(void)worker;
	(void)number;
	(void)provider;
	(void)day;
	(void)unused;
	(void)done;
	(void)ctx;
	fail_msg("nothing was to be returned");
	return NULL;
}

void
dest_work_soon(struct dest *d)
{
	(void)d;
}

void
mta_flush_soon(struct mta *m)
{
	(void)m;
}

/* ---- Steps ----------------------------------------------------------------
 */

static int
set_up(void **state)
{
	mta =
	    (struct mta){ .worker = 1, .source_count = 1, .sources = &source };
	dest = (struct dest){ .mta = &mta, .source = source, .route = &route };
	asked.done = NULL;
	quotas_init(&mta);
	quotas_join(&dest);
	return test_log_setup_(state);
}

static int
tear_down(void **state)
{
	quotas_leave(&dest);
	quotas_fini(&mta);
	return test_log_teardown_(state);
}

static void
answer(int day, int64_t left_ms)
{
	struct store_quota got = { .day = day,
		.granted = asked.want,
		.taken = asked.want,
		.left_ms = left_ms };
	store_quota_got *done = asked.done;

	assert_non_null(done);
	asked.done = NULL;
	done(asked.ctx, &got, NULL);
}

static struct job
spend(void)
{
	struct job j = { .mta = &mta, .dest = &dest };

	quotas_spend(&j);
	return j;
}

/* The first block, of which so many are left, and the next one asked for. */
static struct job
begin_day(int day)
{
	struct job j = { .mta = &mta };

	assert_int_equal(quotas_left(&dest), 0);
	answer(day, HOUR_MS);
	assert_int_equal(quotas_left(&dest), 10);
	for (int i = 0; i < 5; i++)
		j = spend();
	assert_int_equal(quotas_left(&dest), 5);
	assert_non_null(asked.done);
	return j;
}

/* ---- Tests ----------------------------------------------------------------
 */

static void
a_block_of_the_same_day_adds_to_what_is_left(void **state)
{
	(void)state;
	begin_day(20000);
	answer(20000, HOUR_MS);
	assert_int_equal(quotas_left(&dest), 15);
}

static void
a_block_that_comes_after_midnight_stands_alone(void **state)
{
	(void)state;
	begin_day(20000);
	answer(20001, HOUR_MS);
	assert_int_equal(quotas_left(&dest), 10);
}

static void
a_block_that_comes_when_its_day_is_over_is_worth_nothing(void **state)
{
	(void)state;
	begin_day(20000);
	answer(20000, 0);
	assert_int_equal(quotas_left(&dest), 0);
	answer(20001, HOUR_MS);
	assert_int_equal(quotas_left(&dest), 10);
}

static void
a_unit_goes_back_to_its_own_day_alone(void **state)
{
	struct job j = begin_day(20000);

	(void)state;
	quotas_give_back(&j);
	assert_int_equal(quotas_left(&dest), 6);
	answer(20001, HOUR_MS);
	quotas_give_back(&j);
	assert_int_equal(quotas_left(&dest), 10);
}

static void
a_lost_answer_brings_nothing(void **state)
{
	struct error err = { 0 };

	(void)state;
	begin_day(20000);
	error_set(&err, ERR_NET, "the connection is gone");
	asked.done(asked.ctx, NULL, &err);
	asked.done = NULL;
	assert_int_equal(quotas_left(&dest), 5);
}

/* What a lane could be asked for. */
static size_t
room(void)
{
	return quota_room(&mta, &source, -1).now;
}

static void
look(struct dest *d, int seconds)
{
	for (int i = 0; i < seconds; i++)
		quotas_look(d);
}

/* A day of 2000 of which 10 are taken, 5 of those spent: 1995 are left. */
static void
what_waits_for_long_holds_nothing_of_the_day(void **state)
{
	struct dest other = { .mta = &mta, .source = source, .route = &route };

	(void)state;
	quotas_join(&other);
	begin_day(20000);
	for (int i = 0; i < 4; i++)
		quotas_wait(&dest, 1);
	quotas_wait(&other, 1);
	assert_int_equal(room(), 1990);
	look(&dest, 4);
	assert_int_equal(room(), 1990);
	look(&dest, 20);
	assert_int_equal(room(), 1994);
	/* Neither do those that come to it, and those that go. */
	quotas_wait(&dest, 1);
	assert_int_equal(room(), 1994);
	quotas_wait(&dest, -1);
	quotas_wait(&dest, -1);
	assert_int_equal(room(), 1994);
	/* One begins: it is as any other again, of which three wait. */
	spend();
	assert_int_equal(room(), 1990);
	quotas_wait(&dest, -1);
	assert_int_equal(room(), 1991);
	look(&dest, 20);
	assert_int_equal(room(), 1993);
	/* It was empty. */
	quotas_wait(&dest, -1);
	quotas_wait(&dest, -1);
	look(&dest, 20);
	assert_int_equal(room(), 1993);
	quotas_wait(&dest, 1);
	assert_int_equal(room(), 1992);
	quotas_wait(&dest, -1);
	quotas_wait(&other, -1);
	assert_int_equal(room(), 1994);
	quotas_leave(&other);
}

/* It is looked at again every minute, but opens with the next day. */
static void
a_day_that_is_used_up_is_over_at_midnight(void **state)
{
	struct quota_room r = quota_room(&mta, &source, -1);
	int64_t now_us = clock_mono_us();

	(void)state;
	/* Nobody has told the day yet: that of the clock. */
	assert_true(r.until_ms > clock_now_ms());
	assert_true(r.until_ms <= clock_now_ms() + 24 * HOUR_MS);
	assert_int_equal(r.until_ms % (24 * HOUR_MS), 0);
	assert_int_equal(quotas_left(&dest), 0);
	asked.want = 0;
	answer(20000, HOUR_MS);
	r = quota_room(&mta, &source, -1);
	assert_int_equal(r.now, 0);
	assert_true(r.again_us >= now_us);
	assert_true(r.again_us <= clock_mono_us() + 60000000);
	assert_true(r.until_ms == (int64_t)20001 * 24 * HOUR_MS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(CASE(a_block_of_the_same_day_adds_to_what_is_left),
    CASE(a_block_that_comes_after_midnight_stands_alone),
    CASE(a_block_that_comes_when_its_day_is_over_is_worth_nothing),
    CASE(a_lost_answer_brings_nothing),
    CASE(a_unit_goes_back_to_its_own_day_alone),
    CASE(what_waits_for_long_holds_nothing_of_the_day),
    CASE(a_day_that_is_used_up_is_over_at_midnight))

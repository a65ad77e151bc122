/*
 * The budget of contents: delivery/content.c against a database that the test
 * plays.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/delivery_priv.h"

#include "base/mem.h"
#include "store/jobs.h"
#include "store/recent.h"

static struct mta mta;

static struct {
	store_contents_got *done;
	void *ctx;
	struct store_content asked;
	size_t asked_count;
	size_t claimed;
	struct loop_call *call;
	void (*fn)(void *ctx);
	void *fn_ctx;
} fake;

/* ---- What the test plays --------------------------------------------------
 */

struct pg_tx *
store_contents_read(struct pg *pg, const struct store_content *content,
    size_t n, store_contents_got *done, void *ctx)
{
	(void)pg;
	assert_int_equal(n, 1);
	assert_null(fake.done);
	fake.done = done;
	fake.ctx = ctx;
	fake.asked = *content;
	fake.asked_count++;
	return NULL;
}

static void
answer(void)
{
	store_contents_got *done = fake.done;

	assert_non_null(done);
	fake.done = NULL;
	fake.asked.content = xmalloc(fake.asked.bytes);
	done(fake.ctx, &fake.asked, 1, NULL);
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	*tx = NULL;
}

char *
recent_get(const struct recent *r, struct id email, size_t len)
{
	(void)r;
	(void)email;
	(void)len;
	return NULL;
}

void
loop_call_schedule(struct loop *l, struct loop_call *call,
    void (*fn)(void *ctx), void *ctx)
{
	(void)l;
	fake.call = call;
	fake.fn = fn;
	fake.fn_ctx = ctx;
}

void
loop_call_cancel(struct loop_call *call)
{
	(void)call;
	fake.call = NULL;
}

static void
end_turn(void)
{
	bool is_due = fake.call != NULL;

	fake.call = NULL;
	if (is_due)
		fake.fn(fake.fn_ctx);
}

void
dest_claimed(struct job *j)
{
	list_remove(&j->node);
	j->state = JOB_CLAIMED;
	fake.claimed++;
}

void
finish_local(struct job *j, enum verdict v, const char *reason,
    const char *status, const char *text)
{
	(void)j;
	(void)v;
	(void)reason;
	(void)status;
	fail_msg("%s", text);
}

void
finish_aged(struct job *j)
{
	(void)j;
	fail_msg("it is not old");
}

void
job_expired(struct job *j)
{
	(void)j;
	fail_msg("it is not old");
}

/* ---- The stage ------------------------------------------------------------
 */

static struct job
job_of(uint8_t number, size_t bytes)
{
	struct job j = { .magic = JOB_MAGIC,
		.mta = &mta,
		.content_bytes = bytes };

	j.email.b[0] = number;
	return j;
}

/* It asks for a claim. */
static void
ask(struct job *j)
{
	struct list jobs;

	list_init(&jobs);
	list_append(&jobs, &j->node);
	contents_read(&mta, &jobs);
	list_remove(&j->node);
}

/* And has it. */
static void
get(struct job *j)
{
	content_await(j);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&mta, 0, sizeof(mta));
	mta.opt.in_hand_bytes_max = 1000000;
	contents_init(&mta);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_int_equal(mta.content_bytes, 0);
	contents_fini(&mta);
	return 0;
}

static void
a_large_one_is_not_passed_by_small_ones(void **state)
{
	struct job first = job_of(1, 200000), large = job_of(2, 900000);
	struct job small = job_of(3, 150000);

	(void)state;
	ask(&first);
	get(&first);
	answer();
	ask(&large);
	get(&large);
	ask(&small); /* there would be room for it */
	get(&small);
	assert_int_equal(fake.asked_count, 1);
	assert_int_equal(fake.claimed, 1);
	job_drop_content(&first);
	end_turn();
	assert_int_equal(fake.asked.bytes, 900000);
	answer();
	assert_int_equal(large.state, JOB_CLAIMED);
	job_drop_content(&large);
	end_turn();
	answer();
	assert_int_equal(small.state, JOB_CLAIMED);
	job_drop_content(&small);
	assert_int_equal(fake.asked_count, 3);
}

static void
one_beyond_the_budget_is_read_alone(void **state)
{
	struct job first = job_of(1, 1000), huge = job_of(2, 2000000);

	(void)state;
	ask(&first);
	get(&first);
	answer();
	get(&huge);
	assert_int_equal(huge.state, JOB_LOADING);
	job_drop_content(&first);
	end_turn();
	answer();
	assert_int_equal(huge.state, JOB_CLAIMED);
	job_drop_content(&huge);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(CASE(a_large_one_is_not_passed_by_small_ones),
    CASE(one_beyond_the_budget_is_read_alone))

/* The writer against a store that answers when the test says so. */
#include "test.h"

#include "base/mem.h"
#include "net/loop.h"
#include "outcome/outcome.h"
#include "store/outcomes.h"

/* ---- The store ------------------------------------------------------------
 */

static struct {
	struct pg_tx *tx; /* set: a batch is under way */
	store_done *done;
	void *ctx;
	size_t writes, n;
	int account[1024]; /* of the batch, in order: names the records */
} fake;

struct pg_tx *
store_outcomes_write(struct pg *pg, int64_t now_ms,
    const struct store_outcome *outcomes, size_t n, store_done *done, void *ctx)
{
	static char handle;

	(void)pg;
	(void)now_ms;
	assert_null(fake.tx);
	assert_in_range(n, 1, ARRAY_LEN(fake.account));
	for (size_t i = 0; i < n; i++)
		fake.account[i] = outcomes[i].account;
	fake.writes++;
	fake.n = n;
	fake.done = done;
	fake.ctx = ctx;
	fake.tx = (struct pg_tx *)(void *)&handle;
	return fake.tx;
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	if (*tx != NULL)
		fake.tx = NULL;
	*tx = NULL;
}

static void
answer(enum err_kind kind)
{
	struct error err = { .kind = kind };

	assert_non_null(fake.tx);
	fake.tx = NULL;
	/* One refused alone is said by its owner. */
	if (kind != ERR_NONE &&
	    (kind == ERR_STORE || kind == ERR_TIMEOUT || fake.n > 1))
		test_log_expect(1);
	fake.done(fake.ctx, kind == ERR_NONE ? NULL : &err);
}

/* ---- The owner --------------------------------------------------------------
 */

static struct {
	struct loop *loop;
	struct outcome_writer *w;
	int told[1024], refused[1024], order[1024];
	int told_count;
	bool adds_more; /* in done */
} world;

static void add(int name);

static void
on_done(void *ctx, const struct error *err)
{
	int name = (int)((int *)ctx - world.told);

	world.told[name]++;
	world.refused[name] += err != NULL;
	world.order[world.told_count++] = name;
	if (world.adds_more) {
		world.adds_more = false;
		add(900);
	}
}

static void
add(int name)
{
	struct outcome_end e = {
		.account = name,
		.status = STATUS_SUPPRESSED,
	};

	outcome_end(world.w, &e, on_done, &world.told[name]);
}

static void
set_up(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(&world, 0, sizeof(world));
	world.loop = loop_new();
	world.w = outcome_writer_new(world.loop, NULL);
}

static void
tear_down(void)
{
	outcome_writer_free(&world.w);
	loop_free(&world.loop);
}

/* Until another batch is under way. */
static void
next_batch(size_t writes)
{
	for (int i = 0; i < 3000 && fake.writes < writes; i++)
		loop_turn(world.loop, 1);
	assert_int_equal(fake.writes, writes);
	assert_non_null(fake.tx);
}

/* ---- The tests --------------------------------------------------------------
 */

static void
what_comes_during_a_commit_shares_the_next_in_order(void **state)
{
	(void)state;
	set_up();
	add(1);
	next_batch(1);
	assert_int_equal(fake.n, 1);
	for (int i = 2; i <= 300; i++)
		add(i);
	loop_turn(world.loop, 0);
	assert_int_equal(fake.writes, 1); /* one at a time */
	assert_int_equal(outcome_writer_pending(world.w), 300);
	answer(ERR_NONE);
	assert_int_equal(world.told[1], 1);
	next_batch(2);
	assert_int_equal(fake.n, 256);
	for (int i = 0; i < 256; i++)
		assert_int_equal(fake.account[i], i + 2);
	answer(ERR_NONE);
	next_batch(3);
	assert_int_equal(fake.n, 300 - 257);
	answer(ERR_NONE);
	assert_int_equal(outcome_writer_pending(world.w), 0);
	assert_int_equal(world.told_count, 300);
	for (int i = 0; i < 300; i++)
		assert_int_equal(world.order[i], i + 1);
	tear_down();
}

static void
while_the_store_is_away_all_is_kept_and_repeated(void **state)
{
	(void)state;
	set_up();
	for (int i = 1; i <= 3; i++)
		add(i);
	next_batch(1);
	answer(ERR_STORE);
	assert_int_equal(world.told_count, 0);
	assert_int_equal(outcome_writer_pending(world.w), 3);
	add(4); /* behind them, and no reason to hurry */
	loop_turn(world.loop, 0);
	assert_int_equal(fake.writes, 1);
	next_batch(2);
	assert_int_equal(fake.n, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fake.account[i], i + 1);
	answer(ERR_TIMEOUT);
	next_batch(3);
	assert_int_equal(fake.n, 4);
	answer(ERR_NONE);
	assert_int_equal(world.told_count, 4);
	for (int i = 1; i <= 4; i++)
		assert_int_equal(world.told[i] == 1 && !world.refused[i], 1);
	tear_down();
}

static void
a_poison_record_hurts_nobody_else(void **state)
{
	(void)state;
	set_up();
	for (int i = 1; i <= 4; i++)
		add(i);
	next_batch(1);
	answer(ERR_CONFLICT);
	assert_int_equal(world.told_count, 0);
	add(5); /* comes meanwhile */
	for (int i = 1; i <= 4; i++) {
		next_batch((size_t)i + 1);
		assert_int_equal(fake.n, 1);
		assert_int_equal(fake.account[0], i);
		answer(i == 2 ? ERR_SYNTAX : ERR_NONE);
	}
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(world.told[i], 1);
		assert_int_equal(world.refused[i], i == 2);
	}
	add(6);
	next_batch(6);
	assert_int_equal(fake.n, 2); /* together again */
	answer(ERR_NONE);
	assert_int_equal(world.told_count, 6);
	tear_down();
}

static void
a_store_that_goes_while_they_go_singly_loses_none(void **state)
{
	(void)state;
	set_up();
	add(1);
	add(2);
	next_batch(1);
	answer(ERR_CONFLICT);
	next_batch(2);
	answer(ERR_STORE);
	next_batch(3);
	assert_int_equal(fake.n, 1);
	assert_int_equal(fake.account[0], 1);
	answer(ERR_NONE);
	next_batch(4);
	assert_int_equal(fake.n, 1);
	assert_int_equal(fake.account[0], 2);
	answer(ERR_NONE);
	assert_int_equal(world.told_count, 2);
	tear_down();
}

static void
done_may_add_another(void **state)
{
	(void)state;
	set_up();
	add(1);
	add(2);
	next_batch(1);
	world.adds_more = true;
	answer(ERR_NONE);
	assert_int_equal(world.told_count, 2);
	next_batch(2);
	assert_int_equal(fake.n, 1);
	assert_int_equal(fake.account[0], 900);
	answer(ERR_NONE);
	assert_int_equal(world.told[900], 1);
	tear_down();
}

static void
freeing_drops_what_waits_and_what_is_under_way(void **state)
{
	(void)state;
	set_up();
	add(1);
	next_batch(1);
	add(2);
	outcome_writer_free(&world.w);
	assert_null(fake.tx); /* cancelled */
	loop_turn(world.loop, 0);
	assert_int_equal(world.told_count, 0);
	tear_down();
}

TEST_MAIN(cmocka_unit_test(what_comes_during_a_commit_shares_the_next_in_order),
    cmocka_unit_test(while_the_store_is_away_all_is_kept_and_repeated),
    cmocka_unit_test(a_poison_record_hurts_nobody_else),
    cmocka_unit_test(a_store_that_goes_while_they_go_singly_loses_none),
    cmocka_unit_test(done_may_add_another),
    cmocka_unit_test(freeing_drops_what_waits_and_what_is_under_way))

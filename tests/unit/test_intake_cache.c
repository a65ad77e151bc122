/* Short-lived answers of the database. */
#include "test.h"

#include "base/mem.h"
#include "intake/cache.h"

struct world {
	struct cache *cache;
	struct cache_entry *asked[16];
	size_t asked_count;
	size_t forgotten;
};

static void
on_ask(void *ctx, struct cache_entry *e, struct slice key)
{
	struct world *w = ctx;

	assert_int_equal(key.len, 2);
	assert_true(w->asked_count < ARRAY_LEN(w->asked));
	w->asked[w->asked_count++] = e;
}

static void
on_forget(void *ctx, struct cache_entry *e)
{
	struct world *w = ctx;

	assert_non_null(e);
	w->forgotten++;
}

static const struct cache_ops ops = { on_ask, on_forget };

struct asker {
	struct cache_waiter wait;
	int told;
	int value;	     /* -1: none, -2: error */
	struct world *again; /* asks for "k1" once more when told */
	struct asker *other;
};

static void on_answer(void *ctx, const void *value, const struct error *err);

static void
ask(struct world *w, const char *key, int64_t now_ms, struct asker *a)
{
	cache_find(w->cache, slice_of(key), now_ms, &a->wait, on_answer, a);
}

static void
on_answer(void *ctx, const void *value, const struct error *err)
{
	struct asker *a = ctx;

	a->told++;
	a->value = err != NULL ? -2 : value == NULL ? -1 : *(const int *)value;
	if (a->again != NULL)
		ask(a->again, "k1", 0, a->other);
}

static int *
value_of(int v)
{
	return xmemdup(&v, sizeof(v));
}

static void
many_askers_share_one_question(void **state)
{
	struct world w = { 0 };
	struct asker a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	(void)state;
	w.cache = cache_new(4, 100, &ops, &w);
	ask(&w, "k1", 1000, &a);
	ask(&w, "k1", 1000, &b);
	assert_int_equal(w.asked_count, 1);
	assert_int_equal(a.told, 0);
	cache_known(w.asked[0], value_of(7), 1000);
	assert_int_equal(a.value, 7);
	assert_int_equal(b.value, 7);
	ask(&w, "k1", 1099, &c);
	assert_int_equal(c.told, 1);
	assert_int_equal(c.value, 7);
	ask(&w, "k1", 1100, &d);
	assert_int_equal(d.told, 0);
	assert_int_equal(w.asked_count, 2);
	cache_known(w.asked[1], NULL, 1100);
	assert_int_equal(d.value, -1);
	/* "No such thing" is kept too. */
	ask(&w, "k1", 1150, &a);
	assert_int_equal(a.value, -1);
	assert_int_equal(a.told, 2);
	cache_free(&w.cache);
}

static void
a_failure_is_told_and_not_kept(void **state)
{
	struct world w = { 0 };
	struct asker a = { 0 }, b = { 0 };
	struct error err = { ERR_STORE, 0, "away" };

	(void)state;
	w.cache = cache_new(4, 100, &ops, &w);
	ask(&w, "k1", 0, &a);
	cache_failed(w.asked[0], &err);
	assert_int_equal(a.value, -2);
	ask(&w, "k1", 1, &b);
	assert_int_equal(b.told, 0);
	assert_int_equal(w.asked_count, 2);
	cache_free(&w.cache);
	assert_int_equal(w.forgotten, 1);
}

static void
who_asks_while_others_are_told_is_told_too(void **state)
{
	struct world w = { 0 };
	struct asker b = { 0 };
	struct asker a = { .again = &w, .other = &b };

	(void)state;
	w.cache = cache_new(4, 100, &ops, &w);
	ask(&w, "k1", 0, &a);
	cache_known(w.asked[0], value_of(3), 0);
	assert_int_equal(b.told, 1);
	assert_int_equal(b.value, 3);
	assert_int_equal(w.asked_count, 1);
	cache_free(&w.cache);
}

static void
the_oldest_makes_room_and_a_question_stays(void **state)
{
	static const char *const keys[] = { "k2", "k3", "k4", "k5" };
	struct world w = { 0 };
	struct asker pending = { 0 }, others[8] = { 0 };

	(void)state;
	w.cache = cache_new(2, 100, &ops, &w);
	ask(&w, "k1", 0, &pending);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		ask(&w, keys[i], 0, &others[i]);
		cache_known(w.asked[w.asked_count - 1], value_of((int)i), 0);
	}
	assert_int_equal(cache_count(w.cache), 2);
	ask(&w, "k5", 0, &others[4]);
	assert_int_equal(others[4].value, 3);
	cache_known(w.asked[0], value_of(9), 0);
	assert_int_equal(pending.value, 9);
	cache_free(&w.cache);
}

static void
a_clock_set_back_ends_an_answer(void **state)
{
	struct world w = { 0 };
	struct asker a = { 0 }, b = { 0 };

	(void)state;
	w.cache = cache_new(2, 100, &ops, &w);
	ask(&w, "k1", 100000, &a);
	cache_known(w.asked[0], value_of(1), 100000);
	ask(&w, "k1", 5000, &b);
	assert_int_equal(b.told, 0);
	cache_cancel(&b.wait);
	cache_free(&w.cache);
	assert_int_equal(b.told, 0);
}

TEST_MAIN(cmocka_unit_test(many_askers_share_one_question),
    cmocka_unit_test(a_failure_is_told_and_not_kept),
    cmocka_unit_test(who_asks_while_others_are_told_is_told_too),
    cmocka_unit_test(the_oldest_makes_room_and_a_question_stays),
    cmocka_unit_test(a_clock_set_back_ends_an_answer))

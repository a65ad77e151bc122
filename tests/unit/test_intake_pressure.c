/* Whether the queue has room for more. */
#include "test.h"

#include "intake/pressure.h"

static void
the_last_tenth_is_for_transactional_mail(void **state)
{
	static const struct {
		size_t max, depth, added, recipients;
		bool broadcast, transactional;
	} rows[] = {
		{ 0, 5000000, 5000000, 100, true, true },
		{ 1000, 0, 0, 1, true, true },
		{ 1000, 800, 99, 1, true, true },
		{ 1000, 800, 100, 1, false, true },
		{ 1000, 899, 0, 2, false, true },
		{ 1000, 950, 49, 1, false, true },
		{ 1000, 950, 49, 2, false, false },
		{ 1000, 950, 50, 1, false, false },
		{ 1000, 2000, 0, 1, false, false },
		{ 1000, 0, 0, 1001, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pressure p = { .max = rows[i].max };

		pressure_counted(&p, rows[i].depth, 1000);
		pressure_added(&p, rows[i].added);
		assert_int_equal(pressure_has_room(&p, rows[i].recipients,
				     false),
		    rows[i].broadcast);
		assert_int_equal(pressure_has_room(&p, rows[i].recipients,
				     true),
		    rows[i].transactional);
	}
}

static void
a_count_replaces_what_was_added(void **state)
{
	struct pressure p = { .max = 100 };

	(void)state;
	pressure_added(&p, 100);
	assert_false(pressure_has_room(&p, 1, true));
	pressure_asked(&p);
	pressure_added(&p, 7); /* the answer does not know of these */
	pressure_counted(&p, 33, 1000);
	assert_true(pressure_has_room(&p, 60, true));
	assert_false(pressure_has_room(&p, 61, true));
}

static void
what_enters_has_its_place_before_it_is_committed(void **state)
{
	struct pressure p = { .max = 100 };

	(void)state;
	pressure_enter(&p, 60);
	assert_int_equal(pressure_used(&p), 60);
	assert_false(pressure_has_room(&p, 41, true));
	pressure_enter(&p, 40);
	assert_false(pressure_has_room(&p, 1, true));
	/* Half of it is refused after all, the rest counts once. */
	pressure_left(&p, 40);
	assert_true(pressure_has_room(&p, 40, true));
	pressure_added(&p, 60);
	pressure_left(&p, 60);
	assert_int_equal(pressure_used(&p), 60);
	assert_false(pressure_has_room(&p, 41, true));
}

static void
the_wait_follows_from_how_fast_it_drains(void **state)
{
	struct pressure p = { .max = 1000 };

	(void)state;
	pressure_counted(&p, 3000, 1000);
	assert_int_equal(pressure_retry_after_s(&p, true), 5);
	pressure_counted(&p, 2900, 2000); /* 100 a second, 1,900 too many */
	assert_int_equal(pressure_retry_after_s(&p, true), 21);
	assert_int_equal(pressure_retry_after_s(&p, false), 22);
	pressure_counted(&p, 2400, 3000); /* 500 a second, 1,400 too many */
	assert_int_equal(pressure_retry_after_s(&p, true), 4);
	/* It grew: the last rate stands. */
	pressure_counted(&p, 100000, 4000);
	assert_int_equal(pressure_retry_after_s(&p, true), 60);
}

#define CASE(f) cmocka_unit_test(f)

TEST_MAIN(CASE(the_last_tenth_is_for_transactional_mail),
    CASE(a_count_replaces_what_was_added),
    CASE(what_enters_has_its_place_before_it_is_committed),
    CASE(the_wait_follows_from_how_fast_it_drains))

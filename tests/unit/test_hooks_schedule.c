#include "test.h"

#include "hooks/schedule.h"

static const struct {
	int tries;
	int64_t pause_s; /* -1: over */
} cases[] = {
	{ 1, 5 }, { 2, 300 }, { 3, 1800 }, { 4, 7200 }, { 5, 18000 },
	{ 6, 36000 }, { 7, 36000 }, { 8, -1 }, { 9, -1 }, { 32767, -1 },
	{ 0, 5 }, /* never claimed: as after the first */
};

static void
pauses_grow_and_up_to_a_tenth_is_added(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t pause = cases[i].pause_s * 1000;

		print_message("case %zu: %d tries\n", i, cases[i].tries);
		if (cases[i].pause_s < 0) {
			assert_int_equal(hooks_retry_after_ms(cases[i].tries,
					     7),
			    -1);
			continue;
		}
		assert_int_equal(hooks_retry_after_ms(cases[i].tries, 0),
		    pause);
		assert_int_equal(hooks_retry_after_ms(cases[i].tries,
				     (uint64_t)pause / 10),
		    pause + pause / 10);
		assert_in_range(hooks_retry_after_ms(cases[i].tries,
				    UINT64_MAX),
		    pause, pause + pause / 10);
	}
}

static void
the_last_try_is_more_than_a_day_after_the_first(void **state)
{
	int64_t sum = 0;

	(void)state;
	for (int tries = 1; tries < HOOKS_TRIES_MAX; tries++)
		sum += hooks_retry_after_ms(tries, 0);
	assert_true(sum > (int64_t)24 * 3600 * 1000);
}

static void
only_2xx_is_success(void **state)
{
	static const int good[] = { 200, 201, 204, 299 };
	static const int bad[] = { 0, 100, 199, 300, 301, 304, 307, 400, 410,
		429, 500, 600, -200 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(hooks_status_is_success(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(hooks_status_is_success(bad[i]));
}

TEST_MAIN(cmocka_unit_test(pauses_grow_and_up_to_a_tenth_is_added),
    cmocka_unit_test(the_last_try_is_more_than_a_day_after_the_first),
    cmocka_unit_test(only_2xx_is_success))

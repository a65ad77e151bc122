#include "test.h"

#include <stdlib.h>

#include "base/strbuf.h"

static void
grows_and_ends_in_nul(void **state)
{
	struct strbuf b = STRBUF_INIT;
	char *taken;

	(void)state;
	assert_string_equal(strbuf_text(&b), "");
	strbuf_add_text(&b, "n=");
	strbuf_add_u64(&b, 0);
	strbuf_add_char(&b, ' ');
	strbuf_add_u64(&b, UINT64_MAX);
	strbuf_add_fmt(&b, " %s-%d", "x", -5);
	strbuf_add_slice(&b, (struct slice){ NULL, 0 });
	assert_string_equal(b.ptr, "n=0 18446744073709551615 x--5");
	for (int i = 0; i < 10000; i++)
		strbuf_add(&b, "0123456789", 10);
	assert_int_equal(b.len, 100029);
	assert_int_equal(b.ptr[b.len], '\0');
	taken = strbuf_take(&b);
	assert_int_equal(b.len, 0);
	assert_null(b.ptr);
	free(taken);
	taken = strbuf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
}

static void
stops_at_its_bound_for_good(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 4);
	strbuf_add_text(&b, "abc");
	strbuf_add_text(&b, "de"); /* one too many: nothing of it */
	assert_true(b.overflow);
	strbuf_add_text(&b, "f"); /* would fit, but the error sticks */
	assert_string_equal(b.ptr, "abc");
	assert_false(strbuf_reserve(&b, 0));
	strbuf_reset(&b);
	assert_false(b.overflow);
	strbuf_add_text(&b, "1234");
	assert_string_equal(b.ptr, "1234");
	assert_false(b.overflow);
	assert_false(strbuf_reserve(&b, SIZE_MAX));
	strbuf_fini(&b);
	assert_int_equal(b.max, 4);
	assert_true(strbuf_reserve(&b, 0)); /* room only: still a C string */
	assert_string_equal(strbuf_text(&b), "");
	strbuf_fini(&b);
}

static void
cuts_and_drops(void **state)
{
	struct strbuf b = STRBUF_INIT;

	(void)state;
	strbuf_truncate(&b, 0);
	strbuf_drop(&b, 0);
	strbuf_add_text(&b, "abcdef");
	strbuf_drop(&b, 2);
	assert_string_equal(b.ptr, "cdef");
	strbuf_truncate(&b, 1);
	assert_string_equal(b.ptr, "c");
	strbuf_drop(&b, 1);
	assert_int_equal(strbuf_slice(&b).len, 0);
	assert_string_equal(b.ptr, "");
	strbuf_fini(&b);
}

TEST_MAIN(cmocka_unit_test(grows_and_ends_in_nul),
    cmocka_unit_test(stops_at_its_bound_for_good),
    cmocka_unit_test(cuts_and_drops))

#include "test.h"

#include <stdalign.h>

#include "base/arena.h"

static void
gives_zeroed_aligned_memory(void **state)
{
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *p = arena_alloc(&a, size);

		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size); /* must not show in a later one */
	}
	arena_fini(&a);
	assert_null(a.head);
	assert_int_equal(a.used_bytes, 0);
}

static void
takes_what_is_larger_than_a_block(void **state)
{
	struct arena a = ARENA_INIT;
	char *small = arena_dup(&a, SLICE("small"));
	char *big = arena_alloc(&a, 1000000);
	uint64_t *many = arena_calloc(&a, 1000, sizeof(*many));

	(void)state;
	big[999999] = 'x';
	many[999] = 1;
	assert_string_equal(small, "small");
	assert_true(a.used_bytes >= 1008000);
	arena_fini(&a);
}

static void
copies_and_formats_text(void **state)
{
	struct arena a = ARENA_INIT;
	struct slice copy = arena_slice(&a, SLICE("a\0b"));

	(void)state;
	assert_true(slice_eq(copy, SLICE("a\0b")));
	assert_int_equal(copy.ptr[3], '\0');
	assert_string_equal(arena_dup(&a, (struct slice){ NULL, 0 }), "");
	assert_string_equal(arena_fmt(&a, "%s=%d", "k", 5), "k=5");
	arena_fini(&a);
}

TEST_MAIN(cmocka_unit_test(gives_zeroed_aligned_memory),
    cmocka_unit_test(takes_what_is_larger_than_a_block),
    cmocka_unit_test(copies_and_formats_text))

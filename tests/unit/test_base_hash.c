#include "test.h"

#include <stdio.h>

#include "base/hash.h"

static int values[5000];

static struct slice
key_of(size_t i, char buf[16])
{
	int n = snprintf(buf, 16, "k%zu", i);

	return slice_mem(buf, (size_t)n);
}

static void
finds_what_was_put(void **state)
{
	struct hash *h = hash_new();
	char buf[16];

	(void)state;
	assert_null(hash_find(h, SLICE("x")));
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		assert_null(hash_put(h, key_of(i, buf), &values[i]));
	assert_int_equal(hash_count(h), ARRAY_LEN(values));
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		assert_ptr_equal(hash_find(h, key_of(i, buf)), &values[i]);
	assert_ptr_equal(hash_put(h, SLICE("k7"), &values[8]), &values[7]);
	assert_int_equal(hash_count(h), ARRAY_LEN(values));
	for (size_t i = 0; i < ARRAY_LEN(values); i += 2)
		assert_non_null(hash_remove(h, key_of(i, buf)));
	assert_null(hash_remove(h, SLICE("k0")));
	assert_null(hash_find(h, SLICE("k0")));
	assert_ptr_equal(hash_find(h, SLICE("k7")), &values[8]);
	assert_int_equal(hash_count(h), ARRAY_LEN(values) / 2);
	hash_free(&h);
	assert_null(h);
	hash_free(&h);
}

static void
takes_any_octets_as_key(void **state)
{
	struct hash *h = hash_new();

	(void)state;
	hash_put(h, SLICE(""), &values[0]);
	hash_put(h, SLICE("a\0b"), &values[1]);
	hash_put(h, SLICE("a\0c"), &values[2]);
	assert_ptr_equal(hash_find(h, (struct slice){ NULL, 0 }), &values[0]);
	assert_ptr_equal(hash_find(h, SLICE("a\0b")), &values[1]);
	assert_ptr_equal(hash_find(h, SLICE("a\0c")), &values[2]);
	assert_null(hash_find(h, SLICE("a")));
	hash_free(&h);
}

struct walk {
	struct hash *h;
	size_t seen, stop_at;
};

static bool
drop_each(void *ctx, struct slice key, void *value)
{
	struct walk *w = ctx;
	char copy[16];

	/* The key goes with its entry. */
	assert_true(key.len <= sizeof(copy));
	memcpy(copy, key.ptr, key.len);
	assert_ptr_equal(hash_remove(w->h, slice_mem(copy, key.len)), value);
	return ++w->seen != w->stop_at;
}

static void
walks_and_lets_the_current_entry_go(void **state)
{
	struct walk w = { hash_new(), 0, 10 };
	char buf[16];

	(void)state;
	for (size_t i = 0; i < 100; i++)
		hash_put(w.h, key_of(i, buf), &values[i]);
	hash_each(w.h, drop_each, &w);
	assert_int_equal(hash_count(w.h), 90);
	w.stop_at = 0;
	hash_each(w.h, drop_each, &w);
	assert_int_equal(hash_count(w.h), 0);
	assert_int_equal(w.seen, 100);
	hash_free(&w.h);
}

/* Vectors of the SipHash reference code: key 00..0f, input 00, 01, 02, ... */
static void
agrees_with_the_siphash_paper(void **state)
{
	const uint64_t seed[2] = { 0x0706050403020100U, 0x0f0e0d0c0b0a0908U };
	unsigned char in[15];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)i;
	assert_true(hash_siphash(seed, in, 15) == 0xa129ca6149be45e5U);
	assert_true(hash_siphash(seed, in, 0) == 0x726fdb47dd0e0e31U);
	assert_true(hash_siphash(seed, in, 8) == 0x93f5f5799a932462U);
}

static void
has_one_seeded_and_one_stable_hash(void **state)
{
	(void)state;
	assert_true(hash_bytes("a", 1) == hash_bytes("a", 1));
	assert_true(hash_bytes("a", 1) != hash_bytes("b", 1));
	/* FNV-1a vectors of its authors. */
	assert_true(hash_stable("", 0) == 0xcbf29ce484222325U);
	assert_true(hash_stable("foobar", 6) == 0x85944171f73967e8U);
}

TEST_MAIN(cmocka_unit_test(finds_what_was_put),
    cmocka_unit_test(takes_any_octets_as_key),
    cmocka_unit_test(walks_and_lets_the_current_entry_go),
    cmocka_unit_test(agrees_with_the_siphash_paper),
    cmocka_unit_test(has_one_seeded_and_one_stable_hash))

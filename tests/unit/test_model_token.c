#include "test.h"

#include <ctype.h>

#include "model/token.h"

static void
make_ring(struct keyring *ring)
{
	*ring = (struct keyring){ .count = 2 };
	for (size_t i = 0; i < ring->count; i++) {
		ring->key[i].number = (uint8_t)(i + 1);
		memset(ring->key[i].token, 0x40 + (int)i,
		    sizeof(ring->key[i].token));
	}
}

static bool
verifies(const struct keyring *ring, const char *local, struct id want)
{
	struct id got;

	return token_verify(ring, TOKEN_RETURN_PATH, slice_of(local), &got) &&
	    id_cmp(got, want) == 0;
}

static void
a_token_verifies_in_any_case(void **state)
{
	struct id r = id_of_recipient(id_new_email(1764535199540), 7);
	char local[TOKEN_LOCAL_LEN + 1];
	struct keyring ring;

	(void)state;
	make_ring(&ring);
	token_format(&ring, TOKEN_RETURN_PATH, r, local);
	assert_int_equal(strlen(local), 46);
	assert_memory_equal(local, "b-", 2);
	for (char *p = local; *p != '\0'; p++)
		assert_false(isupper((unsigned char)*p));
	assert_true(verifies(&ring, local, r));
	for (char *p = local; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	assert_true(verifies(&ring, local, r));
}

static void
a_peek_needs_no_key(void **state)
{
	struct id r = id_of_recipient(id_new_email(1764535199540), 7), got;
	char local[TOKEN_LOCAL_LEN + 1];
	struct keyring ring;

	(void)state;
	make_ring(&ring);
	token_format(&ring, TOKEN_RETURN_PATH, r, local);
	local[40] = local[40] == 'a' ? 'b' : 'a'; /* signed no more */
	assert_true(token_peek(slice_of(local), &got));
	assert_int_equal(id_cmp(got, r), 0);
	assert_false(token_peek(SLICE("b-short"), &got));
	assert_false(token_peek(SLICE(""), &got));
}

static void
any_changed_character_is_refused(void **state)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567-01";
	struct id r = id_of_recipient(id_new_email(1764535199540), 1), got;
	char local[TOKEN_LOCAL_LEN + 1];
	struct keyring ring;

	(void)state;
	make_ring(&ring);
	token_format(&ring, TOKEN_RETURN_PATH, r, local);
	for (size_t i = 0; i < TOKEN_LOCAL_LEN; i++) {
		char right = local[i];

		for (const char *c = letters; *c != '\0'; c++) {
			local[i] = *c;
			assert_int_equal(token_verify(&ring, TOKEN_RETURN_PATH,
					     slice_of(local), &got),
			    *c == right);
		}
		local[i] = right;
	}
}

static void
length_matters(void **state)
{
	struct id r = id_of_recipient(id_new_email(1764535199540), 1), got;
	char local[TOKEN_LOCAL_LEN + 2] = "";
	struct keyring ring;

	(void)state;
	make_ring(&ring);
	token_format(&ring, TOKEN_RETURN_PATH, r, local);
	for (size_t n = 0; n <= TOKEN_LOCAL_LEN + 1; n++)
		assert_int_equal(token_verify(&ring, TOKEN_RETURN_PATH,
				     slice_mem(local, n), &got),
		    n == TOKEN_LOCAL_LEN);
}

static void
an_older_key_still_verifies_until_it_is_gone(void **state)
{
	struct id r = id_of_recipient(id_new_email(1764535199540), 100), got;
	char local[TOKEN_LOCAL_LEN + 1];
	struct keyring ring, other;

	(void)state;
	make_ring(&ring);
	ring.count = 1;
	token_format(&ring, TOKEN_RETURN_PATH, r, local);
	ring.count = 2;
	assert_true(verifies(&ring, local, r));
	ring.key[0] = ring.key[1];
	ring.count = 1;
	assert_false(
	    token_verify(&ring, TOKEN_RETURN_PATH, slice_of(local), &got));
	make_ring(&other);
	other.key[0].token[31] ^= 1;
	assert_false(
	    token_verify(&other, TOKEN_RETURN_PATH, slice_of(local), &got));
}

TEST_MAIN(cmocka_unit_test(a_token_verifies_in_any_case),
    cmocka_unit_test(a_peek_needs_no_key),
    cmocka_unit_test(any_changed_character_is_refused),
    cmocka_unit_test(length_matters),
    cmocka_unit_test(an_older_key_still_verifies_until_it_is_gone))

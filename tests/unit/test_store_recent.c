#include "test.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/recent.h"

#define RING ((size_t)64 * 1024)
#define IDS 100
#define LEN(n) (3000 + (n) % IDS)

static struct id
id_of(uint64_t n)
{
	struct id id = { { 0 } };

	/* Like ids of emails: a time in front, random octets behind. */
	memcpy(id.b + 4, &n, sizeof(n));
	return id;
}

/* Every octet says whose it is. */
static void
put(struct recent *r, size_t writer, uint64_t n, size_t len)
{
	char *text = xmalloc(len + 1);

	memset(text, (int)('a' + n % 26), len);
	recent_put(r, writer, id_of(n), slice_mem(text, len));
	free(text);
}

static bool
is_content_of(const char *text, uint64_t n, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != (char)('a' + n % 26))
			return false;
	return text[len] == '\0';
}

/* Whether it is there; what is there must be right. */
static bool
has(const struct recent *r, uint64_t n, size_t len)
{
	char *text = recent_get(r, id_of(n), len);
	bool found = text != NULL;

	assert_true(!found || is_content_of(text, n, len));
	free(text);
	return found;
}

static void
what_was_put_is_found_by_its_id_and_length(void **state)
{
	struct recent *r = recent_new(RING, 1);

	(void)state;
	assert_non_null(r);
	assert_false(has(r, 1, 100));
	put(r, 0, 1, 100);
	put(r, 0, 2, 8000);
	put(r, 0, 3, 0);
	assert_true(has(r, 1, 100));
	assert_true(has(r, 2, 8000));
	assert_true(has(r, 3, 0));
	assert_false(has(r, 1, 101));
	assert_false(has(r, 1, 99));
	assert_false(has(r, 4, 100));
	recent_free(&r);
	assert_null(r);
}

static void
the_oldest_makes_room(void **state)
{
	struct recent *r = recent_new(RING, 1);
	const size_t len = 1000;
	size_t kept = 0;

	(void)state;
	for (uint64_t n = 1; n <= 1000; n++) {
		put(r, 0, n, len);
		assert_true(has(r, n, len));
	}
	for (uint64_t n = 1; n <= 1000; n++)
		kept += has(r, n, len);
	assert_false(has(r, 900, len));
	/* 64 fit; the index holds 4 for each 8 kB: 32 of them. */
	assert_in_range(kept, 24, 64);
	recent_free(&r);
}

static void
records_of_all_lengths_go_round_and_round(void **state)
{
	struct recent *r = recent_new(RING + 4096, 1);
	uint64_t seed = 7;

	(void)state;
	for (uint64_t n = 1; n <= 20000; n++) {
		size_t len;

		seed = seed * UINT64_C(6364136223846793005) + 1;
		len = (seed >> 33) % 8000;
		put(r, 0, n, len);
		assert_true(has(r, n, len));
		if (n > 3)
			(void)has(r, n - 3, (seed >> 20) % 8000);
	}
	recent_free(&r);
}

static void
what_is_too_large_or_nobodys_is_not_kept(void **state)
{
	struct recent *r = recent_new(2 * RING, 2);
	struct recent *none = recent_new(RING, 2);

	(void)state;
	put(r, 0, 1, RING / 8);
	assert_false(has(r, 1, RING / 8));
	put(r, 0, 2, RING / 8 - 64);
	assert_true(has(r, 2, RING / 8 - 64));
	put(r, 2, 3, 10);
	assert_false(has(r, 3, 10));
	recent_free(&r);
	assert_null(none); /* 32 kB for each */
	assert_null(recent_new(RING, 0));
	put(none, 0, 1, 10);
	assert_false(has(none, 1, 10));
	recent_free(&none);
}

static void
writers_do_not_write_over_each_other(void **state)
{
	struct recent *r = recent_new(2 * RING, 2);

	(void)state;
	put(r, 1, 1, 5000);
	for (uint64_t n = 2; n < 200; n++)
		put(r, 0, n, 5000);
	assert_true(has(r, 1, 5000));
	assert_true(has(r, 199, 5000));
	recent_free(&r);
}

static void
write_for_ever(struct recent *r)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t n = 0;; n = (n + 1) % IDS)
		put(r, 0, n, LEN(n));
}

/*
 * A process writes round after round until it is killed in the midst of it,
 * another begins where it was: what is found is whole, always.
 */
static void
nothing_torn_is_ever_found(void **state)
{
	struct recent *r = recent_new(RING, 1);
	size_t found = 0;

	(void)state;
	for (int life = 0; life < 20; life++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			write_for_ever(r);
		for (uint64_t i = 0; i < 20000 || found == 0; i++)
			found += has(r, i % IDS, LEN(i % IDS));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	assert_true(found > 0);
	recent_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_found_by_its_id_and_length),
		cmocka_unit_test(the_oldest_makes_room),
		cmocka_unit_test(records_of_all_lengths_go_round_and_round),
		cmocka_unit_test(what_is_too_large_or_nobodys_is_not_kept),
		cmocka_unit_test(writers_do_not_write_over_each_other),
		cmocka_unit_test(nothing_torn_is_ever_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

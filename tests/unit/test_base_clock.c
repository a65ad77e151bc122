#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const struct {
	int64_t ms;
	const char *iso, *mail;
} cases[] = {
	{ 0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 00:00:00 +0000" },
	{ 1764535199540, "2025-11-30T20:39:59.540Z",
	    "Sun, 30 Nov 2025 20:39:59 +0000" },
	{ 951782400001, "2000-02-29T00:00:00.001Z",
	    "Tue, 29 Feb 2000 00:00:00 +0000" },
	{ -1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000" },
	{ 4102444799999, "2099-12-31T23:59:59.999Z",
	    "Thu, 31 Dec 2099 23:59:59 +0000" },
};

static void
writes_both_forms_of_a_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char iso[CLOCK_ISO_LEN], mail[CLOCK_RFC5322_LEN];

		clock_format_iso(cases[i].ms, iso);
		clock_format_rfc5322(cases[i].ms, mail);
		assert_string_equal(iso, cases[i].iso);
		assert_string_equal(mail, cases[i].mail);
	}
}

static void
never_runs_backwards(void **state)
{
	int64_t before = clock_mono_ms();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_mono_ms();

		assert_true(now >= before);
		before = now;
	}
	assert_true(clock_now_ms() > 1600000000000);
	assert_int_equal(clock_offset_ms(), 0);
}

static void
the_boot_has_one_name(void **state)
{
	char a[CLOCK_BOOT_ID_LEN], b[CLOCK_BOOT_ID_LEN];

	(void)state;
	clock_boot_id(a);
	clock_boot_id(b);
	assert_int_equal(strlen(a), CLOCK_BOOT_ID_LEN - 1);
	assert_null(strchr(a, '\n'));
	assert_string_equal(a, b);
}

/*
 * The offset is looked for once per process, so this test stands first and
 * leaves the clock at an offset of 0 for the others.
 */
static void
follows_the_clock_of_the_test(void **state)
{
#ifdef VERPOST_TEST_HOOKS
	char path[] = "test_clock.XXXXXX";
	int64_t offset = 72LL * 3600 * 1000, before = clock_mono_ms(), now;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &offset, sizeof(offset), 0), 8);
	setenv("VERPOST_TEST_CLOCK", path, 1);
	assert_true(clock_offset_ms() == offset);
	now = clock_now_ms();
	offset = 0;
	assert_int_equal(pwrite(fd, &offset, sizeof(offset), 0), 8);
	assert_true(now - clock_now_ms() > 71LL * 3600 * 1000);
	assert_true(clock_mono_ms() - before < 3600 * 1000);
	unlink(path);
	close(fd);
#else
	(void)state;
	setenv("VERPOST_TEST_CLOCK", "/dev/zero", 1);
	assert_true(clock_offset_ms() == 0);
#endif
}

TEST_MAIN(cmocka_unit_test(follows_the_clock_of_the_test),
    cmocka_unit_test(writes_both_forms_of_a_time),
    cmocka_unit_test(never_runs_backwards),
    cmocka_unit_test(the_boot_has_one_name))

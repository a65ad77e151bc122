#include "test.h"

#include <stdlib.h>

#include "base/slice.h"

static void
compares_by_length_and_octets(void **state)
{
	(void)state;
	assert_true(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
	assert_false(slice_eq(SLICE("a"), SLICE("ab")));
	assert_true(slice_eq((struct slice){ NULL, 0 }, SLICE("")));
	assert_true(slice_eq_text(SLICE("abc"), "abc"));
	assert_true(slice_eq_nocase(SLICE("MiXeD"), SLICE("mIxEd")));
	assert_false(slice_eq_nocase(SLICE("[a"), SLICE("{a")));
	assert_true(slice_starts(SLICE("RCPT TO"), SLICE("RCPT")));
	assert_false(slice_starts(SLICE("RC"), SLICE("RCPT")));
	assert_true(slice_starts_nocase(SLICE("rcpt to"), SLICE("RCPT")));
	assert_true(slice_ends_nocase(SLICE("a.EXAMPLE"), SLICE(".example")));
	assert_false(slice_ends_nocase(SLICE("e"), SLICE(".example")));
	assert_true(slice_cmp(SLICE("a"), SLICE("b")) < 0);
	assert_true(slice_cmp(SLICE("ab"), SLICE("a")) > 0);
	assert_true(slice_cmp(SLICE("a\xff"), SLICE("a\x01")) > 0);
	assert_int_equal(slice_cmp(SLICE("x"), SLICE("x")), 0);
}

static void
counts_the_changes_between_two_words(void **state)
{
	struct slice longest = slice_of("0123456789012345678901234567890123456"
					"789012345678901234567890123456789");

	(void)state;
	assert_int_equal(slice_distance(SLICE(""), SLICE("")), 0);
	assert_int_equal(slice_distance(SLICE("abc"), SLICE("")), 3);
	assert_int_equal(slice_distance(SLICE(""), SLICE("abc")), 3);
	assert_int_equal(slice_distance(SLICE("Reply-To"), SLICE("reply_to")),
	    1);
	assert_int_equal(slice_distance(SLICE("kitten"), SLICE("sitting")), 3);
	assert_true(longest.len > SLICE_DISTANCE_MAX);
	assert_int_equal(slice_distance(longest, SLICE("")),
	    SLICE_DISTANCE_MAX);
}

static void
finds_or_gives_the_length(void **state)
{
	(void)state;
	assert_int_equal(slice_find_char(SLICE("a:b"), ':'), 1);
	assert_int_equal(slice_find_char(SLICE("ab"), ':'), 2);
	assert_int_equal(slice_find_char(SLICE(""), ':'), 0);
	assert_int_equal(slice_find(SLICE("aab"), SLICE("ab")), 1);
	assert_int_equal(slice_find(SLICE("aab"), SLICE("ba")), 3);
	assert_int_equal(slice_find(SLICE("aab"), SLICE("")), 0);
	assert_true(slice_has_char(SLICE("a\0b"), '\0'));
	assert_false(slice_has_char(SLICE("ab"), '\0'));
}

static void
cuts_without_leaving_its_octets(void **state)
{
	struct slice s = SLICE("abc");

	(void)state;
	assert_int_equal(slice_from(s, 9).len, 0);
	assert_true(slice_eq_text(slice_from(s, 1), "bc"));
	assert_true(slice_eq_text(slice_first(s, 2), "ab"));
	assert_true(slice_eq_text(slice_first(s, 9), "abc"));
	assert_true(slice_eq_text(slice_trim(SLICE(" \ta b\t ")), "a b"));
	assert_true(slice_eq_text(slice_trim(SLICE(" \t ")), ""));
	assert_true(slice_eq_text(slice_trim(SLICE("a\r\n")), "a\r\n"));
	assert_true(slice_eq_text(slice_trim_lines(SLICE("\r\n a\r\n")), "a"));
}

static void
takes_lines_of_both_kinds(void **state)
{
	struct slice s = SLICE("one\r\ntwo\n\nlast"), line;

	(void)state;
	assert_true(slice_take_line(&s, &line));
	assert_true(slice_eq_text(line, "one"));
	assert_true(slice_take_line(&s, &line));
	assert_true(slice_eq_text(line, "two"));
	assert_true(slice_take_line(&s, &line));
	assert_int_equal(line.len, 0);
	assert_true(slice_take_line(&s, &line));
	assert_true(slice_eq_text(line, "last"));
	assert_false(slice_take_line(&s, &line));
}

static void
takes_what_stands_before_a_character(void **state)
{
	struct slice s = SLICE("key=value=x");
	struct slice key = slice_take_until(&s, '=');

	(void)state;
	assert_true(slice_eq_text(key, "key"));
	assert_true(slice_eq_text(s, "value=x"));
	assert_false(slice_take_char(&s, '='));
	assert_true(slice_take_char(&s, 'v'));
	slice_take_until(&s, '!');
	assert_int_equal(s.len, 0);
	assert_false(slice_take_char(&s, 'v'));
}

static const struct {
	const char *text;
	size_t digits;
	int value; /* -1: refused */
	const char *rest;
} uints[] = {
	{ "250 ok", 3, 250, " ok" },
	{ "0", 1, 0, "" },
	{ "1234", 3, -1, "1234" },
	{ "65535", 5, 65535, "" },
	{ "65536", 5, -1, "65536" },
	{ "x", 3, -1, "x" },
	{ "", 3, -1, "" },
};

static void
takes_short_numbers_off_the_front(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uints); i++) {
		struct slice s = slice_of(uints[i].text);
		uint16_t value = 0;
		bool ok = slice_take_uint(&s, uints[i].digits, &value);

		print_message("case %zu: '%s'\n", i, uints[i].text);
		assert_int_equal(ok ? value : -1, uints[i].value);
		assert_true(slice_eq_text(s, uints[i].rest));
	}
}

static const struct {
	const char *text;
	bool is_u64, is_i64;
	int64_t value;
} numbers[] = {
	{ "0", true, true, 0 },
	{ "42", true, true, 42 },
	{ "-42", false, true, -42 },
	{ "9223372036854775807", true, true, INT64_MAX },
	{ "9223372036854775808", true, false, 0 },
	{ "-9223372036854775808", false, true, INT64_MIN },
	{ "-9223372036854775809", false, false, 0 },
	{ "18446744073709551616", false, false, 0 },
	{ "", false, false, 0 },
	{ "-", false, false, 0 },
	{ "+1", false, false, 0 },
	{ "1 ", false, false, 0 },
	{ "0x1", false, false, 0 },
};

static void
reads_whole_numbers_or_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct slice s = slice_of(numbers[i].text);
		uint64_t u = 7;
		int64_t n = 7;

		print_message("case %zu: '%s'\n", i, numbers[i].text);
		assert_int_equal(slice_to_u64(s, &u), numbers[i].is_u64);
		assert_int_equal(slice_to_i64(s, &n), numbers[i].is_i64);
		assert_true(n == (numbers[i].is_i64 ? numbers[i].value : 7));
	}
}

static void
copies_with_a_nul_behind(void **state)
{
	char *copy = slice_dup(SLICE("ab"));
	char *empty = slice_dup((struct slice){ NULL, 0 });

	(void)state;
	assert_string_equal(copy, "ab");
	assert_string_equal(empty, "");
	free(copy);
	free(empty);
}

TEST_MAIN(cmocka_unit_test(compares_by_length_and_octets),
    cmocka_unit_test(counts_the_changes_between_two_words),
    cmocka_unit_test(finds_or_gives_the_length),
    cmocka_unit_test(cuts_without_leaving_its_octets),
    cmocka_unit_test(takes_lines_of_both_kinds),
    cmocka_unit_test(takes_what_stands_before_a_character),
    cmocka_unit_test(takes_short_numbers_off_the_front),
    cmocka_unit_test(reads_whole_numbers_or_nothing),
    cmocka_unit_test(copies_with_a_nul_behind))

#include "test.h"

#include "mail/status.h"

static const struct {
	const char *text, *rest; /* rest NULL: must be refused */
	uint16_t part[3];
} cases[] = {
	{ "2.1.5 Ok", "Ok", { 2, 1, 5 } },
	{ "5.7.26", "", { 5, 7, 26 } }, /* code without text */
	{ "4.7.1000 x", NULL, { 0 } },	/* four digits */
	{ "3.1.1 x", NULL, { 0 } },	/* no such class */
	{ "5.1", NULL, { 0 } },
	{ "5.1.x", NULL, { 0 } },
	{ "5.1.1x", NULL, { 0 } },
	{ "", NULL, { 0 } },
};

static void
takes_a_code_or_leaves_the_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice text = slice_of(cases[i].text);
		struct mail_status status = { { 0 } };
		struct error err = { 0 };
		int rc = mail_status_take(&text, &status, &err);

		print_message("case %zu: '%s'\n", i, cases[i].text);
		assert_int_equal(rc, cases[i].rest != NULL ? 0 : -1);
		assert_memory_equal(status.part, cases[i].part,
		    sizeof(status.part));
		assert_true(slice_eq_text(text,
		    rc == 0 ? cases[i].rest : cases[i].text));
	}
}

static void
is_written_as_it_was_read(void **state)
{
	struct mail_status none = { { 0 } }, some = { { 5, 1, 10 } };
	char text[MAIL_STATUS_TEXT];

	(void)state;
	mail_status_format(none, text);
	assert_string_equal(text, "");
	assert_false(mail_status_is_set(none));
	mail_status_format(some, text);
	assert_string_equal(text, "5.1.10");
	assert_true(mail_status_is_set(some));
	assert_true(mail_status_is(some, 5, 1, 10));
	assert_false(mail_status_is(some, 5, 1, 1));
}

TEST_MAIN(cmocka_unit_test(takes_a_code_or_leaves_the_text),
    cmocka_unit_test(is_written_as_it_was_read))

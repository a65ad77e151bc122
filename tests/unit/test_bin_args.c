#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "bin/command.h"
#include "proc/settings.h"

/* The parser prints the list of commands from here. */
const struct command *const command_table[] = { NULL };

static const struct flag flags[] = {
	{ "account", "NAME", "whose" },
	{ "sending", NULL, "only send" },
	{ NULL, NULL, NULL },
};

static const struct command command = {
	.name = "thing add",
	.operands = "ONE [TWO]",
	.operands_min = 1,
	.operands_max = 2,
	.summary = "adds",
	.flags = flags,
};

static const struct {
	const char *words[8];
	bool ok;
	size_t count;
	const char *operand;
	const char *config;
	const char *account; /* NULL: not given */
	bool json, sending;
} cases[] = {
	{ { "a" }, true, 1, "a", SETTINGS_PATH, NULL, false, false },
	{ { "a", "b" }, true, 2, "a", SETTINGS_PATH, NULL, false, false },
	{ { "a", "b", "c" }, false, 0, NULL, NULL, NULL, false, false },
	{ { NULL }, false, 0, NULL, NULL, NULL, false, false },
	{ { "-c", "/f", "a" }, true, 1, "a", "/f", NULL, false, false },
	{ { "a", "--config=/f" }, true, 1, "a", "/f", NULL, false, false },
	{ { "a", "--config" }, false, 0, NULL, NULL, NULL, false, false },
	{ { "--account", "x", "a", "--json" }, true, 1, "a", SETTINGS_PATH, "x",
	    true, false },
	{ { "--account=", "a" }, true, 1, "a", SETTINGS_PATH, "", false,
	    false },
	{ { "--account=a=b", "a" }, true, 1, "a", SETTINGS_PATH, "a=b", false,
	    false },
	{ { "--sending", "a" }, true, 1, "a", SETTINGS_PATH, NULL, false,
	    true },
	{ { "--sending=yes", "a" }, false, 0, NULL, NULL, NULL, false, false },
	{ { "--nonsense", "a" }, false, 0, NULL, NULL, NULL, false, false },
	{ { "-x", "a" }, false, 0, NULL, NULL, NULL, false, false },
	{ { "--", "--json" }, true, 1, "--json", SETTINGS_PATH, NULL, false,
	    false },
	{ { "-" }, true, 1, "-", SETTINGS_PATH, NULL, false, false },
	{ { "--help" }, true, 0, NULL, SETTINGS_PATH, NULL, false, false },
};

static void
options_stand_anywhere_and_mistakes_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[8] = { NULL };
		struct args a;
		int argc = 0;

		print_message("case %zu\n", i);
		while (cases[i].words[argc] != NULL) {
			argv[argc] = slice_dup(slice_of(cases[i].words[argc]));
			argc++;
		}
		assert_int_equal(args_parse(&command, argc, argv, &a),
		    cases[i].ok);
		if (cases[i].ok) {
			assert_int_equal(a.count, cases[i].count);
			assert_string_equal(a.config, cases[i].config);
			assert_int_equal(a.json, cases[i].json);
			assert_int_equal(args_flag(&a, "sending") != NULL,
			    cases[i].sending);
			if (cases[i].operand != NULL)
				assert_string_equal(a.operand[0],
				    cases[i].operand);
			if (cases[i].account == NULL)
				assert_null(args_flag(&a, "account"));
			else
				assert_string_equal(args_flag(&a, "account"),
				    cases[i].account);
		}
		while (argc > 0)
			free(argv[--argc]);
	}
}

static const struct {
	const char *name;
	bool is_good;
} names[] = {
	{ "a", true },
	{ "B\xc3\xbc"
	  "cher & x\"",
	    true },
	{ "ten octets", true },
	{ "", false },
	{ "more than twenty octets", false },
	{ "a\nb", false },
	{ "a\tb", false },
	{ "a\x1b[2J", false },
	{ "a\x7f", false },
	{ "a\xc2\x85"
	  "b",
	    false }, /* next line */
	{ "a\xff", false },
};

static void
a_name_is_a_line_that_can_be_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		print_message("case %zu\n", i);
		assert_int_equal(args_name_is_good(slice_of(names[i].name), 20),
		    names[i].is_good);
	}
}

TEST_MAIN(cmocka_unit_test(options_stand_anywhere_and_mistakes_are_refused),
    cmocka_unit_test(a_name_is_a_line_that_can_be_shown))

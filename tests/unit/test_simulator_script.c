#include "test.h"

#include "simulator/script.h"
#include "simulator/simulator_priv.h"

static const struct {
	const char *local;
	enum script_act act;
	unsigned int code;
	const char *text;
} cases[] = {
	{ "delivered", SCRIPT_DELIVER, 0, "" },
	{ "success", SCRIPT_DELIVER, 0, "" },
	{ "ann", SCRIPT_DELIVER, 0, "" },
	{ "", SCRIPT_DELIVER, 0, "" },
	{ "bounced", SCRIPT_REFUSE, 550,
	    "5.1.1 No such user at the simulator" },
	{ "bounce", SCRIPT_REFUSE, 550, "5.1.1 No such user at the simulator" },
	{ "BounceD+label", SCRIPT_REFUSE, 550,
	    "5.1.1 No such user at the simulator" },
	{ "bounced.not", SCRIPT_DELIVER, 0, "" },
	{ "bounced-later", SCRIPT_BOUNCE_LATER, 0, "" },
	{ "asyncbounce+1", SCRIPT_BOUNCE_LATER, 0, "" },
	{ "deferred", SCRIPT_DEFER_ONCE, 451,
	    "4.3.0 Deferred by the simulator, try again later" },
	{ "greylisted", SCRIPT_DEFER_ONCE, 451,
	    "4.7.1 Greylisted by the simulator, try again later" },
	{ "rejected", SCRIPT_REJECT, 554,
	    "5.6.0 Content rejected by the simulator" },
	{ "full", SCRIPT_REFUSE, 452, "4.2.2 Mailbox full at the simulator" },
	{ "mailboxfull", SCRIPT_REFUSE, 552,
	    "5.2.2 Mailbox full at the simulator" },
	{ "disconnect", SCRIPT_DISCONNECT, 0, "" },
	{ "slow+x+y", SCRIPT_SLOW, 0, "" },
	{ "code-552-5.3.4", SCRIPT_REFUSE, 552,
	    "5.3.4 Reply of the simulator" },
	{ "CODE-421", SCRIPT_REFUSE, 421, "Reply of the simulator" },
	{ "code-data-554-5.7.26+x", SCRIPT_REJECT, 554,
	    "5.7.26 Reply of the simulator" },
	{ "code-data-451", SCRIPT_REJECT, 451, "Reply of the simulator" },
	/* what is no code is a name */
	{ "code-250", SCRIPT_DELIVER, 0, "" },
	{ "code-600", SCRIPT_DELIVER, 0, "" },
	{ "code-55", SCRIPT_DELIVER, 0, "" },
	{ "code-5500", SCRIPT_DELIVER, 0, "" },
	{ "code-550-", SCRIPT_DELIVER, 0, "" },
	{ "code-550-5.1", SCRIPT_DELIVER, 0, "" },
	{ "code-550-5.1.1.1", SCRIPT_DELIVER, 0, "" },
	{ "code-550-2.1.1", SCRIPT_DELIVER, 0, "" },
	{ "code-550-5.1.1000", SCRIPT_DELIVER, 0, "" },
	{ "code-data-", SCRIPT_DELIVER, 0, "" },
	{ "code-", SCRIPT_DELIVER, 0, "" },
};

static void
a_name_says_what_to_act(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct script script;

		print_message("%s\n", cases[i].local);
		script_read(slice_of(cases[i].local), &script);
		assert_int_equal(script.act, cases[i].act);
		assert_int_equal(script.code, cases[i].code);
		assert_string_equal(script.text, cases[i].text);
		assert_non_null(script.outcome);
	}
}

static void
a_pair_is_new_once(void **state)
{
	struct simulator_memory *m = simulator_memory_new(2);

	(void)state;
	assert_true(simulator_memory_is_new(m, SLICE("a"), SLICE("b")));
	assert_true(simulator_memory_is_new(m, SLICE("a"), SLICE("c")));
	assert_false(simulator_memory_is_new(m, SLICE("A"), SLICE("B")));
	/* Taken the second time: a third is another mail's first. */
	assert_true(simulator_memory_is_new(m, SLICE("a"), SLICE("b")));
	/* The oldest is forgotten. */
	assert_true(simulator_memory_is_new(m, SLICE("x"), SLICE("y")));
	assert_true(simulator_memory_is_new(m, SLICE("a"), SLICE("c")));
	simulator_memory_free(&m);
}

static void
a_header_is_cut_at_a_line(void **state)
{
	struct slice message = SLICE("A: 1\r\nB: 2\r\n 3\r\n\r\nbody\r\n");

	(void)state;
	assert_int_equal(simulator_dsn_header(message, 100).len, 16);
	assert_int_equal(simulator_dsn_header(message, 16).len, 16);
	assert_int_equal(simulator_dsn_header(message, 15).len, 12);
	assert_int_equal(simulator_dsn_header(message, 5).len, 0);
	assert_int_equal(simulator_dsn_header(SLICE("A: 1"), 100).len, 4);
	assert_int_equal(simulator_dsn_header(SLICE(""), 100).len, 0);
}

TEST_MAIN(cmocka_unit_test(a_name_says_what_to_act),
    cmocka_unit_test(a_pair_is_new_once),
    cmocka_unit_test(a_header_is_cut_at_a_line))

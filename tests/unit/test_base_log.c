#include "test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/* The line without its time, which is not ours to foresee. */
static const char *
line(void)
{
	const char *at = strchr(test_log_last(), ' ');

	return at != NULL ? at + 1 : "";
}

static void
writes_one_line_with_its_fields(void **state)
{
	(void)state;
	log_info(NULL, "smtp.reply", log_uint("code", 250),
	    log_text("text", "ok"), log_int("n", -3));
	assert_string_equal(line(),
	    "info test smtp.reply code=250 text=ok n=-3");
	log_debug(NULL, "bare");
	assert_string_equal(line(), "debug test bare");
}

static void
puts_the_parents_fields_first(void **state)
{
	struct log_ctx outer = { NULL, { log_text("node", "n1") } };
	struct log_ctx inner = { &outer,
		{ log_uint("job", 7), log_text("mx", "mx.example") } };

	(void)state;
	log_info(&inner, "mta.try", log_text("to", "a"));
	assert_string_equal(line(),
	    "info test mta.try node=n1 job=7 mx=mx.example to=a");
}

static const struct {
	const char *value, *written;
} cases[] = {
	{ "plain-1.2:3", "plain-1.2:3" },
	{ "", "\"\"" },
	{ "two words", "\"two words\"" },
	{ "a=b", "\"a=b\"" },
	{ "say \"x\"\\", "\"say \\\"x\\\"\\\\\"" },
	{ "x\r\n2025 error forged", "\"x\\r\\n2025 error forged\"" },
	{ "\x1b[31m\x7f\xc3\xa9", "\"\\x1b[31m\\x7f\\xc3\\xa9\"" },
};

static void
escapes_what_could_forge_a_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[128];

		snprintf(want, sizeof(want), "info test e v=%s",
		    cases[i].written);
		log_info(NULL, "e", log_text("v", cases[i].value));
		assert_string_equal(line(), want);
	}
}

static size_t longest;

static void
measure(void *ctx, enum log_level level, struct slice s)
{
	(void)ctx;
	(void)level;
	longest = MAX(longest, s.len);
	assert_memory_equal(s.ptr + s.len - 4, " ...", 4);
}

static void
cuts_long_values_and_long_lines(void **state)
{
	static char big[100000];
	struct slice s = slice_mem(big, sizeof(big));

	(void)state;
	memset(big, '\n', sizeof(big));
	log_set_sink(measure, NULL);
	log_info(NULL, "e", log_slice("a", s), log_slice("b", s),
	    log_slice("c", s), log_slice("d", s));
	log_set_sink(test_log_sink_, &test_log_);
	assert_in_range(longest, 3900, 4000);
}

static void
skips_lines_below_the_level(void **state)
{
	enum log_level level = LOG_LEVEL_ERROR;

	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	log_debug(NULL, "unseen");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_string_equal(test_log_last(), "");
	assert_true(log_level_parse(SLICE("debug"), &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_false(log_level_parse(SLICE("loud"), &level));
}

static void
counts_announced_warnings(void **state)
{
	struct error err = { 0 };

	(void)state;
	error_set(&err, ERR_NET, "reset by %s", "peer");
	test_log_expect(2);
	log_warn(NULL, "w", log_err(&err));
	assert_string_equal(line(), "warn test w error=\"reset by peer\"");
	log_error(NULL, "e");
}

static void
goes_to_standard_error_by_one_write(void **state)
{
	int fds[2], status;
	char got[256] = "";
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		log_set_sink(NULL, NULL);
		log_warn(NULL, "child", log_uint("n", 1));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = read(fds[0], got, sizeof(got) - 1);
	assert_true(n > 0);
	assert_non_null(strstr(got, " warn test child n=1\n"));
	close(fds[0]);
	close(fds[1]);
}

TEST_MAIN(cmocka_unit_test(writes_one_line_with_its_fields),
    cmocka_unit_test(puts_the_parents_fields_first),
    cmocka_unit_test(escapes_what_could_forge_a_line),
    cmocka_unit_test(cuts_long_values_and_long_lines),
    cmocka_unit_test(skips_lines_below_the_level),
    cmocka_unit_test(counts_announced_warnings),
    cmocka_unit_test(goes_to_standard_error_by_one_write))

/*
 * test.h - what every unit test begins with: cmocka with the headers it wants
 * before it, ARRAY_LEN, TEST_MAIN and a watch on the log.
 *
 * TEST_MAIN catches the log. A line of level warn or error that a test did
 * not announce by test_log_expect() fails that test, and so does an announced
 * line that never came.
 */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/slice.h"

struct test_log {
	unsigned int expected; /* warn and error lines still to come */
	char last[512];	       /* the last line of any level, cut */
};

static struct test_log test_log_;

/* Announces n lines of level warn or error. */
static inline void
test_log_expect(unsigned int n)
{
	test_log_.expected += n;
}

/* The last line logged in this test, "" when there was none. */
static inline const char *
test_log_last(void)
{
	return test_log_.last;
}

static inline void
test_log_sink_(void *ctx, enum log_level level, struct slice line)
{
	struct test_log *log = ctx;
	size_t n = MIN(line.len, sizeof(log->last) - 1);

	if (n > 0)
		memcpy(log->last, line.ptr, n);
	log->last[n] = '\0';
	if (level > LOG_LEVEL_WARN)
		return;
	if (log->expected == 0)
		fail_msg("unexpected log line: %s", log->last);
	log->expected--;
}

static inline int
test_log_setup_(void **state)
{
	(void)state;
	test_log_ = (struct test_log){ 0 };
	return 0;
}

static inline int
test_log_teardown_(void **state)
{
	unsigned int missing = test_log_.expected;

	(void)state;
	test_log_.expected = 0;
	if (missing > 0)
		print_error("%u announced log lines never came\n", missing);
	return missing > 0 ? -1 : 0;
}

/* Fixtures of a test's own replace the watch's, never the sink. */
static inline void
test_watch_(struct CMUnitTest *tests, size_t n)
{
	log_setup("test", LOG_LEVEL_DEBUG);
	log_set_sink(test_log_sink_, &test_log_);
	for (size_t i = 0; i < n; i++) {
		if (tests[i].setup_func == NULL)
			tests[i].setup_func = test_log_setup_;
		if (tests[i].teardown_func == NULL)
			tests[i].teardown_func = test_log_teardown_;
	}
}

#define TEST_MAIN(...)                                                         \
	int main(void)                                                         \
	{                                                                      \
		struct CMUnitTest tests[] = { __VA_ARGS__ };                   \
                                                                               \
		test_watch_(tests, ARRAY_LEN(tests));                          \
		return cmocka_run_group_tests(tests, NULL, NULL);              \
	}

#endif

#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crash.h"

#define POINT "test_crash.point"
#define REACHED "test_crash.reached"

/* A child that passes the point "there" and ends with status 0. */
static pid_t
start_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		crash_point("elsewhere");
		crash_point("there");
		_exit(0);
	}
	return pid;
}

static void
name_point(const char *name)
{
	FILE *f = fopen(POINT, "w");

	assert_non_null(f);
	fprintf(f, "%s\n", name);
	assert_int_equal(fclose(f), 0);
	setenv("VERPOST_CRASH_POINT", POINT, 1);
	setenv("VERPOST_CRASH_REACHED", REACHED, 1);
	unlink(REACHED);
}

static void
stops_only_at_the_named_point_of_a_test_build(void **state)
{
	char want[64], got[64] = "";
	int status = 0;
	pid_t pid;

	(void)state;
	name_point("there");
	pid = start_child();
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
#ifdef VERPOST_TEST_HOOKS
	FILE *f;

	assert_true(WIFSTOPPED(status));
	f = fopen(REACHED, "r");
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	fclose(f);
	snprintf(want, sizeof(want), "%ld there\n", (long)pid);
	assert_string_equal(got, want);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
#else
	(void)want;
	(void)got;
	assert_true(WIFEXITED(status));
	assert_int_equal(access(REACHED, F_OK), -1);
#endif
	name_point("never");
	pid = start_child();
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(access(REACHED, F_OK), -1);
	unlink(POINT);
	unlink(REACHED);
}

TEST_MAIN(cmocka_unit_test(stops_only_at_the_named_point_of_a_test_build))

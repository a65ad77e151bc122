/*
 * clock.h - the clock of a test program in its own hands: clock_now_ms() and,
 * by its offset, the functions in Redis. Included after servers.h, by one file
 * per program. Without --enable-test-hooks there is no such clock: skipped.
 */
#ifndef MODEL_CLOCK_H
#define MODEL_CLOCK_H

#include <fcntl.h>
#include <sys/mman.h>

#include "tests/integration/servers.h"

static int64_t *clock_offset_;

/* Before anybody asks for the time. */
static inline void
clock_take(void)
{
	char path[64] = "/tmp/vpclock.XXXXXX";
	int fd = mkstemp(path);

	if (fd == -1 || ftruncate(fd, sizeof(*clock_offset_)) == -1 ||
	    setenv("VERPOST_TEST_CLOCK", path, 1) == -1) {
		perror("clock");
		exit(1);
	}
	clock_offset_ = mmap(NULL, sizeof(*clock_offset_),
	    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (clock_offset_ == MAP_FAILED) {
		perror("clock");
		exit(1);
	}
	*clock_offset_ = 1; /* to see whether anybody looks */
	if (clock_offset_ms() != 1) {
		fprintf(stderr, "wants a build with --enable-test-hooks\n");
		unlink(path);
		exit(77);
	}
	*clock_offset_ = 0;
	unlink(path);
}

static inline void
clock_advance(int64_t ms)
{
	*clock_offset_ += ms;
}

#define MODEL_MAIN(migrate, ...)                                               \
	int main(void)                                                         \
	{                                                                      \
		struct CMUnitTest tests[] = { __VA_ARGS__ };                   \
		int failed;                                                    \
                                                                               \
		clock_take();                                                  \
		servers_start(migrate);                                        \
		test_watch_(tests, ARRAY_LEN(tests));                          \
		failed = cmocka_run_group_tests(tests, NULL, NULL);            \
		loop_free(&servers.loop);                                      \
		return failed;                                                 \
	}

#endif

/*
 * The lock goes with the last descriptor, and children close theirs: a master
 * killed with -9 leaves no lock behind.
 */
#include "proc/runlock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"

#define RETRY_MS 50
/* A number and a name of a node, a line each. */
#define TEXT_MAX (RUNLOCK_NODE_MAX + 32)

static char *
lock_path(const char *run_dir)
{
	return xasprintf("%s/verpost.pid", run_dir);
}

/* 0: it says nothing yet. node may be NULL. */
static long
read_holder(int fd, char **node)
{
	char text[TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct slice rest = slice_mem(text, n > 0 ? (size_t)n : 0);
	struct slice first = slice_take_until(&rest, '\n');
	int64_t number = 0;

	if (!slice_to_i64(first, &number))
		return 0;
	if (node != NULL)
		*node = slice_dup(slice_trim_lines(rest));
	return (long)number;
}

static int
wait_for(int fd, const char *run_dir, int64_t patience_ms, int stop_fd,
    struct error *err)
{
	int64_t until_ms = clock_mono_ms() + patience_ms;
	bool told = false;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		long holder = read_holder(fd, NULL);

		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_sys(err, "locking %s/verpost.pid",
			    run_dir);
		if (clock_mono_ms() >= until_ms)
			return error_set(err, ERR_CONFLICT,
			    "another verpost (process %ld) uses run_dir %s: "
			    "stop it, or give this one a run_dir of its own",
			    holder, run_dir);
		if (!told)
			log_info(NULL, "lock.wait",
			    log_text("run_dir", run_dir),
			    log_int("process", holder));
		told = true;
		if (runlock_stop_asked(stop_fd, RETRY_MS))
			return error_set(err, ERR_UNAVAIL, "asked to stop");
	}
	return 0;
}

int
runlock_take(const char *run_dir, const char *node, const struct identity *who,
    int64_t patience_ms, int stop_fd, struct error *err)
{
	char *path = lock_path(run_dir);
	char text[TEXT_MAX];
	int len = snprintf(text, sizeof(text), "%ld\n%.*s\n", (long)getpid(),
	    RUNLOCK_NODE_MAX, node);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int rc;

	if (fd < 0)
		rc = error_sys(err, "opening %s", path);
	else
		rc = wait_for(fd, run_dir, patience_ms, stop_fd, err);
	if (rc == 0 && who->change && fchown(fd, who->uid, who->gid) != 0)
		rc = error_sys(err, "giving %s to %s", path, who->name);
	if (rc == 0 &&
	    (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len))
		rc = error_sys(err, "writing %s", path);
	if (rc != 0 && fd >= 0)
		close(fd);
	free(path);
	return rc == 0 ? fd : -1;
}

int
runlock_check(const char *run_dir, struct error *err)
{
	char *path = lock_path(run_dir);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int rc = 0;

	if (fd >= 0)
		close(fd);
	else if (errno != ENOENT)
		rc = error_sys(err, "opening %s", path);
	free(path);
	return rc;
}

long
runlock_holder(const char *run_dir, char **node)
{
	char *path = lock_path(run_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	long holder = 0;

	*node = NULL;
	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK)
		holder = read_holder(fd, node);
	if (fd >= 0)
		close(fd);
	free(path);
	return holder;
}

bool
runlock_stop_asked(int stop_fd, int wait_ms)
{
	struct pollfd p = { .fd = stop_fd, .events = POLLIN };

	return poll(&p, 1, wait_ms) > 0;
}

/*
 * A dev that is killed takes its servers with it (dev_child_begin); this is
 * for when that did not happen, or has not happened yet. Processes are held
 * by a pidfd from before they are looked at until they are gone, so that a
 * number given to somebody else is never signalled.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/slice.h"
#include "bin/dev.h"

#define POLITE_MS 20000
#define KILL_MS 5000

/* The number in the first line; 0: none. */
static pid_t
read_pid(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct slice rest = slice_mem(text, n > 0 ? (size_t)n : 0);
	struct slice line = { NULL, 0 };
	uint64_t pid;

	if (!slice_take_line(&rest, &line) ||
	    !slice_to_u64(slice_trim(line), &pid) || pid < 2 || pid > INT32_MAX)
		return 0;
	return (pid_t)pid;
}

static int
open_process(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool
ends_within(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static bool
lives_in(pid_t pid, int dir_fd)
{
	char path[64];
	struct stat there, here;

	snprintf(path, sizeof(path), "/proc/%ld/cwd", (long)pid);
	return stat(path, &there) == 0 && fstat(dir_fd, &here) == 0 &&
	    there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

static int
end_process(int pidfd, pid_t pid, const char *what, int polite_signal,
    struct error *err)
{
	fprintf(stderr,
	    "verpost dev: %s of an earlier start still runs (process %ld): "
	    "ending it\n",
	    what, (long)pid);
	(void)syscall(SYS_pidfd_send_signal, pidfd, polite_signal, NULL, 0);
	/* One that somebody stopped could not obey. */
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
	if (ends_within(pidfd, POLITE_MS))
		return 0;
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	if (ends_within(pidfd, KILL_MS))
		return 0;
	return error_set(err, ERR_CONFLICT,
	    "%s of an earlier start (process %ld) does not end: end it, then "
	    "try again",
	    what, (long)pid);
}

int
dev_leftover_end(int dir_fd, const char *pid_file, const char *what,
    int polite_signal, struct error *err)
{
	int fd = openat(dir_fd, pid_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int pidfd, rc = 0;
	pid_t pid;

	if (fd < 0)
		return 0;
	pid = read_pid(fd);
	close(fd);
	pidfd = pid > 0 ? open_process(pid) : -1;
	if (pidfd < 0)
		return 0;
	if (lives_in(pid, dir_fd))
		rc = end_process(pidfd, pid, what, polite_signal, err);
	close(pidfd);
	return rc;
}

int
dev_leftover_end_master(const char *pid_path, struct error *err)
{
	int fd = open(pid_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int pidfd = -1, rc = 0;
	pid_t pid;

	if (fd < 0)
		return 0;
	pid = read_pid(fd);
	if (pid > 0)
		pidfd = open_process(pid);
	/* Whoever holds the lock wrote the number. */
	if (pidfd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK)
		rc = end_process(pidfd, pid, "verpost", SIGTERM, err);
	if (pidfd >= 0)
		close(pidfd);
	close(fd);
	return rc;
}

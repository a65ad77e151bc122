#include "base/crash.h"

#ifdef VERPOST_TEST_HOOKS
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether the first line of the file is that name. */
static int
is_wanted(const char *path, const char *name)
{
	char text[128] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[strcspn(text, "\r\n")] = '\0';
	return strcmp(text, name) == 0;
}

void
crash_point(const char *name)
{
	const char *point = getenv("VERPOST_CRASH_POINT");
	const char *reached = getenv("VERPOST_CRASH_REACHED");
	int fd;

	if (point == NULL || reached == NULL || !is_wanted(point, name))
		return;
	fd = open(reached, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0) {
		dprintf(fd, "%ld %s\n", (long)getpid(), name);
		close(fd);
	}
	raise(SIGSTOP);
}
#endif

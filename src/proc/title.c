/*
 * The kernel shows as a process's command line what lies in memory between
 * argv[0] and the end of the environment, which lies behind it. The
 * environment is copied away once, then that memory is ours.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "proc/title.h"

/* The one place of its kind: the memory belongs to the process as a whole. */
static char *title_start;
static size_t title_room;
/* Kept: setenv may put another array in the place of environ. */
static char **title_environ;

static char *
end_of_run(char *end, char **strings)
{
	for (size_t i = 0; strings[i] != NULL; i++)
		if (strings[i] == end)
			end = strings[i] + strlen(strings[i]) + 1;
	return end;
}

void
title_init(int argc, char **argv)
{
	char *end;
	size_t n = 0;
	char **copy;

	if (argc < 1)
		return;
	end = end_of_run(argv[0], argv);
	end = end_of_run(end, environ);
	while (environ[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(environ[i]);
	environ = title_environ = copy;
	title_start = argv[0];
	title_room = (size_t)(end - argv[0]);
}

void
title_set(const char *what)
{
	char name[16];

	snprintf(name, sizeof(name), "%s", what);
	prctl(PR_SET_NAME, name);
	if (title_room < 2)
		return;
	memset(title_start, 0, title_room);
	snprintf(title_start, title_room, "verpost: %s", what);
}

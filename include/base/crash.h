/*
 * base/crash.h - named points where a test build can stop a process.
 *
 * In a build with --enable-test-hooks, a process that reaches the point named
 * in the file VERPOST_CRASH_POINT (first line: the name) adds "<pid> <name>"
 * to the file VERPOST_CRASH_REACHED and stops itself (SIGSTOP), so that a test
 * can kill it exactly there. Ordinary builds compile to nothing.
 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#ifdef VERPOST_TEST_HOOKS
#define CRASH_POINTS 1
void crash_point(const char *name);
#else
#define CRASH_POINTS 0
static inline void
crash_point(const char *name)
{
	(void)name;
}
#endif

#endif

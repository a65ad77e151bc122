/*
 * Naming a file is refused, not deadly, because libraries do so in good faith:
 * iconv looks for the tables of an odd character set and does without them.
 */
#include "sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#endif

static const int allowed[] = {
	/* descriptors that are there */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(close),
	SCMP_SYS(shutdown),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(fcntl),
	SCMP_SYS(ioctl),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* time and chance */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(setitimer),
	SCMP_SYS(alarm), /* of a drain that hangs, proc/worker.c */
	SCMP_SYS(getrandom),
	/* signals and the end */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getrusage),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static const int refused[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(uname),
	SCMP_SYS(prlimit64),
	SCMP_SYS(sysinfo),
	SCMP_SYS(sched_getaffinity),
};

static int
limit(int resource, rlim_t value, const char *name, struct error *err)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)resource, &r) != 0)
		return error_sys(err, "limit on %s", name);
	if (r.rlim_max != RLIM_INFINITY && r.rlim_max < value)
		value = r.rlim_max;
	r.rlim_cur = r.rlim_max = value;
	if (setrlimit((__rlimit_resource_t)resource, &r) != 0)
		return error_sys(err, "limit on %s", name);
	return 0;
}

int
sandbox_limit(uint64_t memory_max_bytes, struct error *err)
{
	if (limit(RLIMIT_CORE, 0, "core files", err) != 0)
		return -1;
#ifdef HAS_ASAN
	(void)memory_max_bytes;
#else
	if (limit(RLIMIT_AS, memory_max_bytes, "memory", err) != 0)
		return -1;
#endif
	return 0;
}

static int
add_rules(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp to_myself = {
		.arg = 0,
		.op = SCMP_CMP_EQ,
		.datum_a = (scmp_datum_t)getpid(),
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(allowed) && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(refused) && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
		    refused[i], 0);
	/* abort() says what it died of; no other process can be hit. */
	if (rc == 0)
		rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
		    SCMP_SYS(tgkill), 1, &to_myself);
	return rc;
}

int
sandbox_close(struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc;

	if (filter == NULL)
		return error_set(err, ERR_SYS, "seccomp: no filter");
	rc = add_rules(filter);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc != 0) {
		errno = -rc;
		return error_sys(err, "seccomp filter");
	}
	return 0;
}

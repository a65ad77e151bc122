/*
 * A child is idle (pid 0, due_ms says when it starts), running, or over
 * (stopped for good). Nothing here waits: the owner sleeps until a signal or
 * until children_next_ms.
 *
 * The first restart is immediate, because one crash says little and mail is
 * waiting; the second failure within a minute of its start says that the
 * cause is still there, so the pauses double.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/children.h"

struct child {
	char *name;
	struct child_spec spec;
	struct child_backoff backoff;
	pid_t pid;
	int64_t started_ms;
	int64_t due_ms;
	bool stopped;	 /* not to be started again */
	bool restarting; /* its end was asked for: no back-off */
};

struct children {
	struct child *child;
	size_t count;
};

int64_t
child_backoff_next(struct child_backoff *b, int64_t started_ms, int64_t now_ms)
{
	int64_t delay = CHILD_DELAY_FIRST_MS;

	if (now_ms - started_ms >= CHILD_STABLE_MS)
		b->failures = 0;
	b->failures++;
	if (b->failures == 1)
		return 0;
	for (unsigned int i = 2; i < b->failures; i++) {
		delay *= 2;
		if (delay >= CHILD_DELAY_MAX_MS)
			return CHILD_DELAY_MAX_MS;
	}
	return delay;
}

struct children *
children_new(void)
{
	return xmalloc(sizeof(struct children));
}

void
children_free(struct children **cp)
{
	struct children *c = *cp;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++)
		free(c->child[i].name);
	free(c->child);
	free(c);
	*cp = NULL;
}

void
children_add(struct children *c, const struct child_spec *spec)
{
	struct child *child;

	c->child = xrealloc(c->child, (c->count + 1) * sizeof(*c->child));
	child = &c->child[c->count++];
	memset(child, 0, sizeof(*child));
	child->spec = *spec;
	child->name = xstrdup(spec->name);
	child->spec.name = child->name;
}

static void
start(struct child *child, int64_t now_ms)
{
	pid_t pid;

	/* What stdio still holds would be written twice. */
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(child->spec.run(child->spec.ctx));
	if (pid < 0) {
		log_error(NULL, "child.fork", log_text("child", child->name),
		    log_text("error", strerror(errno)));
		child->due_ms = now_ms +
		    child_backoff_next(&child->backoff, now_ms, now_ms);
		return;
	}
	child->pid = pid;
	child->started_ms = now_ms;
	child->restarting = false;
	log_info(NULL, "child.start", log_text("child", child->name),
	    log_int("pid", pid));
}

void
children_start_due(struct children *c, int64_t now_ms)
{
	for (size_t i = 0; i < c->count; i++) {
		struct child *child = &c->child[i];

		if (child->pid == 0 && !child->stopped &&
		    child->due_ms <= now_ms)
			start(child, now_ms);
	}
}

static void
log_end(const struct child *child, pid_t pid, int status, bool wanted)
{
	enum log_level level = wanted ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;
	struct log_field fields[] = {
		log_text("child", child->name),
		log_int("pid", pid),
		WIFSIGNALED(status)
		    ? log_text("signal", strsignal(WTERMSIG(status)))
		    : log_int("exit", WEXITSTATUS(status)),
		log_int("again_in_ms",
		    child->stopped ? -1 : child->due_ms - child->started_ms),
	};

	if (level <= log_level())
		log_write(level, NULL, "child.end",
		    child->stopped ? ARRAY_LEN(fields) - 1 : ARRAY_LEN(fields),
		    fields);
}

static void
ended(struct child *child, pid_t pid, int status, int64_t now_ms)
{
	bool wanted = child->stopped || child->restarting;
	int64_t delay = 0;

	child->pid = 0;
	if (!wanted)
		delay = child_backoff_next(&child->backoff, child->started_ms,
		    now_ms);
	child->due_ms = now_ms + delay;
	child->started_ms = now_ms;
	log_end(child, pid, status, wanted);
}

size_t
children_reap(struct children *c, int64_t now_ms)
{
	size_t n = 0;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < c->count; i++) {
			if (c->child[i].pid != pid)
				continue;
			ended(&c->child[i], pid, status, now_ms);
			n++;
			break;
		}
	}
	return n;
}

int64_t
children_next_ms(const struct children *c, int64_t now_ms)
{
	int64_t next = -1;

	for (size_t i = 0; i < c->count; i++) {
		const struct child *child = &c->child[i];

		if (child->pid != 0 || child->stopped)
			continue;
		if (child->due_ms <= now_ms)
			return now_ms;
		if (next < 0 || child->due_ms < next)
			next = child->due_ms;
	}
	return next;
}

static void
signal_child(const struct child *child, int signo)
{
	/* It cannot be gone: only children_reap takes its number back. */
	if (child->pid > 0 && kill(child->pid, signo) != 0)
		log_warn(NULL, "child.signal", log_text("child", child->name),
		    log_text("error", strerror(errno)));
}

void
children_stop(struct children *c, int stage)
{
	for (size_t i = 0; i < c->count; i++) {
		struct child *child = &c->child[i];

		if (stage >= 0 && child->spec.stage != stage)
			continue;
		child->stopped = true;
		signal_child(child, child->spec.stop_signal);
	}
}

void
children_restart(struct children *c, size_t index, int64_t now_ms)
{
	struct child *child = &c->child[index];

	child->backoff.failures = 0;
	if (child->pid > 0) {
		child->restarting = true;
		signal_child(child, child->spec.stop_signal);
	} else {
		child->due_ms = now_ms;
	}
}

void
children_want(struct children *c, size_t index, bool wanted)
{
	struct child *child = &c->child[index];

	if (child->stopped != wanted)
		return;
	child->stopped = !wanted;
	child->backoff.failures = 0;
	if (!wanted)
		signal_child(child, child->spec.stop_signal);
}

bool
children_is_wanted(const struct children *c, size_t index)
{
	return !c->child[index].stopped;
}

void
children_kill(struct children *c, int stage)
{
	for (size_t i = 0; i < c->count; i++)
		if (stage < 0 || c->child[i].spec.stage == stage)
			signal_child(&c->child[i], SIGKILL);
}

void
children_kill_one(struct children *c, size_t index)
{
	signal_child(&c->child[index], SIGKILL);
}

void
children_signal(struct children *c, int signo)
{
	for (size_t i = 0; i < c->count; i++)
		signal_child(&c->child[i], signo);
}

size_t
children_count(const struct children *c)
{
	return c->count;
}

size_t
children_running(const struct children *c, int stage)
{
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->child[i].pid > 0 &&
		    (stage < 0 || c->child[i].spec.stage == stage))
			n++;
	return n;
}

pid_t
children_pid(const struct children *c, size_t index)
{
	return c->child[index].pid;
}

const char *
children_name(const struct children *c, size_t index)
{
	return c->child[index].name;
}

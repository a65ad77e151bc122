/*
 * Serve and check look at the same things with the same functions: the user,
 * the directories, the lock, the keys, what a child with the identity of the
 * workers finds (probe), the ports. Serve makes and takes them (master.c) and
 * ends at the first that is bad; startup_check only looks, and goes on.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/listeners.h"
#include "proc/runlock.h"
#include "proc/startup_priv.h"
#include "queue/shaping.h"

/* ---- The child ----------------------------------------------------------- */

/* Written whole: it is smaller than PIPE_BUF. */
struct record {
	enum finding finding;
	char what[320];
	char text[STARTUP_TEXT];
};

struct asker {
	int fd;
	unsigned int bad;
};

static void
send_finding(void *ctx, enum finding finding, const char *what,
    const char *text)
{
	struct asker *asker = ctx;
	struct record record = { .finding = finding };

	asker->bad += finding == FINDING_BAD;
	snprintf(record.what, sizeof(record.what), "%s", what);
	snprintf(record.text, sizeof(record.text), "%s", text);
	if (write(asker->fd, &record, sizeof(record)) !=
	    (ssize_t)sizeof(record))
		_exit(1);
}

/* config NULL: for serve. runs: it serves already. */
NORETURN static void
ask(const struct settings *s, const struct identity *who, const char *config,
    bool runs, int fd)
{
	struct asker asker = { .fd = fd };
	struct error err = { 0 };
	pid_t parent = getppid();

	if (identity_assume(who, &err) != 0)
		send_finding(&asker, FINDING_BAD, "user", err.text);
	/* It holds the lock of run_dir, too: not longer than who started it.
	 * Behind identity_assume, because a change of user forgets it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(1);
	if (asker.bad == 0 && config != NULL && who->change)
		startup_files(s, config, send_finding, &asker);
	if (asker.bad == 0)
		startup_probe(s, runs, send_finding, &asker);
	if (asker.bad == 0 && config == NULL)
		startup_make_days(s, send_finding, &asker);
	_exit(0);
}

/* False: asked to stop before the child had said everything. */
static bool
hear(int fd, int stop_fd, startup_say *say, void *ctx)
{
	struct record record;
	ssize_t n = 1;

	while (n != 0) {
		struct pollfd p[] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = stop_fd, .events = POLLIN },
		};

		if (poll(p, ARRAY_LEN(p), -1) < 0)
			continue;
		if (p[1].revents != 0)
			return false;
		n = read(fd, &record, sizeof(record));
		if (n == (ssize_t)sizeof(record))
			say(ctx, record.finding, record.what, record.text);
	}
	return true;
}

/* ERR_UNAVAIL when stop_fd became readable. */
static int
probe(const struct settings *s, const struct identity *who, const char *config,
    bool runs, int stop_fd, startup_say *say, void *ctx, struct error *err)
{
	int fds[2], status = 0;
	bool heard;
	pid_t pid;

	if (pipe(fds) != 0)
		return error_sys(err, "opening a pipe");
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		ask(s, who, config, runs, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return error_sys(err, "starting a process");
	}
	heard = hear(fds[0], stop_fd, say, ctx);
	close(fds[0]);
	if (!heard)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!heard)
		return error_set(err, ERR_UNAVAIL, "asked to stop");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(err, ERR_SYS,
		    "the process that looks at Postgres and Redis ended "
		    "without a word");
	return 0;
}

/* ---- For serve ----------------------------------------------------------- */

static void
log_finding(void *ctx, enum finding finding, const char *what, const char *text)
{
	struct error *first = ctx;

	if (finding == FINDING_WARN)
		log_warn(NULL, "startup", log_text("what", what),
		    log_text("finding", text));
	if (finding == FINDING_BAD && first->kind == ERR_NONE)
		error_set(first, ERR_CONFIG, "%s: %s", what, text);
}

int
startup_ask(const struct settings *s, const struct identity *who, int stop_fd,
    struct error *err)
{
	struct error first = { 0 };

	if (probe(s, who, NULL, false, stop_fd, log_finding, &first, err) != 0)
		return -1;
	if (first.kind == ERR_NONE)
		return 0;
	*err = first;
	return -1;
}

/* ---- For check ----------------------------------------------------------- */

struct check {
	const struct settings *s;
	startup_say *say;
	void *ctx;
	struct identity who;
	long holder; /* the master that runs in run_dir, or 0 */
};

static void PRINTF_LIKE(4, 5) say(const struct check *c, enum finding finding,
    const char *what, const char *fmt, ...)
{
	char text[STARTUP_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->say(c->ctx, finding, what, text);
}

/*
 * What serve lacks when it is started by this user, but not when the service
 * manager or root starts it: no reason to call the settings bad.
 */
static enum finding
unless_root(const struct error *err)
{
	bool denied = err->sys == EACCES || err->sys == EPERM;

	return denied && geteuid() != 0 ? FINDING_WARN : FINDING_BAD;
}

#define UNLESS_ROOT_HINT                                                       \
	": not as this user; verpost.service has systemd see to it"

static void
check_dir(const struct check *c, const char *key, const char *path)
{
	struct error err = { 0 };
	bool missing = false;
	enum finding f;

	if (identity_check_dir(&c->who, path, &missing, &err) == 0) {
		say(c, FINDING_OK, key, "%s%s", path,
		    missing ? " (serve makes it)" : "");
		return;
	}
	f = missing ? unless_root(&err) : FINDING_BAD;
	say(c, f, key, "%s%s", err.text,
	    f == FINDING_WARN ? UNLESS_ROOT_HINT : "");
}

static void
check_keys(const struct check *c)
{
	struct keyring ring = { 0 };
	struct error err = { 0 };

	if (keyring_load(&ring, c->s->key_file, &err) == 0)
		say(c, FINDING_OK, "key_file", "%s", c->s->key_file);
	else
		say(c, FINDING_BAD, "key_file", "%s", err.text);
	keyring_wipe(&ring);
}

static void
shaping_mistake(void *ctx, const char *text)
{
	say(ctx, FINDING_BAD, "shaping_file", "%s", text);
}

static void
check_shaping(struct check *c)
{
	const char *path = c->s->shaping_file;
	struct shaping *shaping = NULL;
	struct error err = { 0 };

	if (shaping_load(path, shaping_mistake, c, &shaping, &err) != 0)
		return;
	say(c, FINDING_OK, "shaping_file", "%s: %zu providers",
	    path[0] != '\0' ? path : "built in",
	    shaping_provider_count(shaping));
	shaping_free(&shaping);
}

static void
tried(void *ctx, const char *key, const char *address, const struct error *err)
{
	const struct check *c = ctx;
	enum finding f;

	if (err == NULL) {
		say(c, FINDING_OK, key, "%s can be bound", address);
		return;
	}
	if (c->holder != 0 && err->sys == EADDRINUSE) {
		say(c, FINDING_OK, key,
		    "%s is in use: by the verpost that runs, probably",
		    address);
		return;
	}
	f = unless_root(err);
	say(c, f, key, "%s%s", err->text,
	    f == FINDING_WARN ? UNLESS_ROOT_HINT : "");
}

/* Who looks, for that decides what is found. */
static void
say_user(const struct check *c)
{
	const struct passwd *pw = getpwuid(c->who.uid);

	if (c->who.change)
		say(c, FINDING_OK, "user",
		    "%s: what serve does as that user is looked at with its "
		    "rights, the rest as root",
		    c->who.name);
	else if (pw != NULL && strcmp(pw->pw_name, c->s->user) == 0)
		say(c, FINDING_OK, "user", "%s, who looks", c->s->user);
	else
		say(c, FINDING_OK, "user",
		    "%s looks, not '%s': serve started by another user may "
		    "find other things",
		    pw != NULL ? pw->pw_name : c->who.name, c->s->user);
}

/* The master that runs in run_dir may be one of another node. */
static void
find_holder(struct check *c)
{
	char *node = NULL;

	c->holder = runlock_holder(c->s->run_dir, &node);
	if (c->holder != 0 && node != NULL && node[0] != '\0' &&
	    strncmp(node, c->s->node, RUNLOCK_NODE_MAX) != 0) {
		say(c, FINDING_BAD, "run_dir",
		    "%s is that of node '%s', which runs (process %ld): give "
		    "node '%s' a run_dir, a state_dir and addresses of its own",
		    c->s->run_dir, node, c->holder, c->s->node);
		c->holder = 0;
	}
	free(node);
}

long
startup_check(const struct settings *s, const char *config, startup_say *fn,
    void *ctx)
{
	struct check c = { .s = s, .say = fn, .ctx = ctx };
	struct error err = { 0 };
	bool known = identity_find(s->user, s->group, &c.who, &err) == 0;

	find_holder(&c);
	if (known) {
		say_user(&c);
		check_dir(&c, "run_dir", s->run_dir);
		check_dir(&c, "state_dir", s->state_dir);
	} else {
		say(&c, FINDING_BAD, "user", "%s", err.text);
	}
	check_shaping(&c);
	check_keys(&c);
	if (known &&
	    probe(s, &c.who, config, c.holder != 0, -1, fn, ctx, &err) != 0)
		say(&c, FINDING_BAD, "servers", "%s", err.text);
	if (c.holder != 0)
		say(&c, FINDING_OK, "running", "process %ld", c.holder);
	else if (runlock_check(s->run_dir, &err) != 0)
		say(&c, FINDING_BAD, "run_dir", "%s", err.text);
	listeners_try(s, tried, &c);
	return c.holder;
}

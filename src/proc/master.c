/*
 * The master waits in one place (wait_for_something) for signals, for the
 * word of a child that it runs, and for the next thing that is due. It talks
 * to no database and parses nothing foreign; what needs a connection at start
 * is asked by a child that ends at once (startup_ask), so this process stays
 * small and every child inherits little.
 *
 * Children hold two pipes. Of the first they have the reading end, and nobody
 * ever writes: its end of file says that the master is gone. Into the second
 * each writes its number once its role runs; a reload waits for that before
 * it goes to the next child.
 *
 *   STARTING -> RUNNING <-> RELOADING
 *                   \-> STOP_FRONT -> STOP_BACK -> over
 *
 * Once a second it looks whether every child gets on (proc/pulse.h); one that
 * stands still is killed, and started again like any that died.
 *
 * Front roles (doors, delivery) end before what they lean on (simulator,
 * parser). A stage that does not end in its time is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/children.h"
#include "proc/master.h"
#include "proc/pulse.h"
#include "proc/runlock.h"
#include "proc/startup.h"
#include "proc/title.h"
#include "proc/worker.h"
#include "queue/shaping.h"
#include "store/recent.h"

#define LOCK_PATIENCE_MS 3000
#define PORT_PATIENCE_MS 10000
#define BACK_STOP_MS 5000
#define KILL_GRACE_MS 2000
#define RELOAD_PATIENCE_MS 30000
#define CHILDREN_MAX 250 /* a number fits the ready octet */

enum phase {
	PHASE_STARTING,
	PHASE_RUNNING,
	PHASE_RELOADING,
	PHASE_STOP_FRONT,
	PHASE_STOP_BACK,
};

struct master_child {
	struct master *m;
	const struct role *role;
	unsigned int slot;
	unsigned int number; /* its place in children, and its octet */
	bool ready;
	struct pulse_watch pulse;
};

struct master {
	struct settings settings;
	struct shaping *shaping;
	char *config_path; /* own copy: the title overwrites argv */
	struct identity identity;
	struct keyring keyring;
	struct listeners listeners;
	struct recent *recent;
	struct children *children;
	struct pulse *pulse; /* CHILDREN_MAX of them */
	int64_t look_due_ms;
	struct master_child *child[CHILDREN_MAX];
	size_t child_count;
	int lock_fd;
	int signal_fd;
	int life_pipe[2];
	int ready_pipe[2];
	enum phase phase;
	int64_t deadline_ms; /* of the phase; -1: none */
	int64_t watchdog_ms; /* between two words to systemd; 0: none */
	int64_t watchdog_due_ms;
	size_t reload_next;
};

/* ---- Set-up -------------------------------------------------------------- */

static void
open_files_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void
signal_sets(sigset_t *all, sigset_t *stop)
{
	sigemptyset(stop);
	sigaddset(stop, SIGTERM);
	sigaddset(stop, SIGINT);
	*all = *stop;
	sigaddset(all, SIGCHLD);
	sigaddset(all, SIGHUP);
	sigaddset(all, SIGUSR1);
	sigaddset(all, SIGPIPE);
}

/*
 * All are blocked from the start, so that none is lost or ends us half-way.
 * While something is set up only those that ask us to stop can be read, and
 * what waits there looks at the descriptor; listen_to_all adds the rest.
 */
static int
block_signals(struct master *m, struct error *err)
{
	sigset_t all, stop;

	signal_sets(&all, &stop);
	if (sigprocmask(SIG_BLOCK, &all, NULL) != 0)
		return error_sys(err, "blocking signals");
	m->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return error_sys(err, "opening a signal descriptor");
	return 0;
}

static int
listen_to_all(struct master *m, struct error *err)
{
	sigset_t all, stop;

	signal_sets(&all, &stop);
	if (signalfd(m->signal_fd, &all, SFD_CLOEXEC | SFD_NONBLOCK) < 0)
		return error_sys(err, "opening a signal descriptor");
	if (pipe2(m->life_pipe, O_CLOEXEC) != 0 ||
	    pipe2(m->ready_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return error_sys(err, "opening a pipe");
	return 0;
}

/* What it looks at, startup_check explains. ERR_UNAVAIL: asked to stop. */
static int
set_up(struct master *m, struct error *err)
{
	const struct settings *s = &m->settings;

	open_files_limit();
	if (block_signals(m, err) != 0 ||
	    identity_find(s->user, s->group, &m->identity, err) != 0 ||
	    identity_make_dir(&m->identity, s->run_dir, 0755, err) != 0 ||
	    identity_make_dir(&m->identity, s->state_dir, 0750, err) != 0)
		return -1;
	m->lock_fd = runlock_take(s->run_dir, &m->identity, LOCK_PATIENCE_MS,
	    m->signal_fd, err);
	if (m->lock_fd < 0 ||
	    keyring_load(&m->keyring, s->key_file, err) != 0 ||
	    shaping_load(s->shaping_file, NULL, NULL, &m->shaping, err) != 0 ||
	    startup_ask(s, &m->identity, m->signal_fd, err) != 0 ||
	    listeners_open(&m->listeners, s, &m->identity, PORT_PATIENCE_MS,
		m->signal_fd, err) != 0)
		return -1;
	m->recent = recent_new(s->recent_bytes_max, s->httpd_processes);
	m->pulse = pulses_new(CHILDREN_MAX, err);
	return m->pulse == NULL ? -1 : listen_to_all(m, err);
}

static void
tear_down(struct master *m)
{
	const int fds[] = { m->lock_fd, m->signal_fd, m->life_pipe[0],
		m->life_pipe[1], m->ready_pipe[0], m->ready_pipe[1] };

	listeners_close(&m->listeners);
	recent_free(&m->recent);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	children_free(&m->children);
	pulses_free(&m->pulse, CHILDREN_MAX);
	for (size_t i = 0; i < m->child_count; i++)
		free(m->child[i]);
	keyring_wipe(&m->keyring);
	shaping_free(&m->shaping);
	settings_fini(&m->settings);
	free(m->config_path);
}

/* ---- Children ------------------------------------------------------------ */

/* In the new process. */
static int
child_run(void *ctx)
{
	struct master_child *child = ctx;
	struct master *m = child->m;
	struct worker_start start = {
		.settings = &m->settings,
		.shaping = m->shaping,
		.keyring = &m->keyring,
		.listeners = &m->listeners,
		.recent = m->recent,
		.identity = &m->identity,
		.life_fd = m->life_pipe[0],
		.ready_fd = m->ready_pipe[1],
		.ready_octet = (uint8_t)child->number,
		.pulse = &m->pulse[child->number],
	};

	close(m->lock_fd);
	close(m->signal_fd);
	close(m->life_pipe[1]);
	close(m->ready_pipe[0]);
	return worker_run(child->role, child->slot, &start);
}

static struct master_child *
find_child(struct master *m, const struct role *role, unsigned int slot)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->child[i]->role == role && m->child[i]->slot == slot)
			return m->child[i];
	return NULL;
}

static void
add_child(struct master *m, const struct role *role, unsigned int slot)
{
	struct master_child *child;
	char name[32];

	if (m->child_count == CHILDREN_MAX) {
		log_error(NULL, "master.too_many_processes",
		    log_uint("max", CHILDREN_MAX));
		return;
	}
	child = xmalloc(sizeof(*child));
	child->m = m;
	child->role = role;
	child->slot = slot;
	child->number = (unsigned int)m->child_count;
	m->child[m->child_count++] = child;
	snprintf(name, sizeof(name), "%s %u", role->name, slot);
	children_add(m->children,
	    &(struct child_spec){ name, child_run, child, role->stage,
		SIGTERM });
}

/* Brings the list of children in line with the settings. */
static void
match_children(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		const struct master_child *child = m->child[i];

		children_want(m->children, i,
		    child->slot < child->role->count(&m->settings));
	}
	for (size_t i = 0; roles[i] != NULL; i++) {
		unsigned int count = roles[i]->count(&m->settings);

		for (unsigned int slot = 0; slot < count; slot++)
			if (find_child(m, roles[i], slot) == NULL)
				add_child(m, roles[i], slot);
	}
}

static bool
all_ready(const struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (!m->child[i]->ready && children_is_wanted(m->children, i))
			return false;
	return true;
}

/* ---- Phases -------------------------------------------------------------- */

static void
enter(struct master *m, enum phase phase, int64_t timeout_ms)
{
	m->phase = phase;
	m->deadline_ms = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
}

static void
stop(struct master *m)
{
	int64_t drain_ms = (int64_t)m->settings.drain_time;

	if (m->phase >= PHASE_STOP_FRONT) {
		log_warn(NULL, "master.kill", log_text("why", "asked twice"));
		children_stop(m->children, -1);
		children_kill(m->children, -1);
		return;
	}
	log_info(NULL, "master.stop");
	sd_notify(0, "STOPPING=1");
	children_stop(m->children, ROLE_STAGE_FRONT);
	enter(m, PHASE_STOP_FRONT, drain_ms + KILL_GRACE_MS);
}

/* Goes on with the stop when a stage has ended. True: all over. */
static bool
stop_step(struct master *m)
{
	if (m->phase == PHASE_STOP_FRONT &&
	    children_running(m->children, ROLE_STAGE_FRONT) == 0) {
		children_stop(m->children, ROLE_STAGE_BACK);
		enter(m, PHASE_STOP_BACK, BACK_STOP_MS);
	}
	return m->phase == PHASE_STOP_BACK &&
	    children_running(m->children, -1) == 0;
}

static void
reload(struct master *m)
{
	struct settings fresh = { 0 };
	struct shaping *shaping = NULL;
	struct keyring keys = { 0 };
	struct error err = { 0 };

	if (m->phase >= PHASE_STOP_FRONT)
		return;
	if (settings_load(&fresh, m->config_path, NULL, NULL, &err) != 0 ||
	    keyring_load(&keys, fresh.key_file, &err) != 0 ||
	    shaping_load(fresh.shaping_file, NULL, NULL, &shaping, &err) != 0) {
		keyring_wipe(&keys);
		settings_fini(&fresh);
		log_error(NULL, "master.reload",
		    log_text("result", "nothing changed"), log_err(&err));
		return;
	}
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_mono_ms() * 1000);
	settings_warn_fixed(&m->settings, &fresh);
	settings_fini(&m->settings);
	m->settings = fresh;
	shaping_free(&m->shaping);
	m->shaping = shaping;
	m->keyring = keys;
	keyring_wipe(&keys);
	log_set_level((enum log_level)m->settings.log_level);
	log_info(NULL, "master.reload", log_text("result", "new settings"));
	match_children(m);
	m->reload_next = 0;
	enter(m, PHASE_RELOADING, 0);
}

/* Restarts the next child when the one before is ready or has had its time.
 * False: wait. */
static bool
reload_one(struct master *m)
{
	int64_t now = clock_mono_ms();
	size_t i = m->reload_next;

	if (i > 0 && now < m->deadline_ms && !m->child[i - 1]->ready &&
	    children_is_wanted(m->children, i - 1))
		return false;
	if (i == m->child_count) {
		log_info(NULL, "master.reloaded");
		sd_notify(0, "READY=1");
		enter(m, PHASE_RUNNING, -1);
		return false;
	}
	m->child[i]->ready = false;
	m->reload_next++;
	enter(m, PHASE_RELOADING,
	    (int64_t)m->settings.drain_time + RELOAD_PATIENCE_MS);
	if (children_is_wanted(m->children, i))
		children_restart(m->children, i, now);
	return true;
}

/* One child after another, so that the others go on meanwhile. */
static void
reload_step(struct master *m)
{
	while (m->phase == PHASE_RELOADING && reload_one(m))
		;
}

static void
on_deadline(struct master *m)
{
	if (m->deadline_ms < 0 || clock_mono_ms() < m->deadline_ms)
		return;
	if (m->phase == PHASE_STOP_FRONT || m->phase == PHASE_STOP_BACK) {
		log_error(NULL, "master.kill",
		    log_text("why", "did not end in time"),
		    log_uint("processes", children_running(m->children, -1)));
		children_kill(m->children,
		    m->phase == PHASE_STOP_FRONT ? ROLE_STAGE_FRONT : -1);
		m->deadline_ms = -1;
	}
}

/* ---- The loop ------------------------------------------------------------ */

static void
read_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			stop(m);
			break;
		case SIGHUP:
			reload(m);
			break;
		case SIGUSR1:
			children_signal(m->children, SIGUSR1);
			break;
		default: /* SIGCHLD: reaped below; SIGPIPE: nothing */
			break;
		}
	}
}

static void
read_ready(struct master *m)
{
	uint8_t number;

	while (read(m->ready_pipe[0], &number, 1) == 1)
		if (number < m->child_count)
			m->child[number]->ready = true;
	if (m->phase == PHASE_STARTING && all_ready(m)) {
		log_info(NULL, "master.ready",
		    log_text("mode", mode_name(m->settings.mode)));
		sd_notify(0, "READY=1");
		enter(m, PHASE_RUNNING, -1);
	}
}

static void
watchdog(struct master *m)
{
	int64_t now = clock_mono_ms();

	if (m->watchdog_ms == 0 || now < m->watchdog_due_ms)
		return;
	m->watchdog_due_ms = now + m->watchdog_ms;
	sd_notify(0, "WATCHDOG=1");
}

/* The next look is counted from this one: after a pause of the master there
 * is one look, not many. */
static void
look_after_children(struct master *m)
{
	int64_t now = clock_mono_ms();

	if (now < m->look_due_ms)
		return;
	m->look_due_ms = now + clock_patience_ms(PULSE_MS);
	for (size_t i = 0; i < m->child_count; i++) {
		pid_t pid = children_pid(m->children, i);

		if (!pulse_look(&m->child[i]->pulse, &m->pulse[i], pid))
			continue;
		log_error(NULL, "child.stuck",
		    log_text("child", children_name(m->children, i)),
		    log_int("pid", pid),
		    log_int("still_s", PULSE_STILL_MAX * PULSE_MS / 1000),
		    log_text("what", "killed"));
		children_kill_one(m->children, i);
	}
}

static int
next_wait_ms(const struct master *m)
{
	int64_t now = clock_mono_ms();
	int64_t next = children_next_ms(m->children, now);

	if (m->deadline_ms >= 0 && (next < 0 || m->deadline_ms < next))
		next = m->deadline_ms;
	if (next < 0 || m->look_due_ms < next)
		next = m->look_due_ms;
	if (m->watchdog_ms > 0 && (next < 0 || m->watchdog_due_ms < next))
		next = m->watchdog_due_ms;
	return next <= now ? 0 : (int)MIN(next - now, 3600 * 1000);
}

static void
wait_for_something(struct master *m)
{
	struct pollfd fds[] = {
		{ .fd = m->signal_fd, .events = POLLIN },
		{ .fd = m->ready_pipe[0], .events = POLLIN },
	};

	if (poll(fds, ARRAY_LEN(fds), next_wait_ms(m)) < 0 && errno != EINTR)
		log_error(NULL, "master.poll",
		    log_text("error", strerror(errno)));
}

static void
loop(struct master *m)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(0, &usec) > 0)
		m->watchdog_ms = (int64_t)(usec / 2000);
	match_children(m);
	enter(m, PHASE_STARTING, -1);
	while (!stop_step(m)) {
		children_start_due(m->children, clock_mono_ms());
		wait_for_something(m);
		read_signals(m);
		children_reap(m->children, clock_mono_ms());
		read_ready(m);
		reload_step(m);
		on_deadline(m);
		look_after_children(m);
		watchdog(m);
	}
}

int
master_run(struct settings *settings, const char *config_path,
    struct error *err)
{
	struct master m = {
		.settings = *settings,
		.config_path = xstrdup(config_path),
		.lock_fd = -1,
		.signal_fd = -1,
		.life_pipe = { -1, -1 },
		.ready_pipe = { -1, -1 },
		.deadline_ms = -1,
	};
	int rc;

	memset(settings, 0, sizeof(*settings));
	log_setup("master", (enum log_level)m.settings.log_level);
	m.children = children_new();
	rc = set_up(&m, err);
	if (rc == 0) {
		title_set("master");
		loop(&m);
		log_info(NULL, "master.end");
	} else if (err->kind == ERR_UNAVAIL) {
		log_info(NULL, "master.end", log_text("why", err->text));
		rc = 0;
	}
	tear_down(&m);
	return rc;
}

/*
 * verpost dev: PostgreSQL, Redis and a master, all children of this process,
 * which starts again what dies and ends them in order: the master first, then
 * the servers that it uses. Each of them ends by itself when this process is
 * killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "bin/dev.h"
#include "proc/children.h"
#include "proc/master.h"

#define READY_MS 60000
#define STOP_MASTER_MS 12000
#define STOP_SERVERS_MS 20000

enum { STAGE_MASTER, STAGE_SERVERS };

enum progress { DEV_STARTING, DEV_READY, DEV_STOPPING, DEV_LAST };

struct dev_state {
	struct dev d;
	enum progress progress;
	int64_t deadline_ms; /* -1: none */
	bool failed;
};

/* ---- Children ------------------------------------------------------------ */

static int
master_child(void *ctx)
{
	const struct dev *d = ctx;
	struct settings settings = { 0 };
	struct error err = { 0 };
	char *notify = xasprintf("%s/notify", d->runtime);
	int fd;

	dev_child_begin(d, SIGTERM);
	close(d->lock_fd);
	close(d->signal_fd);
	close(d->notify_fd);
	close(d->postgres_fd);
	close(d->redis_fd);
	fd = dev_data_open_log(d, "verpost.log");
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	close(d->dir_fd);
	setenv("NOTIFY_SOCKET", notify, 1);
	free(notify);
	if (settings_load(&settings, d->config, NULL, NULL, &err) != 0 ||
	    master_run(&settings, d->config, &err) != 0)
		die("%s", err.text);
	return 0;
}

/* Waits until the child has ended; false: a signal asks us to stop. */
static bool
wait_for(struct dev *d, pid_t pid, int *status)
{
	struct pollfd p = { .fd = d->signal_fd, .events = POLLIN };
	struct signalfd_siginfo info;

	while (waitpid(pid, status, WNOHANG) == 0) {
		(void)poll(&p, 1, -1);
		while (read(d->signal_fd, &info, sizeof(info)) == sizeof(info))
			if (info.ssi_signo != SIGCHLD)
				return false;
	}
	return true;
}

/* One that ends. ERR_UNAVAIL: asked to stop. */
static int
run_setup(struct dev *d, struct error *err)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dev_child_begin(d, SIGKILL);
		exit(dev_setup_run(d));
	}
	if (pid < 0)
		return error_sys(err, "starting a process");
	if (!wait_for(d, pid, &status)) {
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return error_set(err, ERR_UNAVAIL, "asked to stop");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	dev_data_show_log(d, "postgres.log");
	return error_set(err, ERR_SYS, "setting up in %s failed", d->dir);
}

/* ---- Set-up -------------------------------------------------------------- */

/* Servers refuse to run as root. */
static int
choose_user(struct identity *who, struct error *err)
{
	if (geteuid() != 0)
		return identity_find("", "", who, err);
	return identity_find(getpwnam("postgres") != NULL ? "postgres"
							  : "nobody",
	    "", who, err);
}

static int
open_signals(struct dev *d, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return error_sys(err, "blocking signals");
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signal_fd < 0)
		return error_sys(err, "opening a signal descriptor");
	return 0;
}

/* The master says READY=1 here (sd_notify(3)). */
static int
open_notify(struct dev *d, struct error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/notify", d->runtime);
	d->notify_fd =
	    socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->notify_fd < 0 ||
	    bind(d->notify_fd, (const struct sockaddr *)&sun, sizeof(sun)) != 0)
		return error_sys(err, "binding %s", sun.sun_path);
	return 0;
}

static int
start_servers(struct dev *d, struct error *err)
{
	d->children = children_new();
	children_add(d->children,
	    &(struct child_spec){ "postgres", dev_postgres_run, d,
		STAGE_SERVERS, SIGINT });
	children_add(d->children,
	    &(struct child_spec){ "redis", dev_redis_run, d, STAGE_SERVERS,
		SIGTERM });
	children_start_due(d->children, clock_mono_ms());
	if (run_setup(d, err) != 0)
		return -1;
	children_add(d->children,
	    &(struct child_spec){ "verpost", master_child, d, STAGE_MASTER,
		SIGTERM });
	return 0;
}

static int
set_up(struct dev *d, const char *dir, struct error *err)
{
	d->pid = getpid();
	d->dir_fd = d->lock_fd = d->postgres_fd = d->redis_fd = -1;
	d->signal_fd = d->notify_fd = -1;
	if (choose_user(&d->who, err) != 0 || dev_data_open(d, dir, err) != 0 ||
	    dev_servers_find(d, err) != 0 || open_signals(d, err) != 0 ||
	    dev_data_prepare(d, err) != 0 || open_notify(d, err) != 0 ||
	    dev_servers_init(d, err) != 0 || dev_setup_ports(d, err) != 0 ||
	    dev_setup_config(d, err) != 0)
		return -1;
	return start_servers(d, err);
}

/* ---- The loop ------------------------------------------------------------ */

/* A word as the shell reads it; owned by the caller. */
static char *
shell_quote(const char *text)
{
	struct strbuf out = STRBUF_INIT;

	strbuf_add_char(&out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			strbuf_add_text(&out, "'\\''");
		else
			strbuf_add_char(&out, *text);
	}
	strbuf_add_char(&out, '\'');
	return strbuf_take(&out);
}

static void
print_hints(const struct dev *d)
{
	unsigned int port = d->port[DEV_HTTP];
	char *json = xasprintf("%s/dev.json", d->dir);
	char *json_word = shell_quote(json);
	char *config_word = shell_quote(d->config);
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[len > 0 ? len : 0] = '\0'; /* it may not be in PATH */
	printf("Verpost is ready; nothing it sends leaves this machine.\n\n"
	       "  HTTP API   http://127.0.0.1:%u%s\n"
	       "  domain     " DEV_DOMAIN "\n"
	       "  API key    in %s (api_key)\n"
	       "  log        %s/verpost.log\n\n"
	       "Try:\n\n"
	       "  KEY=$(sed 's/.*\"api_key\":\"\\([^\"]*\\)\".*/\\1/' "
	       "%s)\n"
	       "  curl -s http://127.0.0.1:%u/emails -H \"Authorization: "
	       "Bearer $KEY\" \\\n"
	       "    -H 'Content-Type: application/json' \\\n"
	       "    -d '{\"from\":\"you@" DEV_DOMAIN
	       "\",\"to\":\"delivered@example.com\","
	       "\"subject\":\"Hello\",\"text\":\"Hi\"}'\n"
	       "  curl -s http://127.0.0.1:%u/emails/ID -H \"Authorization: "
	       "Bearer $KEY\"\n"
	       "  %s simulator list -c %s\n\n"
	       "Other names before the @: bounced, bounced-later, deferred, "
	       "rejected\n(of a domain that has not bounced yet: an address "
	       "that did is suppressed).\nCtrl-C stops everything.\n",
	    port,
	    port == DEV_HTTP_USUAL ? ""
				   : "  (a free port, kept from now on: "
				     "8025 was taken)",
	    json, d->dir, json_word, port, port, len > 0 ? self : "verpost",
	    config_word);
	fflush(stdout);
	free(config_word);
	free(json_word);
	free(json);
}

static void
read_notify(struct dev_state *s)
{
	char text[512];
	ssize_t n;

	while ((n = recv(s->d.notify_fd, text, sizeof(text), 0)) > 0) {
		struct slice message = slice_mem(text, (size_t)n);

		if (s->progress != DEV_STARTING ||
		    slice_find(message, SLICE("READY=1")) == message.len)
			continue;
		s->progress = DEV_READY;
		s->deadline_ms = -1;
		print_hints(&s->d);
	}
}

static void
stop(struct dev_state *s)
{
	if (s->progress >= DEV_STOPPING) {
		children_stop(s->d.children, -1);
		children_kill(s->d.children, STAGE_MASTER);
		return;
	}
	s->progress = DEV_STOPPING;
	s->deadline_ms = clock_mono_ms() + STOP_MASTER_MS;
	children_stop(s->d.children, STAGE_MASTER);
}

static void
read_signals(struct dev_state *s)
{
	struct signalfd_siginfo info;

	while (read(s->d.signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			stop(s);
}

static void
on_deadline(struct dev_state *s)
{
	if (s->deadline_ms < 0 || clock_mono_ms() < s->deadline_ms)
		return;
	s->deadline_ms = -1;
	if (s->progress == DEV_STARTING) {
		fprintf(stderr, "verpost dev: it does not become ready\n");
		dev_data_show_log(&s->d, "verpost.log");
		s->failed = true;
		stop(s);
	} else {
		children_kill(s->d.children,
		    s->progress == DEV_STOPPING ? STAGE_MASTER : -1);
	}
}

/* True: everything has ended. */
static bool
stop_step(struct dev_state *s)
{
	if (s->progress == DEV_STOPPING &&
	    children_running(s->d.children, STAGE_MASTER) == 0) {
		s->progress = DEV_LAST;
		s->deadline_ms = clock_mono_ms() + STOP_SERVERS_MS;
		children_stop(s->d.children, STAGE_SERVERS);
	}
	return s->progress == DEV_LAST &&
	    children_running(s->d.children, -1) == 0;
}

static void
loop(struct dev_state *s)
{
	while (!stop_step(s)) {
		struct pollfd fds[] = {
			{ .fd = s->d.signal_fd, .events = POLLIN },
			{ .fd = s->d.notify_fd, .events = POLLIN },
		};
		int64_t now = clock_mono_ms(), next;

		children_start_due(s->d.children, now);
		next = children_next_ms(s->d.children, now);
		if (s->deadline_ms >= 0 && (next < 0 || s->deadline_ms < next))
			next = s->deadline_ms;
		(void)poll(fds, ARRAY_LEN(fds),
		    next < 0 ? -1 : (int)MAX(next - now, 0));
		read_signals(s);
		children_reap(s->d.children, clock_mono_ms());
		read_notify(s);
		on_deadline(s);
	}
}

/* ---- The command --------------------------------------------------------- */

static char *
default_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (state != NULL && state[0] == '/')
		return xasprintf("%s/verpost-dev", state);
	if (home == NULL || home[0] != '/')
		die("HOME is not set: say where with --data DIR");
	return xasprintf("%s/.local/state/verpost-dev", home);
}

static int
run(const struct args *a)
{
	const char *given = args_flag(a, "data");
	char *dir = given != NULL ? xstrdup(given) : default_dir();
	struct dev_state s = { 0 };
	struct error err = { 0 };

	if (dir[0] == '\0')
		args_die("--data names no directory");
	log_setup("dev", LOG_LEVEL_WARN);
	s.deadline_ms = -1;
	if (set_up(&s.d, dir, &err) != 0) {
		s.failed = err.kind != ERR_UNAVAIL;
		if (s.failed)
			fprintf(stderr, "verpost dev: %s\n", err.text);
		if (s.d.children != NULL)
			stop(&s);
		else
			s.progress = DEV_LAST;
	} else {
		s.deadline_ms = clock_mono_ms() + READY_MS;
	}
	if (s.d.children != NULL)
		loop(&s);
	dev_data_close(&s.d);
	free(dir);
	return s.failed ? 1 : 0;
}

static const struct flag flags[] = {
	{ "data", "DIR",
	    "where everything is kept; default "
	    "~/.local/state/verpost-dev" },
	{ NULL, NULL, NULL },
};

const struct command command_dev = {
	.name = "dev",
	.operands = "",
	.summary = "run everything in one directory, sending to a simulator",
	.help =
	    "Starts a PostgreSQL and a Redis of its own on private Unix "
	    "sockets, makes an\naccount, a domain, a key and a source, and "
	    "runs every role in simulator mode on\nloopback ports. "
	    "DIR/dev.json "
	    "says what a client needs to know. Ctrl-C stops it\nall; the next "
	    "start finds the data again.",
	.flags = flags,
	.run = run,
};

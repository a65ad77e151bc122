/*
 * worker_run goes one way: set up, run the loop, stop. Three things end the
 * loop: SIGTERM, the end of the pipe from the master (killed: nobody will ask
 * us to stop any more), and a second SIGTERM, which does not wait.
 *
 * Ctrl-C in a terminal reaches every process of the group; children ignore it
 * and let the master end them in its order.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "proc/title.h"
#include "proc/worker.h"
#include "store/recent.h"

/* Without a master there may soon be another one that wants our ports. */
#define ORPHAN_DRAIN_MS 5000
/* Past the deadline of its drain a process is stuck: SIGALRM ends it. */
#define STUCK_S 5

struct life {
	struct worker w;
	const struct role *role;
	void *self;
	struct watch *master;
	bool draining;
};

static void
drained(void *ctx)
{
	struct life *life = ctx;

	loop_stop(life->w.loop);
}

static void
drain(struct life *life, const char *why, int64_t timeout_ms)
{
	if (life->draining) {
		loop_stop(life->w.loop);
		return;
	}
	life->draining = true;
	log_info(NULL, "worker.drain", log_text("why", why),
	    log_int("timeout_ms", timeout_ms));
	alarm((unsigned int)(timeout_ms / 1000) + STUCK_S);
	life->role->drain(life->self, timeout_ms, drained, life);
}

static void
on_term(int signo, void *ctx)
{
	struct life *life = ctx;

	(void)signo;
	drain(life, "asked", (int64_t)life->w.settings->drain_time);
}

/* Debug lines on and off. */
static void
on_usr1(int signo, void *ctx)
{
	const struct life *life = ctx;
	enum log_level configured = (enum log_level)life->w.settings->log_level;

	(void)signo;
	log_set_level(
	    log_level() == LOG_LEVEL_DEBUG ? configured : LOG_LEVEL_DEBUG);
}

static void
on_master(void *ctx, bool readable, bool writable)
{
	struct life *life = ctx;

	(void)readable;
	(void)writable;
	/* Nothing is ever written to it. */
	watch_set(life->master, false, false);
	drain(life, "master is gone", ORPHAN_DRAIN_MS);
}

static void
set_signals(void)
{
	static const int ignored[] = { SIGINT, SIGHUP, SIGPIPE };
	struct sigaction act = { .sa_handler = SIG_DFL };

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGCHLD, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	act.sa_handler = SIG_IGN;
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		sigaction(ignored[i], &act, NULL);
}

static void
unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Where processes of this node reach a port: a wildcard means loopback. */
static struct net_addr
reachable(const struct listeners *l, enum port port)
{
	const struct net_addr *bound = listeners_addr(l, port);
	struct net_addr addr = { 0 };
	char text[NET_ADDR_TEXT];

	if (bound == NULL)
		return addr;
	addr = *bound;
	net_addr_format(bound, text);
	if (strcmp(text, "0.0.0.0") == 0 &&
	    net_addr_parse(SLICE("127.0.0.1"), net_addr_port(bound), &addr,
		NULL) != 0)
		addr.len = 0;
	if (strcmp(text, "::") == 0 &&
	    net_addr_parse(SLICE("::1"), net_addr_port(bound), &addr, NULL) !=
		0)
		addr.len = 0;
	return addr;
}

static void
set_up(struct life *life, const struct worker_start *start)
{
	set_signals();
	umask(077);
	life->w.simulator = reachable(start->listeners, PORT_SIMULATOR);
	life->w.smtp_in = reachable(start->listeners, PORT_SMTP_IN);
	listeners_keep(start->listeners, life->role->ports);
	if (!life->role->needs_keys)
		keyring_wipe(start->keyring);
	life->w.recent = start->recent;
	if (!life->role->shares_recent)
		recent_free(&life->w.recent);
	life->w.settings = start->settings;
	life->w.shaping = start->shaping;
	life->w.keyring = start->keyring;
	life->w.listeners = start->listeners;
}

static int
run(struct life *life, const struct worker_start *start, struct error *err)
{
	if (identity_assume(start->identity, err) != 0)
		return -1;
	life->w.loop = loop_new();
	loop_on_signal(life->w.loop, SIGTERM, on_term, life);
	loop_on_signal(life->w.loop, SIGUSR1, on_usr1, life);
	life->master = watch_new(life->w.loop, start->life_fd, on_master, life);
	watch_set(life->master, true, false);

	life->self = life->role->start(&life->w, err);
	if (life->self == NULL)
		return -1;
	if (write(start->ready_fd, &start->ready_octet, 1) != 1)
		log_warn(NULL, "worker.ready", log_text("error", "no master"));
	close(start->ready_fd);
	unblock_signals();
	loop_run(life->w.loop);
	life->role->stop(life->self);
	return 0;
}

int
worker_run(const struct role *role, unsigned int slot,
    const struct worker_start *start)
{
	struct life life = { .role = role, .w = { .slot = slot } };
	struct error err = { 0 };
	char name[32];
	char *parser_path = listeners_parser_path(start->settings);
	int status = 0;

	snprintf(name, sizeof(name), "%s %u", role->name, slot);
	title_set(name);
	/* No blank: the name is one word of each line. */
	snprintf(name, sizeof(name), "%s/%u", role->name, slot);
	log_setup(name, (enum log_level)start->settings->log_level);
	life.w.parser_path = parser_path;
	set_up(&life, start);
	if (run(&life, start, &err) != 0) {
		log_error(NULL, "worker.start", log_err(&err));
		status = WORKER_EXIT_START;
	}
	watch_free(&life.master);
	if (life.w.loop != NULL)
		loop_free(&life.w.loop);
	keyring_wipe(start->keyring);
	free(parser_path);
	return status;
}

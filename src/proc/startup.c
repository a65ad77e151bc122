#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/loop.h"
#include "proc/startup.h"
#include "store/domains.h"
#include "store/migrate.h"
#include "store/partitions.h"
#include "store/pg.h"
#include "store/redis.h"
#include "store/sources.h"

#define STARTUP_WAIT_MS 5000

struct startup {
	const struct settings *s;
	startup_say *say;
	void *ctx;
	unsigned int bad;
	struct loop *loop;
	bool done;
	size_t sources; /* that this node may own */
	size_t usable;	/* of those, on this machine */
};

static void PRINTF_LIKE(4, 5) say(struct startup *st, enum finding finding,
    const char *what, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (finding == FINDING_BAD)
		st->bad++;
	st->say(st->ctx, finding, what, text);
}

/* False: no use to ask Postgres anything more. */
static bool
check_postgres(struct startup *st)
{
	struct error err = { 0 };
	size_t pending = 0;

	if (migrate_pending(st->s->postgres, &pending, &err) != 0) {
		say(st, FINDING_BAD, "postgres", "%s", err.text);
		return false;
	}
	if (pending > 0) {
		say(st, FINDING_BAD, "postgres",
		    "%zu migration(s) are missing: run 'verpost migrate'",
		    pending);
		return false;
	}
	say(st, FINDING_OK, "postgres", "reachable, tables are up to date");
	return true;
}

static void
redis_up(void *ctx)
{
	struct startup *st = ctx;

	st->done = true;
}

static void
check_redis(struct startup *st)
{
	static const struct redis_ops ops = { .connected = redis_up };
	struct error err = { 0 };
	struct redis *r;

	st->done = false;
	r = redis_new(st->loop, st->s->redis, STARTUP_WAIT_MS, &ops, st);
	if (pg_run_until(st->loop, &st->done, STARTUP_WAIT_MS, &err) == 0)
		say(st, FINDING_OK, "redis", "reachable");
	else
		say(st, FINDING_WARN, "redis",
		    "no answer at %s: mail is accepted, and delivered when "
		    "Redis is back",
		    st->s->redis);
	redis_free(&r);
}

/* Whether a socket can be bound to it, which is what the mta will do. */
static bool
is_local(struct slice address, struct error *err)
{
	struct net_addr addr;
	bool ok;
	int fd;

	if (net_addr_parse(address, 0, &addr, err) != 0)
		return false;
	fd = socket(net_addr_family(&addr), SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		error_sys(err, "opening a socket");
		return false;
	}
	ok = bind(fd, (const struct sockaddr *)&addr.ss, addr.len) == 0;
	if (!ok)
		error_sys(err, "binding to it");
	close(fd);
	return ok;
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *failed)
{
	struct startup *st = ctx;

	st->done = true;
	if (failed != NULL) {
		say(st, FINDING_BAD, "sources", "%s", failed->text);
		return;
	}
	st->sources = count;
	for (size_t i = 0; i < count; i++) {
		struct error err = { 0 };
		char what[64];

		snprintf(what, sizeof(what), "source %.*s",
		    SLICE_FMT(source[i].address));
		if (is_local(source[i].address, &err)) {
			st->usable++;
			say(st, FINDING_OK, what, "is on this machine");
			continue;
		}
		say(st, FINDING_WARN, what,
		    "cannot be sent from (%s): add the address to this "
		    "machine, or give the source the name of its node",
		    err.text);
	}
}

/*
 * The checks come back from jsonb, which puts its own blanks: so it is the
 * word that is looked for.
 */
static void
got_domains(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *failed)
{
	struct startup *st = ctx;

	st->done = true;
	if (failed != NULL) {
		say(st, FINDING_BAD, "domains", "%s", failed->text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		char what[300];

		if (!domain[i].verified ||
		    slice_find(domain[i].checks, SLICE("\"unchecked\"")) ==
			domain[i].checks.len)
			continue;
		snprintf(what, sizeof(what), "domain %.*s",
		    SLICE_FMT(domain[i].name));
		say(st, FINDING_BAD, what,
		    "was taken as verified without a look at DNS: run "
		    "'verpost domain verify %.*s', or remove it",
		    SLICE_FMT(domain[i].name));
	}
}

static void
check_domains(struct startup *st, struct pg *pg)
{
	struct error err = { 0 };

	st->done = false;
	store_domain_list(pg, 0, got_domains, st);
	if (pg_run_until(st->loop, &st->done, STARTUP_WAIT_MS, &err) != 0)
		say(st, FINDING_BAD, "domains", "%s", err.text);
}

static void
check_sources(struct startup *st)
{
	struct pg_options options = { .conninfo = st->s->postgres };
	struct pg *pg = pg_new(st->loop, &options, NULL, NULL);
	struct error err = { 0 };

	st->done = false;
	if (pg_wait_up(pg, STARTUP_WAIT_MS, &err) == 0)
		store_source_list(pg, slice_of(st->s->node), got_sources, st);
	if (err.kind != ERR_NONE ||
	    pg_run_until(st->loop, &st->done, STARTUP_WAIT_MS, &err) != 0)
		say(st, FINDING_BAD, "sources", "%s", err.text);
	if (st->done && st->s->mode == MODE_LIVE)
		check_domains(st, pg);
	pg_free(&pg);
	if (!st->done || st->s->mta_processes == 0 || st->usable > 0)
		return;
	say(st, st->s->mode == MODE_LIVE ? FINDING_BAD : FINDING_WARN,
	    "sources",
	    "node %s has no address to send from: add one with 'verpost "
	    "source add ADDRESS --helo NAME'",
	    st->s->node);
}

static void
check_live(struct startup *st)
{
	if (st->s->mode != MODE_LIVE)
		return;
	if (st->s->smtp_port != 25)
		say(st, FINDING_WARN, "smtp_port",
		    "is %llu: mail exchangers listen on 25",
		    (unsigned long long)st->s->smtp_port);
	if (st->s->smtp_in_cert[0] == '\0' && st->s->smtpd_processes > 0)
		say(st, FINDING_WARN, "smtp_in_cert",
		    "not set: bounces come back without TLS");
	if (st->s->smtp_in_cert[0] != '\0' &&
	    access(st->s->smtp_in_cert, R_OK) != 0)
		say(st, FINDING_BAD, "smtp_in_cert", "%s: %s",
		    st->s->smtp_in_cert, strerror(errno));
	if (st->s->smtp_in_key[0] != '\0' &&
	    access(st->s->smtp_in_key, R_OK) != 0)
		say(st, FINDING_BAD, "smtp_in_key", "%s: %s",
		    st->s->smtp_in_key, strerror(errno));
}

unsigned int
startup_check(const struct settings *s, startup_say *fn, void *ctx)
{
	struct startup st = { .s = s, .say = fn, .ctx = ctx };

	st.loop = loop_new();
	check_redis(&st);
	if (check_postgres(&st))
		check_sources(&st);
	check_live(&st);
	loop_free(&st.loop);
	return st.bad;
}

/* ---- In a child ---------------------------------------------------------- */

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

static void
made_days(void *ctx, size_t count, const struct error *failed)
{
	struct startup *st = ctx;

	(void)count;
	st->done = true;
	if (failed != NULL)
		error_set(st->ctx, ERR_STORE, "postgres: %s", failed->text);
}

/* After a long pause the first mail would find no day to lie in. */
static void
make_days(const struct settings *s, struct error *err)
{
	struct startup st = { .s = s, .ctx = err };
	struct pg_options options = { .conninfo = s->postgres };
	struct pg *pg;

	st.loop = loop_new();
	pg = pg_new(st.loop, &options, NULL, NULL);
	store_partitions_make(pg, clock_now_ms(), made_days, &st);
	if (pg_run_until(st.loop, &st.done, STARTUP_WAIT_MS, err) != 0)
		error_add(err, "making the tables of these days");
	pg_free(&pg);
	loop_free(&st.loop);
}

NORETURN static void
ask_child(const struct settings *s, const struct identity *who, int fd)
{
	struct error err = { 0 };

	if (identity_assume(who, &err) == 0)
		startup_check(s, log_finding, &err);
	if (err.kind == ERR_NONE)
		make_days(s, &err);
	if (write(fd, &err, sizeof(err)) != (ssize_t)sizeof(err))
		_exit(1);
	_exit(0);
}

int
startup_ask(const struct settings *s, const struct identity *who,
    struct error *err)
{
	struct error found = { 0 };
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(fds) != 0)
		return error_sys(err, "opening a pipe");
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		ask_child(s, who, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return error_sys(err, "starting a process");
	}
	do
		n = read(fds[0], &found, sizeof(found));
	while (n < 0 && errno == EINTR);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(found))
		return error_set(err, ERR_SYS,
		    "the process that looks at Postgres and Redis ended "
		    "without a word");
	if (found.kind == ERR_NONE)
		return 0;
	return error_set(err, found.kind, "%s", found.text);
}

/*
 * What only the servers can tell, asked with the identity of the workers: in
 * a child (startup.c), or it would leave connections and loops behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/tls.h"
#include "proc/startup_priv.h"
#include "store/domains.h"
#include "store/keys.h"
#include "store/migrate.h"
#include "store/partitions.h"
#include "store/pg.h"
#include "store/redis.h"
#include "store/sources.h"

#define PROBE_WAIT_MS 5000
/* It is only a warning, and serve waits for it. */
#define REDIS_WAIT_MS 1000

struct probe {
	const struct settings *s;
	bool runs; /* here, with these settings */
	startup_say *say;
	void *ctx;
	struct loop *loop;
	bool done;
	size_t usable; /* sources of this node that are on this machine */
};

static void PRINTF_LIKE(4, 5) say(struct probe *p, enum finding finding,
    const char *what, const char *fmt, ...)
{
	char text[STARTUP_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Errors of a server begin with its name. */
	if (slice_starts(slice_of(text), slice_of(what)) &&
	    text[strlen(what)] == ':')
		p->say(p->ctx, finding, what,
		    text + strlen(what) + strspn(text + strlen(what), ": "));
	else
		p->say(p->ctx, finding, what, text);
}

/* False: no use to ask Postgres anything more. */
static bool
check_postgres(struct probe *p)
{
	struct error err = { 0 };
	size_t pending = 0;

	if (migrate_pending(p->s->postgres, &pending, &err) != 0) {
		say(p, FINDING_BAD, "postgres", "%s", err.text);
		return false;
	}
	if (pending > 0) {
		say(p, FINDING_BAD, "postgres",
		    "%zu migration(s) are missing: run 'verpost migrate'",
		    pending);
		return false;
	}
	say(p, FINDING_OK, "postgres", "reachable, tables are up to date");
	return true;
}

static void
check_redis(struct probe *p)
{
	int64_t until_ms = clock_mono_ms() + REDIS_WAIT_MS;
	struct redis *r =
	    redis_new(p->loop, p->s->redis, REDIS_WAIT_MS, NULL, NULL);
	const struct error *why;

	while (!redis_is_up(r) && redis_failure(r) == NULL &&
	    clock_mono_ms() < until_ms)
		loop_turn(p->loop, 50);
	why = redis_failure(r);
	if (redis_is_up(r))
		say(p, FINDING_OK, "redis", "reachable");
	else
		say(p, FINDING_WARN, "redis",
		    "%s at %s: mail is accepted, and delivered when Redis is "
		    "back",
		    why != NULL ? why->text : "no answer", p->s->redis);
	redis_free(&r);
}

static bool
is_loopback(const struct net_addr *addr)
{
	const char *special = net_addr_special(addr);

	return special != NULL && strcmp(special, "loopback") == 0;
}

static void
check_source(struct probe *p, struct slice address)
{
	struct error err = { 0 };
	struct net_addr addr;
	char what[64];

	snprintf(what, sizeof(what), "source %.*s", SLICE_FMT(address));
	if (net_addr_parse(address, 0, &addr, &err) != 0 ||
	    !net_is_here(&addr, &err)) {
		say(p, FINDING_WARN, what,
		    "cannot be sent from (%s): add the address to this "
		    "machine, or give the source the name of its node",
		    err.text);
		return;
	}
	p->usable++;
	if (p->s->mode == MODE_LIVE && is_loopback(&addr))
		say(p, FINDING_WARN, what,
		    "is a loopback address, from which no other machine is "
		    "reached");
	else
		say(p, FINDING_OK, what, "is on this machine");
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *failed)
{
	struct probe *p = ctx;

	p->done = true;
	if (failed != NULL) {
		say(p, FINDING_BAD, "sources", "%s", failed->text);
		return;
	}
	for (size_t i = 0; i < count; i++)
		check_source(p, source[i].address);
}

/*
 * The checks come back from jsonb, which puts its own blanks: so it is the
 * word that is looked for.
 */
bool
startup_domain_is_unchecked(struct slice checks)
{
	return slice_find(checks, SLICE("\"unchecked\"")) < checks.len;
}

static void
got_domains(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *failed)
{
	struct probe *p = ctx;
	size_t verified = 0;

	p->done = true;
	if (failed != NULL) {
		say(p, FINDING_BAD, "domains", "%s", failed->text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		char what[300];

		verified += domain[i].verified;
		if (!domain[i].verified ||
		    !startup_domain_is_unchecked(domain[i].checks))
			continue;
		snprintf(what, sizeof(what), "domain %.*s",
		    SLICE_FMT(domain[i].name));
		say(p, FINDING_BAD, what,
		    "was taken as verified without a look at DNS: run "
		    "'verpost domain verify %.*s', or remove it",
		    SLICE_FMT(domain[i].name));
	}
	if (verified == 0)
		say(p, FINDING_WARN, "domains",
		    "none is verified, so nothing can be sent: 'verpost domain "
		    "add' and 'verpost domain verify'");
}

static void
got_keys(void *ctx, const struct store_key *key, size_t count,
    const struct error *failed)
{
	struct probe *p = ctx;

	(void)key;
	p->done = true;
	if (failed != NULL)
		say(p, FINDING_BAD, "keys", "%s", failed->text);
	else if (count == 0)
		say(p, FINDING_WARN, "keys",
		    "there is no API key, so nobody can send: 'verpost key add "
		    "NAME'");
}

static void
check_senders(struct probe *p, struct pg *pg)
{
	struct error err = { 0 };

	p->done = false;
	store_domain_list(pg, 0, got_domains, p);
	if (pg_run_until(p->loop, &p->done, PROBE_WAIT_MS, &err) != 0) {
		say(p, FINDING_BAD, "domains", "%s", err.text);
		return;
	}
	p->done = false;
	store_key_list(pg, 0, got_keys, p);
	if (pg_run_until(p->loop, &p->done, PROBE_WAIT_MS, &err) != 0)
		say(p, FINDING_BAD, "keys", "%s", err.text);
}

static void
check_sources(struct probe *p)
{
	struct pg_options options = { .conninfo = p->s->postgres };
	struct pg *pg = pg_new(p->loop, &options, NULL, NULL);
	struct error err = { 0 };

	p->done = false;
	if (pg_wait_up(pg, PROBE_WAIT_MS, &err) == 0)
		store_source_list(pg, slice_of(p->s->node), got_sources, p);
	if (err.kind != ERR_NONE ||
	    pg_run_until(p->loop, &p->done, PROBE_WAIT_MS, &err) != 0)
		say(p, FINDING_BAD, "sources", "%s", err.text);
	if (p->done && p->s->mode == MODE_LIVE)
		check_senders(p, pg);
	if (p->done && !p->runs)
		startup_node(p->s, p->loop, pg, p->say, p->ctx);
	pg_free(&pg);
	if (!p->done || p->s->mta_processes == 0 || p->usable > 0)
		return;
	say(p, p->s->mode == MODE_LIVE ? FINDING_BAD : FINDING_WARN, "sources",
	    "node %s has no address to send from: add one with 'verpost "
	    "source add ADDRESS --helo NAME'",
	    p->s->node);
}

/* As the receiver opens them. */
static void
check_certificate(struct probe *p)
{
	const struct settings *s = p->s;
	struct error err = { 0 };
	struct ssl_ctx_st *tls;

	if (s->smtp_in_cert[0] == '\0' || s->smtpd_processes == 0)
		return;
	tls = tls_server_ctx_new(s->smtp_in_cert, s->smtp_in_key, &err);
	if (tls != NULL)
		say(p, FINDING_OK, "smtp_in_cert", "%s", s->smtp_in_cert);
	else
		say(p, FINDING_BAD, "smtp_in_cert", "%s", err.text);
	tls_ctx_free(&tls);
}

static void
check_ca_file(struct probe *p)
{
	const char *path = p->s->webhook_ca_file;

	if (path[0] != '\0' && access(path, R_OK) != 0)
		say(p, FINDING_BAD, "webhook_ca_file", "%s: %s", path,
		    strerror(errno));
}

/* API keys would go over the wire for everybody to read. */
static void
check_http(struct probe *p)
{
	struct slice rest = slice_of(p->s->http_listen);

	while (rest.len > 0) {
		struct slice one = slice_take_until(&rest, ' ');
		struct net_addr addr;

		if (one.len == 0 ||
		    net_addr_parse_listen(one, &addr, NULL) != 0 ||
		    net_addr_family(&addr) == AF_UNIX || is_loopback(&addr))
			continue;
		say(p, FINDING_WARN, "http_listen",
		    "%.*s is not loopback, and there is no TLS: listen on "
		    "127.0.0.1 behind a proxy that has it",
		    SLICE_FMT(one));
	}
}

static void
check_live(struct probe *p)
{
	if (p->s->mode != MODE_LIVE)
		return;
	if (p->s->smtp_port != 25)
		say(p, FINDING_WARN, "smtp_port",
		    "is %llu: mail exchangers listen on 25",
		    (unsigned long long)p->s->smtp_port);
	if (p->s->smtp_in_cert[0] == '\0' && p->s->smtpd_processes > 0)
		say(p, FINDING_WARN, "smtp_in_cert",
		    "not set: bounces come back without TLS");
	if (p->s->httpd_processes > 0)
		check_http(p);
}

void
startup_probe(const struct settings *s, bool runs, startup_say *fn, void *ctx)
{
	struct probe p = { .s = s, .runs = runs, .say = fn, .ctx = ctx };

	p.loop = loop_new();
	check_redis(&p);
	if (check_postgres(&p))
		check_sources(&p);
	check_certificate(&p);
	check_ca_file(&p);
	check_live(&p);
	loop_free(&p.loop);
}

static void
check_readable(struct probe *p, const char *what, const char *path)
{
	if (path[0] == '\0' || access(path, R_OK) == 0 || errno != EACCES)
		return;
	say(p, FINDING_ROOT, what,
	    "%s can be read by root, not by %s: serve would start by root, not "
	    "by verpost.service (User=): chown %s %s, and let it into the "
	    "directory",
	    path, p->s->user, p->s->user, path);
}

void
startup_files(const struct settings *s, const char *config, startup_say *fn,
    void *ctx)
{
	struct probe p = { .s = s, .say = fn, .ctx = ctx };

	check_readable(&p, "settings", config);
	check_readable(&p, "key_file", s->key_file);
	check_readable(&p, "shaping_file", s->shaping_file);
}

static void
made_days(void *ctx, size_t count, const struct error *failed)
{
	struct probe *p = ctx;

	(void)count;
	p->done = true;
	if (failed != NULL)
		say(p, FINDING_BAD, "postgres", "%s", failed->text);
}

void
startup_make_days(const struct settings *s, startup_say *fn, void *ctx)
{
	struct probe p = { .s = s, .say = fn, .ctx = ctx };
	struct pg_options options = { .conninfo = s->postgres };
	struct error err = { 0 };
	struct pg *pg;

	p.loop = loop_new();
	pg = pg_new(p.loop, &options, NULL, NULL);
	store_partitions_make(pg, clock_now_ms(), made_days, &p);
	if (pg_run_until(p.loop, &p.done, PROBE_WAIT_MS, &err) != 0)
		say(&p, FINDING_BAD, "postgres",
		    "making the tables of these days: %s", err.text);
	pg_free(&pg);
	loop_free(&p.loop);
}

/*
 * The receiver on the return-path port, and with it the matcher, which reads
 * what was committed. They end one after the other: what the receiver took is
 * matched by the next process.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "bounce/match.h"
#include "net/tls.h"
#include "proc/role_priv.h"
#include "smtpd/smtpd.h"
#include "store/pg.h"

struct role_smtpd_self {
	struct loop *loop;
	struct pg *pg;
	struct ssl_ctx_st *tls;
	struct bounce *bounce;
	struct smtpd *smtpd;
	int64_t drain_until_ms;
	void (*done)(void *ctx);
	void *ctx;
};

static unsigned int
count(const struct settings *s)
{
	return (unsigned int)s->smtpd_processes;
}

static void
on_return(void *ctx)
{
	struct role_smtpd_self *r = ctx;

	bounce_kick(r->bounce);
}

static void
stop(void *self)
{
	struct role_smtpd_self *r = self;

	smtpd_free(&r->smtpd);
	bounce_free(&r->bounce);
	pg_free(&r->pg);
	tls_ctx_free(&r->tls);
	free(r);
}

static int
start_bounce(struct role_smtpd_self *r, const struct worker *w,
    struct error *err)
{
	struct bounce_options o = { .loop = w->loop, .pg = r->pg };
	char *url = xasprintf("unix:%s", w->parser_path);
	int rc = net_addr_parse_listen(slice_of(url), &o.parser, err);

	free(url);
	if (rc == 0)
		r->bounce = bounce_new(&o);
	return rc;
}

static void
start_smtpd(struct role_smtpd_self *r, const struct worker *w)
{
	const struct settings *s = w->settings;
	int fds[LISTENERS_MAX];
	struct smtpd_options o = {
		.loop = w->loop,
		.pg = r->pg,
		.listen_fds = fds,
		.hostname = s->smtp_in_hostname,
		.keyring = w->keyring,
		.tls = r->tls,
		.size_max = s->return_size_max,
		.connections_max = s->smtp_in_connections_max,
		.on_return = on_return,
		.ctx = r,
	};

	o.listen_count =
	    listeners_fds(w->listeners, PORT_SMTP_IN, fds, ARRAY_LEN(fds));
	r->smtpd = smtpd_new(&o);
}

static void *
start(struct worker *w, struct error *err)
{
	const struct settings *s = w->settings;
	struct role_smtpd_self *r = xmalloc(sizeof(*r));

	r->loop = w->loop;
	if (s->smtp_in_cert[0] != '\0') {
		r->tls =
		    tls_server_ctx_new(s->smtp_in_cert, s->smtp_in_key, err);
		if (r->tls == NULL) {
			free(r);
			return NULL;
		}
	}
	r->pg = role_pg(w, "verpost smtpd", true);
	if (start_bounce(r, w, err) != 0) {
		stop(r);
		return NULL;
	}
	start_smtpd(r, w);
	return r;
}

static void
smtpd_drained(void *ctx)
{
	struct role_smtpd_self *r = ctx;
	int64_t left_ms = r->drain_until_ms - clock_mono_ms();

	bounce_drain(r->bounce, left_ms > 0 ? left_ms : 0, r->done, r->ctx);
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	struct role_smtpd_self *r = self;

	r->done = done;
	r->ctx = ctx;
	r->drain_until_ms = clock_mono_ms() + timeout_ms;
	smtpd_drain(r->smtpd, timeout_ms, smtpd_drained, r);
}

const struct role role_smtpd = {
	.name = "smtpd",
	.stage = ROLE_STAGE_FRONT,
	.ports = PORT_BIT(PORT_SMTP_IN),
	.needs_keys = true,
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};

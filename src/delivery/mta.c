/*
 * The engine put together: parts are made in the order of their dependence and
 * taken apart in reverse. One tick a second asks every lane, lets destinations
 * and routes age, and moves what only time moves.
 */
#include "delivery/delivery_priv.h"

#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls.h"
#include "queue/rules.h"

#define TICK_MS 1000
#define DRAIN_TICK_MS 50
#define FDS_OTHERS 100 /* Postgres, Redis, DNS, what the master handed down */

static void check_drained(struct mta *m);

static void
on_tick(void *ctx)
{
	struct mta *m = ctx;

	timer_set(m->tick, m->draining ? DRAIN_TICK_MS : TICK_MS);
	rules_tick(m);
	if (!owner_is_alive(m)) /* its sources may soon be another's */
		dests_close_sessions(m);
	publish_tick(m);
	lanes_tick(m);
	lanes_ask(m);
	dests_tick(m);
	scopes_tick(m);
	quotas_tick(m);
	routes_tick(m);
	identities_tick(m);
	contents_tick(m);
	trace_tick(m);
	if (m->draining)
		check_drained(m);
}

/* What is left for connections to mail hosts. */
static size_t
sessions_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return limit.rlim_cur > 2 * FDS_OTHERS ? limit.rlim_cur - FDS_OTHERS
					       : FDS_OTHERS;
}

static void
set_defaults(struct mta_options *opt)
{
	if (opt->in_hand_max == 0)
		opt->in_hand_max = 2000;
	if (opt->in_hand_bytes_max == 0)
		opt->in_hand_bytes_max = (size_t)128 << 20;
	if (opt->idle_ms == 0)
		opt->idle_ms = 30000;
	if (opt->smtp_port == 0)
		opt->smtp_port = 25;
}

/* What cannot be had is said now; mail then waits, or goes in clear text. */
static void
make_tools(struct mta *m)
{
	struct resolver_options dns = { .servers = m->opt.dns_servers };
	struct error err;

	m->signer = dkim_signer_new(clock_now_ms, &err);
	if (m->signer == NULL)
		die("DKIM library: %s", err.text);
	m->tls = tls_client_ctx_new(&err);
	if (m->tls == NULL)
		log_error(&m->log, "tls.unavailable", log_err(&err));
	if (m->opt.mode != MTA_LIVE)
		return;
	m->resolver = resolver_new(m->opt.loop, &dns, &err);
	if (m->resolver == NULL)
		die("DNS resolver: %s", err.text);
}

struct mta *
mta_new(const struct mta_options *opt)
{
	struct mta *m = xmalloc(sizeof(*m));

	m->opt = *opt;
	set_defaults(&m->opt);
	m->open_guard.allow_all = true;
	m->sessions_max = sessions_max();
	list_init(&m->reads);
	list_init(&m->work);
	make_tools(m);
	m->outcomes = outcome_writer_new(opt->loop, opt->pg);
	m->rules = rules_new(opt->pg);
	routes_init(m);
	scopes_init(m);
	quotas_init(m);
	dests_init(m);
	identities_init(m);
	contents_init(m);
	claims_init(m);
	trace_init(m);
	lanes_init(m);
	m->tick = timer_new(opt->loop, on_tick, m);
	timer_set(m->tick, TICK_MS);
	owner_start(m);
	return m;
}

/* -- draining
 * ------------------------------------------------------------------- */

static void
tell_drained(struct mta *m)
{
	void (*done)(void *ctx) = m->drained;

	timer_cancel(m->drain_deadline);
	m->drained = NULL;
	if (done != NULL)
		done(m->drained_ctx);
}

static void
on_drain_deadline(void *ctx)
{
	struct mta *m = ctx;

	log_warn(&m->log, "drain.deadline", log_uint("in_hand", m->in_hand));
	tell_drained(m);
}

/*
 * Transactions under way end, outcomes are committed, and what was asked of
 * Redis or is to be told to it is through: the last of it left with the turn
 * before this one.
 */
static void
check_drained(struct mta *m)
{
	bool was_idle = m->in_hand == 0 && !lanes_are_asking(m) &&
	    outcome_writer_pending(m->outcomes) == 0 &&
	    !list_is_linked(&m->flush_call.node);

	lanes_give_back(m);
	if (!was_idle)
		return;
	/* The limits on a source hold for whoever has it next: not before its
	 * connections are gone. */
	dests_close_sessions(m);
	if (m->session_count > 0)
		return;
	quotas_return(m);
	owner_stop(m, tell_drained);
}

void
mta_drain(struct mta *m, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	invariant(!m->draining);
	m->draining = true;
	m->drained = done;
	m->drained_ctx = ctx;
	m->drain_deadline = timer_new(m->opt.loop, on_drain_deadline, m);
	timer_set(m->drain_deadline, timeout_ms);
	timer_set(m->tick, 0);
}

void
mta_free(struct mta **mp)
{
	struct mta *m = *mp;

	if (m == NULL)
		return;
	*mp = NULL;
	m->draining = true; /* nothing new starts while it is taken apart */
	owner_fini(m);
	slot_close(&m->slot); /* what is not settled stays in it */
	claims_fini(m);
	jobs_fini(m);
	outcome_writer_free(&m->outcomes);
	rules_free(&m->rules);
	lanes_fini(m);
	dests_fini(m);
	contents_fini(m);
	scopes_fini(m);
	quotas_fini(m);
	identities_fini(m);
	routes_fini(m);
	resolver_free(&m->resolver);
	trace_fini(m);
	loop_call_cancel(&m->flush_call);
	loop_call_cancel(&m->work_call);
	timer_free(&m->tick);
	timer_free(&m->drain_deadline);
	dkim_signer_free(&m->signer);
	tls_ctx_free(&m->tls);
	free(m->sources);
	free(m);
}

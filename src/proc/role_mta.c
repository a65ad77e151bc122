#include <string.h>

#include "base/mem.h"
#include "delivery/mta.h"
#include "proc/role_priv.h"
#include "store/pg.h"

struct role_mta_self {
	struct pg *pg;
	struct net_guard guard;
	struct mta *mta;
};

static unsigned int
count(const struct settings *s)
{
	return (unsigned int)s->mta_processes;
}

static enum mta_mode
mta_mode(int mode)
{
	static const enum mta_mode modes[] = {
		[MODE_SIMULATOR] = MTA_SIMULATOR,
		[MODE_LOG] = MTA_LOG,
		[MODE_LIVE] = MTA_LIVE,
	};

	return modes[mode];
}

/* Declared dead: end at once; the master starts the next life. */
static void
lost(void *loop)
{
	loop_stop(loop);
}

static void
fill(struct mta_options *o, const struct worker *w)
{
	const struct settings *s = w->settings;

	o->loop = w->loop;
	o->redis = s->redis;
	o->shaping = w->shaping;
	o->ring = w->keyring;
	o->node = s->node;
	o->slot = w->slot;
	o->slots = (unsigned int)s->mta_processes;
	o->slot_dir = s->run_dir;
	o->mode = mta_mode(s->mode);
	o->simulator = w->simulator;
	o->smtp_port = (uint16_t)s->smtp_port;
	o->dns_servers = s->dns_servers[0] != '\0' ? s->dns_servers : NULL;
	o->retry.base_ms = (int64_t)s->retry_first;
	o->retry.max_ms = (int64_t)s->retry_longest;
	o->retry.unknown_ms = (int64_t)s->retry_unknown;
	o->in_hand_max = s->in_hand_max;
	o->in_hand_bytes_max = s->in_hand_bytes_max;
	o->recent = w->recent;
	o->idle_ms = (int64_t)s->connection_idle;
	o->lost = lost;
	o->lost_ctx = w->loop;
}

static void *
start(struct worker *w, struct error *err)
{
	struct role_mta_self *r = xmalloc(sizeof(*r));
	struct mta_options o = { 0 };

	(void)err;
	fill(&o, w);
	role_guard(w->settings->mx_private, &r->guard);
	o.guard = r->guard; /* the copy shares what it holds with ours */
	r->pg = o.pg = role_pg(w, "verpost mta", true);
	r->mta = mta_new(&o);
	return r;
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	struct role_mta_self *r = self;

	mta_drain(r->mta, timeout_ms, done, ctx);
}

static void
stop(void *self)
{
	struct role_mta_self *r = self;

	mta_free(&r->mta);
	pg_free(&r->pg);
	net_guard_fini(&r->guard);
	free(r);
}

const struct role role_mta = {
	.name = "mta",
	.stage = ROLE_STAGE_FRONT,
	.needs_keys = true,
	.shares_recent = true,
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};

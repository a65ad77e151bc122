#include "base/mem.h"
#include "hooks/hooks.h"
#include "proc/role_priv.h"
#include "store/pg.h"

struct role_hooks_self {
	struct pg *pg;
	struct net_guard guard;
	struct hooks *hooks;
};

static unsigned int
count(const struct settings *s)
{
	return (unsigned int)s->hooks_processes;
}

static void *
start(struct worker *w, struct error *err)
{
	const struct settings *s = w->settings;
	struct role_hooks_self *r = xmalloc(sizeof(*r));
	struct hooks_options o = {
		.loop = w->loop,
		.keyring = w->keyring,
		.guard = &r->guard,
		.ca_file =
		    s->webhook_ca_file[0] != '\0' ? s->webhook_ca_file : NULL,
		.timeout_ms = (int64_t)s->webhook_timeout,
	};

	(void)err;
	role_guard(s->webhook_private, &r->guard);
	r->pg = o.pg = role_pg(w, "verpost hooks", true);
	r->hooks = hooks_new(&o);
	return r;
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	struct role_hooks_self *r = self;

	hooks_drain(r->hooks, timeout_ms, done, ctx);
}

static void
stop(void *self)
{
	struct role_hooks_self *r = self;

	hooks_free(&r->hooks);
	pg_free(&r->pg);
	net_guard_fini(&r->guard);
	free(r);
}

const struct role role_hooks = {
	.name = "hooks",
	.stage = ROLE_STAGE_FRONT,
	.needs_keys = true,
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};

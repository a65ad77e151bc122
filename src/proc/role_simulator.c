#include "base/mem.h"
#include "proc/role_priv.h"
#include "simulator/simulator.h"
#include "store/pg.h"

struct role_simulator_self {
	struct pg *pg;
	struct simulator *simulator;
};

static unsigned int
count(const struct settings *s)
{
	return s->simulator_listen[0] != '\0' ? 1 : 0;
}

static void *
start(struct worker *w, struct error *err)
{
	struct role_simulator_self *r = xmalloc(sizeof(*r));
	int fds[LISTENERS_MAX];
	struct simulator_options o = {
		.loop = w->loop,
		.listen_fds = fds,
		.listen_count = listeners_fds(w->listeners, PORT_SIMULATOR, fds,
		    ARRAY_LEN(fds)),
		.hostname = "simulator.invalid",
		.bounce_to = w->smtp_in,
		.bounce_delay_ms = (int64_t)w->settings->simulator_dsn_delay,
	};

	(void)err;
	r->pg = o.pg = role_pg(w, "verpost simulator", false);
	r->simulator = simulator_new(&o);
	return r;
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	struct role_simulator_self *r = self;

	simulator_drain(r->simulator, timeout_ms, done, ctx);
}

static void
stop(void *self)
{
	struct role_simulator_self *r = self;

	simulator_free(&r->simulator);
	pg_free(&r->pg);
	free(r);
}

const struct role role_simulator = {
	.name = "simulator",
	.stage = ROLE_STAGE_BACK,
	.ports = PORT_BIT(PORT_SIMULATOR),
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};

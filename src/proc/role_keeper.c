#include "base/clock.h"
#include "proc/keeper.h"
#include "proc/role_priv.h"

/* One per node: any node may have to take over. */
static unsigned int
count(const struct settings *s)
{
	(void)s;
	return 1;
}

static int
days(uint64_t ms)
{
	return (int)((ms + CLOCK_DAY_MS - 1) / CLOCK_DAY_MS);
}

static void *
start(struct worker *w, struct error *err)
{
	const struct settings *s = w->settings;
	struct keeper_options o = {
		.loop = w->loop,
		.conninfo = s->postgres,
		.redis = s->redis,
		.shaping = w->shaping,
		.node = s->node,
		.retention = {
			.mail_days = days(s->retention),
			.content_days = days(s->retention_content),
			.return_days = days(s->retention_returns),
			.simulator_days = days(s->retention_simulator),
		},
	};

	(void)err;
	return keeper_new(&o);
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	keeper_drain(self, timeout_ms, done, ctx);
}

static void
stop(void *self)
{
	struct keeper *k = self;

	keeper_free(&k);
}

const struct role role_keeper = {
	.name = "keeper",
	.stage = ROLE_STAGE_FRONT,
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};

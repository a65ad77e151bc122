#include "delivery/limit.h"

#include "base/attr.h"

#define SLACK_PART 100 /* of the time of the rate */
#define SLACK_MAX_US 100000

void
gcra_init(struct gcra *g, struct config_rate rate, int64_t start_us)
{
	int64_t per_us = (int64_t)rate.per_ms * 1000;

	*g = (struct gcra){ 0 };
	if (rate.count == 0)
		return;
	g->slack_us = MIN(per_us / SLACK_PART, SLACK_MAX_US);
	/* Rounded up: a rate is never passed. */
	g->interval_us = (per_us + g->slack_us + (int64_t)rate.count - 1) /
	    (int64_t)rate.count;
	gcra_restart(g, start_us);
}

void
gcra_restart(struct gcra *g, int64_t start_us)
{
	g->tat_us = MAX(g->tat_us, start_us + g->interval_us + g->slack_us);
}

void
gcra_tighten(struct gcra *g, struct config_rate rate, int64_t start_us)
{
	struct gcra other;

	gcra_init(&other, rate, start_us);
	if (other.interval_us <= g->interval_us)
		return;
	/* The last one taken counts at the new pace. */
	other.tat_us =
	    MAX(other.tat_us, g->tat_us - g->interval_us + other.interval_us);
	*g = other;
}

int64_t
gcra_at(const struct gcra *g, int64_t now_us)
{
	return g->interval_us == 0 ? now_us
				   : MAX(now_us, g->tat_us - g->slack_us);
}

void
gcra_take(struct gcra *g, int64_t now_us)
{
	if (g->interval_us != 0)
		g->tat_us = MAX(g->tat_us, now_us) + g->interval_us;
}

uint64_t
gcra_room(const struct gcra *g, int64_t now_us, int64_t within_us)
{
	int64_t last_us = now_us + within_us + g->slack_us;
	int64_t first_us = MAX(g->tat_us, now_us);

	if (g->interval_us == 0)
		return UINT64_MAX;
	if (first_us > last_us)
		return 0;
	return (uint64_t)((last_us - first_us) / g->interval_us) + 1;
}

int64_t
limit_mail_at(struct limit *const *l, size_t n, int64_t now_us)
{
	int64_t at = now_us;

	for (size_t i = 0; i < n; i++)
		at = MAX(at, gcra_at(&l[i]->mail, now_us));
	return at;
}

void
limit_mail_take(struct limit *const *l, size_t n, int64_t now_us)
{
	for (size_t i = 0; i < n; i++)
		gcra_take(&l[i]->mail, now_us);
}

int64_t
limit_open_at(struct limit *const *l, size_t n, int64_t now_us)
{
	for (size_t i = 0; i < n; i++)
		if (l[i]->connections_max > 0 &&
		    l[i]->connections >= l[i]->connections_max)
			return LIMIT_NEVER;
	return limit_connect_at(l, n, now_us);
}

void
limit_opened(struct limit *const *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		l[i]->connections++;
}

void
limit_closed(struct limit *const *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		invariant(l[i]->connections > 0);
		l[i]->connections--;
	}
}

int64_t
limit_connect_at(struct limit *const *l, size_t n, int64_t now_us)
{
	int64_t at = now_us;

	for (size_t i = 0; i < n; i++)
		at = MAX(at, gcra_at(&l[i]->connect, now_us));
	return at;
}

void
limit_connect_take(struct limit *const *l, size_t n, int64_t now_us)
{
	for (size_t i = 0; i < n; i++)
		gcra_take(&l[i]->connect, now_us);
}

#include "queue/unpark.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "giveback.h"
#include "store/rules.h"
#include "store/sources.h"

/*
 * A step: pools -> for which holds something is parked, in every lane -> which
 * holds are in force -> give back what is parked for the others.
 */

struct unpark {
	struct pg *pg;
	struct pg_tx *tx;
	struct giveback giveback;
};

static void
on_rules(void *ctx, const struct store_rule *rule, size_t count, int generation,
    const struct error *err)
{
	struct unpark *u = ctx;
	int *hold;
	size_t n = 0;

	(void)generation;
	u->tx = NULL;
	if (err != NULL) {
		giveback_end(&u->giveback, true);
		return;
	}
	hold = xcalloc(count + 1, sizeof(*hold));
	for (size_t i = 0; i < count; i++)
		if (rule[i].kind == RULE_HOLD)
			hold[n++] = rule[i].number;
	giveback_others(&u->giveback, hold, n);
	free(hold);
}

static void
found(void *ctx)
{
	struct unpark *u = ctx;

	u->tx = store_rule_list(u->pg, clock_now_ms(), on_rules, u);
}

static void
gave(const struct queue_lane *lane, int hold, size_t count)
{
	log_info(NULL, "hold.over", log_int("hold", hold),
	    log_text("lane", lane->name), log_uint("count", count));
}

static const struct giveback_ops ops = { queue_parked, queue_unpark, found,
	gave };

static void
on_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct unpark *u = ctx;

	u->tx = NULL;
	if (err != NULL)
		giveback_end(&u->giveback, true);
	else
		giveback_ask(&u->giveback, pool, count, NULL, 0);
}

void
unpark_step(struct unpark *u)
{
	if (!giveback_begin(&u->giveback))
		return;
	if (pg_is_up(u->pg) && queue_is_connected(u->giveback.queue))
		u->tx = store_pool_list(u->pg, on_pools, u);
	else
		giveback_end(&u->giveback, true);
}

bool
unpark_is_busy(const struct unpark *u)
{
	return u->giveback.is_busy;
}

struct unpark_counts
unpark_counts(const struct unpark *u)
{
	const struct giveback *g = &u->giveback;

	return (struct unpark_counts){ g->given_back, g->steps, g->failures };
}

struct unpark *
unpark_new(struct pg *pg, struct queue *q, const struct shaping *shaping)
{
	struct unpark *u = xmalloc(sizeof(*u));

	u->pg = pg;
	giveback_init(&u->giveback, q, shaping, &ops, u);
	return u;
}

void
unpark_free(struct unpark **up)
{
	struct unpark *u = *up;

	if (u == NULL)
		return;
	*up = NULL;
	pg_tx_cancel(&u->tx);
	giveback_fini(&u->giveback);
	free(u);
}

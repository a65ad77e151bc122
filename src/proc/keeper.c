#include "proc/keeper.h"

#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "outcome/expire.h"
#include "queue/queue.h"
#include "queue/reap.h"
#include "queue/rules.h"
#include "queue/unpark.h"
#include "queue/walk.h"
#include "store/leader.h"
#include "store/suppressions.h"
#include "store/workers.h"

#define TRIM_BATCH 5000
#define WORKER_KEEP_MS (2 * CLOCK_DAY_MS)
/* A leader without Redis for so long leaves the lead, for so long, to whoever
 * has it. */
#define REDIS_AWAY_MS 10000

struct keeper;

/* A duty and when it is due. Those that talk to Postgres themselves hold a
 * handle while they do: the next turn is then skipped. */
struct duty {
	const char *name;
	int64_t period_ms;
	bool every_node; /* else only the leader's */
	void (*run)(struct keeper *k, struct pg_tx **under_way);
};

static void beat(struct keeper *k, struct pg_tx **under_way);
static void try_lead(struct keeper *k, struct pg_tx **under_way);
static void make_days(struct keeper *k, struct pg_tx **under_way);
static void young(struct keeper *k, struct pg_tx **under_way);
static void old(struct keeper *k, struct pg_tx **under_way);
static void check_redis(struct keeper *k, struct pg_tx **under_way);
static void reap(struct keeper *k, struct pg_tx **under_way);
static void look_at_rules(struct keeper *k, struct pg_tx **under_way);
static void unpark(struct keeper *k, struct pg_tx **under_way);
static void trim_rules(struct keeper *k, struct pg_tx **under_way);
static void drop_days(struct keeper *k, struct pg_tx **under_way);
static void trim_keys(struct keeper *k, struct pg_tx **under_way);
static void trim_suppressions(struct keeper *k, struct pg_tx **under_way);
static void trim_workers(struct keeper *k, struct pg_tx **under_way);

/* The order is that of one turn; days come before what writes into them. */
static const struct duty duties[] = {
	{ "beat", STORE_HEARTBEAT_MS, true, beat },
	{ "lead", 2000, true, try_lead },
	{ "days", 1000, false, make_days },
	{ "young walk", 1000, false, young },
	{ "old walk", 250, false, old },
	{ "redis", 5000, false, check_redis },
	{ "reap", 5000, false, reap },
	{ "rules", 1000, false, look_at_rules },
	{ "unpark", 5000, false, unpark },
	{ "old rules", 600 * 1000, false, trim_rules },
	{ "retention", 3600 * 1000, false, drop_days },
	{ "idempotency", 60 * 1000, false, trim_keys },
	{ "suppressions", 600 * 1000, false, trim_suppressions },
	{ "workers", 3600 * 1000, false, trim_workers },
};

struct keeper {
	struct loop *loop;
	struct pg *pg;
	struct queue *queue;
	struct walk *walk;
	struct reap *reap;
	struct expire *expire;
	struct rules *rules;
	struct unpark *unpark;
	struct timer *timer;
	struct store_retention retention;
	char *node;
	bool is_leader;
	int64_t redis_seen_ms, lead_again_ms;
	int worker;  /* number of our row; 0: none */
	int64_t day; /* whose partitions were made; 0: none */
	int64_t due_ms[ARRAY_LEN(duties)];
	struct pg_tx *under_way[ARRAY_LEN(duties)];
};

/* Ends a duty's turn: whose it was stands in the slot of its handle. */
static void
over(struct keeper *k, void (*run)(struct keeper *, struct pg_tx **),
    const struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(duties); i++) {
		if (duties[i].run != run)
			continue;
		k->under_way[i] = NULL;
		if (err != NULL)
			log_warn(NULL, "keeper.duty",
			    log_text("duty", duties[i].name), log_err(err));
	}
}

/* ---- Who we are ---------------------------------------------------------- */

static void
registered(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct keeper *k = ctx;

	over(k, beat, err);
	if (err != NULL || count != 1)
		return;
	k->worker = worker->id;
	reap_reached(k->reap, loop_mono_ms(k->loop));
}

static void
beaten(void *ctx, const struct error *err)
{
	struct keeper *k = ctx;

	/* Somebody took us for dead: go on under another number. */
	if (err != NULL && err->kind == ERR_NOTFOUND) {
		k->worker = 0;
		err = NULL;
	}
	if (err == NULL)
		reap_reached(k->reap, loop_mono_ms(k->loop));
	over(k, beat, err);
}

static void
beat(struct keeper *k, struct pg_tx **under_way)
{
	char boot_id[CLOCK_BOOT_ID_LEN];
	struct store_worker w = {
		.node = slice_of(k->node),
		.role = SLICE("keeper"),
		.pid = getpid(),
		.started_at_ms = clock_now_ms(),
	};

	clock_boot_id(boot_id);
	w.boot_id = slice_of(boot_id);
	if (k->worker != 0)
		*under_way = store_worker_beat(k->pg, k->worker, beaten, k);
	else
		*under_way = store_worker_add(k->pg, &w, registered, k);
}

static void
tried_to_lead(void *ctx, bool is_leader, const struct error *err)
{
	struct keeper *k = ctx;

	over(k, try_lead, err);
	if (!is_leader)
		return;
	k->is_leader = true;
	k->day = 0;
	log_info(NULL, "keeper.leader");
}

static void
tried_to_resign(void *ctx, bool is_leader, const struct error *err)
{
	struct keeper *k = ctx;

	over(k, try_lead, err);
	k->is_leader = is_leader;
	if (err == NULL && !is_leader)
		log_warn(NULL, "keeper.resigned",
		    log_text("why", "Redis does not answer here"));
}

/* A node that is cut off from Redis can walk and reap nothing. */
static void
try_lead(struct keeper *k, struct pg_tx **under_way)
{
	int64_t now_ms = loop_mono_ms(k->loop);
	int64_t away_ms = clock_patience_ms(REDIS_AWAY_MS);

	if (queue_is_connected(k->queue))
		k->redis_seen_ms = now_ms;
	if (now_ms - k->redis_seen_ms < away_ms) {
		if (!k->is_leader)
			*under_way = store_leader_try(k->pg, tried_to_lead, k);
	} else if (k->is_leader) {
		k->is_leader = false; /* until we hear */
		k->lead_again_ms = now_ms + away_ms;
		*under_way = store_leader_resign(k->pg, slice_of(k->node),
		    tried_to_resign, k);
	} else if (now_ms >= k->lead_again_ms) {
		*under_way = store_leader_try(k->pg, tried_to_lead, k);
	}
}

/* ---- Duties -------------------------------------------------------------- */

static void
made_days(void *ctx, size_t count, const struct error *err)
{
	struct keeper *k = ctx;

	over(k, make_days, err);
	if (err == NULL)
		k->day = clock_now_ms() / CLOCK_DAY_MS;
	if (count > 0)
		log_info(NULL, "keeper.partitions_made",
		    log_uint("count", count));
}

/* At once on becoming leader, and whenever the UTC day has changed. */
static void
make_days(struct keeper *k, struct pg_tx **under_way)
{
	int64_t now_ms = clock_now_ms();

	if (k->day != now_ms / CLOCK_DAY_MS)
		*under_way = store_partitions_make(k->pg, now_ms, made_days, k);
}

static void
young(struct keeper *k, struct pg_tx **under_way)
{
	(void)under_way;
	walk_young(k->walk);
}

static void
old(struct keeper *k, struct pg_tx **under_way)
{
	(void)under_way;
	walk_old(k->walk);
}

static void
check_redis(struct keeper *k, struct pg_tx **under_way)
{
	(void)under_way;
	walk_check_redis(k->walk);
}

static void
reap(struct keeper *k, struct pg_tx **under_way)
{
	(void)under_way;
	reap_step(k->reap, loop_mono_ms(k->loop));
}

static void
look_at_rules(struct keeper *k, struct pg_tx **under_way)
{
	(void)under_way;
	rules_refresh(k->rules);
}

static void
unpark(struct keeper *k, struct pg_tx **under_way)
{
	(void)under_way;
	unpark_step(k->unpark);
}

static void
trimmed_rules(void *ctx, const struct error *err)
{
	over(ctx, trim_rules, err);
}

static void
trim_rules(struct keeper *k, struct pg_tx **under_way)
{
	*under_way = store_rule_trim(k->pg, clock_now_ms(), trimmed_rules, k);
}

static void
dropped_days(void *ctx, size_t count, const struct error *err)
{
	struct keeper *k = ctx;

	over(k, drop_days, err);
	if (count > 0)
		log_info(NULL, "keeper.partitions_dropped",
		    log_uint("count", count));
}

static void
drop_days(struct keeper *k, struct pg_tx **under_way)
{
	*under_way = store_partitions_drop(k->pg, clock_now_ms(), &k->retention,
	    dropped_days, k);
}

static void
trimmed_keys(void *ctx, size_t count, const struct error *err)
{
	(void)count;
	over(ctx, trim_keys, err);
}

static void
trim_keys(struct keeper *k, struct pg_tx **under_way)
{
	*under_way = store_idempotency_trim(k->pg, clock_now_ms(), TRIM_BATCH,
	    trimmed_keys, k);
}

static void
trimmed_suppressions(void *ctx, const struct error *err)
{
	over(ctx, trim_suppressions, err);
}

static void
trim_suppressions(struct keeper *k, struct pg_tx **under_way)
{
	*under_way = store_suppression_trim(k->pg, clock_now_ms(), TRIM_BATCH,
	    trimmed_suppressions, k);
}

static void
trimmed_workers(void *ctx, const struct error *err)
{
	over(ctx, trim_workers, err);
}

static void
trim_workers(struct keeper *k, struct pg_tx **under_way)
{
	*under_way =
	    store_worker_trim(k->pg, WORKER_KEEP_MS, trimmed_workers, k);
}

/* ---- When ---------------------------------------------------------------- */

static void
turn(void *ctx)
{
	struct keeper *k = ctx;
	int64_t now_ms = loop_mono_ms(k->loop);
	int64_t next_ms = now_ms + 1000;

	for (size_t i = 0; i < ARRAY_LEN(duties); i++) {
		const struct duty *duty = &duties[i];

		if (!pg_is_up(k->pg) || (!duty->every_node && !k->is_leader))
			continue;
		if (k->due_ms[i] <= now_ms) {
			k->due_ms[i] =
			    now_ms + clock_patience_ms(duty->period_ms);
			if (k->under_way[i] == NULL)
				duty->run(k, &k->under_way[i]);
		}
		next_ms = MIN(next_ms, k->due_ms[i]);
	}
	timer_set(k->timer, MAX(next_ms - now_ms, 10));
}

static void
pg_up(void *ctx)
{
	struct keeper *k = ctx;

	/* A new session: the lock, and maybe our row, are gone. */
	memset(k->due_ms, 0, sizeof(k->due_ms));
	timer_set(k->timer, 0);
}

static void
pg_down(void *ctx, const struct error *err)
{
	struct keeper *k = ctx;

	log_warn(NULL, "postgres.down", log_err(err));
	k->is_leader = false;
	reap_away(k->reap);
}

static void
expired(void *ctx, const struct walk_over *over, size_t n)
{
	struct keeper *k = ctx;

	if (k->is_leader)
		expire_take(k->expire, k->worker, over, n);
}

static void
strange_lane(void *ctx, const struct queue_lane *lane)
{
	struct keeper *k = ctx;

	reap_also(k->reap, lane);
}

struct keeper *
keeper_new(const struct keeper_options *opt)
{
	static const struct pg_ops pg_ops = { pg_up, pg_down };
	static const struct walk_ops walk_ops = { expired, strange_lane };
	struct keeper *k = xmalloc(sizeof(*k));
	struct pg_options pg_options = {
		.conninfo = opt->conninfo,
		.name = "verpost keeper",
		.batch_plans = true, /* expiry claims and records in batches */
		/* Less than the time after which it counts as dead. */
		.silent_max_ms = clock_patience_ms(STORE_FENCE_MS),
	};

	k->loop = opt->loop;
	k->retention = opt->retention;
	k->node = xstrdup(opt->node);
	k->redis_seen_ms = loop_mono_ms(k->loop);
	k->timer = timer_new(k->loop, turn, k);
	k->pg = pg_new(k->loop, &pg_options, &pg_ops, k);
	k->queue = queue_new(k->loop, opt->redis, NULL, 0, NULL, NULL);
	k->walk =
	    walk_new(k->loop, k->pg, k->queue, opt->shaping, &walk_ops, k);
	k->reap = reap_new(k->pg, k->queue, opt->shaping);
	k->rules = rules_new(k->pg);
	k->expire = expire_new(k->loop, k->pg, k->rules);
	k->unpark = unpark_new(k->pg, k->queue, opt->shaping);
	walk_set_rules(k->walk, k->rules);
	timer_set(k->timer, 0);
	return k;
}

bool
keeper_is_leader(const struct keeper *k)
{
	return k->is_leader;
}

void
keeper_drain(struct keeper *k, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	(void)timeout_ms;
	timer_cancel(k->timer);
	loop_defer(k->loop, done, ctx);
}

void
keeper_free(struct keeper **kp)
{
	struct keeper *k = *kp;

	if (k == NULL)
		return;
	timer_free(&k->timer);
	for (size_t i = 0; i < ARRAY_LEN(duties); i++)
		pg_tx_cancel(&k->under_way[i]);
	expire_free(&k->expire);
	unpark_free(&k->unpark);
	reap_free(&k->reap);
	walk_free(&k->walk);
	rules_free(&k->rules);
	queue_free(&k->queue);
	pg_free(&k->pg);
	free(k->node);
	free(k);
	*kp = NULL;
}

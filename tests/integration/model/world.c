#include "tests/integration/model/world.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/loop.h"
#include "outcome/expire.h"
#include "queue/reap.h"
#include "queue/rules.h"
#include "queue/unpark.h"
#include "queue/walk.h"
#include "store/pg.h"
#include "store/redis.h"
#include "store/workers.h"

/* A provider's and two hash lanes: walks and reaper go through all. */
const struct queue_lane lanes[LANES] = { { 1, "google" }, { 1, "h3" },
	{ 1, "h7" } };

/* Waiting. ---------------------------------------------------------------- */

void
call_counted(void *ctx, size_t count, const struct error *err)
{
	struct call *call = ctx;

	call->done = true;
	call->count = count;
	call->err = err != NULL ? *err : (struct error){ 0 };
}

void
call_done(void *ctx, const struct error *err)
{
	call_counted(ctx, 0, err);
}

void
call_wait(struct world *w, struct call *call)
{
	struct error err = { 0 };

	if (pg_run_until(w->loop, &call->done, 30000, &err) != 0)
		fail_msg("%s: %s", w->what, err.text);
	if (call->err.kind != ERR_NONE)
		fail_msg("%s: %s", w->what, call->err.text);
}

static void
on_number(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct call *call = ctx;

	call_counted(call, 0, err);
	if (err == NULL && pg_rows(reply, 0) > 0)
		call->count = (size_t)pg_get_int8(pg_row(reply, 0, 0), 0);
}

int64_t
world_number(struct world *w, const struct pg_stmt *stmt, int64_t parameter)
{
	struct call call = { 0 };
	struct pg_tx *tx = pg_tx_new(w->pg);

	pg_tx_stmt(tx, stmt);
	pg_tx_int8(tx, parameter);
	pg_tx_send(tx, on_number, &call);
	call_wait(w, &call);
	return (int64_t)call.count;
}

void
world_settle(struct world *w, struct pg *pg)
{
	static const struct pg_stmt one = { "model_one", "SELECT 1::int8" };
	struct call call = { 0 };
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &one);
	pg_tx_send(tx, on_number, &call);
	call_wait(w, &call);
}

static void
on_worker(void *ctx, const struct store_worker *row, size_t count,
    const struct error *err)
{
	call_counted(ctx, count > 0 ? (size_t)row->id : 0, err);
}

int
world_worker(struct world *w, const char *role, int node, int slot)
{
	struct call call = { 0 };
	char name[16], boot[16];
	struct store_worker row = { .role = slice_of(role), .slot = slot };

	snprintf(name, sizeof(name), "node%d", node);
	snprintf(boot, sizeof(boot), "boot%u", w->boot[node]);
	row.node = slice_of(name);
	row.boot_id = slice_of(boot);
	store_worker_add(w->pg, &row, on_worker, &call);
	call_wait(w, &call);
	assert_true(call.count > 0);
	return (int)call.count;
}

/* Small things. ----------------------------------------------------------- */

int64_t
world_now(void)
{
	return clock_now_ms();
}

size_t
world_below(struct world *w, size_t n)
{
	return dice_below(&w->dice, n);
}

bool
world_percent(struct world *w, unsigned int percent)
{
	return dice_percent(&w->dice, percent);
}

bool
world_fault(struct world *w, unsigned int percent)
{
	return !w->is_calm && dice_percent(&w->dice, percent);
}

struct mail *
world_mail(struct world *w, struct id id)
{
	for (size_t i = 0; i < w->mail_count; i++)
		if (id_cmp(w->mail[i].id, id) == 0)
			return &w->mail[i];
	return NULL;
}

struct queue_job
job_of(const struct mail *m, int64_t delay_ms)
{
	return (struct queue_job){ .member = { m->id, m->flow, m->flags },
		.delay_ms = delay_ms };
}

/* Opening. ---------------------------------------------------------------- */

static struct pg *
connect_pg(struct world *w)
{
	struct pg_options options = { .conninfo = w->conninfo,
		.batch_plans = true };
	struct pg *pg = pg_new(w->loop, &options, NULL, NULL);
	struct error err = { 0 };

	if (pg_wait_up(pg, 10000, &err) != 0)
		fail_msg("%s", err.text);
	return pg;
}

static void
on_connected(void *ctx)
{
	struct call *call = ctx;

	call->done = true;
}

static void
on_expired(void *ctx, const struct walk_over *over, size_t n)
{
	struct world *w = ctx;

	w->counts.expired += (unsigned int)n;
	expire_take(w->expire, w->keeper, over, n);
}

static void
open_redis(struct world *w)
{
	static const struct queue_ops ops = { .connected = on_connected };
	static struct call call;
	struct slice flush = SLICE("FLUSHALL");

	call = (struct call){ 0 };
	w->raw = redis_new(w->loop, w->redis_url, 0, NULL, NULL);
	while (!redis_is_up(w->raw))
		loop_turn(w->loop, 10);
	redis_command(w->raw, &flush, 1, NULL, NULL);
	w->queue = queue_new(w->loop, w->redis_url, NULL, 0, &ops, &call);
	call_wait(w, &call);
}

void
world_open_keeper(struct world *w)
{
	static const struct walk_ops ops = { on_expired, NULL };

	w->walk = walk_new(w->loop, w->pg, w->queue, w->shaping, &ops, w);
	w->reap = reap_new(w->pg, w->queue, w->shaping);
	w->unpark = unpark_new(w->pg, w->queue, w->shaping);
	w->rules = rules_new(w->pg);
	w->expire = expire_new(w->loop, w->pg, w->rules);
	walk_set_rules(w->walk, w->rules);
}

void
world_close_keeper(struct world *w)
{
	walk_free(&w->walk);
	reap_free(&w->reap);
	expire_free(&w->expire);
	unpark_free(&w->unpark);
	rules_free(&w->rules);
}

void
world_open(struct world *w)
{
	static const struct pg_stmt accounts = { "world_accounts",
		"INSERT INTO accounts (number, id, name, created_at) "
		"OVERRIDING SYSTEM VALUE SELECT n, gen_random_uuid(), "
		"'account ' || n, now() FROM generate_series(1, $1::int8) n" };
	static const struct pg_stmt domain = { "world_domain",
		"INSERT INTO domains (id, account, name, return_path_host, "
		"created_at) VALUES (gen_random_uuid(), $1::int8, "
		"'sender.test', 'send.sender.test', now())" };

	w->what = "open";
	w->pg = connect_pg(w);
	world_number(w, &accounts, FLOWS / 2);
	world_number(w, &domain, 1);
	open_redis(w);
	limits_open(w);
	world_open_keeper(w);
	w->keeper = world_worker(w, "keeper", NODES, 0);
	for (int i = 0; i < PROCESSES; i++) {
		w->process[i].node = i % NODES;
		w->process[i].slot = i / NODES;
		w->process[i].pg = connect_pg(w);
		engine_lose_file(w, &w->process[i]); /* another run's */
	}
}

void
world_close(struct world *w)
{
	world_close_keeper(w);
	queue_free(&w->queue);
	redis_free(&w->raw);
	for (size_t i = 0; i < PROCESSES; i++) {
		engine_close(&w->process[i]);
		engine_lose_file(w, &w->process[i]);
		pg_free(&w->process[i].pg);
	}
	limits_close(w);
	pg_free(&w->pg);
	loop_turn(w->loop, 0);
}

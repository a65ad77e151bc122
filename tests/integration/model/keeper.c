/* The keeper, and what befalls Redis. */
#include "tests/integration/model/world.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "outcome/expire.h"
#include "queue/reap.h"
#include "queue/rules.h"
#include "queue/walk.h"
#include "store/pg.h"
#include "store/redis.h"
#include "store/workers.h"

/* The keeper. ------------------------------------------------------------- */

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	(void)state;
	call_counted(ctx, 0, err);
}

void
redis_settle(struct world *w)
{
	struct call call = { 0 };

	queue_state(w->queue, &lanes[0], on_state, &call);
	call_wait(w, &call);
}

/* When these are answered, all that was asked before is, too. */
static void
let_answer(struct world *w, size_t redis, size_t postgres)
{
	for (size_t i = 0; i < redis; i++)
		redis_settle(w);
	for (size_t i = 0; i < postgres; i++)
		world_settle(w, w->pg);
}

void
keeper_walk(struct world *w)
{
	unsigned int expired = w->counts.expired;

	if (!world_fault(w, 50))
		rules_refresh(w->rules);
	if (world_percent(w, 30))
		rules_unpark(w);
	if (world_percent(w, 10))
		rules_trim(w);
	walk_check_redis(w->walk);
	let_answer(w, 0, 1);
	let_answer(w, 2, 0);
	if (w->is_calm || world_percent(w, 50)) {
		walk_young(w->walk);
		let_answer(w, 0, 1);
		let_answer(w, 1, 0);
	}
	if (w->is_calm || world_percent(w, 50)) {
		walk_old(w->walk);
		let_answer(w, 0, 1);
		let_answer(w, 1, 0);
	}
	if (expired != w->counts.expired) {
		/* read, claim, why not, a turn of the loop, write */
		let_answer(w, 0, 8);
		observe_all(w, w->keeper);
	}
}

static void
on_dead(void *ctx, const struct store_worker *row, size_t count,
    const struct error *err)
{
	(void)row;
	call_counted(ctx, count, err);
}

/* Liveness is on the database's clock, which nobody shifts: the rows are. */
static void
keeper_age(struct world *w)
{
	static const struct pg_stmt age = { "model_age",
		"UPDATE workers SET seen_at = seen_at - interval '1 hour' "
		"WHERE id = $1::int8 RETURNING id::int8" };
	struct call keeper = { 0 };

	store_worker_beat(w->pg, w->keeper, call_done, &keeper);
	call_wait(w, &keeper);
	for (size_t i = 0; i < PROCESSES; i++) {
		const struct process *p = &w->process[i];

		if (p->worker != 0 && world_now() - p->beat_ms > UNSEEN_MS)
			world_number(w, &age, p->worker);
	}
}

void
keeper_reap(struct world *w)
{
	struct call call = { 0 };

	keeper_age(w);
	store_worker_set_dead_unseen(w->pg, STORE_UNSEEN_MS, on_dead, &call);
	call_wait(w, &call);
	reap_step(w->reap, clock_mono_ms());
	while (reap_is_busy(w->reap))
		let_answer(w, 1, 1);
}

void
keeper_restart(struct world *w)
{
	w->counts.keepers++;
	world_close_keeper(w);
	world_open_keeper(w);
	w->keeper = world_worker(w, "keeper", NODES, 0);
}

/* Redis. ------------------------------------------------------------------ */

static const char parts[] = "mrthpfs";

static struct {
	char *octets;
	size_t len;
} saved[LANES * 7];
static bool is_saved;

static void
command(struct world *w, redis_done *done, const struct slice *argv, size_t n,
    struct call *call)
{
	redis_command(w->raw, argv, n, done, call);
	call_wait(w, call);
}

static void
on_reply(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	(void)reply;
	call_counted(ctx, 0, err);
}

static struct slice
key_of(size_t i, char *out, size_t size)
{
	snprintf(out, size, "q:{p%d.%s}:%c", lanes[i / 7].pool,
	    lanes[i / 7].name, parts[i % 7]);
	return slice_of(out);
}

void
redis_flush(struct world *w)
{
	struct slice argv = SLICE("FLUSHALL");

	w->counts.flushes++;
	command(w, on_reply, &argv, 1, &(struct call){ 0 });
	for (size_t i = 0; i < PROCESSES; i++)
		w->process[i].must_sync = true;
}

struct saving {
	struct call call;
	size_t i;
};

static void
on_saved(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct saving *s = ctx;
	struct slice text = SLICE("");

	call_counted(&s->call, 0, err);
	if (err == NULL)
		text = redis_reply_text(reply);
	free(saved[s->i].octets);
	saved[s->i].len = text.len;
	saved[s->i].octets = slice_dup(text);
}

void
redis_save(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(saved); i++) {
		struct saving s = { .i = i };
		char key[40];
		struct slice argv[] = { SLICE("DUMP"),
			key_of(i, key, sizeof(key)) };

		redis_command(w->raw, argv, 2, on_saved, &s);
		call_wait(w, &s.call);
	}
	is_saved = true;
}

void
redis_forget(void)
{
	is_saved = false;
	for (size_t i = 0; i < ARRAY_LEN(saved); i++) {
		free(saved[i].octets);
		saved[i].octets = NULL;
		saved[i].len = 0;
	}
}

/* As after a failover: what was then is there again, under another run id,
 * so that no mark fits. */
void
redis_restore(struct world *w)
{
	if (!is_saved)
		return;
	redis_flush(w);
	w->counts.flushes--;
	w->counts.dumps++;
	for (size_t i = 0; i < ARRAY_LEN(saved); i++) {
		char key[40];
		struct slice argv[] = { SLICE("RESTORE"),
			key_of(i, key, sizeof(key)), SLICE("0"),
			slice_mem(saved[i].octets, saved[i].len) };
		struct slice unmark[] = { SLICE("HDEL"), argv[1],
			SLICE("mark") };

		if (saved[i].len > 0)
			command(w, on_reply, argv, 4, &(struct call){ 0 });
		if (parts[i % 7] == 'm')
			command(w, on_reply, unmark, 3, &(struct call){ 0 });
	}
}

/* Somebody deleted the library, or a proxy went to another server. */
void
redis_unload(struct world *w)
{
	struct slice argv[] = { SLICE("FUNCTION"), SLICE("FLUSH") };

	w->counts.unloads++;
	command(w, on_reply, argv, 2, &(struct call){ 0 });
}

/* Time. ------------------------------------------------------------------- */

void
time_pass(struct world *w, int64_t ms)
{
	w->advance(ms);
	for (size_t i = 0; i < PROCESSES; i++)
		if (process_is_working(&w->process[i])) {
			limits_tick(w, &w->process[i]);
			process_beat(w, &w->process[i]);
		}
}

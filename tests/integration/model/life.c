/* How processes end and begin. */
#include "tests/integration/model/world.h"

#include <stdio.h>
#include <string.h>

#include "store/workers.h"

static void
forget_file(struct process *p)
{
	memset(p->hand, 0, sizeof(p->hand));
	p->has_file = false;
}

void
process_kill(struct world *w, struct process *p)
{
	if (p->is_up)
		w->counts.kills++;
	p->is_up = p->is_paused = false;
	p->has_file = true;
	engine_close(p);
	if (world_fault(w, 5)) {
		w->counts.files_lost++;
		engine_lose_file(w, p);
		forget_file(p);
	}
}

/* Its files are there again when it is back: of another boot. */
void
node_lose(struct world *w, int node)
{
	w->counts.nodes_lost++;
	w->boot[node]++;
	for (size_t i = 0; i < PROCESSES; i++)
		if (w->process[i].node == node) {
			process_kill(w, &w->process[i]);
			forget_file(&w->process[i]);
		}
}

static void
reap_in_all_lanes(struct world *w, int dead)
{
	for (size_t i = 0; i < LANES; i++) {
		struct call call = { .count = 1 };

		while (call.count > 0) {
			call = (struct call){ 0 };
			queue_reap(w->queue, &lanes[i], dead, 7, call_counted,
			    &call);
			call_wait(w, &call);
		}
	}
}

static void
on_dead(void *ctx, const struct store_worker *row, size_t count,
    const struct error *err)
{
	(void)row;
	call_counted(ctx, count, err);
}

/* Whoever had this slot before is gone: the lock on its file was free. */
static void
clear_slot(struct world *w, struct process *p, int before)
{
	struct call slot = { 0 }, boots = { 0 };
	char node[16], boot[16];

	snprintf(node, sizeof(node), "node%d", p->node);
	snprintf(boot, sizeof(boot), "boot%u", w->boot[p->node]);
	store_worker_set_dead_slot(w->pg, slice_of(node), SLICE("mta"), p->slot,
	    p->worker, on_dead, &slot);
	store_worker_set_dead_boots(w->pg, slice_of(node), slice_of(boot),
	    on_dead, &boots);
	call_wait(w, &slot);
	call_wait(w, &boots);
	/* If not here, then by the keeper. */
	if (before != 0 && !world_percent(w, 20))
		reap_in_all_lanes(w, before);
}

void
process_start(struct world *w, struct process *p)
{
	int before = p->worker;

	if (!engine_resolve(w, p))
		return;
	forget_file(p);
	p->worker = world_worker(w, "mta", p->node, p->slot);
	engine_begin(p);
	p->beat_ms = world_now();
	p->is_up = p->must_sync = true;
	clear_slot(w, p, before);
	limits_beat(w, p);
}

void
process_stop(struct world *w, struct process *p)
{
	bool is_idle = true;

	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];
		bool is_claimed = e->phase == CLAIMED && !e->has_begun;

		if (is_claimed || (e->phase == WAIT && e->has_asked))
			process_give_back(w, p, e, 0);
		else if (e->phase == WAIT)
			process_defer(w, p, e, 0);
		is_idle = is_idle && e->phase == FREE;
	}
	if (!is_idle)
		return;
	w->counts.stops++;
	limits_stop(w, p);
	p->is_up = false;
	p->has_file = true;
	engine_close(p);
}

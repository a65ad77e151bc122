/*
 * How processes end and begin. The slot file is what of struct entry outlives
 * the process: member, n, phase, claim time and reply.
 */
#include "tests/integration/model/world.h"

#include <stdio.h>
#include <string.h>

#include "store/workers.h"

static void
lose_file(struct process *p)
{
	memset(p->hand, 0, sizeof(p->hand));
	p->has_file = false;
}

void
process_kill(struct world *w, struct process *p)
{
	(void)w;
	p->is_up = p->is_paused = false;
	p->has_file = true;
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];

		if (e->phase == WAIT || e->phase == ABANDON)
			*e = (struct entry){ 0 };
		e->is_read = e->has_asked = e->has_begun = false;
		/* A reply that was not read is gone. */
		if (e->phase == SENT)
			e->said = SAID_NOTHING;
	}
	if (world_fault(w, 5)) {
		w->counts.files_lost++;
		lose_file(p);
	}
}

void
node_lose(struct world *w, int node)
{
	w->counts.nodes_lost++;
	w->boot[node]++;
	for (size_t i = 0; i < PROCESSES; i++)
		if (w->process[i].node == node) {
			process_kill(w, &w->process[i]);
			lose_file(&w->process[i]);
		}
}

/* Claimed, and nothing sent: given back. The process may end between the commit
 * and the mark in the file. */
static void
resolve_claimed(struct world *w, struct process *p)
{
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];
		struct store_claim claim = { .id = { { 0 } }, .n = e->n };
		struct call call = { 0 };

		if (e->phase != CLAIMED)
			continue;
		claim.id = e->mail->id;
		store_claim_release(p->pg, p->worker, &claim, 1, call_done,
		    &call);
		call_wait(w, &call);
		observe(w, &e->mail, 1, p->worker);
		if (!world_fault(w, 15))
			*e = (struct entry){ 0 };
	}
}

/*
 * All that the file knows, under the old number; false: ended meanwhile, the
 * next one begins again.
 */
static bool
resolve(struct world *w, struct process *p)
{
	struct entry *entries[HAND];
	size_t n = 0;

	if (world_fault(w, 5))
		return false;
	resolve_claimed(w, p);
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == CLAIMED)
			return false;
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == SENT || p->hand[i].phase == REPLIED)
			entries[n++] = &p->hand[i];
	if (!outcome_write(w, p->pg, p->worker, entries, n))
		return false;
	memset(p->hand, 0, sizeof(p->hand));
	return !world_fault(w, 5);
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

	if (p->has_file && before != 0 && !resolve(w, p))
		return;
	lose_file(p);
	p->worker = world_worker(w, "mta", p->node, p->slot);
	p->beat_ms = world_now();
	p->is_up = p->must_sync = true;
	clear_slot(w, p, before);
}

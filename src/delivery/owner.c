/*
 * Who this process is to the others: its worker row, the heartbeat that keeps
 * it alive, and the sources it owns. Starts over whenever Postgres was away.
 *
 *   resolve the slot file (resolve.c) -> add row -> set rows of other boots
 *   and earlier lives in this slot dead -> own sources -> reap what the dead
 *   held -> lease;  then every 5 s: beat, own, disown what is another's now
 *
 * The lock on the slot file says that the last process of the slot has ended,
 * so an earlier row of the same node, role and slot is of a dead process.
 */
#include "delivery/delivery_priv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/reap.h"
#include "store/sources.h"
#include "store/workers.h"

#define SOURCES_MAX 256 /* that one process owns */

struct owner {
	struct mta *mta;
	struct timer *timer;
	struct resolve *resolve; /* under way: nothing else happens */
	struct pg_tx *tx;	 /* one step at a time */
	int64_t beat_sent_mono_ms, beat_good_mono_ms;
	void (*stopped)(struct mta *m);
	char boot_id[CLOCK_BOOT_ID_LEN];
	bool is_clear; /* those before us are set dead */
	size_t dead_count;
	int dead[64];
	size_t want_count;
	int want[SOURCES_MAX];
	bool has_told_more; /* there are more */
	size_t keep_count;
	int keep[2048];
	bool keeps_all; /* more are busy than fit */
};

static void step_sources(struct owner *o);

static void
again(struct owner *o, int64_t after_ms)
{
	if (o->stopped == NULL)
		timer_set(o->timer, after_ms);
}

static bool
step_failed(struct owner *o, const char *what, const struct error *err)
{
	o->tx = NULL;
	if (err == NULL)
		return false;
	log_warn(&o->mta->log, "owner.failed", log_text("step", what),
	    log_err(err));
	again(o, 1000);
	return true;
}

bool
owner_is_alive(const struct mta *m)
{
	const struct owner *o = m->owner;

	return m->worker != 0 &&
	    clock_mono_ms() - o->beat_good_mono_ms <
	    clock_patience_ms(STORE_FENCE_MS);
}

/* -- sources
 * ------------------------------------------------------------------- */

static bool
same_sources(const struct mta *m, const struct source *s, size_t n)
{
	if (n != m->source_count)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i].number != m->sources[i].number ||
		    s[i].pool != m->sources[i].pool ||
		    s[i].weight != m->sources[i].weight ||
		    s[i].daily != m->sources[i].daily ||
		    strcmp(s[i].helo, m->sources[i].helo) != 0 ||
		    !net_addr_eq_host(&s[i].addr, &m->sources[i].addr))
			return false;
	return true;
}

void
owner_reap(struct mta *m)
{
	struct owner *o = m->owner;
	size_t step = queue_lane_count(m->opt.shaping);

	if (m->queue == NULL || !queue_is_connected(m->queue))
		return; /* once it is */
	for (size_t d = 0; d < o->dead_count; d++)
		for (size_t i = 0; i < m->lane_count; i += step)
			reap_worker(m->queue, m->opt.shaping,
			    m->lanes[i]->lane.pool, o->dead[d]);
	o->dead_count = 0;
}

/* What another process sent from it until now is not known here. */
static void
keep_or_restart(struct mta *m, struct source *s)
{
	s->owned_at_us = clock_mono_us();
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].number == s->number) {
			s->owned_at_us = m->sources[i].owned_at_us;
			return;
		}
	scopes_restart(m, s);
}

static void
take_sources(struct mta *m, struct source *list, size_t n)
{
	if (same_sources(m, list, n)) {
		free(list);
		return;
	}
	for (size_t i = 0; i < n; i++)
		keep_or_restart(m, &list[i]);
	free(m->sources);
	m->sources = list;
	m->source_count = n;
	for (size_t i = 0; i < n; i++) {
		char ip[NET_ADDR_TEXT];

		net_addr_format(&list[i].addr, ip);
		log_info(&m->log, "source.owned", log_text("address", ip),
		    log_text("helo", list[i].helo),
		    log_int("pool", list[i].pool));
	}
	lanes_update(m);
	dests_retire(m);
	quotas_update(m);
	lanes_ask(m);
}

/* What leaves from it counts against its limits until the last connection is
 * gone. */
static bool
keep_busy(void *ctx, struct slice key, void *value)
{
	struct owner *o = ctx;
	const struct dest *d = value;

	(void)key;
	if (!d->is_retired || d->session_count == 0)
		return true;
	if (o->keep_count == ARRAY_LEN(o->keep)) {
		o->keeps_all = true;
		return false;
	}
	o->keep[o->keep_count++] = d->source.number;
	return true;
}

static void
on_disowned_others(void *ctx, const struct error *err)
{
	struct owner *o = ctx;

	if (!step_failed(o, "disown sources", err))
		again(o, clock_patience_ms(STORE_HEARTBEAT_MS));
}

static void
step_disown(struct owner *o)
{
	struct mta *m = o->mta;

	o->keeps_all = false;
	o->keep_count = o->want_count;
	memcpy(o->keep, o->want, o->want_count * sizeof(o->want[0]));
	hash_each(m->dests, keep_busy, o);
	if (o->keeps_all) {
		o->tx = NULL;
		again(o, clock_patience_ms(STORE_HEARTBEAT_MS));
		return;
	}
	o->tx = store_source_disown(m->opt.pg, m->worker, o->keep,
	    o->keep_count, on_disowned_others, o);
}

static void
on_owned(void *ctx, const struct store_source *row, size_t count,
    const struct error *err)
{
	struct owner *o = ctx;
	struct source *list;
	size_t n = 0;

	if (step_failed(o, "own sources", err))
		return;
	list = xcalloc(count, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		struct source *s = &list[n];
		struct error why;

		s->number = row[i].number;
		s->pool = row[i].pool;
		s->weight = (unsigned int)MAX(row[i].weight, 1);
		s->daily = row[i].daily_limit;
		snprintf(s->helo, sizeof(s->helo), "%.*s",
		    SLICE_FMT(row[i].helo));
		if (net_addr_parse(row[i].address, 0, &s->addr, &why) == -1)
			log_error(&o->mta->log, "source.address",
			    log_err(&why));
		else
			n++;
	}
	take_sources(o->mta, list, n);
	owner_reap(o->mta);
	step_disown(o);
}

static void
tell_more(struct owner *o)
{
	if (!o->has_told_more)
		log_error(&o->mta->log, "source.too_many",
		    log_uint("most", SOURCES_MAX),
		    log_text("hint",
			"more mta_processes, or nodes, can own the others"));
	o->has_told_more = true;
}

/*
 * Every enabled source of this node goes to the slot that its number picks:
 * all processes come to the same split without asking each other.
 */
static void
on_sources(void *ctx, const struct store_source *row, size_t count,
    const struct error *err)
{
	struct owner *o = ctx;
	struct mta *m = o->mta;
	unsigned int slots = MAX(m->opt.slots, 1u);

	if (step_failed(o, "list sources", err))
		return;
	o->want_count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!row[i].enabled || i % slots != m->opt.slot ||
		    rules_hold(m, row[i].address))
			continue;
		if (o->want_count < ARRAY_LEN(o->want))
			o->want[o->want_count++] = row[i].number;
		else
			tell_more(o);
	}
	o->tx = store_source_own(m->opt.pg, m->worker, o->want, o->want_count,
	    on_owned, o);
}

static void
step_sources(struct owner *o)
{
	o->tx = store_source_list(o->mta->opt.pg, slice_of(o->mta->opt.node),
	    on_sources, o);
}

/* -- the worker row
 * --------------------------------------------------------------- */

static void
note_dead(struct owner *o, const struct store_worker *dead, size_t count)
{
	for (size_t i = 0; i < count && o->dead_count < ARRAY_LEN(o->dead); i++)
		o->dead[o->dead_count++] = dead[i].id;
}

static void
on_boots_clear(void *ctx, const struct store_worker *dead, size_t count,
    const struct error *err)
{
	struct owner *o = ctx;

	if (step_failed(o, "clear other boots", err))
		return;
	note_dead(o, dead, count);
	o->is_clear = true;
	step_sources(o);
}

static void
on_slot_clear(void *ctx, const struct store_worker *dead, size_t count,
    const struct error *err)
{
	struct owner *o = ctx;
	struct mta *m = o->mta;

	if (step_failed(o, "clear slot", err))
		return;
	note_dead(o, dead, count);
	if (o->boot_id[0] == '\0') /* nothing to compare with */
		on_boots_clear(o, NULL, 0, NULL);
	else
		o->tx = store_worker_set_dead_boots(m->opt.pg,
		    slice_of(m->opt.node), slice_of(o->boot_id), on_boots_clear,
		    o);
}

/* Whoever was in this slot, or on this machine before it was started. */
static void
step_clear(struct owner *o)
{
	const struct mta *m = o->mta;

	o->tx = store_worker_set_dead_slot(m->opt.pg, slice_of(m->opt.node),
	    SLICE("mta"), (int)m->opt.slot, m->worker, on_slot_clear, o);
}

static void
on_beat(void *ctx, const struct error *err)
{
	struct owner *o = ctx;
	struct mta *m = o->mta;

	if (err != NULL && err->kind == ERR_NOTFOUND) {
		o->tx = NULL;
		/* After a long silence; or the node's name is another's, too,
		 * which was started at the same moment. */
		log_error(&m->log, "worker.declared_dead",
		    log_int("worker", m->worker),
		    log_text("node", m->opt.node));
		m->worker = 0;
		if (m->opt.lost != NULL)
			m->opt.lost(m->opt.lost_ctx);
		return;
	}
	if (step_failed(o, "heartbeat", err))
		return;
	o->beat_good_mono_ms = o->beat_sent_mono_ms;
	if (o->is_clear)
		step_sources(o);
	else /* Postgres went away in the middle */
		step_clear(o);
}

static void
on_added(void *ctx, const struct store_worker *row, size_t count,
    const struct error *err)
{
	struct owner *o = ctx;
	struct mta *m = o->mta;

	if (step_failed(o, "register", err))
		return;
	if (count == 0) {
		again(o, 1000);
		return;
	}
	m->worker = row->id;
	slot_begin(m->slot, m->worker);
	o->beat_good_mono_ms = o->beat_sent_mono_ms;
	log_info(&m->log, "worker.registered", log_int("worker", m->worker));
	step_clear(o);
}

static void
on_time(void *ctx)
{
	struct owner *o = ctx;
	struct mta *m = o->mta;

	if (o->tx != NULL)
		return;
	if (!pg_is_up(m->opt.pg)) {
		again(o, 200);
		return;
	}
	o->beat_sent_mono_ms = clock_mono_ms();
	if (m->worker != 0) {
		o->tx = store_worker_beat(m->opt.pg, m->worker, on_beat, o);
		return;
	}
	o->tx = store_worker_add(m->opt.pg,
	    &(struct store_worker){
		.node = slice_of(m->opt.node),
		.role = SLICE("mta"),
		.boot_id = slice_of(o->boot_id),
		.slot = (int)m->opt.slot,
		.pid = (int)getpid(),
		.started_at_ms = clock_now_ms(),
	    },
	    on_added, o);
}

/* -- start and stop
 * ---------------------------------------------------------------- */

static void
on_resolved(struct mta *m)
{
	resolve_free(&m->owner->resolve);
	again(m->owner, 0);
}

void
owner_start(struct mta *m)
{
	struct owner *o = xmalloc(sizeof(*o));

	o->mta = m;
	o->timer = timer_new(m->opt.loop, on_time, o);
	clock_boot_id(o->boot_id);
	m->owner = o;
	if (m->opt.slot_dir != NULL)
		o->resolve = resolve_start(m, o->boot_id, on_resolved);
	else
		timer_set(o->timer, 0);
}

static void
on_dead(void *ctx, const struct error *err)
{
	struct owner *o = ctx;

	(void)err; /* a failure only means that the successor waits for it */
	o->tx = NULL;
	o->stopped(o->mta);
}

static void
on_disowned(void *ctx, const struct error *err)
{
	struct owner *o = ctx;
	struct mta *m = o->mta;

	(void)err;
	o->tx = store_worker_set_dead(m->opt.pg, m->worker, on_dead, o);
	m->worker = 0;
}

void
owner_stop(struct mta *m, void (*done)(struct mta *m))
{
	struct owner *o = m->owner;

	if (o->stopped != NULL)
		return;
	o->stopped = done;
	timer_cancel(o->timer);
	resolve_free(&o->resolve);
	pg_tx_cancel(&o->tx);
	if (m->worker == 0 || !pg_is_up(m->opt.pg)) {
		done(m);
		return;
	}
	o->tx =
	    store_source_disown(m->opt.pg, m->worker, NULL, 0, on_disowned, o);
}

void
owner_fini(struct mta *m)
{
	struct owner *o = m->owner;

	if (o == NULL)
		return;
	resolve_free(&o->resolve);
	pg_tx_cancel(&o->tx);
	timer_free(&o->timer);
	free(o);
	m->owner = NULL;
}

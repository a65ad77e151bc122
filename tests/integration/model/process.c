/*
 * An mta: what delivery/ does between the schedule and the far end, in steps
 * that may be far apart. Any of them may be the last one.
 */
#include "tests/integration/model/world.h"

#include "store/jobs.h"
#include "store/workers.h"

/* The schedule. ----------------------------------------------------------- */

/* Said to Redis once, heard or not. */
static void
ack(struct world *w, struct process *p, struct entry *e)
{
	struct queue_job job = job_of(e->mail, 0);
	struct call call = { 0 };

	if (!world_fault(w, 5)) {
		queue_ack(w->queue, &lanes[e->mail->lane], p->worker, &job, 1,
		    call_counted, &call);
		call_wait(w, &call);
	}
	*e = (struct entry){ 0 };
}

static void
defer(struct world *w, struct process *p, struct entry *e, int64_t delay_ms)
{
	struct queue_job job = job_of(e->mail, MAX(delay_ms, (int64_t)0));
	struct call call = { 0 };

	if (!world_fault(w, 5)) {
		queue_defer(w->queue, &lanes[e->mail->lane], p->worker, &job, 1,
		    call_counted, &call);
		call_wait(w, &call);
	}
	*e = (struct entry){ 0 };
}

static void
park(struct world *w, struct process *p, struct entry *e, int hold)
{
	struct queue_job job = job_of(e->mail, 0);
	struct call call = { 0 };

	queue_park(w->queue, &lanes[e->mail->lane], p->worker, hold, &job, 1,
	    call_counted, &call);
	call_wait(w, &call);
	*e = (struct entry){ 0 };
}

static struct entry *
find_entry(struct process *p, const struct mail *m)
{
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase != FREE && p->hand[i].mail == m)
			return &p->hand[i];
	return NULL;
}

static size_t
room(const struct process *p)
{
	size_t n = 0;

	for (size_t i = 0; i < HAND; i++)
		n += p->hand[i].phase == FREE;
	return n;
}

static void
take(struct process *p, struct mail *m)
{
	size_t i = 0;

	if (m == NULL || find_entry(p, m) != NULL)
		return; /* Redis was emptied and filled meanwhile */
	while (p->hand[i].phase != FREE)
		i++;
	p->hand[i] = (struct entry){ .phase = WAIT, .mail = m };
}

struct leasing {
	struct call call;
	struct world *w;
	struct process *p;
	bool is_lost;
};

static void
on_leased(void *ctx, const struct queue_lease_result *r)
{
	struct leasing *l = ctx;

	call_counted(&l->call, r->count, r->err);
	for (size_t i = 0; i < r->count && !l->is_lost; i++)
		take(l->p, world_mail(l->w, r->job[i].member.id));
}

bool
process_is_working(const struct process *p)
{
	return p->is_up && !p->is_paused;
}

static bool
is_fenced(const struct process *p)
{
	return world_now() - p->beat_ms >= FENCE_MS;
}

void
process_lease(struct world *w, struct process *p)
{
	struct leasing l = { .w = w, .p = p, .is_lost = world_fault(w, 4) };
	size_t n = 1 + world_below(w, 8);

	if (is_fenced(p) || room(p) < n)
		return;
	w->counts.answers_lost += l.is_lost;
	queue_lease(w->queue, &lanes[world_below(w, LANES)], p->worker, n, 1,
	    on_leased, &l);
	call_wait(w, &l.call);
}

static void
on_others(void *ctx, const struct queue_lease_result *r)
{
	struct leasing *l = ctx;

	call_counted(&l->call, r->count, r->err);
	for (size_t i = 0; i < r->count && !l->is_lost; i++) {
		struct mail *m = world_mail(l->w, r->job[i].member.id);
		struct entry *e = m != NULL ? find_entry(l->p, m) : NULL;

		/* Another's, unless claimed, or perhaps claimed. */
		if (e != NULL && e->phase == WAIT && !e->has_asked)
			*e = (struct entry){ 0 };
	}
}

void
process_sync(struct world *w, struct process *p)
{
	for (size_t lane = 0; lane < LANES; lane++) {
		struct leasing l = { .w = w,
			.p = p,
			.is_lost = world_fault(w, 5) };
		struct queue_job jobs[HAND];
		size_t n = 0;

		for (size_t i = 0; i < HAND; i++)
			if (p->hand[i].phase != FREE &&
			    p->hand[i].mail->lane == lane)
				jobs[n++] = job_of(p->hand[i].mail, 0);
		queue_sync(w->queue, &lanes[lane], p->worker, jobs, n,
		    on_others, &l);
		call_wait(w, &l.call);
	}
	p->must_sync = false;
}

/* The rows. --------------------------------------------------------------- */

struct jobs_seen {
	struct call call;
	struct world *w;
	struct process *p;
	struct {
		int attempts;
		bool is_there, is_finished;
		int64_t retry_at_ms, expires_at_ms;
	} row[HAND]; /* as hand */
};

static void
on_jobs(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct jobs_seen *seen = ctx;

	call_done(&seen->call, err);
	for (size_t i = 0; i < count; i++) {
		struct entry *e =
		    find_entry(seen->p, world_mail(seen->w, job[i].id));
		size_t at;

		assert_non_null(e);
		at = (size_t)(e - seen->p->hand);
		seen->row[at].is_there = true;
		seen->row[at].attempts = job[i].attempts;
		seen->row[at].is_finished = job[i].finished_at_ms != 0;
		seen->row[at].retry_at_ms = job[i].retry_at_ms;
		seen->row[at].expires_at_ms = job[i].expires_at_ms;
	}
}

static void
decide(struct world *w, struct process *p, struct entry *e,
    const struct jobs_seen *seen)
{
	size_t at = (size_t)(e - p->hand), flow = e->mail->flow % FLOWS;
	int64_t now_ms = world_now();

	if (!seen->row[at].is_there || seen->row[at].is_finished) {
		ack(w, p, e);
		return;
	}
	e->is_read = true;
	e->n = seen->row[at].attempts + 1;
	if (e->mail->accepted_at_ms < w->canceled_before_ms[flow])
		e->end = STATUS_CANCELED;
	else if (seen->row[at].expires_at_ms <= now_ms)
		e->end = STATUS_FAILED;
	else if (w->hold[flow] != 0)
		park(w, p, e, w->hold[flow]);
	/* Sometimes a clock that goes fast: the claim has the last word. */
	else if (seen->row[at].retry_at_ms > now_ms && !world_fault(w, 10))
		defer(w, p, e, seen->row[at].retry_at_ms - now_ms);
}

void
process_read(struct world *w, struct process *p)
{
	struct jobs_seen seen = { .w = w, .p = p };
	struct id ids[HAND];
	size_t n = 0;

	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == WAIT && !p->hand[i].is_read)
			ids[n++] = p->hand[i].mail->id;
	if (n == 0)
		return;
	store_jobs_read(p->pg, ids, n, 0, on_jobs, &seen);
	call_wait(w, &seen.call);
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == WAIT && !p->hand[i].is_read)
			decide(w, p, &p->hand[i], &seen);
}

/* Claims. ------------------------------------------------------------------ */

struct claiming {
	struct call call;
	struct process *p;
	bool anyway, is_lost;
	int64_t now_ms;
	size_t n;
	struct entry *entry[HAND];
	struct store_claim claim[HAND];
};

static struct store_claim
claim_of(const struct entry *e)
{
	return (struct store_claim){
		.id = e->mail->id,
		.n = e->n,
		.account = (int)e->mail->flow / 2,
		.stream = (int)e->mail->flow % 2,
		.key = slice_of(e->mail->key),
	};
}

static bool
claim_send(struct world *w, struct claiming *c, struct process *p, bool anyway)
{
	*c = (struct claiming){ .p = p,
		.anyway = anyway,
		.is_lost = world_fault(w, 6),
		.now_ms = world_now() };
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];

		if (e->phase != WAIT || !e->is_read || (e->end != 0) != anyway)
			continue;
		c->entry[c->n] = e;
		c->claim[c->n++] = claim_of(e);
	}
	if (c->n == 0)
		return false;
	store_claim_start(p->pg, p->worker, c->now_ms, anyway, c->claim, c->n,
	    call_done, &c->call);
	return true;
}

static void
settle_open(struct world *w, struct process *p, struct entry *e,
    const struct store_claim *c, int64_t now_ms)
{
	int64_t left_ms = c->claimed_at_ms + STORE_CLAIM_MS - now_ms;

	if (left_ms > 0) {
		defer(w, p, e, left_ms);
		return;
	}
	/* Written in a step of its own. */
	e->phase = ABANDON;
	e->holder = c->holder;
	e->open_n = c->open_n;
	e->claimed_at_ms = c->claimed_at_ms;
}

static void
settle_mine(struct world *w, struct process *p, struct entry *e,
    const struct claiming *c, const struct store_claim *claim)
{
	if (claim->claimed_at_ms != 0 && !e->has_asked) {
		settle_open(w, p, e, claim, c->now_ms);
		return;
	}
	if (claim->claimed_at_ms == 0 && !c->anyway)
		check_granted(w, e->mail, c->now_ms);
	e->claimed_at_ms =
	    claim->claimed_at_ms != 0 ? claim->claimed_at_ms : c->now_ms;
	e->phase = e->end != 0 ? REPLIED : CLAIMED;
}

static void
settle(struct world *w, const struct claiming *c, size_t i)
{
	const struct store_claim *claim = &c->claim[i];
	struct entry *e = c->entry[i];

	switch (claim->result) {
	case STORE_CLAIM_MINE:
		settle_mine(w, c->p, e, c, claim);
		return;
	case STORE_CLAIM_FINISHED:
	case STORE_CLAIM_GONE:
		ack(w, c->p, e);
		return;
	case STORE_CLAIM_NOT_DUE:
		defer(w, c->p, e, claim->retry_at_ms - c->now_ms);
		return;
	case STORE_CLAIM_SUPPRESSED:
		e->end = STATUS_SUPPRESSED;
		return;
	case STORE_CLAIM_OPEN:
		settle_open(w, c->p, e, claim, c->now_ms);
		return;
	case STORE_CLAIM_MOVED:
	case STORE_CLAIM_NONE:
		defer(w, c->p, e, 1000);
		return;
	}
}

/* A claim to send that was granted but not heard of is checked all the same. */
static void
check_unheard(struct world *w, const struct claiming *c, size_t i)
{
	c->entry[i]->has_asked = true;
	if (c->claim[i].result == STORE_CLAIM_MINE && !c->anyway &&
	    c->claim[i].claimed_at_ms == 0)
		check_granted(w, c->entry[i]->mail, c->now_ms);
}

static void
claim_take(struct world *w, struct claiming *c)
{
	struct mail *mails[HAND];

	for (size_t i = 0; i < c->n; i++)
		mails[i] = c->entry[i]->mail;
	w->counts.answers_lost += c->is_lost;
	for (size_t i = 0; i < c->n; i++)
		if (c->is_lost)
			check_unheard(w, c, i);
		else
			settle(w, c, i);
	observe(w, mails, c->n, c->p->worker);
}

void
process_claim(struct world *w, struct process *p, struct process *q)
{
	struct claiming c[4];
	size_t n = 0;

	n += claim_send(w, &c[n], p, false);
	if (q != NULL)
		n += claim_send(w, &c[n], q, false);
	n += claim_send(w, &c[n], p, true);
	if (q != NULL)
		n += claim_send(w, &c[n], q, true);
	for (size_t i = 0; i < n; i++)
		call_wait(w, &c[i].call);
	for (size_t i = 0; i < n; i++)
		claim_take(w, &c[i]);
}

static void
give_back(struct world *w, struct process *p, struct entry *e)
{
	struct store_claim claim = claim_of(e);
	struct mail *m = e->mail;
	struct call call = { 0 };

	if (!world_fault(w, 10)) {
		store_claim_release(p->pg, p->worker, &claim, 1, call_done,
		    &call);
		call_wait(w, &call);
	}
	defer(w, p, e, 0);
	observe(w, &m, 1, p->worker);
}

/* Whether the claim stands and is young enough for a dot. */
static bool
is_fresh(struct world *w, struct process *p, struct entry *e)
{
	struct store_claim claim = claim_of(e);
	struct call call = { 0 };
	int64_t now_ms = world_now();

	if (now_ms - e->claimed_at_ms <= DOT_AGE_MS)
		return true;
	if (world_percent(w, 50) || is_fenced(p)) {
		give_back(w, p, e);
		return false;
	}
	store_claim_renew(p->pg, p->worker, now_ms, &claim, 1, call_done,
	    &call);
	call_wait(w, &call);
	observe(w, &e->mail, 1, p->worker);
	if (claim.result == STORE_CLAIM_MINE)
		e->claimed_at_ms = now_ms;
	else
		defer(w, p, e, 1000);
	return claim.result == STORE_CLAIM_MINE;
}

/* Sending. ---------------------------------------------------------------- */

void
process_begin(struct world *w, struct process *p)
{
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];

		if (e->phase == CLAIMED && !e->has_begun && !is_fenced(p) &&
		    is_fresh(w, p, e))
			e->has_begun = true;
		else if (e->phase == CLAIMED && world_fault(w, 5))
			give_back(w, p, e); /* no connection, say */
	}
}

/* What the far end makes of it, and whether we shall hear. */
static enum said
far_end(struct world *w, struct mail *m)
{
	if (world_fault(w, 5))
		return SAID_NOTHING; /* it never came there */
	if (world_fault(w, 15))
		return SAID_LATER;
	if (world_fault(w, 5)) {
		m->refused++;
		return SAID_NO;
	}
	m->taken++;
	check_taken(w, m);
	return world_fault(w, 8) ? SAID_NOTHING : SAID_YES;
}

void
process_dot(struct world *w, struct process *p)
{
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];

		if (e->phase != CLAIMED || !e->has_begun || !is_fresh(w, p, e))
			continue;
		e->phase = SENT;
		e->sent_at_ms = world_now();
		e->said = far_end(w, e->mail);
	}
}

void
process_reply(struct world *w, struct process *p)
{
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];
		bool is_late = world_now() - e->sent_at_ms > REPLY_MS;

		if (e->phase != SENT || (!is_late && world_fault(w, 30)))
			continue;
		e->phase = REPLIED;
		/* Who slept may find the reply in his buffer. */
		if (is_late && world_percent(w, 50))
			e->said = SAID_NOTHING;
	}
}

void
process_write(struct world *w, struct process *p)
{
	struct entry *entries[HAND];
	size_t n = 0;

	/* What others left is not urgent: it may have changed by then. */
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == REPLIED ||
		    (p->hand[i].phase == ABANDON && !world_fault(w, 80)))
			entries[n++] = &p->hand[i];
	if (!outcome_write(w, p->pg, p->worker, entries, n))
		return;
	for (size_t i = 0; i < n; i++) {
		int64_t at_ms = outcome_retry_at(entries[i]);

		if (at_ms == 0)
			ack(w, p, entries[i]);
		else
			defer(w, p, entries[i], at_ms - world_now());
	}
}

/* Life. ------------------------------------------------------------------- */

static void
on_beat(void *ctx, const struct error *err)
{
	struct call *call = ctx;

	call->count = err != NULL && err->kind == ERR_NOTFOUND;
	call_counted(call, call->count, call->count ? NULL : err);
}

void
process_beat(struct world *w, struct process *p)
{
	struct call call = { 0 };
	int64_t sent_ms = world_now();

	store_worker_beat(p->pg, p->worker, on_beat, &call);
	call_wait(w, &call);
	if (call.count > 0) {
		w->counts.declared_dead++;
		process_kill(w, p);
	} else {
		p->beat_ms = sent_ms;
	}
}

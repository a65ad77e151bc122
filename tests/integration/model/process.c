/*
 * An mta: what delivery/ does between the schedule and the far end, in steps
 * that may be far apart. Any of them may be the last one. Here the schedule,
 * the rows and the records; claims and sending are in sending.c.
 */
#include "tests/integration/model/world.h"

#include "queue/rules.h"
#include "store/jobs.h"
#include "store/workers.h"

/* The schedule. ----------------------------------------------------------- */

/* Said to Redis once, heard or not. */
void
process_ack(struct world *w, struct process *p, struct entry *e)
{
	struct queue_job job = job_of(e->mail, 0);
	struct call call = { 0 };

	if (!world_fault(w, 5)) {
		queue_ack(w->queue, &lanes[e->mail->lane], p->worker, &job, 1,
		    call_counted, &call);
		call_wait(w, &call);
	}
	entry_free(p, e);
}

void
process_defer(struct world *w, struct process *p, struct entry *e,
    int64_t delay_ms)
{
	struct queue_job job = job_of(e->mail, MAX(delay_ms, (int64_t)0));
	struct call call = { 0 };

	if (!world_fault(w, 5)) {
		queue_defer(w->queue, &lanes[e->mail->lane], p->worker, &job, 1,
		    call_counted, &call);
		call_wait(w, &call);
	}
	entry_free(p, e);
}

static void
park(struct world *w, struct process *p, struct entry *e, int hold)
{
	struct queue_job job = job_of(e->mail, 0);
	struct call call = { 0 };

	queue_park(w->queue, &lanes[e->mail->lane], p->worker, hold, &job, 1,
	    call_counted, &call);
	call_wait(w, &call);
	entry_free(p, e);
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

bool
process_is_fenced(const struct process *p)
{
	return world_now() - p->beat_ms >= FENCE_MS;
}

void
process_lease(struct world *w, struct process *p)
{
	struct leasing l = { .w = w, .p = p, .is_lost = world_fault(w, 4) };
	size_t n = 1 + world_below(w, 8);

	if (process_is_fenced(p) || room(p) < n)
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
			entry_free(l->p, e);
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
	bool has_heads;
	struct {
		int attempts;
		bool is_there, is_finished, is_held, is_canceled;
		int rules, hold;
		int64_t retry_at_ms, expires_at_ms;
	} row[HAND]; /* as hand */
};

/* As delivery/rules.c does it. */
static void
look_at_rules(struct jobs_seen *seen, size_t at, const struct store_job *job)
{
	const struct store_rule *list, *found;
	struct rules_subject what = {
		.account = job->email->account,
		.address = job->address,
		.head = job->head,
		.accepted_at_ms = id_time_ms(job->id),
	};
	size_t n;

	list = rules_list(seen->p->rules, &n);
	seen->row[at].rules = seen->has_heads || !rules_want_heads(list, n)
	    ? rules_generation(seen->p->rules)
	    : -1;
	found = rules_find(list, n, &what, world_now());
	if (found == NULL)
		return;
	seen->row[at].is_held = found->kind == RULE_HOLD;
	seen->row[at].is_canceled = found->kind == RULE_CANCEL;
	seen->row[at].hold = found->number;
}

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
		look_at_rules(seen, at, &job[i]);
	}
}

static void
decide(struct world *w, struct process *p, struct entry *e,
    const struct jobs_seen *seen)
{
	size_t at = (size_t)(e - p->hand);
	int64_t now_ms = world_now();

	if (!seen->row[at].is_there || seen->row[at].is_finished) {
		process_ack(w, p, e);
		return;
	}
	e->is_read = true;
	e->n = seen->row[at].attempts + 1;
	e->rules = seen->row[at].rules;
	if (seen->row[at].expires_at_ms <= now_ms)
		e->end = STATUS_FAILED;
	else if (seen->row[at].is_canceled)
		e->end = STATUS_CANCELED;
	else if (seen->row[at].is_held)
		park(w, p, e, seen->row[at].hold);
	/* Sometimes a clock that goes fast: the claim has the last word. */
	else if (seen->row[at].retry_at_ms > now_ms && !world_fault(w, 50))
		process_defer(w, p, e, seen->row[at].retry_at_ms - now_ms);
}

void
process_read(struct world *w, struct process *p)
{
	struct jobs_seen seen = { .w = w, .p = p };
	const struct store_rule *list;
	struct id ids[HAND];
	size_t n = 0, rules;

	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == WAIT && !p->hand[i].is_read)
			ids[n++] = p->hand[i].mail->id;
	if (n == 0)
		return;
	/* Its answer comes before the rows. */
	list = rules_list(p->rules, &rules);
	if (rules_generation(p->rules) < 0 || rules > 0)
		rules_refresh(p->rules);
	seen.has_heads = rules_want_heads(list, rules);
	if (seen.has_heads)
		store_jobs_read_heads(p->pg, ids, n, on_jobs, &seen);
	else
		store_jobs_read(p->pg, ids, n, on_jobs, &seen);
	call_wait(w, &seen.call);
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase == WAIT && !p->hand[i].is_read)
			decide(w, p, &p->hand[i], &seen);
}

/* What is over. ----------------------------------------------------------- */

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
			process_ack(w, p, entries[i]);
		else
			process_defer(w, p, entries[i], at_ms - world_now());
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
		rules_refresh(p->rules);
		if (!world_fault(w, 10))
			limits_beat(w, p);
	}
}

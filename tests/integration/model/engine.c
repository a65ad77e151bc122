/*
 * What of an mta is the product's own in the model: the slot file and how it is
 * settled (delivery/slot.c, resolve.c). An end by kill -9 is a mapping that is
 * dropped; what the process knew then is kept to compare with what the next one
 * reads out of the file.
 */
#include "tests/integration/model/engine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "delivery/quota.h"
#include "net/loop.h"
#include "outcome/verdict.h"
#include "queue/rules.h"

/* The rest of the engine, as far as the linker asks for it: no job of the
 * model is a struct job that waits somewhere. */

static void NORETURN
not_here(const char *what)
{
	fail_msg("the model has no %s", what);
	abort();
}

void
dest_forget(struct job *j)
{
	(void)j;
	not_here("dest_forget");
}

void
renew_cancel(struct job *j)
{
	(void)j;
	not_here("renew_cancel");
}

void
job_drop_content(struct job *j)
{
	(void)j;
	not_here("job_drop_content");
}

void
lane_ack(struct job *j)
{
	(void)j;
	not_here("lane_ack");
}

void
lane_defer(struct job *j, int64_t delay_ms)
{
	(void)j;
	(void)delay_ms;
	not_here("lane_defer");
}

/* Whoever waits for something looks again in each step. */
void
dest_work_soon(struct dest *d)
{
	(void)d;
}

void
mta_flush_soon(struct mta *m)
{
	(void)m;
}

/* Beginning and end. ------------------------------------------------------ */

static void
boot_id_of(const struct world *w, const struct process *p, char out[40])
{
	snprintf(out, 40, "node%d-boot%u", p->node, w->boot[p->node]);
}

void
engine_open(struct world *w, struct process *p)
{
	struct mta *m = xmalloc(sizeof(*m));

	m->opt = (struct mta_options){ .loop = w->loop,
		.pg = p->pg,
		.shaping = w->shaping,
		.slot = (unsigned int)(p - w->process),
		.slot_dir = w->dir,
		.retry = { .base_ms = MINUTE_MS,
		    .max_ms = 60 * MINUTE_MS,
		    .unknown_ms = CLAIM_LIFE_MS },
		.in_hand_max = HAND };
	m->outcomes = outcome_writer_new(w->loop, p->pg);
	p->mta = m;
	p->rules = rules_new(p->pg);
	quotas_init(m);
}

void
engine_close(struct process *p)
{
	struct mta *m = p->mta;

	if (m == NULL)
		return;
	limits_free(p);
	p->mta = NULL;
	rules_free(&p->rules);
	slot_close(&m->slot);
	outcome_writer_free(&m->outcomes);
	free(m);
}

void
engine_lose_file(struct world *w, struct process *p)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/mta-%d.slots", w->dir,
	    (int)(p - w->process));
	unlink(path);
}

/* What the file says. ----------------------------------------------------- */

static enum slot_phase
phase_in_file(const struct entry *e)
{
	switch (e->phase) {
	case FREE:
	case ABANDON:
		break;
	case WAIT:
		return SLOT_WAIT;
	case CLAIMED:
		return SLOT_CLAIMED;
	case SENT:
		return SLOT_SENT;
	case REPLIED:
		if (e->end != 0)
			return SLOT_CLAIMED;
		return e->has_heard ? SLOT_REPLIED : SLOT_SENT;
	}
	return SLOT_FREE;
}

static const struct entry *
find_left(const struct world *w, const struct process *p,
    const struct slot_left *left)
{
	for (size_t i = 0; i < HAND; i++) {
		const struct entry *e = &p->hand[i];

		if (e->slot != 0 &&
		    id_cmp(e->mail->id, left->claim.recipient) == 0 &&
		    (unsigned int)e->n == left->claim.n)
			return e;
	}
	world_violates(w, "6 the slot file tells what was",
	    "it has an entry that nobody made");
}

static void
check_left(const struct world *w, const struct process *p,
    const struct slot_left *left)
{
	const struct entry *e = find_left(w, p, left);
	struct mail_reply said = reply_of(e->said);

	if (left->phase != phase_in_file(e))
		world_violates(w, "6 the slot file tells what was",
		    "phase %d, but it was %d", (int)left->phase,
		    (int)phase_in_file(e));
	if (left->claim.source != e->source)
		world_violates(w, "6 the slot file tells what was",
		    "source %d, but it was %d", left->claim.source, e->source);
	if (left->phase >= SLOT_CLAIMED &&
	    left->claimed_at_ms != e->claimed_at_ms)
		world_violates(w, "6 the slot file tells what was",
		    "claimed %lld ms apart",
		    (long long)(left->claimed_at_ms - e->claimed_at_ms));
	if (left->phase == SLOT_REPLIED &&
	    (left->reply.code != said.code ||
		!slice_eq_text(left->reply.text, said.text)))
		world_violates(w, "6 the slot file tells what was", "%u %.*s",
		    left->reply.code, SLICE_FMT(left->reply.text));
}

static void
check_file(const struct world *w, const struct process *p)
{
	const struct slot *slot = p->mta->slot;
	struct slot_left left;
	size_t at = 0, found = 0, wanted = 0;

	for (size_t i = 0; p->has_file && i < HAND; i++)
		wanted += p->hand[i].slot != 0;
	while (slot_next(slot, &at, &left)) {
		if (!p->has_file)
			world_violates(w, "6 the slot file tells what was",
			    "one of another boot, or none, tells something");
		check_left(w, p, &left);
		found++;
	}
	if (found != wanted)
		world_violates(w, "6 the slot file tells what was",
		    "%zu entries of %zu", found, wanted);
	if (wanted > 0 && slot_worker(slot) != p->worker)
		world_violates(w, "6 the slot file tells what was",
		    "they are of %d, not of %d", slot_worker(slot), p->worker);
}

/* Settling it. ------------------------------------------------------------ */

/* What stood in the rows before. */
struct before {
	bool is_open[HAND];
};

static const struct attempt_row *
row_of(const struct process *p, const struct entry *e)
{
	const struct mail *m = e->mail;

	for (size_t i = 0; i < m->row_count; i++)
		if (m->row[i].n == e->n && m->row[i].worker == p->worker)
			return &m->row[i];
	return NULL;
}

static bool
is_open(const struct process *p, const struct entry *e)
{
	const struct attempt_row *row = row_of(p, e);

	return row != NULL && row->outcome == 0;
}

static void
check_settled_one(const struct world *w, const struct process *p,
    const struct entry *e)
{
	const struct attempt_row *row = row_of(p, e);
	enum slot_phase phase = phase_in_file(e);
	int outcome = row != NULL ? row->outcome : -1;
	int wanted = phase < SLOT_SENT ? -1
	    : phase == SLOT_SENT       ? VERDICT_UNKNOWN
				       : reply_of(e->said).outcome;

	if (outcome != wanted)
		world_violates(w, "6 what the file tells is recorded",
		    "phase %d, outcome %d (-1: no attempt, 0: open)",
		    (int)phase, outcome);
}

static void
on_settled(struct mta *m)
{
	*(bool *)m->opt.lost_ctx = true;
}

/* All of it, or until it is killed again. */
static bool
settle(struct world *w, struct process *p, const char *boot_id)
{
	struct mta *m = p->mta;
	bool is_over = false;
	size_t turns = world_fault(w, 15) ? world_below(w, 12) : SIZE_MAX;
	struct resolve *r;

	m->opt.lost_ctx = &is_over;
	r = resolve_start(m, boot_id, on_settled);
	while (!is_over && turns-- > 0)
		loop_turn(w->loop, 100);
	resolve_free(&r);
	return is_over;
}

bool
engine_resolve(struct world *w, struct process *p)
{
	struct before was = { { false } };
	struct error err = { 0 };
	char boot_id[40];
	bool is_over;

	boot_id_of(w, p, boot_id);
	engine_open(w, p);
	if (slot_open(&p->mta->slot, w->dir, p->mta->opt.slot, boot_id, &err) !=
	    0)
		fail_msg("%s", err.text);
	check_file(w, p);
	observe_all(w, p->worker);
	for (size_t i = 0; i < HAND; i++)
		was.is_open[i] = p->has_file && p->hand[i].slot != 0 &&
		    is_open(p, &p->hand[i]);
	is_over = settle(w, p, boot_id);
	if (!is_over) {
		engine_close(p);
		world_settle(w, p->pg);
	}
	observe_all(w, p->worker);
	for (size_t i = 0; is_over && i < HAND; i++)
		if (was.is_open[i])
			check_settled_one(w, p, &p->hand[i]);
	return is_over;
}

void
engine_begin(struct process *p)
{
	p->mta->worker = p->worker;
	slot_begin(p->mta->slot, p->worker);
}

/* The entry of a claim. --------------------------------------------------- */

void
entry_ask(struct process *p, struct entry *e, int64_t now_ms)
{
	if (e->slot != 0)
		return;
	e->asked_at_ms = now_ms;
	e->slot = slot_take(p->mta->slot,
	    &(struct slot_claim){ .recipient = e->mail->id,
		.n = (unsigned int)e->n,
		.source = e->source,
		.asked_at_ms = now_ms });
}

void
entry_claimed(struct process *p, struct entry *e)
{
	slot_claimed(p->mta->slot, e->slot, e->claimed_at_ms);
}

void
entry_sent(struct process *p, struct entry *e)
{
	slot_sent(p->mta->slot, e->slot, SLICE("mx.example.org"), SLICE(""));
}

void
entry_unsent(struct process *p, struct entry *e)
{
	slot_unsent(p->mta->slot, e->slot);
}

void
entry_replied(struct process *p, struct entry *e)
{
	struct mail_reply said = reply_of(e->said);

	slot_replied(p->mta->slot, e->slot,
	    &(struct slot_reply){ .stage = SMTP_STAGE_DOT,
		.code = said.code,
		.text = slice_of(said.text),
		.mx = SLICE("mx.example.org") });
}

void
entry_unclaimed(struct process *p, struct entry *e)
{
	slot_drop(p->mta->slot, e->slot);
	e->slot = 0;
}

void
entry_free(struct process *p, struct entry *e)
{
	entry_unclaimed(p, e);
	*e = (struct entry){ 0 };
}

/* The other half of process.c: claims, and what may be done under them. */
#include "tests/integration/model/world.h"

#include "queue/rules.h"

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
		.rules = e->rules,
		.source = e->source,
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
		if (!anyway && !limits_pick(w, p, e)) {
			process_defer(w, p, e, 1000);
			continue;
		}
		entry_ask(p, e, c->now_ms);
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
		process_defer(w, p, e, MIN(left_ms, STORE_CLAIM_AGAIN_MS));
		return;
	}
	/* Written in a step of its own. */
	entry_unclaimed(p, e);
	e->phase = ABANDON;
	e->holder = c->holder;
	e->open_n = c->open_n;
	e->claimed_at_ms = c->claimed_at_ms;
}

static void
settle_mine(struct world *w, struct process *p, struct entry *e,
    const struct claiming *c, const struct store_claim *claim)
{
	/* Older than the question: of an earlier attempt. */
	if (claim->claimed_at_ms != 0 &&
	    claim->claimed_at_ms < e->asked_at_ms) {
		settle_open(w, p, e, claim, c->now_ms);
		return;
	}
	if (claim->claimed_at_ms == 0 && !c->anyway)
		check_granted(w, e->mail, c->now_ms);
	e->claimed_at_ms =
	    claim->claimed_at_ms != 0 ? claim->claimed_at_ms : c->now_ms;
	e->phase = e->end != 0 ? REPLIED : CLAIMED;
	entry_claimed(p, e);
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
		process_ack(w, c->p, e);
		return;
	case STORE_CLAIM_NOT_DUE:
		process_defer(w, c->p, e, claim->retry_at_ms - c->now_ms);
		return;
	case STORE_CLAIM_SUPPRESSED:
		entry_unclaimed(c->p, e);
		e->end = STATUS_SUPPRESSED;
		return;
	case STORE_CLAIM_OPEN:
		settle_open(w, c->p, e, claim, c->now_ms);
		return;
	case STORE_CLAIM_RULES:
		w->counts.refused++;
		rules_refresh(c->p->rules);
		process_defer(w, c->p, e, world_percent(w, 50) ? 0 : 50);
		return;
	case STORE_CLAIM_MOVED:
	case STORE_CLAIM_NONE:
		process_defer(w, c->p, e, 1000);
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
	struct call command = { 0 };
	struct rule *rule = NULL;
	size_t n = 0;

	n += claim_send(w, &c[n], p, false);
	if (q != NULL)
		n += claim_send(w, &c[n], q, false);
	n += claim_send(w, &c[n], p, true);
	if (q != NULL)
		n += claim_send(w, &c[n], q, true);
	if (world_fault(w, 2))
		rule = rule_start(w,
		    world_percent(w, 90) ? RULE_HOLD : RULE_CANCEL, &command);
	for (size_t i = 0; i < n; i++)
		call_wait(w, &c[i].call);
	for (size_t i = 0; i < n; i++)
		claim_take(w, &c[i]);
	if (rule != NULL) {
		call_wait(w, &command);
		rule->is_on = true;
	}
}

void
process_give_back(struct world *w, struct process *p, struct entry *e,
    int64_t delay_ms)
{
	struct store_claim claim = claim_of(e);
	struct mail *m = e->mail;
	struct call call = { 0 };

	if (!world_fault(w, 10)) {
		claim.claimed_at_ms = e->asked_at_ms;
		store_claim_give_back(p->pg, p->worker, &claim, 1, call_done,
		    &call);
		call_wait(w, &call);
	}
	process_defer(w, p, e, delay_ms);
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
	if (world_percent(w, 50) || process_is_fenced(p)) {
		process_give_back(w, p, e, 0);
		return false;
	}
	store_claim_renew(p->pg, p->worker, now_ms, &claim, 1, call_done,
	    &call);
	call_wait(w, &call);
	observe(w, &e->mail, 1, p->worker);
	if (claim.result == STORE_CLAIM_MINE) {
		e->claimed_at_ms = now_ms;
		entry_claimed(p, e);
	} else {
		process_defer(w, p, e, 1000);
	}
	return claim.result == STORE_CLAIM_MINE;
}

/* Sending. ---------------------------------------------------------------- */

static void
begin(struct world *w, struct process *p, struct entry *e)
{
	int64_t wait_ms;

	switch (limits_begin(w, p, e, &wait_ms)) {
	case LIMITS_GO:
		e->has_begun = true;
		return;
	case LIMITS_WAIT:
		return;
	case LIMITS_OTHER:
		process_give_back(w, p, e, wait_ms);
		return;
	}
}

void
process_begin(struct world *w, struct process *p)
{
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];

		if (world_fault(w, 40))
			continue; /* no connection yet */
		if (e->phase == WAIT && e->has_asked && world_fault(w, 15)) {
			process_give_back(w, p, e, 0);
			continue;
		}
		if (e->phase == CLAIMED && process_is_fenced(p))
			limits_look(w, p, e);
		if (e->phase == CLAIMED && !e->has_begun &&
		    !process_is_fenced(p) && is_fresh(w, p, e))
			begin(w, p, e);
		else if (e->phase == CLAIMED && !e->has_begun &&
		    world_fault(w, 5))
			process_give_back(w, p, e, 0); /* no connection, say */
	}
	/* While it asks for blocks, perhaps. */
	if (world_fault(w, 2))
		process_kill(w, p);
	world_settle(w, p->pg);
	check_limits(w);
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

/* With the dot still in our own buffer. */
static void
link_dies(struct process *p, struct entry *e)
{
	entry_unsent(p, e);
	e->phase = CLAIMED;
	e->has_begun = false;
}

void
process_dot(struct world *w, struct process *p)
{
	for (size_t i = 0; i < HAND; i++) {
		struct entry *e = &p->hand[i];

		if (e->phase != CLAIMED || !e->has_begun ||
		    world_fault(w, 40) || !is_fresh(w, p, e))
			continue;
		check_dot(w, e->mail, e->n, p->worker);
		entry_sent(p, e);
		e->phase = SENT;
		e->sent_at_ms = world_now();
		if (world_fault(w, 2)) {
			process_kill(w, p);
			return;
		}
		if (world_fault(w, 4)) {
			link_dies(p, e);
			continue;
		}
		e->said = far_end(w, e->mail);
		if (world_fault(w, 2)) {
			process_kill(w, p);
			return;
		}
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
		e->has_heard = e->said != SAID_NOTHING;
		if (e->has_heard)
			entry_replied(p, e);
	}
}

/* What outcome/consequences.c makes of an attempt, as far as it matters here.
 */
#include "tests/integration/model/world.h"

#include "outcome/verdict.h"
#include "store/attempts.h"
#include "store/outcomes.h"

static bool
is_once(const struct entry *e)
{
	return e->mail->flags & EXACTLY_ONCE;
}

static bool
is_unknown(const struct entry *e)
{
	return e->phase == ABANDON || (e->end == 0 && e->said == SAID_NOTHING);
}

int64_t
outcome_retry_at(const struct entry *e)
{
	if (e->phase == ABANDON || e->end == 0) {
		if (is_unknown(e) && !is_once(e))
			return MAX(e->claimed_at_ms + CLAIM_LIFE_MS,
			    world_now() + 1000);
		if (!is_unknown(e) && e->said == SAID_LATER)
			return world_now() + MINUTE_MS * e->n;
	}
	return 0;
}

struct mail_reply
reply_of(enum said said)
{
	switch (said) {
	case SAID_NOTHING:
		break;
	case SAID_YES:
		return (struct mail_reply){ 250, "taken", VERDICT_DELIVERED };
	case SAID_LATER:
		return (struct mail_reply){ 451, "later", VERDICT_DEFERRED };
	case SAID_NO:
		return (struct mail_reply){ 550, "no", VERDICT_BOUNCED };
	}
	return (struct mail_reply){ 0, "", VERDICT_UNKNOWN };
}

static void
finish_as(struct store_outcome *o, int outcome, enum status status,
    enum event_kind kind)
{
	o->outcome = outcome;
	o->raise_to = status;
	o->finish = true;
	o->event[0].kind = kind;
}

static void
defer_as(struct store_outcome *o, int outcome, const struct entry *e)
{
	o->outcome = outcome;
	o->raise_to = STATUS_DEFERRED;
	o->retry_at_ms = outcome_retry_at(e);
	o->event[0].kind = EVENT_DELIVERY_DELAYED;
	o->event[0].dedupe = o->n;
}

static void
write_unknown(struct store_outcome *o, const struct entry *e)
{
	if (is_once(e)) {
		finish_as(o, VERDICT_UNKNOWN, STATUS_FAILED, EVENT_FAILED);
		o->reason = SLICE(FAIL_OUTCOME_UNKNOWN);
	} else {
		defer_as(o, VERDICT_UNKNOWN, e);
	}
}

static void
write_said(struct store_outcome *o, const struct entry *e)
{
	switch (e->said) {
	case SAID_NOTHING:
		write_unknown(o, e);
		break;
	case SAID_YES:
		finish_as(o, VERDICT_DELIVERED, STATUS_DELIVERED,
		    EVENT_DELIVERED);
		break;
	case SAID_LATER:
		defer_as(o, VERDICT_DEFERRED, e);
		break;
	case SAID_NO:
		finish_as(o, VERDICT_BOUNCED, STATUS_BOUNCED, EVENT_BOUNCED);
		break;
	}
}

static struct store_outcome
record_of(const struct entry *e, int worker)
{
	struct store_outcome o = {
		.id = e->mail->id,
		.account = (int)e->mail->flow / 2,
		.n = e->n,
		.worker = worker,
		.event_count = 1,
	};

	if (e->phase == ABANDON) {
		o.n = e->open_n;
		o.worker = e->holder;
		o.only_open = true;
		o.claimed_at_ms = e->claimed_at_ms;
		write_unknown(&o, e);
	} else if (e->end != 0) {
		finish_as(&o,
		    e->end == STATUS_FAILED ? VERDICT_FAILED : STORE_NOT_TRIED,
		    e->end,
		    e->end == STATUS_CANCELED	  ? EVENT_CANCELED
			: e->end == STATUS_FAILED ? EVENT_FAILED
						  : EVENT_SUPPRESSED);
	} else {
		write_said(&o, e);
	}
	return o;
}

bool
outcome_write(struct world *w, struct pg *pg, int worker,
    struct entry *const *entries, size_t n)
{
	struct store_outcome o[HAND];
	struct mail *mails[HAND];
	struct call call = { 0 };

	if (n == 0)
		return true;
	if (world_fault(w, 5)) {
		w->counts.answers_lost++;
		return false; /* Postgres never saw it */
	}
	for (size_t i = 0; i < n; i++) {
		o[i] = record_of(entries[i], worker);
		mails[i] = entries[i]->mail;
	}
	store_outcomes_write(pg, world_now(), o, n, call_done, &call);
	call_wait(w, &call);
	observe(w, mails, n, worker);
	if (world_fault(w, 8)) {
		w->counts.answers_lost++;
		return false;
	}
	return true;
}

/*
 * Claims that get old in our hands: claimed_at moves on, as long as the row is
 * open and ours. Rare (a host keeps a transaction waiting for minutes, or one
 * link after another dies under a mail), so each goes on its own.
 *
 * The claim counts from when the renewal was sent, not from its answer. While
 * Postgres is away it is asked again every second. A renewal that finds no open
 * row of ours comes too late: somebody took the claim for over. A mail that
 * waits for a connection then goes back to the schedule, one under way is cut
 * off by its limit.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "delivery/delivery_priv.h"
#include "store/attempts.h"

#define AGAIN_MS 1000

struct renewal {
	struct job *job;
	struct pg_tx *tx;
	struct timer *again;
	int64_t asked_at_ms;
	struct store_claim claim;
	bool is_refused; /* and so not asked again */
};

static void ask(void *ctx);

void
renew_cancel(struct job *j)
{
	struct renewal *r = j->renewal;

	if (r == NULL)
		return;
	j->renewal = NULL;
	pg_tx_cancel(&r->tx);
	timer_free(&r->again);
	free(r);
}

static void
renewed(struct job *j, int64_t at_ms)
{
	log_debug(&j->mta->log, "claim.renewed",
	    log_text("recipient", id_text(j->q.member.id).s),
	    log_int("age_ms", at_ms - j->claimed_at_ms));
	j->claimed_at_ms = at_ms;
	if (j->dot < DOT_GIVEN) /* else it is noted as sent */
		slot_claimed(j->mta->slot, j->entry, at_ms);
	renew_cancel(j);
	if (j->state == JOB_RENEWING)
		dest_claimed(j);
}

static void
refused(struct renewal *r)
{
	struct job *j = r->job;

	log_warn(&j->mta->log, "claim.not_renewed",
	    log_text("recipient", id_text(j->q.member.id).s),
	    log_text("error", "the claim is over: it was taken for abandoned"));
	r->is_refused = true;
	if (j->state == JOB_RENEWING)
		lane_defer(j, 0);
}

static void
on_renewed(void *ctx, const struct error *err)
{
	struct renewal *r = ctx;

	r->tx = NULL;
	if (err != NULL) {
		log_warn(&r->job->mta->log, "claim.renewal_failed",
		    log_err(err));
		timer_set(r->again, AGAIN_MS);
	} else if (r->claim.result == STORE_CLAIM_MINE) {
		renewed(r->job, r->asked_at_ms);
	} else {
		refused(r);
	}
}

static void
ask(void *ctx)
{
	struct renewal *r = ctx;
	struct mta *m = r->job->mta;

	r->asked_at_ms = clock_now_ms();
	r->tx = store_claim_renew(m->opt.pg, m->worker, r->asked_at_ms,
	    &r->claim, 1, on_renewed, r);
}

void
renew_under_way(struct job *j)
{
	struct renewal *r;

	if (j->renewal != NULL)
		return;
	r = xmalloc(sizeof(*r));
	r->job = j;
	r->claim.id = j->q.member.id;
	r->claim.n = (int)j->n;
	r->again = timer_new(j->mta->opt.loop, ask, r);
	j->renewal = r;
	ask(r);
}

bool
renew_was_asked(const struct job *j)
{
	return j->renewal != NULL;
}

void
renew_then_send(struct job *j)
{
	j->state = JOB_RENEWING;
	renew_under_way(j);
	if (j->renewal->is_refused) /* while it was under way */
		lane_defer(j, 0);
}

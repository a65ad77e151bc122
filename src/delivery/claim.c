/*
 * Claims: what asks for one during a commit shares the next. Two lines: those
 * who want to send, and those who only want to end a recipient (for whom due
 * time and suppression do not matter).
 *
 * While Postgres is away the jobs stay in line. The answer to a claim may have
 * been lost: a claim of our own is then taken for ours only if it is not older
 * than the first time that this very job asked. An older one is of an attempt
 * whose outcome was never written (it was refused, say), and as unknown as
 * anybody's: it is neither sent under nor taken back.
 *
 * A batch that the server itself refuses is repeated one by one, so that one
 * poison row hurts nobody else.
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "store/attempts.h"

#define BATCH_MAX 256
#define AGAIN_MS 1000
#define REFUSED_MS 60000

struct line {
	struct mta *mta;
	bool anyway;
	struct list pending; /* jobs */
	struct list batch;   /* jobs under way, in the order of claim[] */
	size_t count;
	size_t singly; /* so many still go one by one */
	int64_t now_ms;
	struct store_claim claim[BATCH_MAX];
	struct store_claiming *op;
};

struct claims {
	struct line line[2];
	struct list releasing;	   /* jobs */
	struct list release_batch; /* under way */
	struct pg_tx *release;
	struct timer *again; /* set: Postgres is away, nothing is sent */
};

static void
on_again(void *ctx)
{
	claims_flush(ctx);
}

void
claims_init(struct mta *m)
{
	m->claims = xmalloc(sizeof(*m->claims));
	for (size_t i = 0; i < ARRAY_LEN(m->claims->line); i++) {
		struct line *line = &m->claims->line[i];

		line->mta = m;
		line->anyway = i == 1;
		list_init(&line->pending);
		list_init(&line->batch);
	}
	list_init(&m->claims->releasing);
	list_init(&m->claims->release_batch);
	m->claims->again = timer_new(m->opt.loop, on_again, m);
}

/* The jobs outlive the lists they are on. */
static void
let_go(struct list *jobs)
{
	while (list_pop(jobs) != NULL)
		continue;
}

void
claims_fini(struct mta *m)
{
	struct claims *c = m->claims;

	if (c == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(c->line); i++) {
		store_claim_cancel(&c->line[i].op);
		let_go(&c->line[i].pending);
		let_go(&c->line[i].batch);
	}
	pg_tx_cancel(&c->release);
	let_go(&c->releasing);
	let_go(&c->release_batch);
	timer_free(&c->again);
	free(c);
	m->claims = NULL;
}

/* -- answers ----------------------------------------------------------------
 */

/*
 * An open claim: wait for its end, or say that nobody knows. Looked at again
 * before: its process may come back, and take back what it did not send.
 */
static void
settle_open(struct job *j, const struct store_claim *c, int64_t now_ms)
{
	int64_t left_ms = c->claimed_at_ms + STORE_CLAIM_MS - now_ms;

	if (left_ms > 0)
		lane_defer(j,
		    MIN(left_ms, clock_patience_ms(STORE_CLAIM_AGAIN_MS)));
	else
		finish_abandoned(j, c->holder, (unsigned int)c->open_n,
		    c->claimed_at_ms);
}

/* No claim of this job stands. */
static void
leave_slot(struct job *j)
{
	slot_drop(j->mta->slot, j->entry);
	j->entry = 0;
	j->asked_at_ms = 0;
}

static void
settle_mine(struct job *j, const struct store_claim *c, int64_t now_ms)
{
	bool is_old = c->claimed_at_ms != 0;

	if (is_old && (!j->claim_asked || c->claimed_at_ms < j->asked_at_ms)) {
		leave_slot(j);
		settle_open(j, c, now_ms);
		return;
	}
	j->claimed_at_ms = is_old ? c->claimed_at_ms : now_ms;
	slot_claimed(j->mta->slot, j->entry, j->claimed_at_ms);
	job_claimed(j);
}

static void
settle(struct job *j, const struct store_claim *c, int64_t now_ms)
{
	if (c->result != STORE_CLAIM_MINE)
		leave_slot(j);
	switch (c->result) {
	case STORE_CLAIM_MINE:
		settle_mine(j, c, now_ms);
		return;
	case STORE_CLAIM_FINISHED:
	case STORE_CLAIM_GONE:
		lane_ack(j);
		return;
	case STORE_CLAIM_NOT_DUE:
		lane_defer(j, c->retry_at_ms - clock_now_ms());
		return;
	case STORE_CLAIM_SUPPRESSED:
		dest_forget(j);
		j->end = JOB_END_SUPPRESSED;
		claim_job(j);
		return;
	case STORE_CLAIM_OPEN:
		settle_open(j, c, now_ms);
		return;
	case STORE_CLAIM_RULES:
		job_rules_changed(j);
		return;
	case STORE_CLAIM_MOVED:
	case STORE_CLAIM_NONE:
		lane_defer(j, AGAIN_MS);
		return;
	}
}

/* Back in front of the line, in the same order. */
static void
stay_in_line(struct line *line)
{
	while (!list_is_empty(&line->batch)) {
		struct list *last = line->batch.prev;

		list_entry(last, struct job, node)->claim_asked = true;
		list_remove(last);
		list_prepend(&line->pending, last);
	}
}

static void
claims_failed(struct line *line, const struct error *err)
{
	struct mta *m = line->mta;
	struct list *node;

	log_warn(&m->log, "claim.failed", log_err(err),
	    log_uint("jobs", line->count));
	if (!pg_is_refusal(err)) {
		stay_in_line(line);
		timer_set(m->claims->again, AGAIN_MS);
	} else if (line->count > 1) {
		line->singly = line->count;
		stay_in_line(line);
	} else {
		while ((node = list_pop(&line->batch)) != NULL)
			lane_defer(list_entry(node, struct job, node),
			    REFUSED_MS);
	}
}

static void
on_claimed(void *ctx, const struct error *err)
{
	struct line *line = ctx;
	struct mta *m = line->mta;
	struct list *node;

	line->op = NULL;
	if (err == NULL || (pg_is_refusal(err) && line->count == 1))
		line->singly -= MIN(line->singly, line->count);
	if (err != NULL) {
		claims_failed(line, err);
		claims_flush(m);
		return;
	}
	crash_point("claim-after");
	for (size_t i = 0; (node = list_pop(&line->batch)) != NULL; i++)
		settle(list_entry(node, struct job, node), &line->claim[i],
		    line->now_ms);
	claims_flush(m);
}

/* -- asking ------------------------------------------------------------------
 */

/* Noted before it is asked for; false when the slot file has no room. */
static bool
enter_slot(struct job *j, int64_t now_ms)
{
	struct slot *slot = j->mta->slot;

	if (j->entry != 0 || slot == NULL) /* asked before */
		return true;
	if (slot_is_full(slot))
		return false;
	j->entry = slot_take(slot,
	    &(struct slot_claim){
		.recipient = j->q.member.id,
		.n = j->n,
		.source = j->dest != NULL ? j->dest->source.number : 0,
		.asked_at_ms = now_ms,
	    });
	return true;
}

static void
line_send(struct line *line)
{
	struct mta *m = line->mta;
	size_t max = line->singly > 0 ? 1 : BATCH_MAX;
	struct list *node;

	line->count = 0;
	line->now_ms = clock_now_ms();
	while (line->count < max && (node = list_pop(&line->pending)) != NULL) {
		struct job *j = list_entry(node, struct job, node);

		if (job_source_is_held(j) || !enter_slot(j, line->now_ms)) {
			lane_defer(j, AGAIN_MS);
			continue;
		}
		if (j->asked_at_ms == 0)
			j->asked_at_ms = line->now_ms;
		list_append(&line->batch, node);
		line->claim[line->count++] = (struct store_claim){
			.id = j->q.member.id,
			.n = (int)j->n,
			.source = j->dest != NULL ? j->dest->source.number : 0,
			.account = j->account,
			.stream = (int)(j->q.member.flow & 1),
			.key = j->address_key,
			.rules = j->rules,
		};
	}
	if (line->count == 0)
		return;
	line->op = store_claim_start(m->opt.pg, m->worker, line->now_ms,
	    line->anyway, line->claim, line->count, on_claimed, line);
	contents_read(m, &line->batch);
}

void
claim_job(struct job *j)
{
	bool anyway = j->end == JOB_END_EXPIRED ||
	    j->end == JOB_END_SUPPRESSED || j->end == JOB_END_CANCELED ||
	    j->end == JOB_END_ADDRESS;
	struct line *line = &j->mta->claims->line[anyway];

	job_is_placed(j);
	j->state = JOB_CLAIMING;
	list_append(&line->pending, &j->node);
}

/* -- taking back
 * ----------------------------------------------------------------- */

/* While Postgres is away: it is known here, or in the slot file, that these
 * were not sent. */
static void
release_again(struct claims *c)
{
	while (!list_is_empty(&c->release_batch)) {
		struct list *last = c->release_batch.prev;

		list_remove(last);
		list_prepend(&c->releasing, last);
	}
	timer_set(c->again, AGAIN_MS);
}

static void
on_released(void *ctx, const struct error *err)
{
	struct mta *m = ctx;
	struct claims *c = m->claims;
	struct list *node;

	c->release = NULL;
	if (err != NULL)
		log_warn(&m->log, "claim.not_released", log_err(err));
	if (err != NULL && !pg_is_refusal(err)) {
		release_again(c);
		return;
	}
	/* One that stays open is found, and waited for, by whoever comes. */
	while ((node = list_pop(&c->release_batch)) != NULL)
		lane_defer(list_entry(node, struct job, node), 0);
	claims_flush(m);
}

static void
release_send(struct mta *m)
{
	struct claims *c = m->claims;
	struct store_claim claim[BATCH_MAX];
	struct list *node;
	size_t n = 0;

	while (
	    n < ARRAY_LEN(claim) && (node = list_pop(&c->releasing)) != NULL) {
		struct job *j = list_entry(node, struct job, node);

		list_append(&c->release_batch, node);
		claim[n] = (struct store_claim){
			.id = j->q.member.id,
			.n = (int)j->n,
			.claimed_at_ms = j->asked_at_ms,
		};
		n++;
	}
	c->release = store_claim_give_back(m->opt.pg, m->worker, claim, n,
	    on_released, m);
}

void
claim_release(struct job *j)
{
	dest_forget(j);
	renew_cancel(j);
	list_remove(&j->node);
	j->state = JOB_RELEASING;
	list_append(&j->mta->claims->releasing, &j->node);
	claims_flush(j->mta);
}

void
claims_give_back(struct mta *m)
{
	for (size_t i = 0; i < ARRAY_LEN(m->claims->line); i++) {
		struct list *node;

		while ((node = list_pop(&m->claims->line[i].pending)) != NULL) {
			struct job *j = list_entry(node, struct job, node);

			if (j->claim_asked)
				claim_release(j);
			else
				lane_defer(j, 0);
		}
	}
}

void
claims_flush(struct mta *m)
{
	struct claims *c = m->claims;

	if (timer_is_set(c->again))
		return;
	if (c->release == NULL && !list_is_empty(&c->releasing))
		release_send(m);
	for (size_t i = 0; i < ARRAY_LEN(c->line); i++) {
		struct line *line = &c->line[i];

		if (line->op == NULL && !list_is_empty(&line->pending))
			line_send(line);
	}
}

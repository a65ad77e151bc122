/*
 * Claims: what asks for one during a commit shares the next. Two lines: those
 * who want to send, and those who only want to end a recipient (for whom due
 * time and suppression do not matter).
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "store/attempts.h"

#define BATCH_MAX 256

struct line {
	struct mta *mta;
	bool anyway;
	struct list pending; /* jobs */
	struct list batch;   /* jobs under way, in the order of claim[] */
	size_t count;
	int64_t now_ms;
	struct store_claim claim[BATCH_MAX];
	struct store_claiming *op;
};

struct claims {
	struct line line[2];
};

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
}

void
claims_fini(struct mta *m)
{
	if (m->claims == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(m->claims->line); i++)
		store_claim_cancel(&m->claims->line[i].op);
	free(m->claims);
	m->claims = NULL;
}

static void
settle(struct job *j, const struct store_claim *c, int64_t now_ms)
{
	switch (c->result) {
	case STORE_CLAIM_MINE:
		j->claimed_at_ms = now_ms;
		job_claimed(j);
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
		if (c->claimed_at_ms + STORE_CLAIM_MS <= now_ms)
			finish_abandoned(j, c->holder, (unsigned int)c->open_n,
			    c->claimed_at_ms);
		else
			lane_defer(
			    j, c->claimed_at_ms + STORE_CLAIM_MS - now_ms);
		return;
	case STORE_CLAIM_MOVED:
	case STORE_CLAIM_NONE:
		lane_defer(j, 0);
		return;
	}
}

static void
on_claimed(void *ctx, const struct error *err)
{
	struct line *line = ctx;
	struct mta *m = line->mta;
	struct list *node;

	line->op = NULL;
	if (err == NULL)
		crash_point("claim-after");
	else
		log_warn(&m->log, "claim.failed", log_err(err));
	for (size_t i = 0; (node = list_pop(&line->batch)) != NULL; i++) {
		struct job *j = list_entry(node, struct job, node);

		if (err == NULL)
			settle(j, &line->claim[i], line->now_ms);
		else
			lane_defer(j, 1000);
	}
	claims_flush(m);
}

static void
line_send(struct line *line)
{
	struct mta *m = line->mta;
	struct list *node;

	line->count = 0;
	while (line->count < BATCH_MAX &&
	    (node = list_pop(&line->pending)) != NULL) {
		struct job *j = list_entry(node, struct job, node);

		list_append(&line->batch, node);
		line->claim[line->count++] = (struct store_claim){
			.id = j->q.member.id,
			.n = (int)j->n,
			.source = j->dest != NULL ? j->dest->source.number : 0,
			.account = j->account,
			.stream = (int)(j->q.member.flow & 1),
			.key = j->address_key,
		};
	}
	line->now_ms = clock_now_ms();
	line->op = store_claim_start(m->opt.pg, m->worker, line->now_ms,
	    line->anyway, line->claim, line->count, on_claimed, line);
}

void
claim_job(struct job *j)
{
	bool anyway = j->end == JOB_END_EXPIRED || j->end == JOB_END_SUPPRESSED;
	struct line *line = &j->mta->claims->line[anyway];

	j->state = JOB_CLAIMING;
	list_append(&line->pending, &j->node);
}

void
claims_flush(struct mta *m)
{
	for (size_t i = 0; i < ARRAY_LEN(m->claims->line); i++) {
		struct line *line = &m->claims->line[i];

		if (line->op == NULL && !list_is_empty(&line->pending))
			line_send(line);
	}
}

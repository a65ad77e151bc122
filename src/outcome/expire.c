/*
 * read the rows (how many attempts there were) -> claim anyway -> record.
 * An open claim of somebody else says that it is being sent, or that nobody
 * knows: past its life it is recorded as unknown, and the next round ends it.
 */
#include "outcome/expire.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "outcome/outcome.h"
#include "outcome/waiting.h"
#include "queue/member.h"
#include "queue/rules.h"
#include "store/attempts.h"
#include "store/jobs.h"

/* As many as a step of the old walk can find. */
#define EXPIRE_BATCH 500

struct expire {
	struct loop *loop;
	struct pg *pg;
	const struct rules *rules;
	struct outcome_writer *writer;
	struct pg_tx *reading;
	struct store_claiming *claiming;
	int worker;
	int64_t now_ms;
	size_t taken_count; /* as they were told */
	struct taken {
		struct id id;
		int cancel; /* number of the rule, or 0 */
	} taken[EXPIRE_BATCH];
	size_t count;
	struct store_claim claim[EXPIRE_BATCH];
	int64_t expires_at_ms[EXPIRE_BATCH];
	bool exactly_once[EXPIRE_BATCH];
};

struct expire *
expire_new(struct loop *l, struct pg *pg, const struct rules *rules)
{
	struct expire *e = xmalloc(sizeof(*e));

	e->loop = l;
	e->pg = pg;
	e->rules = rules;
	e->writer = outcome_writer_new(l, pg);
	return e;
}

void
expire_free(struct expire **ep)
{
	struct expire *e = *ep;

	if (e == NULL)
		return;
	pg_tx_cancel(&e->reading);
	store_claim_cancel(&e->claiming);
	outcome_writer_free(&e->writer);
	free(e);
	*ep = NULL;
}

static void
recorded(void *ctx, const struct error *err)
{
	(void)ctx;
	if (err != NULL)
		log_error(NULL, "expire.record", log_err(err));
}

static int
compare_taken(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return id_cmp(x->id, y->id);
}

/* What cancels it; NULL: not known any more. */
static const struct store_rule *
rule_of(const struct expire *e, struct id id)
{
	struct taken key = { .id = id };
	const struct taken *found = bsearch(&key, e->taken, e->taken_count,
	    sizeof(e->taken[0]), compare_taken);

	return found != NULL ? rules_numbered(e->rules, found->cancel) : NULL;
}

/* Its max age is over, or it is canceled. */
static void
record_end(struct expire *e, size_t i)
{
	const struct store_claim *claim = &e->claim[i];
	struct canceled canceled;
	struct outcome_end end = {
		.recipient = claim->id,
		.account = claim->account,
		.n = (unsigned int)claim->n,
		.worker = e->worker,
		.at_ms = e->now_ms,
	};

	if (e->expires_at_ms[i] <= e->now_ms) {
		end.status = STATUS_FAILED;
		end.reason = FAIL_EXPIRED;
		end.text = SLICE("not delivered within the time allowed");
	} else {
		canceled = canceled_by_rule(rule_of(e, claim->id));
		end.status = STATUS_CANCELED;
		end.canceled = &canceled;
	}
	outcome_end(e->writer, &end, recorded, e);
}

static void
record_unknown(struct expire *e, size_t i)
{
	const struct store_claim *claim = &e->claim[i];
	struct outcome_attempt a = {
		.recipient = claim->id,
		.account = claim->account,
		.n = (unsigned int)claim->open_n,
		.worker = claim->holder,
		.only_open = true,
		.at_ms = e->now_ms,
		.claimed_at_ms = claim->claimed_at_ms,
		.retry_at_ms = e->now_ms,
		.expires_at_ms = e->expires_at_ms[i],
		.exactly_once = e->exactly_once[i],
		.verdict = { VERDICT_UNKNOWN, NULL, false },
		.text = SLICE("the process that sent it is gone"),
	};

	outcome_attempt(e->writer, &a, recorded, e);
}

static void
record(struct expire *e, size_t i)
{
	const struct store_claim *claim = &e->claim[i];

	if (claim->result == STORE_CLAIM_MINE)
		record_end(e, i);
	else if (claim->result == STORE_CLAIM_OPEN &&
	    e->now_ms - claim->claimed_at_ms >= STORE_CLAIM_MS)
		record_unknown(e, i);
}

static void
claimed(void *ctx, const struct error *err)
{
	struct expire *e = ctx;

	e->claiming = NULL;
	if (err != NULL) {
		log_warn(NULL, "expire.claim", log_err(err));
		return;
	}
	for (size_t i = 0; i < e->count; i++)
		record(e, i);
}

static void
got_jobs(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct expire *e = ctx;

	e->reading = NULL;
	if (err != NULL) {
		log_warn(NULL, "expire.read", log_err(err));
		return;
	}
	e->count = 0;
	for (size_t i = 0; i < count && e->count < EXPIRE_BATCH; i++) {
		if (job[i].finished_at_ms != 0 || job[i].attempts == INT16_MAX)
			continue;
		e->expires_at_ms[e->count] = job[i].expires_at_ms;
		e->exactly_once[e->count] =
		    (job[i].flags & QUEUE_EXACTLY_ONCE) != 0;
		e->claim[e->count++] = (struct store_claim){
			.id = job[i].id,
			.n = job[i].attempts + 1,
			.account = (int)(job[i].flow / 2),
			.stream = (int)(job[i].flow % 2),
		};
	}
	if (e->count > 0)
		e->claiming = store_claim_start(e->pg, e->worker, e->now_ms,
		    true, e->claim, e->count, claimed, e);
}

void
expire_take(struct expire *e, int worker, const struct walk_over *over,
    size_t n)
{
	struct id ids[EXPIRE_BATCH];

	if (worker == 0 || n == 0 || e->reading != NULL ||
	    e->claiming != NULL || outcome_writer_pending(e->writer) > 0)
		return;
	n = MIN(n, EXPIRE_BATCH);
	for (size_t i = 0; i < n; i++) {
		ids[i] = over[i].row->id;
		e->taken[i] = (struct taken){ ids[i], over[i].cancel };
	}
	e->taken_count = n;
	e->worker = worker;
	e->now_ms = clock_now_ms();
	e->reading = store_jobs_read(e->pg, ids, n, got_jobs, e);
}

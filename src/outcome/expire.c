/*
 * read the rows -> claim them anyway -> record expired. One batch at a time.
 * An open claim is left alone: its mta, or whoever finds it old, settles it.
 */
#include "outcome/expire.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "outcome/outcome.h"
#include "store/attempts.h"
#include "store/jobs.h"

#define BATCH_MAX 64

struct expire {
	struct pg *pg;
	struct outcome_writer *writer; /* borrowed */
	struct log_ctx log;
	int worker;
	struct pg_tx *reading;
	struct store_claiming *claiming;
	size_t count;
	struct store_claim claim[BATCH_MAX];
};

struct expire *
expire_new(struct pg *pg, struct outcome_writer *writer, int worker)
{
	struct expire *e = xmalloc(sizeof(*e));

	e->pg = pg;
	e->writer = writer;
	e->worker = worker;
	return e;
}

void
expire_free(struct expire **ep)
{
	struct expire *e = *ep;

	if (e == NULL)
		return;
	*ep = NULL;
	pg_tx_cancel(&e->reading);
	store_claim_cancel(&e->claiming);
	free(e);
}

static void
on_claimed(void *ctx, const struct error *err)
{
	struct expire *e = ctx;

	e->claiming = NULL;
	if (err != NULL) {
		log_warn(&e->log, "expire.claim", log_err(err));
		return;
	}
	for (size_t i = 0; i < e->count; i++) {
		struct outcome_end end = {
			.recipient = e->claim[i].id,
			.account = e->claim[i].account,
			.n = (unsigned int)e->claim[i].n,
			.worker = e->worker,
			.at_ms = clock_now_ms(),
			.status = STATUS_FAILED,
			.reason = FAIL_EXPIRED,
			.text = SLICE("not delivered within the time allowed"),
		};

		if (e->claim[i].result == STORE_CLAIM_MINE)
			outcome_end(e->writer, &end, NULL, NULL);
	}
}

static void
on_rows(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct expire *e = ctx;

	e->reading = NULL;
	if (err != NULL) {
		log_warn(&e->log, "expire.read", log_err(err));
		return;
	}
	e->count = 0;
	for (size_t i = 0; i < count && i < BATCH_MAX; i++) {
		if (job[i].finished_at_ms != 0)
			continue;
		e->claim[e->count++] = (struct store_claim){
			.id = job[i].id,
			.n = job[i].attempts + 1,
			.account = job[i].email->account,
			.stream = job[i].email->stream,
		};
	}
	if (e->count > 0)
		e->claiming = store_claim_start(e->pg, e->worker,
		    clock_now_ms(), true, e->claim, e->count, on_claimed, e);
}

void
expire_rows(struct expire *e, const struct store_unfinished *rows, size_t n)
{
	struct id ids[BATCH_MAX];

	if (e->reading != NULL || e->claiming != NULL || n == 0)
		return;
	n = MIN(n, ARRAY_LEN(ids));
	for (size_t i = 0; i < n; i++)
		ids[i] = rows[i].id;
	e->reading = store_jobs_read(e->pg, ids, n, 0, on_rows, e);
}

/*
 * What the last process of this slot left behind, when it was killed: for each
 * claim in its slot file
 *
 *   WAIT, CLAIMED  nothing was sent: the claim is taken back
 *   SENT           nobody knows: recorded as unknown
 *   REPLIED        recorded as that process would have done
 *
 * all under the number of that process, and committed before its row is set
 * dead and its jobs are given back. Every step can be repeated, so a process
 * that is killed here only leaves the same to the next one.
 */
#include "delivery/delivery_priv.h"

#include <string.h>

#include "base/crash.h"
#include "base/mem.h"
#include "store/attempts.h"
#include "store/jobs.h"
#include "store/pg.h"

#define BATCH 128
#define LOCKED_MS 100
#define AWAY_MS 200
#define AGAIN_MS 1000
#define BROKEN_MS 5000
/* Claims are asked for by jobs in hand; somewhat more of those may be leased
 * than the setting says. */
#define ENTRIES_MORE 2048

struct resolve {
	struct mta *mta;
	const char *boot_id;
	void (*done)(struct mta *m);
	struct timer *timer;
	struct pg_tx *tx;
	bool has_said; /* that the file is held, or cannot be used */
	size_t at;     /* how far slot_next has come */
	size_t count;  /* the batch under way: those to record first */
	size_t record_count;
	struct slot_left left[BATCH];
	bool is_given_back;
	size_t open; /* records of the batch not yet committed */
	size_t given_back, unknown, replied;
};

static void go_on(struct resolve *r);

/* -- the batch ---------------------------------------------------------------
 */

static bool
next_batch(struct resolve *r)
{
	struct slot_left left;

	r->count = r->record_count = 0;
	r->is_given_back = false;
	while (r->count < BATCH && slot_next(r->mta->slot, &r->at, &left)) {
		if (left.phase >= SLOT_SENT) {
			r->left[r->count++] = r->left[r->record_count];
			r->left[r->record_count++] = left;
		} else {
			r->left[r->count++] = left;
		}
	}
	return r->count > 0;
}

/* Postgres is away, say: once more. */
static void
failed(struct resolve *r, const char *step, const struct error *err)
{
	log_warn(&r->mta->log, "slot.resolve_failed", log_text("step", step),
	    log_err(err));
	timer_set(r->timer, AGAIN_MS);
}

static void
on_given_back(void *ctx, const struct error *err)
{
	struct resolve *r = ctx;

	r->tx = NULL;
	if (err != NULL && !pg_is_refusal(err)) {
		failed(r, "take claims back", err);
		return;
	}
	if (err != NULL) /* they stay open, and end as unknown */
		log_error(&r->mta->log, "slot.not_given_back", log_err(err));
	else
		r->given_back += r->count - r->record_count;
	r->is_given_back = true;
	go_on(r);
}

static void
give_back(struct resolve *r)
{
	struct store_claim claim[BATCH];
	size_t n = 0;

	for (size_t i = r->record_count; i < r->count; i++) {
		claim[n] = (struct store_claim){
			.id = r->left[i].claim.recipient,
			.n = (int)r->left[i].claim.n,
			.claimed_at_ms = r->left[i].claim.asked_at_ms,
		};
		n++;
	}
	r->tx = store_claim_give_back(r->mta->opt.pg, slot_worker(r->mta->slot),
	    claim, n, on_given_back, r);
}

/* -- what was sent -----------------------------------------------------------
 */

static void
count_down(struct resolve *r)
{
	if (--r->open > 0)
		return;
	r->count = 0;
	go_on(r);
}

static void
on_recorded(void *ctx, const struct error *err)
{
	struct resolve *r = ctx;

	if (err != NULL) /* its claim stays open, and ends as unknown */
		log_error(&r->mta->log, "slot.not_recorded", log_err(err));
	count_down(r);
}

/* As smtp/client would have told it. */
static void
tell_as_smtp(const struct slot_left *left, struct smtp_outcome *out)
{
	const struct slot_reply *said = &left->reply;
	size_t len = MIN(said->text.len, sizeof(out->reply.text) - 1);

	*out = (struct smtp_outcome){ .source = SMTP_LOCAL,
		.stage = SMTP_STAGE_DOT };
	if (left->phase == SLOT_SENT) {
		error_set(&out->error, ERR_NET,
		    "the process that sent it ended before it read the reply");
		return;
	}
	out->source = SMTP_REMOTE;
	out->stage = (enum smtp_stage)said->stage;
	out->reply.code = said->code;
	out->reply.status = said->status;
	out->reply.text_len = len;
	if (len > 0)
		memcpy(out->reply.text, said->text.ptr, len);
}

static void
add_key(struct strbuf *key, struct slice text)
{
	struct arena arena = ARENA_INIT;
	struct mail_address address;

	if (mail_path_parse(&arena, text, &address, NULL) == 0)
		mail_address_add_key(key, &address);
	else
		strbuf_add_slice(key, text);
	arena_fini(&arena);
}

static void
record(struct resolve *r, const struct slot_left *left,
    const struct store_job *row)
{
	struct strbuf key = STRBUF_INIT;
	struct smtp_outcome outcome;
	struct outcome_attempt a = {
		.recipient = row->id,
		.account = row->email->account,
		.n = left->claim.n,
		.worker = slot_worker(r->mta->slot),
		.claimed_at_ms = left->claimed_at_ms,
		.expires_at_ms = row->expires_at_ms,
		.exactly_once = (row->flags & QUEUE_EXACTLY_ONCE) != 0,
		.mx = left->reply.mx,
		.tls = left->reply.tls,
		/* Somebody may have found the claim too old meanwhile. */
		.only_open = left->phase == SLOT_SENT,
	};

	add_key(&key, row->address);
	a.address_key = strbuf_slice(&key);
	tell_as_smtp(left, &outcome);
	attempt_of_smtp(&a, &outcome);
	(void)attempt_settle(r->mta, &a);
	attempt_log(r->mta, &a, row->email->created_at_ms);
	if (left->phase == SLOT_SENT)
		r->unknown++;
	else
		r->replied++;
	r->open++;
	outcome_attempt(r->mta->outcomes, &a, on_recorded, r);
	strbuf_fini(&key);
}

static const struct store_job *
find_row(const struct store_job *row, size_t count, struct id id)
{
	for (size_t i = 0; i < count; i++)
		if (id_cmp(row[i].id, id) == 0)
			return &row[i];
	return NULL;
}

static void
on_rows(void *ctx, const struct store_job *row, size_t count,
    const struct error *err)
{
	struct resolve *r = ctx;

	r->tx = NULL;
	if (err != NULL) {
		failed(r, "read the rows", err);
		return;
	}
	r->open = 1;
	for (size_t i = 0; i < r->record_count; i++) {
		const struct store_job *found =
		    find_row(row, count, r->left[i].claim.recipient);

		/* Gone from the database: nobody asks any more. */
		if (found != NULL && found->email != NULL)
			record(r, &r->left[i], found);
	}
	count_down(r);
}

static void
read_rows(struct resolve *r)
{
	struct id ids[BATCH];

	for (size_t i = 0; i < r->record_count; i++)
		ids[i] = r->left[i].claim.recipient;
	r->tx =
	    store_jobs_read(r->mta->opt.pg, ids, r->record_count, on_rows, r);
}

/* -- the walk ----------------------------------------------------------------
 */

static void
end(struct resolve *r)
{
	struct mta *m = r->mta;
	struct error err;

	crash_point("resolve-after");
	if (r->given_back + r->unknown + r->replied > 0)
		log_info(&m->log, "slot.resolved",
		    log_int("worker", slot_worker(m->slot)),
		    log_uint("given_back", r->given_back),
		    log_uint("unknown", r->unknown),
		    log_uint("replied", r->replied));
	r->given_back = r->unknown = r->replied = 0;
	if (slot_reset(m->slot, m->opt.in_hand_max + ENTRIES_MORE, &err) != 0) {
		log_error(&m->log, "slot.unusable", log_err(&err));
		timer_set(r->timer, BROKEN_MS);
		return;
	}
	r->done(m);
}

static void
go_on(struct resolve *r)
{
	if (!pg_is_up(r->mta->opt.pg)) {
		timer_set(r->timer, AWAY_MS);
		return;
	}
	if (r->count == 0 && !next_batch(r)) {
		end(r);
		return;
	}
	if (!r->is_given_back && r->count > r->record_count)
		give_back(r);
	else if (r->record_count > 0)
		read_rows(r);
	else {
		r->count = 0;
		timer_set(r->timer, 0);
	}
}

/* -- the file ----------------------------------------------------------------
 */

static void
open_failed(struct resolve *r, const struct error *err)
{
	bool is_held = err->kind == ERR_CONFLICT;

	if (!r->has_said && is_held)
		log_info(&r->mta->log, "slot.waits", log_err(err));
	else if (!is_held)
		log_error(&r->mta->log, "slot.unusable", log_err(err));
	r->has_said = true;
	timer_set(r->timer, is_held ? LOCKED_MS : BROKEN_MS);
}

static void
on_time(void *ctx)
{
	struct resolve *r = ctx;
	struct mta *m = r->mta;
	struct error err;

	if (m->slot == NULL &&
	    slot_open(&m->slot, m->opt.slot_dir, m->opt.slot, r->boot_id,
		&err) != 0)
		open_failed(r, &err);
	else
		go_on(r);
}

struct resolve *
resolve_start(struct mta *m, const char *boot_id, void (*done)(struct mta *m))
{
	struct resolve *r = xmalloc(sizeof(*r));

	r->mta = m;
	r->boot_id = boot_id;
	r->done = done;
	r->timer = timer_new(m->opt.loop, on_time, r);
	timer_set(r->timer, 0);
	return r;
}

void
resolve_free(struct resolve **rp)
{
	struct resolve *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	pg_tx_cancel(&r->tx);
	timer_free(&r->timer);
	free(r);
}

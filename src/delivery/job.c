/*
 * A job in this process: from the lease to its route, and the memory it holds.
 *
 * The row decides: a finished one is acked, one that is not due goes back, one
 * that is held is parked, one beyond its max age, one that is cancelled, one
 * whose address is none and one in log mode end, once claimed.
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/jobs.h"

/* More attempts than this mean that something is very wrong; the number has
 * 15 bits in the database, and events count on from it. */
#define ATTEMPTS_MAX 9999

/* The transcript of a transaction; 4 kB with that of the connection. */
#define SAID_MAX 2400

struct read {
	struct mta *mta;
	struct list node; /* mta->reads */
	struct list jobs; /* asked for; given-back ones have left it */
	struct pg_tx *tx;
	bool with_heads;
};

/* -- life
 * ---------------------------------------------------------------------- */

static struct slice
held_key(const struct queue_job *q)
{
	return slice_mem(q->member.id.b, sizeof(q->member.id.b));
}

struct job *
job_new(struct lane_state *lane, const struct queue_job *q)
{
	struct job *j = xmalloc(sizeof(*j));

	j->magic = JOB_MAGIC;
	j->mta = lane->mta;
	j->lane = lane;
	j->q = *q;
	j->state = JOB_READING;
	strbuf_init(&j->message, 0);
	smtp_transcript_init(&j->said, SAID_MAX);
	list_init(&j->node);
	list_append(&lane->held, &j->lane_node);
	lane->held_count++;
	lane->fresh_count++;
	j->is_fresh = true;
	lane->mta->in_hand++;
	invariant(hash_put(lane->mta->held, held_key(&j->q), j) == NULL);
	return j;
}

struct job *
job_find(struct mta *m, struct id recipient)
{
	return hash_find(m->held, slice_mem(recipient.b, sizeof(recipient.b)));
}

void
job_is_placed(struct job *j)
{
	if (j->is_fresh)
		j->lane->fresh_count--;
	j->is_fresh = false;
}

void
job_free(struct job *j)
{
	struct mta *m = j->mta;

	OBJ_CHECK(j, JOB_MAGIC);
	dest_forget(j);
	renew_cancel(j);
	job_is_placed(j);
	route_leave(j);
	list_remove(&j->node);
	list_remove(&j->lane_node);
	j->lane->held_count--;
	m->in_hand--;
	hash_remove(m->held, held_key(&j->q));
	slot_drop(m->slot, j->entry);
	job_drop_content(j);
	route_unref(j->route);
	strbuf_fini(&j->message);
	smtp_transcript_fini(&j->said);
	arena_fini(&j->arena);
	j->magic = 0;
	free(j);
	mta_flush_soon(m);
}

/* -- the row
 * -------------------------------------------------------------------- */

static void
take_row(struct job *j, const struct store_job *row)
{
	const struct store_job_email *email = row->email;

	j->email = email->id;
	j->account = email->account;
	j->domain = email->domain;
	j->n = (unsigned int)MIN(row->attempts, INT16_MAX - 1) + 1;
	j->created_at_ms = email->created_at_ms;
	j->expires_at_ms = row->expires_at_ms;
	j->exactly_once = (row->flags & QUEUE_EXACTLY_ONCE) != 0;
	j->message_id = arena_slice(&j->arena, email->message_id);
	j->content_bytes = email->content_bytes;
}

/* False when no address stands there: intake let none through, but rows are
 * not trusted as far as the wire. */
static bool
take_address(struct job *j, const struct store_job *row)
{
	struct slice text = arena_slice(&j->arena, row->address);
	struct strbuf key = STRBUF_INIT;
	struct error err;

	if (mail_path_parse(&j->arena, text, &j->address, &err) == -1) {
		log_error(&j->mta->log, "job.address",
		    log_text("recipient", id_text(row->id).s), log_err(&err));
		j->address_key = text;
		return false;
	}
	mail_address_add_key(&key, &j->address);
	j->address_key = arena_slice(&j->arena, strbuf_slice(&key));
	strbuf_fini(&key);
	return true;
}

static void
end_when_claimed(struct job *j, int end)
{
	j->end = end;
	claim_job(j);
	claims_flush(j->mta);
}

/*
 * Nothing begins beyond it. What needs Postgres to be recorded waits for that
 * in memory, and each of its answers comes or fails within pg's deadline.
 */
void
job_expired(struct job *j)
{
	switch (j->state) {
	case JOB_ROUTING:
	case JOB_WAITING:
		dest_forget(j);
		route_leave(j);
		list_remove(&j->node);
		end_when_claimed(j, JOB_END_EXPIRED);
		return;
	case JOB_CLAIMED:
	case JOB_LOADING:
	case JOB_RENEWING:
		finish_expired(j);
		return;
	case JOB_READING:  /* its row will say so */
	case JOB_CLAIMING: /* see job_claimed */
	case JOB_SENDING:  /* ends with its transaction */
	case JOB_WRITING:
	case JOB_RELEASING:
		return;
	}
}

static void
job_decide(struct job *j, const struct store_job *row, bool has_head,
    int64_t now_ms)
{
	if (!take_address(j, row))
		end_when_claimed(j, JOB_END_ADDRESS);
	else if (row->expires_at_ms <= now_ms || row->attempts > ATTEMPTS_MAX)
		end_when_claimed(j, JOB_END_EXPIRED);
	else if (job_is_ruled_out(j, row, has_head, now_ms))
		return;
	else if (row->retry_at_ms > now_ms)
		lane_defer(j, row->retry_at_ms - now_ms);
	else if (j->mta->opt.mode == MTA_LOG)
		end_when_claimed(j, JOB_END_LOG);
	else if (identity_get(j->mta, j->domain) == NULL)
		identity_wait(j);
	else
		job_identified(j);
}

static struct job *
find_asked(struct read *read, struct id id)
{
	list_each (node, &read->jobs) {
		struct job *j = list_entry(node, struct job, node);

		if (id_cmp(j->q.member.id, id) == 0)
			return j;
	}
	return NULL;
}

static void
take_rows(struct read *read, const struct store_job *row, size_t count)
{
	int64_t now_ms = clock_now_ms();

	for (size_t i = 0; i < count; i++) {
		struct job *j = find_asked(read, row[i].id);

		if (j == NULL || row[i].email == NULL)
			continue;
		list_remove(&j->node);
		if (row[i].finished_at_ms != 0) {
			lane_ack(j);
			continue;
		}
		take_row(j, &row[i]);
		job_decide(j, &row[i], read->with_heads, now_ms);
	}
}

static void
read_free(struct read *read)
{
	pg_tx_cancel(&read->tx);
	while (list_pop(&read->jobs) != NULL)
		continue; /* they outlive the list */
	list_remove(&read->node);
	free(read);
}

static void
on_rows(void *ctx, const struct store_job *row, size_t count,
    const struct error *err)
{
	struct read *read = ctx;
	struct list *node;

	read->tx = NULL;
	if (err == NULL)
		take_rows(read, row, count);
	/* Not read: back for a second; gone from the database: forget it. */
	while ((node = list_pop(&read->jobs)) != NULL) {
		struct job *j = list_entry(node, struct job, node);

		if (err != NULL)
			lane_defer(j, 1000);
		else
			lane_ack(j);
	}
	read_free(read);
}

void
jobs_read(struct mta *m, struct list *fresh)
{
	struct read *read = xmalloc(sizeof(*read));
	struct id ids[128];
	struct list *node;
	size_t n = 0;

	read->mta = m;
	list_init(&read->jobs);
	list_append(&m->reads, &read->node);
	while (n < ARRAY_LEN(ids) && (node = list_pop(fresh)) != NULL) {
		list_append(&read->jobs, node);
		ids[n++] = list_entry(node, struct job, node)->q.member.id;
	}
	read->with_heads = rules_before_read(m);
	read->tx = read->with_heads
	    ? store_jobs_read_heads(m->opt.pg, ids, n, on_rows, read)
	    : store_jobs_read(m->opt.pg, ids, n, on_rows, read);
	if (!list_is_empty(fresh))
		jobs_read(m, fresh);
}

void
jobs_fini(struct mta *m)
{
	list_each_safe (node, &m->reads)
		read_free(list_entry(node, struct read, node));
}

/* -- onwards
 * --------------------------------------------------------------------- */

void
job_identified(struct job *j)
{
	route_job(j);
}

void
job_routed(struct job *j)
{
	if (j->route->state == ROUTE_NONE)
		end_when_claimed(j, JOB_END_DNS);
	else
		dest_add(j);
}

void
job_claimed(struct job *j)
{
	switch (j->end) {
	case JOB_END_NONE:
		/* The claim may have waited for Postgres for hours. */
		if (j->expires_at_ms <= clock_now_ms()) {
			finish_expired(j);
			return;
		}
		break;
	case JOB_END_DNS:
		finish_dns(j, j->route->why_none);
		return;
	case JOB_END_EXPIRED:
		finish_expired(j);
		return;
	case JOB_END_SUPPRESSED:
		finish_suppressed(j);
		return;
	case JOB_END_CANCELED:
		finish_canceled(j);
		return;
	case JOB_END_ADDRESS:
		finish_local(j, VERDICT_FAILED, FAIL_CONTENT, "5.1.3",
		    "the recipient's address cannot be sent as it is");
		return;
	case JOB_END_LOG:
		finish_local(j, VERDICT_FAILED, FAIL_LOG_MODE, "",
		    "mode = log: accepted and not sent");
		return;
	}
	content_await(j);
}

#include "store/jobs.h"

#include <string.h>

#include "base/mem.h"
#include "pg_priv.h"
#include "store/accept.h"
#include "store_priv.h"

/*
 * Rows come with the lease, contents only with the claim: a job that goes back
 * to the schedule has cost no content. Content is chunks in any order; chunk n
 * stands at n * STORE_CHUNK_BYTES in a buffer of the size that the row tells.
 */

/* LATERAL with OFFSET 0: see attempts.c. */
#define ROWS(MORE)                                                             \
	"SELECT r.id, r.address, r.field, r.pool, r.lane, r.flow, r.flags, "   \
	"r.status, r.attempts, r.retry_at, r.expires_at, r.finished_at, "      \
	"e.id, e.account, e.domain, e.stream, e.created_at, e.message_id, "    \
	"e.content_bytes" MORE " "                                             \
	"FROM unnest($1::uuid[], $2::uuid[]) AS i(id, email) "                 \
	"CROSS JOIN LATERAL (SELECT * FROM recipients r WHERE r.id = i.id "    \
	"AND r.id BETWEEN $3::uuid AND $4::uuid OFFSET 0) r "                  \
	"CROSS JOIN LATERAL (SELECT * FROM emails e WHERE e.id = i.email "     \
	"AND e.id BETWEEN $5::uuid AND $6::uuid OFFSET 0) e"
static const struct pg_stmt stmt_rows = { "jobs_rows", ROWS("") };
static const struct pg_stmt stmt_heads = { "jobs_heads", ROWS(", e.head") };

static const struct pg_stmt stmt_contents = { "jobs_contents",
	"SELECT c.id, c.n, c.chunk "
	"FROM unnest($1::uuid[]) AS i(id) "
	"CROSS JOIN LATERAL (SELECT * FROM email_contents c "
	"WHERE c.id = i.id AND c.id BETWEEN $2::uuid AND $3::uuid "
	"OFFSET 0) c" };

struct call {
	store_jobs_got *done;
	void *ctx;
	bool with_heads;
};

static int
compare_emails(const void *a, const void *b)
{
	const struct store_job_email *x = a, *y = b;

	return id_cmp(x->id, y->id);
}

static struct store_job_email *
find_email(struct store_job_email *emails, size_t n, struct id id)
{
	struct store_job_email key = { .id = id };

	return bsearch(&key, emails, n, sizeof(*emails), compare_emails);
}

static struct store_job_email
read_email(struct pg_row row)
{
	return (struct store_job_email){
		.id = pg_get_id(row, 12),
		.account = pg_get_int4(row, 13),
		.domain = pg_get_int4(row, 14),
		.stream = pg_get_int2(row, 15),
		.created_at_ms = pg_get_time(row, 16),
		.message_id = pg_get_text(row, 17),
		.content_bytes = (size_t)MAX(pg_get_int4(row, 18), 0),
	};
}

/* Each email once, sorted; returns how many. */
static size_t
read_emails(const struct pg_reply *reply, struct store_job_email *emails)
{
	size_t n = pg_rows(reply, 0), kept = 0;

	for (size_t i = 0; i < n; i++)
		emails[i] = read_email(pg_row(reply, 0, i));
	qsort(emails, n, sizeof(*emails), compare_emails);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || id_cmp(emails[kept - 1].id, emails[i].id) != 0)
			emails[kept++] = emails[i];
	return kept;
}

static void
read_job(struct pg_row row, struct store_job *job)
{
	enum status status = STATUS_QUEUED;

	status_from_int(pg_get_int2(row, 7), &status);
	*job = (struct store_job){
		.id = pg_get_id(row, 0),
		.address = pg_get_text(row, 1),
		.field = pg_get_int2(row, 2),
		.pool = pg_get_int4(row, 3),
		.lane = pg_get_text(row, 4),
		.flow = (uint32_t)pg_get_int4(row, 5),
		.flags = (uint8_t)pg_get_int2(row, 6),
		.status = status,
		.attempts = pg_get_int2(row, 8),
		.retry_at_ms = pg_get_time(row, 9),
		.expires_at_ms = pg_get_time(row, 10),
		.finished_at_ms = pg_get_time(row, 11),
	};
}

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct call *call = ctx;
	struct store_job *jobs;
	struct store_job_email *emails;
	size_t n, email_count;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	jobs = store_reply_mem(reply, n, sizeof(*jobs));
	emails = store_reply_mem(reply, n, sizeof(*emails));
	email_count = read_emails(reply, emails);
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);

		read_job(row, &jobs[i]);
		if (call->with_heads)
			jobs[i].head = pg_get_text(row, 19);
		jobs[i].email =
		    find_email(emails, email_count, pg_get_id(row, 12));
	}
	call->done(call->ctx, jobs, n, NULL);
}

static struct pg_tx *
read_jobs(struct pg *pg, bool with_heads, const struct id *ids, size_t n,
    store_jobs_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));
	struct id *emails = xcalloc(n, sizeof(*emails));
	struct store_bounds rcpt = { 0 }, mail = { 0 };

	invariant(n > 0);
	*call = (struct call){ done, ctx, with_heads };
	for (size_t i = 0; i < n; i++) {
		emails[i] = id_email_of(ids[i]);
		store_bounds_add(&rcpt, ids[i]);
		store_bounds_add(&mail, emails[i]);
	}
	pg_tx_stmt(tx, with_heads ? &stmt_heads : &stmt_rows);
	store_put_ids(tx, ids, n);
	store_put_ids(tx, emails, n);
	store_bounds_put(tx, &rcpt);
	store_bounds_put(tx, &mail);
	free(emails);
	pg_tx_send(tx, on_rows, call);
	return tx;
}

struct pg_tx *
store_jobs_read(struct pg *pg, const struct id *ids, size_t n,
    store_jobs_got *done, void *ctx)
{
	return read_jobs(pg, false, ids, n, done, ctx);
}

struct pg_tx *
store_jobs_read_heads(struct pg *pg, const struct id *ids, size_t n,
    store_jobs_got *done, void *ctx)
{
	return read_jobs(pg, true, ids, n, done, ctx);
}

/* -- contents -------------------------------------------------------------- */

struct contents_call {
	store_contents_got *done;
	void *ctx;
	size_t n;
	struct store_content *content;
	size_t *have; /* octets of each that came */
};

static size_t
find_content(const struct contents_call *call, struct id id)
{
	for (size_t i = 0; i < call->n; i++)
		if (id_cmp(call->content[i].email, id) == 0)
			return i;
	return call->n;
}

typedef void on_chunk(struct contents_call *call, size_t at, int n,
    struct slice chunk);

static void
each_chunk(struct contents_call *call, const struct pg_reply *reply,
    on_chunk *look)
{
	size_t at = 0;

	for (size_t i = 0; i < pg_rows(reply, 0); i++) {
		struct pg_row row = pg_row(reply, 0, i);
		struct id id = pg_get_id(row, 0);

		/* Mostly the same as the one before. */
		if (at == call->n || id_cmp(call->content[at].email, id) != 0)
			at = find_content(call, id);
		if (at < call->n)
			look(call, at, pg_get_int2(row, 1),
			    pg_get_text(row, 2));
	}
}

static bool
fits(const struct store_content *c, int n, size_t len)
{
	size_t at = (size_t)n * STORE_CHUNK_BYTES;

	return n >= 0 && at <= c->bytes && len <= c->bytes - at;
}

static void
count_chunk(struct contents_call *call, size_t at, int n, struct slice chunk)
{
	if (fits(&call->content[at], n, chunk.len))
		call->have[at] += chunk.len;
}

/* When all have come: memory is not made for what a row says alone. */
static void
place_chunk(struct contents_call *call, size_t at, int n, struct slice chunk)
{
	struct store_content *c = &call->content[at];

	if (call->have[at] != c->bytes || !fits(c, n, chunk.len))
		return;
	if (c->content == NULL)
		c->content = xmalloc(c->bytes + 1);
	if (chunk.len > 0)
		memcpy(c->content + (size_t)n * STORE_CHUNK_BYTES, chunk.ptr,
		    chunk.len);
}

static void
on_contents(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct contents_call *call = ctx;

	if (err != NULL) {
		call->done(call->ctx, call->content, call->n, err);
		return;
	}
	each_chunk(call, reply, count_chunk);
	each_chunk(call, reply, place_chunk);
	call->done(call->ctx, call->content, call->n, NULL);
	for (size_t i = 0; i < call->n; i++)
		free(call->content[i].content);
}

struct pg_tx *
store_contents_read(struct pg *pg, const struct store_content *content,
    size_t n, store_contents_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct contents_call *call = pg_tx_mem(tx, sizeof(*call));
	struct store_bounds bounds = { 0 };

	invariant(n > 0);
	*call = (struct contents_call){ done, ctx, n,
		pg_tx_mem(tx, n * sizeof(*content)),
		pg_tx_mem(tx, n * sizeof(size_t)) };
	pg_tx_stmt(tx, &stmt_contents);
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < n; i++) {
		call->content[i].email = content[i].email;
		call->content[i].bytes = content[i].bytes;
		pg_tx_id(tx, content[i].email);
		store_bounds_add(&bounds, content[i].email);
	}
	pg_tx_array_end(tx);
	store_bounds_put(tx, &bounds);
	pg_tx_send(tx, on_contents, call);
	return tx;
}

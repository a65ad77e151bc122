#include "store/jobs.h"

#include <string.h>

#include "base/mem.h"
#include "pg_priv.h"
#include "store/accept.h"
#include "store_priv.h"

/*
 * One unit of work: the rows of the recipients with their emails, and the
 * contents of those emails, as chunks in any order. Chunk n stands at
 * n * STORE_CHUNK_BYTES in a buffer of content_bytes.
 */

/* LATERAL with OFFSET 0: see attempts.c. */
static const struct pg_stmt stmt_rows = { "jobs_rows",
	"SELECT r.id, r.address, r.field, r.pool, r.lane, r.flow, r.flags, "
	"r.status, r.attempts, r.retry_at, r.expires_at, r.finished_at, "
	"e.id, e.account, e.domain, e.stream, e.created_at, e.message_id, "
	"e.content_bytes "
	"FROM unnest($1::uuid[], $2::uuid[]) AS i(id, email) "
	"CROSS JOIN LATERAL (SELECT * FROM recipients r WHERE r.id = i.id "
	"AND r.id BETWEEN $3::uuid AND $4::uuid OFFSET 0) r "
	"CROSS JOIN LATERAL (SELECT * FROM emails e WHERE e.id = i.email "
	"AND e.id BETWEEN $5::uuid AND $6::uuid OFFSET 0) e" };

static const struct pg_stmt stmt_contents = { "jobs_contents",
	"SELECT c.id, c.n, c.chunk "
	"FROM unnest($1::uuid[]) AS i(id) "
	"CROSS JOIN LATERAL (SELECT e.id FROM emails e WHERE e.id = i.id "
	"AND e.id BETWEEN $2::uuid AND $3::uuid "
	"AND e.content_bytes <= $4::int4 OFFSET 0) e "
	"CROSS JOIN LATERAL (SELECT * FROM email_contents c "
	"WHERE c.id = e.id AND c.id BETWEEN $2 AND $3 OFFSET 0) c" };

static const struct pg_stmt stmt_content = { "content_read",
	"SELECT n, chunk FROM email_contents WHERE id = $1::uuid ORDER BY n" };

struct call {
	store_jobs_got *done;
	void *ctx;
	bool with_content;
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
		.content_bytes = (size_t)pg_get_int4(row, 18),
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

/* Puts a chunk in its place; false when it does not fit the email's size. */
static bool
place_chunk(char *content, size_t len, int n, struct slice chunk)
{
	size_t at = (size_t)n * STORE_CHUNK_BYTES;

	if (n < 0 || at > len || chunk.len > len - at)
		return false;
	if (chunk.len > 0)
		memcpy(content + at, chunk.ptr, chunk.len);
	return true;
}

static void
read_contents(const struct pg_reply *reply, struct store_job_email *emails,
    size_t email_count)
{
	for (size_t i = 0; i < pg_rows(reply, 1); i++) {
		struct pg_row row = pg_row(reply, 1, i);
		struct store_job_email *e =
		    find_email(emails, email_count, pg_get_id(row, 0));

		if (e == NULL)
			continue;
		if (e->content == NULL)
			e->content = xmalloc(e->content_bytes + 1);
		place_chunk(e->content, e->content_bytes, pg_get_int2(row, 1),
		    pg_get_text(row, 2));
	}
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
	if (call->with_content)
		read_contents(reply, emails, email_count);
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);

		read_job(row, &jobs[i]);
		jobs[i].email =
		    find_email(emails, email_count, pg_get_id(row, 12));
	}
	call->done(call->ctx, jobs, n, NULL);
	for (size_t i = 0; i < email_count; i++)
		free(emails[i].content);
}

struct pg_tx *
store_jobs_read(struct pg *pg, const struct id *ids, size_t n,
    size_t content_max, store_jobs_got *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct call *call = pg_tx_mem(tx, sizeof(*call));
	struct id *emails = xcalloc(n, sizeof(*emails));
	struct store_bounds rcpt = { 0 }, mail = { 0 };
	struct id last = { { 0 } };
	size_t distinct = 0;

	invariant(n > 0);
	*call = (struct call){ done, ctx, content_max > 0 };
	for (size_t i = 0; i < n; i++) {
		emails[i] = id_email_of(ids[i]);
		store_bounds_add(&rcpt, ids[i]);
		store_bounds_add(&mail, emails[i]);
	}
	pg_tx_stmt(tx, &stmt_rows);
	store_put_ids(tx, ids, n);
	store_put_ids(tx, emails, n);
	store_bounds_put(tx, &rcpt);
	store_bounds_put(tx, &mail);
	if (content_max > 0) {
		/* Neighbours of one email are read once; others may come twice,
		 * which costs time but changes nothing. */
		for (size_t i = 0; i < n; i++)
			if (id_cmp(emails[i], last) != 0)
				emails[distinct++] = last = emails[i];
		pg_tx_stmt(tx, &stmt_contents);
		store_put_ids(tx, emails, distinct);
		store_bounds_put(tx, &mail);
		pg_tx_int4(tx, (int32_t)MIN(content_max, (size_t)INT32_MAX));
	}
	free(emails);
	pg_tx_send(tx, on_rows, call);
	return tx;
}

struct content_call {
	store_content_got *done;
	void *ctx;
};

static void
on_content(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct content_call *call = ctx;
	struct error missing = { 0 };
	size_t len = 0, n;
	char *content;

	if (err != NULL) {
		call->done(call->ctx, NULL, 0, err);
		return;
	}
	n = pg_rows(reply, 0);
	if (n == 0) {
		error_set(&missing, ERR_NOTFOUND, "the content is gone");
		call->done(call->ctx, NULL, 0, &missing);
		return;
	}
	for (size_t i = 0; i < n; i++)
		len += pg_get_text(pg_row(reply, 0, i), 1).len;
	content = xmalloc(len + 1);
	for (size_t i = 0; i < n; i++)
		place_chunk(content, len, (int)i,
		    pg_get_text(pg_row(reply, 0, i), 1));
	call->done(call->ctx, content, len, NULL);
}

struct pg_tx *
store_content_read(struct pg *pg, struct id email, store_content_got *done,
    void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	struct content_call *call = pg_tx_mem(tx, sizeof(*call));

	pg_tx_stmt(tx, &stmt_content);
	pg_tx_id(tx, email);
	*call = (struct content_call){ done, ctx };
	pg_tx_send(tx, on_content, call);
	return tx;
}

/* store/jobs.h - what an mta reads about the jobs it leased, in one batch. */
#ifndef STORE_JOBS_H
#define STORE_JOBS_H

#include "model/status.h"
#include "store/pg.h"

struct store_job_email {
	struct id id;
	int account, domain, stream;
	int64_t created_at_ms;
	struct slice message_id; /* ptr NULL: derived */
	size_t content_bytes;
};

struct store_job {
	struct id id;
	struct store_job_email *email; /* shared by jobs of one email */
	struct slice address;
	int field;
	int pool;
	struct slice lane;
	uint32_t flow;
	uint8_t flags;
	enum status status;
	int attempts;
	int64_t retry_at_ms; /* 0: now */
	int64_t expires_at_ms;
	int64_t finished_at_ms; /* 0: unfinished */
	struct slice head; /* read_heads only: the email's (store/emails.h) */
};

/* Jobs whose id is not in the database are missing from the answer. */
typedef void store_jobs_got(void *ctx, const struct store_job *job,
    size_t count, const struct error *err);
struct pg_tx *store_jobs_read(struct pg *pg, const struct id *ids, size_t n,
    store_jobs_got *done, void *ctx);
/* The same with the heads, which cost as much again. */
struct pg_tx *store_jobs_read_heads(struct pg *pg, const struct id *ids,
    size_t n, store_jobs_got *done, void *ctx);

/* The record of an email (mail/content.h). */
struct store_content {
	struct id email;
	size_t bytes; /* as store_job_email.content_bytes has it */
	/* Heap; a callback that keeps it sets it to NULL here and frees it
	 * later. NULL: it is gone, or not whole. */
	char *content;
};
/* content and n as asked, in the same order; err: not read. */
typedef void store_contents_got(void *ctx, struct store_content *content,
    size_t n, const struct error *err);
/* Of each email once; content is borrowed for the call and its member of that
 * name not read. */
struct pg_tx *store_contents_read(struct pg *pg,
    const struct store_content *content, size_t n, store_contents_got *done,
    void *ctx);

#endif

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
	/*
	 * The whole record on the heap. A callback that keeps it sets it to
	 * NULL here and frees it later. NULL: larger than the limit given, to
	 * be read by store_content_read when its turn comes.
	 */
	char *content;
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
};

/* Jobs whose id is not in the database are missing from the answer. */
typedef void store_jobs_got(void *ctx, const struct store_job *job,
    size_t count, const struct error *err);
/* content_max: records up to this many octets come along. */
struct pg_tx *store_jobs_read(struct pg *pg, const struct id *ids, size_t n,
    size_t content_max, store_jobs_got *done, void *ctx);

/* content: heap, taken by the callback; ERR_NOTFOUND: gone. */
typedef void store_content_got(void *ctx, char *content, size_t len,
    const struct error *err);
struct pg_tx *store_content_read(struct pg *pg, struct id email,
    store_content_got *done, void *ctx);

#endif

/*
 * api/large.h - reads large bodies beside the loop: a child of this process
 * has the body already (fork shares it), does what email_json_read does, and
 * leaves the record of the message in memory that both see. Small requests
 * go on meanwhile. Why: contrib/notes/0030-large-bodies.md.
 */
#ifndef API_LARGE_H
#define API_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/slice.h"
#include "intake/answer.h"
#include "net/loop.h"

/* A body beyond this would hold the loop for milliseconds. */
#define LARGE_BODY_BYTES ((size_t)1 << 20)

struct large_pool;
struct large;

/* running_max: children at a time; more wait. */
struct large_pool *large_pool_new(struct loop *l, size_t running_max);
/* All that was started must have been freed. */
void large_pool_free(struct large_pool **p);

struct large_result {
	const struct intake_answer *no; /* the refusal; NULL: it was read */
	struct slice record; /* of mail/content.h; lives until large_free */
	uint8_t body_hash[SHA256_LEN];
};
typedef void large_done(void *ctx, const struct large_result *result);

/* body: borrowed until done is called or large_free; not changed. done is
 * called once, not before this returns, and not after large_free. */
struct large *large_start(struct large_pool *p, char *body, size_t len,
    size_t recipients_max, large_done *done, void *ctx);
/* Ends the child if it still runs, and gives the record back. */
void large_free(struct large **l);

#endif

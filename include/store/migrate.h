/*
 * store/migrate.h - the schema: sql/NNNN_*.sql, embedded in the binary.
 *
 * Applied in order under an advisory lock, each in its own transaction, and
 * recorded with its SHA-256 in the table migrations. These functions block on
 * a connection of their own: for one-shot commands and for start-up only.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct migration {
	const char *name; /* "0001_tables.sql" */
	struct slice sql;
};

/* The embedded files, in order: on the heap, owned by the caller. */
struct migration *migrate_files(size_t *count);

/*
 * Applies what is missing and makes the partitions of yesterday to eight days
 * ahead. Refuses (ERR_CONFIG) when an applied file has changed since, or when
 * the database knows migrations that this binary does not.
 * applied: called with the name of each file applied; may be NULL.
 */
int migrate_run(const char *conninfo, int64_t now_ms,
    void (*applied)(void *ctx, const char *name), void *ctx,
    struct error *err) MUST_CHECK;
/* The same on other files, for tests. */
int migrate_run_files(const char *conninfo, const struct migration *files,
    size_t count, int64_t now_ms, void (*applied)(void *ctx, const char *name),
    void *ctx, struct error *err) MUST_CHECK;

/* How many files are not applied yet; the same refusals. */
int migrate_pending(const char *conninfo, size_t *pending,
    struct error *err) MUST_CHECK;

#endif

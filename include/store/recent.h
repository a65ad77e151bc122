/*
 * store/recent.h - the contents that this node accepted a moment ago, in memory
 * that its processes share.
 *
 * Most mail is sent within a second of its acceptance. Whoever accepts puts the
 * record here once it is committed, and whoever sends looks here before it asks
 * the database (measured: 10 kB cost PostgreSQL 24 us, a look costs 2). It is a
 * cache and nothing else: a miss is always right, and what is found is always
 * whole, whoever is killed while writing.
 *
 * Each writing process has a ring of its own, the oldest is written over. No
 * locks: a reader copies, then looks whether the writer came by.
 */
#ifndef STORE_RECENT_H
#define STORE_RECENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "model/id.h"

struct recent;

/*
 * For writers processes, numbered from 0, that share bytes. To be made before
 * the fork of all that use it. NULL: bytes are too few for anything (less than
 * 64 kB for each), or the memory cannot be had. All functions take NULL for
 * "there is none".
 */
struct recent *recent_new(size_t bytes, size_t writers);
/* Gives up the mapping of this process; others keep theirs. */
void recent_free(struct recent **r);

/* Content of more than an eighth of a ring is not kept. One process at a time
 * may write as this writer. */
void recent_put(struct recent *r, size_t writer, struct id email,
    struct slice content);

/*
 * The record of that email if it is here and of exactly len octets: on the
 * heap, the caller's. NULL: ask the database.
 */
char *recent_get(const struct recent *r, struct id email, size_t len);

#endif

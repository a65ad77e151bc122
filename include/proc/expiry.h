/*
 * proc/expiry.h - ends what is past its max age and leased by nobody (capped,
 * no source, parked): claims it, so that nobody sends it meanwhile, then has
 * outcome/ record it as failed: expired.
 */
#ifndef PROC_EXPIRY_H
#define PROC_EXPIRY_H

#include <stddef.h>

#include "store/walks.h"

struct expiry;
struct loop;
struct pg;

struct expiry *expiry_new(struct loop *l, struct pg *pg);
void expiry_free(struct expiry **e);
/*
 * rows: borrowed for the call. worker: number of this process's row, under
 * which it claims. A step that is still under way makes the call do nothing:
 * the walk tells the same rows again in its next round.
 */
void expiry_take(struct expiry *e, int worker,
    const struct store_unfinished *rows, size_t n);

#endif

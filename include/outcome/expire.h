/*
 * outcome/expire.h - ends what nobody leases (capped, no source, parked) and is
 * past its max age or cancelled: claims it, so that nobody sends it meanwhile,
 * then has the writer record it as failed: expired, or as canceled.
 */
#ifndef OUTCOME_EXPIRE_H
#define OUTCOME_EXPIRE_H

#include <stddef.h>

#include "store/walks.h"

struct expire;
struct loop;
struct pg;

struct expire *expire_new(struct loop *l, struct pg *pg);
void expire_free(struct expire **e);
/*
 * rows: borrowed for the call. worker: number of this process's row, under
 * which it claims. Those that are not past their max age are cancelled. A step
 * that is still under way makes the call do nothing: the walk tells the same
 * rows again in its next round.
 */
void expire_take(struct expire *e, int worker,
    const struct store_unfinished *rows, size_t n);

#endif

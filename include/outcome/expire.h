/*
 * outcome/expire.h - ends what nobody leases (capped, no source, parked) and is
 * past its max age or cancelled: claims it, so that nobody sends it meanwhile,
 * then has the writer record it as failed: expired, or as canceled.
 */
#ifndef OUTCOME_EXPIRE_H
#define OUTCOME_EXPIRE_H

#include <stddef.h>

#include "queue/walk.h"

struct expire;
struct loop;
struct pg;
struct rules;

/* rules: what cancels, borrowed. */
struct expire *expire_new(struct loop *l, struct pg *pg,
    const struct rules *rules);
void expire_free(struct expire **e);
/*
 * over: borrowed for the call, in the order of the ids. worker: number of this
 * process's row, under which it claims. Those that are not past their max age
 * are cancelled. A step that is still under way makes the call do nothing: the
 * walk tells the same ones again in its next round.
 */
void expire_take(struct expire *e, int worker, const struct walk_over *over,
    size_t n);

#endif

/*
 * outcome/expire.h - ends recipients past their max age that nobody leases:
 * claims each (so that no mta is sending it), then records it as expired.
 * The walk of the queue finds them.
 */
#ifndef OUTCOME_EXPIRE_H
#define OUTCOME_EXPIRE_H

#include <stddef.h>

#include "store/walks.h"

struct expire;
struct loop;
struct pg;
struct outcome_writer;

/* worker: number of this process's row; pg and writer are borrowed. */
struct expire *expire_new(
    struct pg *pg, struct outcome_writer *writer, int worker);
void expire_free(struct expire **e);
/* rows are copied. Those that come while the last call's are under way are
 * passed over: the next round of the walk tells them again. */
void expire_rows(
    struct expire *e, const struct store_unfinished *rows, size_t n);

#endif

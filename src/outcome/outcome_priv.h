/*
 * outcome_priv.h - a record: one store_outcome with the memory of its texts.
 */
#ifndef OUTCOME_PRIV_H
#define OUTCOME_PRIV_H

#include "base/arena.h"
#include "base/list.h"
#include "outcome/outcome.h"
#include "store/outcomes.h"

struct record {
	struct list node;
	struct arena arena;
	struct store_outcome row;
	outcome_done *done;
	void *ctx;
};

/* consequences.c: what follows from what happened. */
struct record *record_of_attempt(const struct outcome_attempt *a);
struct record *record_of_dsn(const struct outcome_dsn *d);
struct record *record_of_end(const struct outcome_end *e);
void record_free(struct record *r);

#endif

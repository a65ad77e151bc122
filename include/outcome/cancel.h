/*
 * outcome/cancel.h - the sender wants an email back. What is unfinished and not
 * being sent at this moment ends as canceled, at once.
 */
#ifndef OUTCOME_CANCEL_H
#define OUTCOME_CANCEL_H

#include "store/cancel.h"

struct queue;

/*
 * done gets what became of it, after the commit; jobs that wait in the schedule
 * are dropped without waiting (queue may be NULL): whoever comes across one
 * that is left finds it finished. ERR_NOTFOUND: no such email in this account.
 */
struct outcome_cancel;
struct outcome_cancel *outcome_cancel_start(struct pg *pg, struct queue *q,
    int account, struct id email, store_cancel_got *done, void *ctx);
/* done is not called; it may be canceled all the same. */
void outcome_cancel_stop(struct outcome_cancel **c);

#endif

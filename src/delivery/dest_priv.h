/* dest_priv.h - what the files about destinations share. */
#ifndef DELIVERY_DEST_PRIV_H
#define DELIVERY_DEST_PRIV_H

#include "delivery/delivery_priv.h"

/* Until a backlog has shown what a site can do, it counts as a fast one. */
#define RATE_GUESS 64.0

/* -- dest.c: what waits and what is claimed ------------------------------- */

void dest_give_back_waiting(struct dest *d, int64_t delay_ms);
void dest_ask_for_claims(struct dest *d);
/* Once a second: how fast it is, and what is too old. */
void dest_age(struct dest *d);

/* -- dest_links.c: connections --------------------------------------------- */

/* No connection before; 0: now. */
int64_t dest_rest_left_ms(const struct dest *d);
/* Connections that take mail, or will. */
unsigned int dest_live_count(const struct dest *d);
bool dest_is_resting(const struct dest *d);
/* As many as the backlog needs and the limits allow. */
void dest_open_sessions(struct dest *d);

/* -- dest_table.c: which one ----------------------------------------------- */

/* Which of the sources a job goes out from; NULL: none is left. */
const struct source *dest_pick_source(const struct mta *m, const struct job *j);
/* Given back, it goes out from another source: one of ours that has something
 * left of its day, or one of another process, for its lane is closed to us. */
bool dest_other_may_take(const struct mta *m, const struct job *j);
/* The destination of a route from a source; made when there is none. */
struct dest *dest_find(struct mta *m, struct route *r, const struct source *s);

#endif

/*
 * delivery/scope.h - what limits are counted for: a source with a site, and a
 * source with a provider; over all destinations that belong to it.
 *
 * A destination that was refused stands in a line of the scope that refuses
 * longest, and is called when its turn has come: first come, first served, by
 * one timer for each line. Nobody polls.
 */
#ifndef DELIVERY_SCOPE_H
#define DELIVERY_SCOPE_H

#include "base/list.h"
#include "delivery/limit.h"

struct dest;
struct mta;
struct scope;
struct source;

#define SCOPES_MAX 2 /* of a destination: the site, then the provider */

void scopes_init(struct mta *m);
void scopes_fini(struct mta *m);
/* Once a second: forgets those that nobody needs and that owe no pause. */
void scopes_tick(struct mta *m);
/* Somebody else may have sent from this source until now. */
void scopes_restart(struct mta *m, const struct source *s);

/* A destination joins and leaves its scopes. */
void scopes_join(struct dest *d);
void scopes_leave(struct dest *d);

/* 0: a mail may begin now; else how long it has to wait, and the destination
 * is called then. */
int64_t scopes_mail_wait_us(struct dest *d);
/* MAIL FROM is written. */
void scopes_mail_begins(struct dest *d);
/* How many claims make sense now: what could begin within 50 ms. 0: the
 * destination is called when one does. */
size_t scopes_claims(struct dest *d);

/* Whether one more connection may be opened now, which is then counted; if not
 * the destination is called later. */
bool scopes_open(struct dest *d);
void scopes_closed(struct dest *d);
/* 0: a connection may be tried now, which is then counted; else how long to
 * wait before the next question. */
int64_t scopes_connect_ms(struct dest *d);
/* An idle connection of this destination: it goes when another one needs its
 * place. False: it does already. */
bool scopes_idle(struct dest *d, struct list *idle_node);

/* Mails a second that the limits allow; 0: there is no limit. */
double scopes_rate(const struct dest *d);
/* What a source could begin with a provider (-1: none, no limit) within a time,
 * less what waits already; and the most that this can be. Where no limit sets
 * the rate it is what the provider's sites take. */
struct scope_room {
	size_t now, most;
	int64_t opens_us; /* now == 0: not before */
	const char *why;
	int64_t until_us; /* now == 0: that lasts so long; 0: not known */
};
struct scope_room scopes_room(struct mta *m, const struct source *s,
    int provider, int64_t within_us);

/* A job waits in the destination (+1), or does not any more (-1). */
void scopes_wait(struct dest *d, int change);
/* Once a second: as many may wait for the destination. */
void scopes_take(struct dest *d, size_t cap);
/* Whether as many wait for one of its scopes as may; if so, ms until the next
 * one beyond them has its turn. */
bool scopes_are_full(struct dest *d, bool is_urgent, int64_t *turn_ms);

#endif

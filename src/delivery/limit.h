/*
 * delivery/limit.h - rates and connection limits, counted. Pure: time is a
 * parameter, in microseconds of one clock that never goes back.
 *
 * A rate of N for a time P is kept strictly: no half-open window of length P
 * holds more than N. It is spread evenly (GCRA), but what came a little late
 * may be made up for within the slack, which is a hundredth of P and at most
 * 100 ms; the interval is longer by as much: (P + slack) / N. So a timer that
 * fires late costs nothing, and N is still never passed.
 *
 * A limiter starts without credit, one interval after a given moment: the
 * moment from which on nobody else has used the same address.
 */
#ifndef DELIVERY_LIMIT_H
#define DELIVERY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

struct gcra {
	int64_t interval_us; /* 0: no limit */
	int64_t slack_us;
	int64_t tat_us; /* when the next one is due (theoretical arrival) */
};

void gcra_init(struct gcra *g, struct config_rate rate, int64_t start_us);
/* The slower of both from now on. */
void gcra_tighten(struct gcra *g, struct config_rate rate, int64_t start_us);
/* Nothing may be taken sooner than one interval after this. */
void gcra_restart(struct gcra *g, int64_t start_us);
/* The first moment, not before now_us, at which one may be taken. */
int64_t gcra_at(const struct gcra *g, int64_t now_us);
/* Takes one, at a moment that gcra_at allows. */
void gcra_take(struct gcra *g, int64_t now_us);
/* How many could be taken up to now_us + within_us. */
uint64_t gcra_room(const struct gcra *g, int64_t now_us, int64_t within_us);

/* What is limited together: a source with a site, or with a provider. */
struct limit {
	struct gcra connect, mail;
	uint64_t connections_max; /* 0: no limit */
	uint64_t connections;
};

#define LIMIT_NEVER INT64_MAX /* not before a connection is closed */

/*
 * Of several limits that hold at once: when all of them allow one more, and
 * one more of all of them. They are asked first and taken together, so none
 * is charged for what another refuses.
 */
int64_t limit_mail_at(struct limit *const *l, size_t n, int64_t now_us);
void limit_mail_take(struct limit *const *l, size_t n, int64_t now_us);
/* A connection counts until limit_closed; a further attempt of the same one
 * (another host, or clear text) counts only in the rate. */
int64_t limit_open_at(struct limit *const *l, size_t n, int64_t now_us);
void limit_opened(struct limit *const *l, size_t n);
void limit_closed(struct limit *const *l, size_t n);
int64_t limit_connect_at(struct limit *const *l, size_t n, int64_t now_us);
void limit_connect_take(struct limit *const *l, size_t n, int64_t now_us);

#endif

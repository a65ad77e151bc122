/*
 * proc/pulse.h - whether the children of a master get on: each counts the
 * turns of its loop in memory that both see, and the master looks.
 *
 * A child whose count has stood still at PULSE_STILL_MAX looks in a row is
 * stopped or hangs, and is to be killed: then the kernel closes what it had
 * open, before its worker counts as dead (STORE_UNSEEN_MS) and somebody else
 * may send from its addresses.
 *
 * Looks are counted, not seconds: a master that was stopped itself has not
 * looked meanwhile, and gives its children their whole time again.
 */
#ifndef PROC_PULSE_H
#define PROC_PULSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"

#define PULSE_MS 1000 /* a child's beat, and the master's look */
#define PULSE_STILL_MAX 15

/* What a child counts in: shared, one writer. */
struct pulse {
	_Atomic uint32_t count;
};

/* Memory shared with the children forked later; NULL with err. */
struct pulse *pulses_new(size_t count, struct error *err) MUST_CHECK;
void pulses_free(struct pulse **p, size_t count);
void pulse_beat(struct pulse *p);

/* What the master remembers of a child; zero-initialised. */
struct pulse_watch {
	pid_t pid; /* whose count it is */
	uint32_t count;
	unsigned int still; /* looks in a row without a change */
};
/*
 * A look at the child, whose process is pid (0: none). True, once for each
 * PULSE_STILL_MAX looks: it stands still.
 */
bool pulse_look(struct pulse_watch *w, const struct pulse *p, pid_t pid);

#endif

#include "pressure.h"

#include "base/attr.h"

#define RETRY_LEAST_S 1
#define RETRY_MOST_S 60
#define RETRY_UNKNOWN_S 5
/* Room for so many seconds of delivery, so that not all come back at once to
 * find a single place. */
#define ROOM_S 2.0

static size_t
limit(const struct pressure *p, bool transactional)
{
	return transactional ? p->max : p->max - p->max / 10;
}

void
pressure_asked(struct pressure *p)
{
	p->in_question = p->added;
}

void
pressure_counted(struct pressure *p, size_t depth, int64_t now_ms)
{
	double seconds = (double)(now_ms - p->counted_ms) / 1000;

	/* What others added makes the rate too small, which errs on the
	 * patient side. */
	if (p->counted_ms != 0 && seconds > 0 &&
	    p->depth + p->in_question > depth)
		p->drained_per_s =
		    (double)(p->depth + p->in_question - depth) / seconds;
	p->depth = depth;
	p->added -= p->in_question;
	p->in_question = 0;
	p->counted_ms = now_ms;
}

void
pressure_added(struct pressure *p, size_t recipients)
{
	p->added += recipients;
}

void
pressure_enter(struct pressure *p, size_t recipients)
{
	p->entering += recipients;
}

void
pressure_left(struct pressure *p, size_t recipients)
{
	p->entering -= recipients;
}

size_t
pressure_used(const struct pressure *p)
{
	return p->depth + p->added + p->entering;
}

bool
pressure_has_room(const struct pressure *p, size_t recipients,
    bool transactional)
{
	size_t used = pressure_used(p);

	if (p->max == 0)
		return true;
	return used < limit(p, transactional) &&
	    recipients <= limit(p, transactional) - used;
}

unsigned int
pressure_retry_after_s(const struct pressure *p, bool transactional)
{
	size_t used = pressure_used(p);
	size_t most = limit(p, transactional);
	double over = used > most ? (double)(used - most) : 0;
	double seconds;

	if (p->drained_per_s < 1)
		return RETRY_UNKNOWN_S;
	seconds = over / p->drained_per_s + ROOM_S;
	if (seconds > RETRY_MOST_S)
		return RETRY_MOST_S;
	return MAX((unsigned int)seconds, (unsigned int)RETRY_LEAST_S);
}

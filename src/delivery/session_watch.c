/*
 * The watchdog of sessions. What is awaited has a deadline of its own with
 * smtp/client or net/conn, and that ends a session in time; this one is for
 * the day when one of them is missing. A session that stands at the same step
 * for twice the time that the step may take is logged with all that is known,
 * and ended as if its link were lost.
 *
 * A step ends with a reply, not with octets: a host that dribbles makes no
 * progress. In the body of a message each piece that is handed over counts.
 */
#include "delivery/session_priv.h"

#define LEAST_MS 60000

void
session_awaits(struct session *s, const char *what, int64_t at_most_ms)
{
	s->awaits = what;
	s->awaits_ms = at_most_ms;
	session_moved(s);
}

void
session_moved(struct session *s)
{
	s->moved_mono_ms = loop_mono_ms(s->mta->opt.loop);
}

/* Timers of our own end these. */
static bool
is_at_rest(const struct session *s)
{
	return timer_is_set(s->idle) || timer_is_set(s->later);
}

static size_t
count_mails(const struct session *s)
{
	size_t n = 0;

	list_each (node, &s->mails)
		n++;
	return n;
}

void
session_watch(struct session *s, int64_t now_mono_ms)
{
	int64_t still_ms = now_mono_ms - s->moved_mono_ms;
	struct error err;

	if (s->over || is_at_rest(s) ||
	    still_ms <= MAX(2 * s->awaits_ms, (int64_t)LEAST_MS))
		return;
	log_error(&s->mta->log, "session.stuck", log_uint("session", s->number),
	    log_text("host", s->host), log_text("awaits", s->awaits),
	    log_int("still_ms", still_ms), log_uint("mails", count_mails(s)),
	    log_uint("unwritten", s->conn != NULL ? conn_pending(s->conn) : 0));
	error_set(&err, ERR_TIMEOUT, "no progress in %s for %lld s", s->awaits,
	    (long long)still_ms / 1000);
	session_end_stuck(s, &err);
}

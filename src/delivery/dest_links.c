/*
 * The connections of a destination.
 *
 * They grow with the backlog up to the limit. A connection on which no mail
 * got an answer has failed, whether it never became usable or broke at the
 * first MAIL. When the last one failed (after a round over all hosts) the
 * destination rests: 1 s doubling to 15 minutes; what waited goes back to the
 * schedule until then. One that fails beside others that work only means that
 * the host takes no more at once: no further ones for as long.
 */
#include "delivery/dest_priv.h"

#include <limits.h>
#include <stdio.h>

#define REST_BASE_MS 1000
#define REST_MAX_MS (15 * 60 * 1000)
/* At a time, so that a host that does not answer binds few jobs. */
#define CONNECTING_MAX 5

int64_t
dest_rest_left_ms(const struct dest *d)
{
	int64_t left = d->retry_at_mono_ms - loop_mono_ms(d->mta->opt.loop);

	return MAX(left, 0);
}

/* Connections that take mail, or will. */
unsigned int
dest_live_count(const struct dest *d)
{
	return d->session_count - d->quitting_count;
}

bool
dest_is_resting(const struct dest *d)
{
	return dest_live_count(d) == 0 && dest_rest_left_ms(d) > 0;
}

/* Whether replies to the dot are known to come soon enough to wait for. */
static bool
is_quick(const struct dest *d)
{
	return d->dot_ms >= 0 && d->dot_ms <= DEST_RIDE_MS;
}

static unsigned int
sessions_wanted(const struct dest *d)
{
	size_t backlog = d->waiting_count + d->claiming_count +
	    d->claimed_count + d->sending_count;
	/* One for two, unless those that there are do not get on. */
	bool each_its_own = d->stands_still || d->dot_ms > DEST_RIDE_MS;
	size_t wanted = each_its_own ? backlog : (backlog + 1) / 2;

	return (unsigned int)MIN(wanted, UINT_MAX);
}

void
dest_open_sessions(struct dest *d)
{
	unsigned int wanted = sessions_wanted(d), connecting = CONNECTING_MAX;
	struct mta *m = d->mta;

	/* With one that stands idle for its turn no more would be of use. */
	if (m->draining || d->is_retired ||
	    (d->idle_count > 0 && list_is_linked(&d->mail_node)))
		return;
	if (dest_live_count(d) == 0) {
		if (dest_rest_left_ms(d) > 0)
			return;
	} else if (d->more_at_mono_ms > loop_mono_ms(m->opt.loop)) {
		return;
	}
	/* Nor would one that had to wait for its first mail. */
	if (d->session_count == 0 && wanted > 0 &&
	    d->claimed_count + d->claiming_count == 0 &&
	    (scopes_claims(d) == 0 || quotas_left(d) == 0))
		return;
	/* While nothing has answered yet, one attempt is enough. */
	if (d->fail_count > 0 || d->more_fail_count > 0)
		connecting = 1;
	while (dest_live_count(d) < wanted &&
	    d->connecting_count < connecting &&
	    m->session_count < m->sessions_max && scopes_open(d)) {
		struct session *s = session_new(d);

		list_append(&d->sessions, session_node(s));
		d->session_count++;
		d->connecting_count++;
		m->session_count++;
	}
}

void
dest_work(struct dest *d)
{
	list_each_safe (node, &d->sessions)
		session_kick(session_of(node));
	dest_open_sessions(d);
	dest_ask_for_claims(d);
}

static void
on_work(void *ctx)
{
	struct mta *m = ctx;
	struct list *node;

	while ((node = list_pop(&m->work)) != NULL)
		dest_work(list_entry(node, struct dest, work_node));
}

void
dest_work_soon(struct dest *d)
{
	if (!list_is_linked(&d->work_node))
		list_append(&d->mta->work, &d->work_node);
	loop_call_schedule(d->mta->opt.loop, &d->mta->work_call, on_work,
	    d->mta);
}

void
dest_session_ready(struct dest *d)
{
	d->connecting_count--;
	dest_work_soon(d);
}

void
dest_session_unready(struct dest *d)
{
	d->connecting_count++;
}

void
dest_session_quits(struct dest *d, bool was_ready)
{
	if (!was_ready)
		d->connecting_count--;
	d->quitting_count++;
}

void
dest_progress(struct dest *d)
{
	d->fail_count = d->more_fail_count = 0;
	d->retry_at_mono_ms = d->more_at_mono_ms = 0;
}

bool
dest_may_ride(const struct dest *d)
{
	return is_quick(d) &&
	    d->claimed_count > d->idle_count + d->connecting_count;
}

void
dest_dot_took(struct dest *d, int64_t ms)
{
	d->dot_ms = d->dot_ms < 0 ? ms : (d->dot_ms * 3 + ms) / 4;
}

static int64_t
rest_ms(unsigned int fail_count)
{
	int64_t rest = REST_BASE_MS;

	for (unsigned int i = 1; i < fail_count && rest < REST_MAX_MS; i++)
		rest *= 2;
	return MIN(rest, REST_MAX_MS);
}

/*
 * No connection is left and the last one was of no use: what is claimed made
 * its attempt and ends deferred; what waited goes back untouched.
 */
static void
give_up_round(struct dest *d)
{
	int64_t rest = rest_ms(++d->fail_count);

	d->retry_at_mono_ms = loop_mono_ms(d->mta->opt.loop) + rest;
	list_each_safe (node, &d->claimed)
		finish_attempt(list_entry(node, struct job, node),
		    &d->last_failure, d->last_host, "",
		    strbuf_slice(&d->last_said));
	dest_give_back_waiting(d, rest);
}

/* Several that were opened together fail together: that counts once. */
static void
open_no_more(struct dest *d)
{
	int64_t now = loop_mono_ms(d->mta->opt.loop);

	if (d->more_at_mono_ms > now)
		return;
	d->more_at_mono_ms = now + rest_ms(++d->more_fail_count);
}

void
dest_session_gone(struct dest *d)
{
	d->session_count--;
	d->mta->session_count--;
	scopes_closed(d);
}

void
dest_session_over(struct dest *d, const struct session_end *end)
{
	dest_session_gone(d);
	if (end->was_quitting)
		d->quitting_count--;
	else if (!end->was_ready)
		d->connecting_count--;
	if (end->failed) {
		d->last_failure = *end->why;
		snprintf(d->last_host, sizeof(d->last_host), "%s", end->host);
		strbuf_reset(&d->last_said);
		strbuf_add_slice(&d->last_said, end->transcript);
		if (dest_live_count(d) == 0)
			give_up_round(d);
		else
			open_no_more(d);
	}
	dest_work_soon(d);
}

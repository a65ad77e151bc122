/*
 * A destination: one site from one source. It holds what waits for it in the
 * order of the fair tags, and what is claimed for it; its connections are in
 * dest_links.c, and which destination a job belongs to in dest_table.c.
 */
#include "delivery/dest_priv.h"

#include "base/clock.h"
#include "store/pg.h"

/*
 * What waits here is about what leaves within a second at the rate that was
 * seen, so that a slow site does not fill the process. That rate is small also
 * when this process got little time; so a shorter while would let it starve.
 * A rate that is a limit is known, and a quarter of a second enough.
 */
#define LIMITED_S 0.25
#define WAITING_MIN 2
#define WAITING_MAX 512
/* The weight of transactional mail beside other (store/keys.c). */
#define URGENT_IN_A_ROW 8
#define TURN_LEAST_MS 1000
#define TURN_MAX_MS (60 * 60 * 1000)
/* Claims are taken this far ahead of what is being sent, per connection: the
 * commit of the next hides behind the transaction of this one. */
#define CLAIM_AHEAD 4
/* What finds the day of its provider used up, and would be leased again at
 * once, comes again then: a limit may be raised. */
#define USED_UP_MS (60 * 60 * 1000)
#define CLAIM_WAIT_US (30 * 1000000)

/* Claimed ones wait, too. */
static void
count_waiting(struct dest *d, int change)
{
	scopes_wait(d, change);
	quotas_wait(d, change);
}

/* -- waiting --------------------------------------------------------------- */

static bool
is_urgent(const struct job *j)
{
	return (j->q.member.flags & QUEUE_TRANSACTIONAL) != 0;
}

/*
 * Transactional mail first, then by tag. Tags alone would not do: those of a
 * slow site grow old here, while the schedule goes on with other sites of the
 * lane, and a newcomer's would be larger than all of them.
 */
static bool
is_before(const struct job *a, const struct job *b)
{
	return is_urgent(a) == is_urgent(b) ? a->q.tag < b->q.tag
					    : is_urgent(a);
}

/* Mostly the newcomer comes last, or it is urgent and comes first. */
static void
insert_in_order(struct dest *d, struct job *j)
{
	struct list *first = list_first(&d->waiting);
	struct list *at = d->waiting.prev;

	if (first != NULL && is_before(j, list_entry(first, struct job, node)))
		at = &d->waiting;
	while (
	    at != &d->waiting && is_before(j, list_entry(at, struct job, node)))
		at = at->prev;
	list_insert_before(at->next, &j->node);
	d->waiting_count++;
	j->lane->waiting_count++;
}

static void
leave_waiting(struct job *j)
{
	list_remove(&j->node);
	j->dest->waiting_count--;
	j->lane->waiting_count--;
}

/* Not beyond its max age: it comes back then, to end. */
static void
defer(struct job *j, int64_t delay_ms)
{
	lane_defer(j, MIN(delay_ms, j->expires_at_ms - clock_now_ms()));
}

/* For good. */
static void
leave(struct job *j)
{
	count_waiting(j->dest, -1);
	leave_waiting(j);
	j->dest = NULL;
}

void
dest_give_back_waiting(struct dest *d, int64_t delay_ms)
{
	list_each_safe (node, &d->waiting) {
		struct job *j = list_entry(node, struct job, node);

		leave(j);
		defer(j, delay_ms);
	}
}

/* Mails a second: what it has shown, within what the limits allow. */
static double
rate_of(const struct dest *d)
{
	double allowed = scopes_rate(d);

	return allowed > 0 ? MIN(allowed, d->rate) : d->rate;
}

static size_t
waiting_cap(const struct dest *d)
{
	double allowed = scopes_rate(d), cap = d->rate;

	if (allowed > 0)
		cap = MIN(cap, allowed * LIMITED_S);
	return (size_t)MIN(MAX(cap, WAITING_MIN), WAITING_MAX);
}

/*
 * The last one goes back until its turn comes, so that each job of a slow site
 * is passed over a few times only and the rest of its lane flows on.
 */
static void
send_back_last(struct dest *d, int64_t turn_ms)
{
	struct job *last = list_entry(d->waiting.prev, struct job, node);

	leave(last);
	defer(last, turn_ms);
}

/*
 * The turn is known where a limit sets the rate. Otherwise it is reckoned by
 * what the site did last, and a stop of seconds must not put off for an hour
 * what could leave at once when it is over: not for longer than there has been
 * too much.
 */
static int64_t
turn_most_ms(struct dest *d, int64_t now)
{
	double allowed = scopes_rate(d);

	if (d->full_since_mono_ms == 0)
		d->full_since_mono_ms = now;
	if (allowed > 0 && allowed <= d->rate)
		return TURN_MAX_MS;
	return MIN(MAX(now - d->full_since_mono_ms, TURN_LEAST_MS),
	    TURN_MAX_MS);
}

/* When the next one beyond those that wait has its turn. */
static int64_t
next_turn_ms(struct dest *d)
{
	int64_t now = loop_mono_ms(d->mta->opt.loop);
	double gap_ms = 1000.0 / MAX(rate_of(d), 0.0003);
	int64_t first = now + (int64_t)(gap_ms * (double)waiting_cap(d));

	d->turn_at_mono_ms = MAX(d->turn_at_mono_ms, first) + (int64_t)gap_ms;
	d->turn_at_mono_ms =
	    MIN(d->turn_at_mono_ms, now + turn_most_ms(d, now));
	return d->turn_at_mono_ms - now;
}

/* An urgent one (which stands in front) may be one too many of the scope. */
static void
keep_few(struct dest *d, const struct job *newcomer)
{
	int64_t turn_ms;

	if (d->waiting_count > waiting_cap(d))
		send_back_last(d, next_turn_ms(d));
	else if (scopes_are_full(d, is_urgent(newcomer), &turn_ms))
		send_back_last(d, turn_ms);
}

/* The day of its source is used up: others wait for it in the schedule, where
 * another source of ours, or another process, finds them. */
static void
defer_used_up(struct job *j, int64_t day_left_ms)
{
	defer(j,
	    dest_other_may_take(j->mta, j) ? 0 : MIN(day_left_ms, USED_UP_MS));
}

void
dest_add(struct job *j)
{
	struct mta *m = j->mta;
	const struct source *s = dest_pick_source(m, j);
	struct dest *d;

	if (s == NULL) { /* the source went away after the lease */
		lane_defer(j, 1000);
		return;
	}
	d = dest_find(m, j->route, s);
	if (dest_is_resting(d)) {
		defer(j, dest_rest_left_ms(d));
		return;
	}
	if (quotas_used_up_ms(d) > 0) {
		defer_used_up(j, quotas_used_up_ms(d));
		return;
	}
	job_is_placed(j);
	j->state = JOB_WAITING;
	j->dest = d;
	insert_in_order(d, j);
	count_waiting(d, 1);
	keep_few(d, j);
	dest_work_soon(d);
}

/* -- claims ---------------------------------------------------------------- */

static size_t
claims_wanted(const struct dest *d)
{
	size_t ready = dest_live_count(d) - d->connecting_count;

	/* One for each connection under way, more for those that work. */
	return d->connecting_count + ready * CLAIM_AHEAD;
}

/* A claim that has to wait so long goes back: others wait for less. */
static void
give_back_claimed(struct dest *d)
{
	list_each_safe (node, &d->claimed)
		claim_release(list_entry(node, struct job, node));
}

static void
give_back_used_up(struct dest *d)
{
	int64_t ms = quotas_used_up_ms(d);

	if (ms == 0)
		return;
	give_back_claimed(d);
	list_each_safe (node, &d->waiting) {
		struct job *j = list_entry(node, struct job, node);

		leave(j);
		defer_used_up(j, ms);
	}
}

/*
 * The first one; but when so many urgent ones went before it, the first of the
 * others: the shares that the two streams have in the schedule hold here, too.
 */
static struct job *
next_waiting(struct dest *d)
{
	struct list *node = d->waiting.next;
	const struct job *last = list_entry(d->waiting.prev, struct job, node);

	if (!is_urgent(list_entry(node, struct job, node)) || is_urgent(last)) {
		d->passed_count = 0;
	} else if (++d->passed_count > URGENT_IN_A_ROW) {
		d->passed_count = 0;
		while (is_urgent(list_entry(node, struct job, node)))
			node = node->next;
	}
	return list_entry(node, struct job, node);
}

void
dest_ask_for_claims(struct dest *d)
{
	size_t most = 0;

	give_back_used_up(d);
	/* Without Postgres they wait here: nothing is sent without a claim. */
	if (d->mta->draining || d->is_retired || !pg_is_up(d->mta->opt.pg))
		return;
	if (d->waiting_count > 0 &&
	    d->claimed_count + d->claiming_count < claims_wanted(d))
		most = MIN(MIN(claims_wanted(d), scopes_claims(d)),
		    quotas_left(d));
	while (d->waiting_count > 0 &&
	    d->claimed_count + d->claiming_count < most) {
		struct job *j = next_waiting(d);

		leave_waiting(j);
		d->claiming_count++;
		claim_job(j);
	}
	claims_flush(d->mta);
}

void
dest_claimed(struct job *j)
{
	struct dest *d = j->dest;

	d->claiming_count--;
	d->claimed_count++;
	j->state = JOB_CLAIMED;
	list_append(&d->claimed, &j->node);
	if (d->mta->draining || d->is_retired)
		claim_release(j);
	else if (dest_is_resting(d)) /* its round is over: it shares the end */
		finish_attempt(j, &d->last_failure, d->last_host, "",
		    strbuf_slice(&d->last_said));
	dest_work_soon(d);
}

void
dest_forget(struct job *j)
{
	struct dest *d = j->dest;

	if (d == NULL)
		return;
	switch (j->state) {
	case JOB_WAITING:
		count_waiting(d, -1);
		leave_waiting(j);
		break;
	case JOB_CLAIMING:
	case JOB_LOADING:
	case JOB_RENEWING:
		count_waiting(d, -1);
		d->claiming_count--;
		break;
	case JOB_CLAIMED:
		count_waiting(d, -1);
		d->claimed_count--;
		break;
	case JOB_SENDING:
		d->sending_count--;
		d->done_count++;
		break;
	case JOB_READING:
	case JOB_ROUTING:
	case JOB_WRITING:
	case JOB_RELEASING:
		break;
	}
	list_remove(&j->node);
	j->dest = NULL;
	dest_work_soon(d);
}

/* What stood in line here when a rule came goes back, to be looked at again. */
static struct job *
first_claimed(struct dest *d)
{
	list_each_safe (node, &d->claimed) {
		struct job *j = list_entry(node, struct job, node);

		if (!job_rules_are_old(j))
			return j;
		claim_release(j);
	}
	return NULL;
}

static struct job *
pop_claimed(struct dest *d)
{
	struct job *j = first_claimed(d);
	int64_t wait_us;

	if (j == NULL || quotas_left(d) == 0)
		return NULL;
	wait_us = scopes_mail_wait_us(d);
	if (wait_us > CLAIM_WAIT_US)
		give_back_claimed(d);
	if (wait_us > 0)
		return NULL;
	list_remove(&j->node);
	quotas_spend(j);
	count_waiting(d, -1);
	d->claimed_count--;
	d->sending_count++;
	j->state = JOB_SENDING;
	return j;
}

struct job *
dest_take(struct dest *d)
{
	struct job *j = pop_claimed(d);

	dest_ask_for_claims(d);
	return j;
}

void
dest_return(struct job *j)
{
	struct dest *d = j->dest;

	d->sending_count--;
	d->claimed_count++;
	count_waiting(d, 1);
	j->state = JOB_CLAIMED;
	list_remove(&j->node);
	list_prepend(&d->claimed, &j->node);
	if (d->mta->draining || d->is_retired)
		claim_release(j);
	dest_work_soon(d);
}

void
dest_renew(struct job *j)
{
	struct dest *d = j->dest;

	d->sending_count--;
	d->claiming_count++;
	count_waiting(d, 1);
	list_remove(&j->node);
	renew_then_send(j);
	dest_work_soon(d);
}

/* -- once a second -------------------------------------------------------- */

/*
 * Only under a backlog is what was done what can be done; without one the
 * site is soon taken for fast again. One that stands still holds less and less
 * of what waits. One that had nothing to do, because no claim came back, has
 * shown nothing.
 */
static void
smooth_rate(struct dest *d)
{
	double seen = (double)d->done_count;

	if (d->waiting_count > 0 && d->done_count == 0 &&
	    d->sending_count == 0 && d->claimed_count == 0) {
		d->stands_still = false;
		d->full_since_mono_ms = 0;
		scopes_take(d, waiting_cap(d));
		return;
	}
	d->stands_still = d->done_count == 0 && d->sending_count > 0;
	if (d->waiting_count == 0) {
		seen = MAX(seen, RATE_GUESS);
		d->full_since_mono_ms = 0;
		d->rate_looks = 0;
	} else {
		d->rate_looks++;
	}
	d->rate = d->rate * 0.6 + seen * 0.4;
	d->done_count = 0;
	while (d->waiting_count > 2 * waiting_cap(d))
		send_back_last(d, next_turn_ms(d));
	scopes_take(d, waiting_cap(d));
}

/* A host that keeps us waiting: they are not kept for it any longer. */
static void
end_aged(struct dest *d, int64_t now_ms)
{
	list_each_safe (node, &d->claimed) {
		struct job *j = list_entry(node, struct job, node);

		if (now_ms - j->claimed_at_ms > CLAIM_OLD_MS)
			finish_aged(j);
	}
}

static void
end_expired(struct list *jobs, int64_t now_ms)
{
	list_each_safe (node, jobs) {
		struct job *j = list_entry(node, struct job, node);

		if (j->expires_at_ms <= now_ms)
			job_expired(j);
	}
}

void
dest_age(struct dest *d)
{
	int64_t now_ms = clock_now_ms();

	smooth_rate(d);
	quotas_look(d);
	end_expired(&d->waiting, now_ms);
	end_expired(&d->claimed, now_ms);
	end_aged(d, now_ms);
	list_each_safe (node, &d->sessions)
		session_watch(session_of(node), loop_mono_ms(d->mta->opt.loop));
}

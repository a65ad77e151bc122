/*
 * A destination: one site from one source. It holds what waits for it in the
 * order of the fair tags, what is claimed for it, and its connections.
 *
 * Connections grow with the backlog up to the limit. A connection on which no
 * mail got an answer has failed, whether it never became usable or broke at the
 * first MAIL. When the last one failed (after a round over all hosts) the
 * destination rests: 1 s doubling to 15 minutes; what waited goes back to the
 * schedule until then. One that fails beside others that work only means that
 * the host takes no more at once: no further ones for as long.
 */
#include "delivery/delivery_priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/pg.h"

/*
 * What waits here is about what leaves within a second, so that a slow site
 * does not fill the process. Until a backlog has shown what a site can do, it
 * counts as a fast one.
 */
#define WAITING_MIN 2
#define WAITING_MAX 512
#define RATE_GUESS 512.0
#define TURN_LEAST_MS 1000
#define TURN_MAX_MS (60 * 60 * 1000)
#define REST_BASE_MS 1000
#define REST_MAX_MS (15 * 60 * 1000)
#define FORGET_MS (10 * 60 * 1000) /* one that had trouble */
#define FORGET_GOOD_MS (60 * 1000)
/* At a time, so that a host that does not answer binds few jobs. */
#define CONNECTING_MAX 5
/* Claims are taken this far ahead of what is being sent, per connection: the
 * commit of the next hides behind the transaction of this one. */
#define CLAIM_AHEAD 4

void
dests_init(struct mta *m)
{
	m->dests = hash_new();
}

static void
dest_free(struct dest *d)
{
	list_each_safe (node, &d->sessions)
		session_abort(session_of(node));
	list_remove(&d->work_node);
	route_unref(d->route);
	strbuf_fini(&d->last_said);
	free((void *)(uintptr_t)d->key.ptr);
	free(d);
}

static bool
fini_one(void *ctx, struct slice key, void *value)
{
	(void)ctx;
	(void)key;
	dest_free(value);
	return true;
}

void
dests_fini(struct mta *m)
{
	if (m->dests == NULL)
		return;
	hash_each(m->dests, fini_one, m);
	hash_free(&m->dests);
}

/* -- which destination ---------------------------------------------------- */

/* Of the job's pool; when need_family, able to reach a host of the route. */
static bool
can_use(const struct source *s, const struct job *j, bool need_family)
{
	return s->pool == j->lane->lane.pool &&
	    (!need_family || j->route->is_simulator ||
		route_has_family(j->route, net_addr_family(&s->addr)));
}

static const struct source *
pick_among(const struct mta *m, const struct job *j, bool need_family)
{
	uint64_t sum = 0, at;

	for (size_t i = 0; i < m->source_count; i++)
		if (can_use(&m->sources[i], j, need_family))
			sum += m->sources[i].weight;
	if (sum == 0)
		return NULL;
	at = hash_stable(j->address_key.ptr, j->address_key.len) % sum;
	for (size_t i = 0; i < m->source_count; i++) {
		const struct source *s = &m->sources[i];

		if (!can_use(s, j, need_family))
			continue;
		if (at < s->weight)
			return s;
		at -= s->weight;
	}
	return NULL;
}

/*
 * Among the sources of the pool by weight. The choice is stable for a
 * recipient, so that a retry comes from where the first try came from (a
 * greylisting host remembers the address). One of the wrong family is better
 * than none: the attempt says so.
 */
static const struct source *
pick_source(const struct mta *m, const struct job *j)
{
	const struct source *s = pick_among(m, j, true);

	return s != NULL ? s : pick_among(m, j, false);
}

/* A source that changed is another one. No host is called "*". */
static void
add_key(struct strbuf *key, const struct route *r, const struct source *s)
{
	char ip[NET_ADDR_TEXT];

	net_addr_format(&s->addr, ip);
	strbuf_add_fmt(key, "%d|%s|%s|", s->number, ip, s->helo);
	if (r->is_simulator)
		strbuf_add_char(key, '*');
	else
		strbuf_add_slice(key, r->site);
}

static struct dest *
dest_new(struct mta *m, struct route *r, const struct source *s)
{
	struct dest *d = xmalloc(sizeof(*d));

	d->mta = m;
	d->source = *s;
	d->rate = RATE_GUESS;
	list_init(&d->waiting);
	list_init(&d->claimed);
	list_init(&d->sessions);
	list_init(&d->work_node);
	strbuf_init(&d->last_said, 0);
	d->route = route_ref(r);
	return d;
}

static struct dest *
dest_find(struct mta *m, struct route *r, const struct source *s)
{
	struct strbuf key = STRBUF_INIT;
	struct dest *d;

	add_key(&key, r, s);
	d = hash_find(m->dests, strbuf_slice(&key));
	if (d == NULL) {
		d = dest_new(m, r, s);
		hash_put(m->dests, strbuf_slice(&key), d);
		d->key.len = key.len;
		d->key.ptr = strbuf_take(&key);
	} else {
		strbuf_fini(&key);
		if (d->route != r) {
			route_unref(d->route);
			d->route = route_ref(r);
		}
	}
	d->is_retired = false;
	d->used_at_mono_ms = loop_mono_ms(m->opt.loop);
	return d;
}

/* -- waiting --------------------------------------------------------------- */

static int64_t
rest_left_ms(const struct dest *d)
{
	int64_t left = d->retry_at_mono_ms - loop_mono_ms(d->mta->opt.loop);

	return MAX(left, 0);
}

/* Connections that take mail, or will. */
static unsigned int
live_count(const struct dest *d)
{
	return d->session_count - d->quitting_count;
}

static bool
is_resting(const struct dest *d)
{
	return live_count(d) == 0 && rest_left_ms(d) > 0;
}

/* From the back: mostly the newcomer has the largest tag. */
static void
insert_by_tag(struct dest *d, struct job *j)
{
	struct list *at = d->waiting.prev;

	while (at != &d->waiting &&
	    list_entry(at, struct job, node)->q.tag > j->q.tag)
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

static void
give_back_waiting(struct dest *d, int64_t delay_ms)
{
	list_each_safe (node, &d->waiting) {
		struct job *j = list_entry(node, struct job, node);

		leave_waiting(j);
		j->dest = NULL;
		lane_defer(j, delay_ms);
	}
}

static size_t
waiting_cap(const struct dest *d)
{
	size_t cap = (size_t)d->rate; /* of one second */

	return MIN(MAX(cap, WAITING_MIN), WAITING_MAX);
}

/*
 * The last one goes back until its turn comes, so that each job of a slow site
 * is passed over a few times only and the rest of its lane flows on. Not for
 * longer than there has been too much: the turn is reckoned by what the site
 * did last, and a stop of seconds must not put off for an hour what could leave
 * at once when it is over.
 */
static void
send_back_last(struct dest *d)
{
	struct job *last = list_entry(d->waiting.prev, struct job, node);
	int64_t now = loop_mono_ms(d->mta->opt.loop);
	double gap_ms = 1000.0 / MAX(d->rate, 0.1);
	int64_t first = now + (int64_t)(gap_ms * (double)waiting_cap(d));
	int64_t most;

	if (d->full_since_mono_ms == 0)
		d->full_since_mono_ms = now;
	most = MAX(now - d->full_since_mono_ms, TURN_LEAST_MS);
	d->turn_at_mono_ms = MAX(d->turn_at_mono_ms, first) + (int64_t)gap_ms;
	d->turn_at_mono_ms =
	    MIN(d->turn_at_mono_ms, now + MIN(most, TURN_MAX_MS));
	leave_waiting(last);
	last->dest = NULL;
	lane_defer(last, d->turn_at_mono_ms - now);
}

void
dest_add(struct job *j)
{
	struct mta *m = j->mta;
	const struct source *s = pick_source(m, j);
	struct dest *d;

	if (s == NULL) { /* the source went away after the lease */
		lane_defer(j, 1000);
		return;
	}
	d = dest_find(m, j->route, s);
	if (is_resting(d)) {
		lane_defer(j, rest_left_ms(d));
		return;
	}
	j->state = JOB_WAITING;
	j->dest = d;
	insert_by_tag(d, j);
	if (d->waiting_count > waiting_cap(d))
		send_back_last(d);
	dest_work_soon(d);
}

/* -- claims ---------------------------------------------------------------- */

static size_t
claims_wanted(const struct dest *d)
{
	size_t ready = live_count(d) - d->connecting_count;

	/* One for each connection under way, more for those that work. */
	return d->connecting_count + ready * CLAIM_AHEAD;
}

static void
ask_for_claims(struct dest *d)
{
	/* Without Postgres they wait here: nothing is sent without a claim. */
	if (d->mta->draining || d->is_retired || !pg_is_up(d->mta->opt.pg))
		return;
	while (d->waiting_count > 0 &&
	    d->claimed_count + d->claiming_count < claims_wanted(d)) {
		struct job *j = list_entry(d->waiting.next, struct job, node);

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
	else if (is_resting(d)) /* its round is over: it shares the end */
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
		leave_waiting(j);
		break;
	case JOB_CLAIMING:
	case JOB_LOADING:
	case JOB_RENEWING:
		d->claiming_count--;
		break;
	case JOB_CLAIMED:
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

struct job *
dest_take(struct dest *d)
{
	struct list *node = list_pop(&d->claimed);
	struct job *j = NULL;

	if (node != NULL) {
		j = list_entry(node, struct job, node);
		d->claimed_count--;
		d->sending_count++;
		j->state = JOB_SENDING;
	}
	ask_for_claims(d);
	return j;
}

void
dest_return(struct job *j)
{
	struct dest *d = j->dest;

	d->sending_count--;
	d->claimed_count++;
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
	list_remove(&j->node);
	renew_then_send(j);
	dest_work_soon(d);
}

/* -- connections ----------------------------------------------------------- */

static unsigned int
sessions_wanted(const struct dest *d)
{
	size_t backlog = d->waiting_count + d->claiming_count +
	    d->claimed_count + d->sending_count;
	/* One for two, unless those that there are do not get on. */
	size_t wanted = d->stands_still ? backlog : (backlog + 1) / 2;

	return (unsigned int)MIN(wanted, d->mta->opt.connections_max);
}

static void
open_sessions(struct dest *d)
{
	unsigned int wanted = sessions_wanted(d), connecting = CONNECTING_MAX;
	struct mta *m = d->mta;

	if (m->draining || d->is_retired)
		return;
	if (live_count(d) == 0) {
		if (rest_left_ms(d) > 0)
			return;
	} else if (d->more_at_mono_ms > loop_mono_ms(m->opt.loop)) {
		return;
	}
	/* While nothing has answered yet, one attempt is enough. */
	if (d->fail_count > 0 || d->more_fail_count > 0)
		connecting = 1;
	while (live_count(d) < wanted && d->connecting_count < connecting &&
	    d->session_count < m->opt.connections_max &&
	    m->session_count < m->sessions_max) {
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
	open_sessions(d);
	ask_for_claims(d);
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
	give_back_waiting(d, rest);
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
dest_session_over(struct dest *d, const struct session_end *end)
{
	d->session_count--;
	d->mta->session_count--;
	if (end->was_quitting)
		d->quitting_count--;
	else if (!end->was_ready)
		d->connecting_count--;
	if (end->failed) {
		d->last_failure = *end->why;
		snprintf(d->last_host, sizeof(d->last_host), "%s", end->host);
		strbuf_reset(&d->last_said);
		strbuf_add_slice(&d->last_said, end->transcript);
		if (live_count(d) == 0)
			give_up_round(d);
		else
			open_no_more(d);
	}
	dest_work_soon(d);
}

/* -- upkeep ---------------------------------------------------------------- */

/*
 * Only under a backlog is what was done what can be done; without one the
 * site is soon taken for fast again. One that stands still holds less and less
 * of what waits.
 */
static void
smooth_rate(struct dest *d)
{
	double seen = (double)d->done_count;

	d->stands_still = d->done_count == 0 && d->sending_count > 0;
	if (d->waiting_count == 0) {
		seen = MAX(seen, RATE_GUESS);
		d->full_since_mono_ms = 0;
	}
	d->rate = d->rate * 0.6 + seen * 0.4;
	d->done_count = 0;
	while (d->waiting_count > 2 * waiting_cap(d))
		send_back_last(d);
}

/* A host that keeps us waiting: they are not kept for it any longer. */
static void
end_aged(struct dest *d)
{
	int64_t now_ms = clock_now_ms();

	list_each_safe (node, &d->claimed) {
		struct job *j = list_entry(node, struct job, node);

		if (now_ms - j->claimed_at_ms > CLAIM_OLD_MS)
			finish_aged(j);
	}
}

static int64_t
forget_after_ms(const struct dest *d)
{
	return d->fail_count > 0 || d->more_fail_count > 0 || d->clear_text_only
	    ? FORGET_MS
	    : FORGET_GOOD_MS;
}

static bool
tick_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct dest *d = value;
	int64_t now = loop_mono_ms(m->opt.loop);

	(void)key;
	smooth_rate(d);
	end_aged(d);
	if (d->clear_text_only && now >= d->tls_again_mono_ms)
		d->clear_text_only = false;
	if (d->session_count > 0 ||
	    d->waiting_count + d->claimed_count + d->claiming_count +
		    d->sending_count >
		0) {
		d->used_at_mono_ms = now;
		dest_work(d);
	} else if (now - d->used_at_mono_ms > forget_after_ms(d)) {
		hash_remove(m->dests, d->key);
		dest_free(d);
	}
	return true;
}

void
dests_tick(struct mta *m)
{
	hash_each(m->dests, tick_one, m);
}

static bool
quit_one(void *ctx, struct slice key, void *value)
{
	struct dest *d = value;

	(void)ctx;
	(void)key;
	list_each_safe (node, &d->sessions)
		session_quit(session_of(node));
	return true;
}

void
dests_close_sessions(struct mta *m)
{
	hash_each(m->dests, quit_one, m);
}

static bool
is_owned(const struct mta *m, const struct source *s)
{
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].number == s->number &&
		    strcmp(m->sources[i].helo, s->helo) == 0 &&
		    net_addr_eq_host(&m->sources[i].addr, &s->addr))
			return true;
	return false;
}

static bool
retire_one(void *ctx, struct slice key, void *value)
{
	const struct mta *m = ctx;
	struct dest *d = value;

	if (is_owned(m, &d->source))
		return true;
	d->is_retired = true;
	give_back_waiting(d, 0);
	list_each_safe (node, &d->claimed)
		claim_release(list_entry(node, struct job, node));
	return quit_one(NULL, key, d);
}

void
dests_retire(struct mta *m)
{
	hash_each(m->dests, retire_one, m);
}

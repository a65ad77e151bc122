/*
 * A destination: one site from one source. It holds what waits for it in the
 * order of the fair tags, what is claimed for it, and its connections.
 *
 * Connections grow with the backlog up to the limit. After a round over all
 * hosts that ended in no usable connection it rests: 1 s doubling to 15
 * minutes; what waited goes back to the schedule until then.
 */
#include "delivery/delivery_priv.h"

#include <stdio.h>

#include "base/mem.h"

/*
 * What waits here is about what leaves within a second, so that a slow site
 * does not fill the process. Until a backlog has shown what a site can do, it
 * counts as a fast one.
 */
#define WAITING_MIN 16
#define WAITING_MAX 512
#define RATE_GUESS 512.0
#define TURN_MAX_MS (60 * 60 * 1000)
#define REST_BASE_MS 1000
#define REST_MAX_MS (15 * 60 * 1000)
#define FORGET_MS (10 * 60 * 1000)
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
	list_each_safe(node, &d->sessions)
		session_abort(session_of(node));
	list_remove(&d->work_node);
	route_unref(d->route);
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

/*
 * Among the sources of the pool by weight. The choice is stable for a
 * recipient, so that a retry comes from where the first try came from (a
 * greylisting host remembers the address).
 */
static const struct source *
pick_source(const struct mta *m, const struct job *j)
{
	uint64_t sum = 0, at;
	int pool = j->lane->lane.pool;

	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].pool == pool)
			sum += m->sources[i].weight;
	if (sum == 0)
		return NULL;
	at = hash_stable(j->address_key.ptr, j->address_key.len) % sum;
	for (size_t i = 0; i < m->source_count; i++) {
		const struct source *s = &m->sources[i];

		if (s->pool != pool)
			continue;
		if (at < s->weight)
			return s;
		at -= s->weight;
	}
	return NULL;
}

static struct dest *
dest_find(struct mta *m, struct route *r, const struct source *s)
{
	struct strbuf key = STRBUF_INIT;
	struct dest *d;

	strbuf_add_fmt(&key, "%d|", s->number);
	strbuf_add_slice(&key, r->site);
	d = hash_find(m->dests, strbuf_slice(&key));
	if (d == NULL) {
		d = xmalloc(sizeof(*d));
		d->mta = m;
		d->source = *s;
		d->rate = RATE_GUESS;
		list_init(&d->waiting);
		list_init(&d->claimed);
		list_init(&d->sessions);
		list_init(&d->work_node);
		d->route = route_ref(r);
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

static size_t
waiting_cap(const struct dest *d)
{
	size_t cap = (size_t)d->rate; /* of one second */

	return MIN(MAX(cap, WAITING_MIN), WAITING_MAX);
}

/*
 * The last one goes back until its turn comes, so that each job of a slow site
 * is passed over about once and the rest of its lane flows on.
 */
static void
send_back_last(struct dest *d)
{
	struct job *last = list_entry(d->waiting.prev, struct job, node);
	int64_t now = loop_mono_ms(d->mta->opt.loop);
	double gap_ms = 1000.0 / MAX(d->rate, 0.1);
	int64_t first = now + (int64_t)(gap_ms * (double)waiting_cap(d));

	d->turn_at_mono_ms =
	    MAX(d->turn_at_mono_ms, first) + (int64_t)gap_ms;
	d->turn_at_mono_ms = MIN(d->turn_at_mono_ms, now + TURN_MAX_MS);
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
	if (d->session_count == 0 && rest_left_ms(d) > 0) {
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
	size_t ready = d->session_count - d->connecting_count;

	/* One for each connection under way, more for those that work. */
	return d->connecting_count + ready * CLAIM_AHEAD;
}

static void
ask_for_claims(struct dest *d)
{
	if (d->mta->draining)
		return;
	while (d->waiting_count > 0 &&
	    d->claimed_count + d->claiming_count < claims_wanted(d)) {
		struct job *j =
		    list_entry(d->waiting.next, struct job, node);

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
	/* The round it was claimed for is over: it shares its end. */
	if (d->session_count == 0 && rest_left_ms(d) > 0)
		finish_attempt(j, &d->last_failure, d->last_host, "");
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
	dest_work_soon(d);
}

/* -- connections ----------------------------------------------------------- */

static unsigned int
sessions_wanted(const struct dest *d)
{
	size_t backlog = d->waiting_count + d->claiming_count +
	    d->claimed_count + d->sending_count;
	size_t wanted = (backlog + 1) / 2;

	return (unsigned int)MIN(wanted, d->mta->opt.connections_max);
}

void
dest_work(struct dest *d)
{
	list_each_safe(node, &d->sessions)
		session_kick(session_of(node));
	if (rest_left_ms(d) == 0) {
		unsigned int wanted = sessions_wanted(d);

		/* While nothing has answered yet, one attempt is enough. */
		if (d->fail_count > 0)
			wanted = MIN(wanted, 1);
		while (d->session_count < wanted) {
			struct session *s = session_new(d);

			list_append(&d->sessions, session_node(s));
			d->session_count++;
			d->connecting_count++;
		}
	}
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
	loop_call_schedule(
	    d->mta->opt.loop, &d->mta->work_call, on_work, d->mta);
}

void
dest_session_ready(struct dest *d)
{
	d->connecting_count--;
	d->fail_count = 0;
	d->retry_at_mono_ms = 0;
}

/*
 * No connection is left and the last one never became usable: what is claimed
 * made its attempt and ends deferred; what waited goes back untouched.
 */
static void
give_up_round(struct dest *d)
{
	int64_t rest = REST_BASE_MS;

	for (unsigned int i = 1; i < d->fail_count && rest < REST_MAX_MS; i++)
		rest *= 2;
	rest = MIN(rest, REST_MAX_MS);
	d->retry_at_mono_ms = loop_mono_ms(d->mta->opt.loop) + rest;
	list_each_safe(node, &d->claimed)
		finish_attempt(list_entry(node, struct job, node),
		    &d->last_failure, d->last_host, "");
	list_each_safe(node, &d->waiting) {
		struct job *j = list_entry(node, struct job, node);

		leave_waiting(j);
		j->dest = NULL;
		lane_defer(j, rest);
	}
}

void
dest_session_over(struct dest *d, bool ready, const struct smtp_outcome *why,
    const char *host)
{
	d->session_count--;
	if (!ready) {
		d->connecting_count--;
		d->fail_count++;
		d->last_failure = *why;
		snprintf(d->last_host, sizeof(d->last_host), "%s", host);
		if (d->session_count == 0)
			give_up_round(d);
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

	if (d->waiting_count == 0)
		seen = MAX(seen, RATE_GUESS);
	d->rate = d->rate * 0.6 + seen * 0.4;
	d->done_count = 0;
	while (d->waiting_count > 2 * waiting_cap(d))
		send_back_last(d);
}

static bool
tick_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct dest *d = value;
	int64_t now = loop_mono_ms(m->opt.loop);

	(void)key;
	smooth_rate(d);
	if (d->clear_text_only && now >= d->tls_again_mono_ms)
		d->clear_text_only = false;
	if (d->session_count > 0 || d->waiting_count + d->claimed_count +
	    d->claiming_count + d->sending_count > 0) {
		d->used_at_mono_ms = now;
		dest_work(d);
	} else if (now - d->used_at_mono_ms > FORGET_MS) {
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
is_idle(void *ctx, struct slice key, void *value)
{
	const struct dest *d = value;
	bool *idle = ctx;

	(void)key;
	if (d->claiming_count + d->claimed_count + d->sending_count > 0)
		*idle = false;
	return *idle;
}

bool
dests_are_idle(const struct mta *m)
{
	bool idle = true;

	hash_each(m->dests, is_idle, &idle);
	return idle;
}

static bool
quit_one(void *ctx, struct slice key, void *value)
{
	struct dest *d = value;

	(void)ctx;
	(void)key;
	list_each_safe(node, &d->sessions)
		session_quit(session_of(node));
	return true;
}

void
dests_close_sessions(struct mta *m)
{
	hash_each(m->dests, quit_one, m);
}

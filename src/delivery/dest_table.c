/*
 * The table of destinations: which one a job belongs to, and their upkeep.
 */
#include "delivery/dest_priv.h"

#include <string.h>

#include "base/mem.h"

#define FORGET_MS (10 * 60 * 1000) /* one that had trouble */
#define FORGET_GOOD_MS (60 * 1000)

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
	scopes_leave(d);
	quotas_leave(d);
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

/* What a source of the job's pool should have, as long as one has it. */
enum need {
	NEED_POOL,
	NEED_FAMILY, /* it can reach a host of the route */
	NEED_QUOTA,  /* and something is left of its day */
};

static bool
can_use(const struct source *s, const struct job *j, enum need need)
{
	const struct route *r = j->route;

	if (s->pool != j->lane->lane.pool)
		return false;
	if (need == NEED_POOL || r->is_simulator)
		return true;
	return route_has_family(r, net_addr_family(&s->addr)) &&
	    (need < NEED_QUOTA || !quota_is_used_up(j->mta, s, r->provider));
}

static const struct source *
pick_among(const struct mta *m, const struct job *j, enum need need)
{
	uint64_t sum = 0, at;

	for (size_t i = 0; i < m->source_count; i++)
		if (can_use(&m->sources[i], j, need))
			sum += m->sources[i].weight;
	if (sum == 0)
		return NULL;
	at = hash_stable(j->address_key.ptr, j->address_key.len) % sum;
	for (size_t i = 0; i < m->source_count; i++) {
		const struct source *s = &m->sources[i];

		if (!can_use(s, j, need))
			continue;
		if (at < s->weight)
			return s;
		at -= s->weight;
	}
	return NULL;
}

/* What its lane can be sent from, here. */
static bool
lane_is_used_up(const struct mta *m, const struct lane_state *lane)
{
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].pool == lane->lane.pool &&
		    !quota_is_used_up(m, &m->sources[i], lane->provider))
			return false;
	return true;
}

bool
dest_other_may_take(const struct mta *m, const struct job *j)
{
	return pick_among(m, j, NEED_QUOTA) != NULL ||
	    lane_is_used_up(m, j->lane);
}

/*
 * Among the sources of the pool by weight. The choice is stable for a
 * recipient, so that a retry comes from where the first try came from (a
 * greylisting host remembers the address). One of the wrong family is better
 * than none: the attempt says so.
 */
const struct source *
dest_pick_source(const struct mta *m, const struct job *j)
{
	const struct source *s = pick_among(m, j, NEED_QUOTA);

	if (s == NULL)
		s = pick_among(m, j, NEED_FAMILY);
	return s != NULL ? s : pick_among(m, j, NEED_POOL);
}

/* A source that changed is another one, and one site may belong to two
 * providers by the domain. No host is called "*". */
static void
add_key(struct strbuf *key, const struct route *r, const struct source *s)
{
	char ip[NET_ADDR_TEXT];

	net_addr_format(&s->addr, ip);
	strbuf_add_fmt(key, "%d|%s|%s|%d|", s->number, ip, s->helo,
	    r->provider);
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
	d->dot_ms = -1;
	list_init(&d->waiting);
	list_init(&d->claimed);
	list_init(&d->sessions);
	list_init(&d->work_node);
	strbuf_init(&d->last_said, 0);
	d->route = route_ref(r);
	scopes_join(d);
	quotas_join(d);
	return d;
}

struct dest *
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

/* -- upkeep ---------------------------------------------------------------- */

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
	dest_age(d);
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
	dest_give_back_waiting(d, 0);
	list_each_safe (node, &d->claimed)
		claim_release(list_entry(node, struct job, node));
	return quit_one(NULL, key, d);
}

void
dests_retire(struct mta *m)
{
	hash_each(m->dests, retire_one, m);
}

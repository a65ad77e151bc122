/*
 * A scope has two lines: for mail and for connections. A destination stands
 * at most once in a line of each kind, in that of the scope that makes it wait
 * longest; called, it works on what it has and stands in line again when it
 * was refused once more.
 *
 * For mail those that have claimed jobs and a connection that could send come
 * first. The others only want to claim: they are called a little before, so
 * that the commit is over when the moment has come, and few at a time, because
 * a claim that waits long is worth nothing.
 */
#include "delivery/scope.h"

#include "base/clock.h"
#include "base/mem.h"
#include "delivery/dest_priv.h"

/* Claims are asked for so long before their mail may begin. */
#define LEAD_US 50000
/* One who was called to claim, and did not send: then the next one. */
#define LEAD_PATIENCE_US 1000000
/* What waits in memory for a scope is about what leaves within this time. */
#define WAITING_US 250000
#define WAITING_MIN 2
#define WAITING_MAX 512
#define TURN_MAX_MS (60 * 60 * 1000)

struct line {
	struct scope *scope;
	struct list first, others; /* destinations */
	struct timer *timer;
	int64_t lead_next_us; /* no further one is called to claim before */
};

struct scope {
	struct mta *mta;
	struct slice key;
	unsigned int refs; /* destinations */
	struct limit limit;
	struct line mail, connect;
	struct list idle; /* connections without work */
	size_t waiting;	  /* jobs, claimed ones included */
	/* How many may wait for its destinations; and the sum being made. */
	size_t takes, takes_next;
	int64_t turn_at_mono_ms;
};

static void mail_run(void *ctx);
static void connect_run(void *ctx);

/* -- life
 * --------------------------------------------------------------------- */

void
scopes_init(struct mta *m)
{
	m->scopes = hash_new();
}

static void
line_init(struct line *l, struct scope *s, void (*run)(void *ctx))
{
	l->scope = s;
	list_init(&l->first);
	list_init(&l->others);
	l->timer = timer_new(s->mta->opt.loop, run, l);
}

static struct scope *
scope_new(struct mta *m, struct slice key)
{
	struct scope *s = xmalloc(sizeof(*s));

	s->mta = m;
	s->takes = WAITING_MAX;
	s->key = slice_mem(slice_dup(key), key.len);
	line_init(&s->mail, s, mail_run);
	line_init(&s->connect, s, connect_run);
	list_init(&s->idle);
	return s;
}

static void
scope_free(struct scope *s)
{
	timer_free(&s->mail.timer);
	timer_free(&s->connect.timer);
	free((void *)(uintptr_t)s->key.ptr);
	free(s);
}

static bool
fini_one(void *ctx, struct slice key, void *value)
{
	(void)ctx;
	(void)key;
	scope_free(value);
	return true;
}

void
scopes_fini(struct mta *m)
{
	if (m->scopes == NULL)
		return;
	hash_each(m->scopes, fini_one, NULL);
	hash_free(&m->scopes);
}

/* One that is made anew is as if idle for ever: only then it may go. */
static bool
tick_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct scope *s = value;
	int64_t now_us = clock_mono_us();

	(void)key;
	s->takes = s->takes_next > 0 ? s->takes_next : WAITING_MAX;
	s->takes_next = 0;
	if (s->refs == 0 && s->limit.connections == 0 &&
	    s->limit.mail.tat_us <= now_us &&
	    s->limit.connect.tat_us <= now_us) {
		hash_remove(m->scopes, s->key);
		scope_free(s);
	}
	return true;
}

void
scopes_tick(struct mta *m)
{
	hash_each(m->scopes, tick_one, m);
}

/* -- whose they are
 * ----------------------------------------------------------- */

static void
source_key(struct strbuf *key, int source)
{
	strbuf_add_fmt(key, "%d|", source);
}

static void
provider_key(struct strbuf *key, const struct mta *m, int source, int provider)
{
	source_key(key, source);
	strbuf_add_text(key, "provider|");
	strbuf_add_text(key,
	    shaping_provider_name(m->opt.shaping, (size_t)provider));
}

static void
restart(struct limit *l, int64_t start_us)
{
	gcra_restart(&l->mail, start_us);
	gcra_restart(&l->connect, start_us);
}

struct restart {
	struct strbuf key;
	int64_t start_us;
};

static bool
restart_one(void *ctx, struct slice key, void *value)
{
	const struct restart *r = ctx;
	struct scope *s = value;

	if (slice_starts(key, strbuf_slice(&r->key)))
		restart(&s->limit, r->start_us);
	return true;
}

void
scopes_restart(struct mta *m, const struct source *s)
{
	struct restart r = { .key = STRBUF_INIT, .start_us = s->owned_at_us };

	source_key(&r.key, s->number);
	hash_each(m->scopes, restart_one, &r);
	strbuf_fini(&r.key);
}

static struct scope *
scope_find(struct mta *m, struct slice key)
{
	struct scope *s = hash_find(m->scopes, key);

	if (s == NULL) {
		s = scope_new(m, key);
		hash_put(m->scopes, key, s);
	}
	return s;
}

static void
join(struct dest *d, struct slice key, uint64_t connections,
    struct config_rate connect, struct config_rate mail)
{
	struct scope *s = scope_find(d->mta, key);
	struct limit *l = &s->limit;
	int64_t start_us = d->source.owned_at_us;

	s->refs++;
	if (connections > 0 &&
	    (l->connections_max == 0 || connections < l->connections_max))
		l->connections_max = connections;
	gcra_tighten(&l->connect, connect, start_us);
	gcra_tighten(&l->mail, mail, start_us);
	d->limit[d->scope_count] = l;
	d->scope[d->scope_count++] = s;
}

void
scopes_join(struct dest *d)
{
	const struct route *r = d->route;
	const struct shaping_limits *l = &r->limits;
	static const struct config_rate no_limit = { 0, 0 };
	struct strbuf key = STRBUF_INIT;

	list_init(&d->mail_node);
	list_init(&d->connect_node);
	source_key(&key, d->source.number);
	strbuf_add_text(&key, "site|");
	if (r->is_simulator) {
		strbuf_add_char(&key, '*');
		join(d, strbuf_slice(&key), l->site_connections, no_limit,
		    no_limit);
	} else {
		strbuf_add_slice(&key, r->site);
		join(d, strbuf_slice(&key), l->site_connections,
		    l->site_connection_rate, l->site_mail_rate);
	}
	if (r->provider >= 0) {
		strbuf_reset(&key);
		provider_key(&key, d->mta, d->source.number, r->provider);
		join(d, strbuf_slice(&key), l->provider_connections,
		    l->provider_connection_rate, l->provider_mail_rate);
	}
	strbuf_fini(&key);
}

void
scopes_leave(struct dest *d)
{
	list_remove(&d->mail_node);
	list_remove(&d->connect_node);
	for (size_t i = 0; i < d->scope_count; i++)
		d->scope[i]->refs--;
	d->scope_count = 0;
}

/* -- lines
 * -------------------------------------------------------------------- */

static void
timer_at(struct timer *t, int64_t at_us, int64_t now_us)
{
	timer_set(t, at_us > now_us ? (at_us - now_us + 999) / 1000 : 0);
}

static void
mail_arm(struct line *l, int64_t now_us)
{
	int64_t at_us = gcra_at(&l->scope->limit.mail, now_us);

	if (!list_is_empty(&l->first))
		timer_at(l->timer, at_us, now_us);
	else if (!list_is_empty(&l->others))
		timer_at(l->timer, MAX(at_us - LEAD_US, l->lead_next_us),
		    now_us);
	else
		timer_cancel(l->timer);
}

static void
connect_arm(struct line *l, int64_t now_us)
{
	struct limit *limit = &l->scope->limit;
	int64_t at_us = limit_open_at(&limit, 1, now_us);

	if (list_is_empty(&l->first) || at_us == LIMIT_NEVER)
		timer_cancel(l->timer);
	else
		timer_at(l->timer, at_us, now_us);
}

static void
call(struct dest *d)
{
	d->is_called = true;
	dest_work(d);
	d->is_called = false;
}

static bool
mail_call(struct list *node)
{
	if (node == NULL)
		return false;
	list_remove(node);
	call(list_entry(node, struct dest, mail_node));
	return true;
}

static void
mail_call_first(struct line *l)
{
	const struct gcra *g = &l->scope->limit.mail;

	while (gcra_at(g, clock_mono_us()) <= clock_mono_us() &&
	    mail_call(list_first(&l->first)))
		continue;
}

static void
mail_call_others(struct line *l)
{
	const struct gcra *g = &l->scope->limit.mail;
	int64_t now_us = clock_mono_us();
	uint64_t n = gcra_room(g, now_us, LEAD_US);

	if (!list_is_empty(&l->first) || list_is_empty(&l->others) ||
	    now_us < l->lead_next_us || n == 0)
		return;
	l->lead_next_us = now_us +
	    (g->interval_us > LEAD_US ? LEAD_PATIENCE_US : LEAD_US / 2);
	while (n-- > 0 && mail_call(list_first(&l->others)))
		continue;
}

static void
mail_run(void *ctx)
{
	struct line *l = ctx;

	mail_call_first(l);
	mail_call_others(l);
	mail_arm(l, clock_mono_us());
}

static void
connect_run(void *ctx)
{
	struct line *l = ctx;
	struct limit *limit = &l->scope->limit;
	struct list *node;

	while (limit_open_at(&limit, 1, clock_mono_us()) <= clock_mono_us() &&
	    (node = list_pop(&l->first)) != NULL)
		call(list_entry(node, struct dest, connect_node));
	connect_arm(l, clock_mono_us());
}

/* -- mail
 * --------------------------------------------------------------------- */

static bool
has_rate(const struct dest *d)
{
	for (size_t i = 0; i < d->scope_count; i++)
		if (d->limit[i]->mail.interval_us != 0)
			return true;
	return false;
}

/* The scope that makes it wait longest; by order, if not by time. */
static struct line *
mail_line(const struct dest *d, int64_t now_us)
{
	struct scope *longest = NULL;
	int64_t longest_us = now_us;

	for (size_t i = 0; i < d->scope_count; i++) {
		int64_t at_us = gcra_at(&d->limit[i]->mail, now_us);

		if (at_us > longest_us ||
		    (longest == NULL && !d->is_called &&
			!list_is_empty(&d->scope[i]->mail.first))) {
			longest = d->scope[i];
			longest_us = at_us;
		}
	}
	return longest != NULL ? &longest->mail : NULL;
}

int64_t
scopes_mail_wait_us(struct dest *d)
{
	int64_t now_us, wait_us;
	struct line *l;

	if (!has_rate(d))
		return 0;
	now_us = clock_mono_us();
	wait_us = limit_mail_at(d->limit, d->scope_count, now_us) - now_us;
	if (list_is_linked(&d->mail_node) && d->mail_is_first)
		return MAX(wait_us, 1); /* in its place */
	list_remove(&d->mail_node);
	l = mail_line(d, now_us);
	if (l == NULL)
		return 0;
	list_append(&l->first, &d->mail_node);
	d->mail_is_first = true;
	mail_arm(l, now_us);
	return MAX(wait_us, 1);
}

void
scopes_mail_begins(struct dest *d)
{
	int64_t now_us;

	if (!has_rate(d))
		return;
	now_us = clock_mono_us();
	limit_mail_take(d->limit, d->scope_count, now_us);
	for (size_t i = 0; i < d->scope_count; i++) {
		struct line *l = &d->scope[i]->mail;

		/* The one that was called has sent: it is the next one's. */
		l->lead_next_us = 0;
		mail_arm(l, now_us);
	}
}

static bool
may_claim(const struct dest *d, const struct scope *s, int64_t now_us)
{
	return gcra_room(&s->limit.mail, now_us, LEAD_US) > 0 &&
	    (d->is_called || list_is_empty(&s->mail.others));
}

size_t
scopes_claims(struct dest *d)
{
	uint64_t most = SIZE_MAX;
	int64_t now_us;

	if (!has_rate(d))
		return SIZE_MAX;
	now_us = clock_mono_us();
	for (size_t i = 0; i < d->scope_count; i++) {
		struct scope *s = d->scope[i];

		if (s->limit.mail.interval_us == 0)
			continue;
		most = MIN(most, gcra_room(&s->limit.mail, now_us, LEAD_US));
		if (may_claim(d, s, now_us))
			continue;
		if (!list_is_linked(&d->mail_node)) {
			list_append(&s->mail.others, &d->mail_node);
			d->mail_is_first = false;
			mail_arm(&s->mail, now_us);
		}
		return 0;
	}
	return most;
}

/* -- connections
 * -------------------------------------------------------------- */

static struct line *
connect_line(const struct dest *d, int64_t now_us)
{
	struct scope *longest = NULL;
	int64_t longest_us = now_us;

	for (size_t i = 0; i < d->scope_count; i++) {
		int64_t at_us = limit_open_at(&d->limit[i], 1, now_us);

		if (at_us > longest_us ||
		    (longest == NULL && !d->is_called &&
			!list_is_empty(&d->scope[i]->connect.first))) {
			longest = d->scope[i];
			longest_us = at_us;
		}
	}
	return longest != NULL ? &longest->connect : NULL;
}

/* Somebody else's connection that has nothing to do makes room. */
static void
end_idle_one(struct scope *s)
{
	struct list *node = list_pop(&s->idle);

	if (node != NULL)
		session_quit(session_of_idle(node));
}

bool
scopes_open(struct dest *d)
{
	int64_t now_us = clock_mono_us();
	struct line *l;

	if (list_is_linked(&d->connect_node))
		return false;
	l = connect_line(d, now_us);
	if (l == NULL) {
		limit_opened(d->limit, d->scope_count);
		return true;
	}
	list_append(&l->first, &d->connect_node);
	connect_arm(l, now_us);
	if (l->scope->limit.connections_max > 0 &&
	    l->scope->limit.connections >= l->scope->limit.connections_max)
		end_idle_one(l->scope);
	return false;
}

void
scopes_closed(struct dest *d)
{
	int64_t now_us = clock_mono_us();

	limit_closed(d->limit, d->scope_count);
	for (size_t i = 0; i < d->scope_count; i++)
		connect_arm(&d->scope[i]->connect, now_us);
}

int64_t
scopes_connect_ms(struct dest *d)
{
	int64_t now_us = clock_mono_us();
	int64_t at_us = limit_connect_at(d->limit, d->scope_count, now_us);

	if (at_us > now_us)
		return (at_us - now_us + 999) / 1000;
	limit_connect_take(d->limit, d->scope_count, now_us);
	return 0;
}

static bool
is_wanted(const struct scope *s)
{
	return !list_is_empty(&s->connect.first) &&
	    s->limit.connections >= s->limit.connections_max;
}

bool
scopes_idle(struct dest *d, struct list *idle_node)
{
	for (size_t i = 0; i < d->scope_count; i++)
		if (is_wanted(d->scope[i]) && !list_is_linked(&d->connect_node))
			return false;
	list_append(&d->scope[d->scope_count - 1]->idle, idle_node);
	return true;
}

/* -- what waits
 * --------------------------------------------------------------- */

double
scopes_rate(const struct dest *d)
{
	int64_t longest_us = 0;

	for (size_t i = 0; i < d->scope_count; i++)
		longest_us = MAX(longest_us, d->limit[i]->mail.interval_us);
	return longest_us > 0 ? 1e6 / (double)longest_us : 0;
}

void
scopes_wait(struct dest *d, int change)
{
	for (size_t i = 0; i < d->scope_count; i++)
		d->scope[i]->waiting += (size_t)change;
}

static size_t
waiting_cap(const struct scope *s)
{
	int64_t interval_us = s->limit.mail.interval_us;

	if (interval_us == 0)
		return SIZE_MAX;
	return (
	    size_t)MIN(MAX(WAITING_US / interval_us, WAITING_MIN), WAITING_MAX);
}

static const struct scope *
find_provider(struct mta *m, const struct source *s, int provider)
{
	struct strbuf key = STRBUF_INIT;
	const struct scope *found;

	provider_key(&key, m, s->number, provider);
	found = hash_find(m->scopes, strbuf_slice(&key));
	strbuf_fini(&key);
	return found;
}

struct scope_room
scopes_room(struct mta *m, const struct source *s, int provider,
    int64_t within_us)
{
	struct scope_room r = { .now = SIZE_MAX, .most = SIZE_MAX };
	struct scope fresh = { .takes = WAITING_MAX };
	const struct scope *scope;
	const struct gcra *g;
	int64_t now_us;

	if (provider < 0)
		return r;
	scope = find_provider(m, s, provider);
	if (scope == NULL) { /* nothing was sent yet */
		struct shaping_limits l =
		    shaping_limits_of(m->opt.shaping, provider, NULL, 0);

		gcra_init(&fresh.limit.mail, l.provider_mail_rate,
		    s->owned_at_us);
		scope = &fresh;
	}
	g = &scope->limit.mail;
	now_us = clock_mono_us();
	r.most = MIN(waiting_cap(scope), scope->takes);
	r.now = r.most;
	r.why = "sites take no more at the moment";
	r.opens_us = now_us + within_us / 4;
	if (g->interval_us > 0 &&
	    gcra_room(g, now_us, within_us) <= scope->takes) {
		r.now = MIN(gcra_room(g, now_us, within_us), r.most);
		r.why = "rate limit";
		r.until_us = gcra_at(g, now_us);
		/* One interval lets one more begin, or one that waits leave. */
		r.opens_us = MAX(gcra_at(g, now_us) - within_us,
		    now_us + MIN(g->interval_us, within_us));
	}
	r.now -= MIN(r.now, scope->waiting);
	return r;
}

void
scopes_take(struct dest *d, size_t cap)
{
	for (size_t i = 0; i < d->scope_count; i++)
		d->scope[i]->takes_next += cap;
}

bool
scopes_are_full(struct dest *d, bool is_urgent, int64_t *turn_ms)
{
	int64_t now_ms = loop_mono_ms(d->mta->opt.loop);

	for (size_t i = 0; i < d->scope_count; i++) {
		struct scope *s = d->scope[i];
		size_t cap = waiting_cap(s);
		int64_t gap_ms = s->limit.mail.interval_us / 1000;
		int64_t first_ms;

		if (cap == SIZE_MAX ||
		    s->waiting <= (is_urgent ? 2 * cap : cap))
			continue;
		first_ms = gcra_at(&s->limit.mail, clock_mono_us()) / 1000 +
		    gap_ms * (int64_t)cap;
		s->turn_at_mono_ms =
		    MAX(s->turn_at_mono_ms, MAX(now_ms, first_ms)) + gap_ms;
		s->turn_at_mono_ms =
		    MIN(s->turn_at_mono_ms, now_ms + TURN_MAX_MS);
		*turn_ms = s->turn_at_mono_ms - now_ms;
		return true;
	}
	return false;
}

/*
 * From a recipient's domain to its mail hosts (RFC 5321 section 5.1): MX, or
 * the domain itself when there is no MX; null MX (RFC 7505) and a name that
 * does not exist are final. Asked once for all who wait, kept for the TTL.
 *
 * A route is shared by reference: sessions go on with the one they started
 * with when a newer answer has replaced it in the table.
 */
#include "delivery/delivery_priv.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define ROUTE_TTL_MIN_S 30
#define ROUTE_TTL_MAX_S 3600
#define ROUTE_NONE_TTL_S 60
/* Unused for so long it goes: the resolver has the answers in less memory. */
#define ROUTE_UNUSED_MS 60000
/*
 * What waits for DNS is in hand, where there is room for little: a domain whose
 * name servers are silent must not fill it with a campaign, nor many of them
 * together. What is one too many comes back, a few at a time.
 */
#define ROUTE_JOBS_MAX 64
#define ROUTING_PART 4 /* of all that may be in hand */
#define BACK_LEAST_MS 1000
#define BACK_MOST_MS 15000
#define BACK_GAP_MS 2
/* So long an answer is waited for, also when others need the room. */
#define PATIENCE_MS 1000

/* Test domains of Resend and SES: acted out by the simulator in every mode. */
static const char *const simulator_domains[] = { "resend.dev",
	"simulator.amazonses.com" };

void
routes_init(struct mta *m)
{
	m->routes = hash_new();
	list_init(&m->asking);
}

bool
route_has_family(const struct route *r, int family)
{
	for (size_t h = 0; h < r->host_count; h++)
		for (size_t a = 0; a < r->host[h].addr_count; a++)
			if (net_addr_family(&r->host[h].addr[a]) == family)
				return true;
	return false;
}

struct route *
route_ref(struct route *r)
{
	r->refs++;
	return r;
}

void
route_unref(struct route *r)
{
	if (r == NULL || --r->refs > 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(r->query); i++)
		dns_query_cancel(&r->query[i]);
	list_remove(&r->asking_node);
	arena_fini(&r->arena);
	free(r);
}

static bool
fini_one(void *ctx, struct slice key, void *value)
{
	struct route *r = value;

	(void)ctx;
	(void)key;
	for (size_t i = 0; i < ARRAY_LEN(r->query); i++)
		dns_query_cancel(&r->query[i]);
	route_unref(r);
	return true;
}

void
routes_fini(struct mta *m)
{
	if (m->routes == NULL)
		return;
	hash_each(m->routes, fini_one, NULL);
	hash_free(&m->routes);
}

/* -- the answer
 * ----------------------------------------------------------------- */

static void
await(struct route *r, struct job *j)
{
	j->awaits_route = true;
	list_append(&r->jobs, &j->node);
	r->job_count++;
	r->mta->routing_count++;
}

void
route_leave(struct job *j)
{
	if (!j->awaits_route)
		return;
	j->awaits_route = false;
	list_remove(&j->node);
	j->route->job_count--;
	j->mta->routing_count--;
}

static void
tell_jobs(void *ctx)
{
	struct route *r = ctx;
	struct list *node;

	while ((node = list_first(&r->jobs)) != NULL) {
		struct job *j = list_entry(node, struct job, node);

		route_leave(j);
		job_routed(j);
	}
	route_unref(r);
}

static void
settle(struct route *r, uint32_t ttl_s)
{
	list_remove(&r->asking_node);
	r->expires_at_ms =
	    loop_mono_ms(r->mta->opt.loop) + (int64_t)ttl_s * 1000;
	loop_defer(r->mta->opt.loop, tell_jobs, route_ref(r));
}

/*
 * A failure is not kept: the resolver remembers it for a few seconds, and the
 * first retries of a password reset come sooner than any time of ours.
 */
static void
settle_none(struct route *r, enum verdict_dns why)
{
	r->state = ROUTE_NONE;
	r->why_none = why;
	settle(r, why == VERDICT_DNS_FAILED ? 0 : ROUTE_NONE_TTL_S);
}

static int
by_name(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return slice_cmp(*x, *y);
}

/*
 * The site: all host names, sorted and joined. Domains of one mailbox host
 * have the same, and so share connections and limits. Also those whose address
 * is not known now: else a name server that fails for a while would make
 * another site of it, with limits of its own.
 */
static void
name_site(struct route *r)
{
	struct slice names[ROUTE_HOSTS_MAX] = { { NULL, 0 } };
	struct strbuf site = STRBUF_INIT;

	for (size_t i = 0; i < r->host_count; i++)
		names[i] = r->host[i].name;
	qsort(names, r->host_count, sizeof(names[0]), by_name);
	for (size_t i = 0; i < r->host_count; i++) {
		if (i > 0)
			strbuf_add_char(&site, ',');
		strbuf_add_slice(&site, names[i]);
	}
	r->site = arena_slice(&r->arena, strbuf_slice(&site));
	strbuf_fini(&site);
}

/* The simulator is nobody's: of the limits it has what holds for anybody. */
static void
find_limits(struct route *r)
{
	const struct shaping *s = r->mta->opt.shaping;
	struct slice names[ROUTE_HOSTS_MAX] = { { NULL, 0 } };

	r->provider = -1;
	for (size_t i = 0; i < r->host_count; i++)
		names[i] = r->host[i].name;
	if (!r->is_simulator)
		r->provider =
		    shaping_provider_of_hosts(s, names, r->host_count);
	if (!r->is_simulator && r->provider < 0)
		r->provider = shaping_provider_of_domain(s, r->domain);
	r->limits = shaping_limits_of(s, r->provider, names, r->host_count);
}

static void
settle_hosts(struct route *r, uint32_t ttl_s)
{
	size_t usable = 0;

	name_site(r);
	find_limits(r);
	for (size_t i = 0; i < r->host_count; i++)
		if (r->host[i].addr_count > 0)
			r->host[usable++] = r->host[i];
	r->host_count = usable;
	if (usable > 0) {
		r->state = ROUTE_READY;
		/* What failed beside those that came is asked again soon. */
		ttl_s = r->address_failed ? 0 : ttl_s;
		ttl_s = MAX(ttl_s, (uint32_t)ROUTE_TTL_MIN_S);
		settle(r, MIN(ttl_s, (uint32_t)ROUTE_TTL_MAX_S));
	} else if (r->address_failed) {
		settle_none(r, VERDICT_DNS_FAILED);
	} else {
		settle_none(r,
		    r->address_refused ? VERDICT_DNS_REFUSED
				       : VERDICT_DNS_NO_HOST);
	}
}

/* -- addresses
 * -------------------------------------------------------------------- */

struct address_question {
	struct route *route;
	size_t host;
	size_t slot;
};

static void
add_address(struct route *r, struct route_host *host,
    const struct net_addr *addr)
{
	if (host->addr == NULL)
		host->addr = arena_calloc(&r->arena, ROUTE_HOST_ADDRS,
		    sizeof(*host->addr));
	if (host->addr_count < ROUTE_HOST_ADDRS)
		host->addr[host->addr_count++] = *addr;
}

static void
add_addresses(struct route *r, struct route_host *host,
    const struct dns_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++) {
		struct net_addr addr = answer->record[i].addr;

		net_addr_set_port(&addr, r->mta->opt.smtp_port);
		if (!net_guard_allows(&r->mta->opt.guard, &addr)) {
			r->address_refused = true;
			continue;
		}
		add_address(r, host, &addr);
	}
}

static void
on_address(void *ctx, const struct dns_answer *answer)
{
	struct address_question *q = ctx;
	struct route *r = q->route;

	r->query[q->slot] = NULL;
	if (answer->result == DNS_FAILED)
		r->address_failed = true;
	if (answer->result == DNS_OK) {
		add_addresses(r, &r->host[q->host], answer);
		r->ttl_s = MIN(r->ttl_s, answer->ttl_s);
	}
	if (--r->open_queries == 0)
		settle_hosts(r, r->ttl_s);
}

/* A and AAAA, both asked only when a source of that family is owned. */
static void
ask_addresses(struct route *r)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA };
	static const int families[] = { AF_INET, AF_INET6 };
	struct mta *m = r->mta;

	for (size_t h = 0; h < r->host_count; h++) {
		for (size_t t = 0; t < ARRAY_LEN(types); t++) {
			struct address_question *q;
			bool wanted = false;

			for (size_t i = 0; i < m->source_count; i++)
				wanted |=
				    net_addr_family(&m->sources[i].addr) ==
				    families[t];
			if (!wanted)
				continue;
			q = arena_alloc(&r->arena, sizeof(*q));
			q->route = r;
			q->host = h;
			q->slot = 1 + h * 2 + t;
			r->open_queries++;
			r->query[q->slot] = resolver_ask(m->resolver,
			    r->host[h].name, types[t], on_address, q);
		}
	}
	if (r->open_queries == 0) { /* no source is left */
		r->address_failed = true;
		settle_hosts(r, 0);
	}
}

/* -- MX
 * -----------------------------------------------------------------------------
 */

static bool
is_behind(const struct route_host *h, struct slice name, uint16_t preference)
{
	return h->preference == preference ? slice_cmp(h->name, name) > 0
					   : h->preference > preference;
}

/* By preference, then by name: name servers turn the records round, and of too
 * many the same ones are to be kept each time. */
static void
add_host(struct route *r, struct slice name, uint16_t preference)
{
	size_t at = r->host_count;

	while (at > 0 && is_behind(&r->host[at - 1], name, preference))
		at--;
	if (at == ROUTE_HOSTS_MAX)
		return;
	if (r->host_count == ROUTE_HOSTS_MAX)
		r->host_count--;
	memmove(&r->host[at + 1], &r->host[at],
	    (r->host_count - at) * sizeof(r->host[0]));
	r->host[at] = (struct route_host){
		.name = arena_slice(&r->arena, name),
		.preference = preference,
	};
	r->host_count++;
}

static void
on_mx(void *ctx, const struct dns_answer *answer)
{
	struct route *r = ctx;

	r->query[0] = NULL;
	r->ttl_s = answer->ttl_s;
	switch (answer->result) {
	case DNS_FAILED:
		settle_none(r, VERDICT_DNS_FAILED);
		return;
	case DNS_NXDOMAIN:
		settle_none(r, VERDICT_DNS_NXDOMAIN);
		return;
	case DNS_NODATA:
		r->implicit = true;
		add_host(r, r->domain, 0);
		break;
	case DNS_OK:
		if (answer->count == 1 && answer->record[0].name.len == 0) {
			settle_none(r, VERDICT_DNS_NULL_MX);
			return;
		}
		for (size_t i = 0; i < answer->count; i++)
			if (answer->record[i].name.len > 0)
				add_host(r, answer->record[i].name,
				    answer->record[i].preference);
		break;
	}
	if (r->host_count == 0) {
		settle_none(r, VERDICT_DNS_NO_HOST);
		return;
	}
	ask_addresses(r);
}

/* -- asking
 * ---------------------------------------------------------------------------
 */

static bool
is_simulated(const struct mta *m, struct slice domain)
{
	if (m->opt.mode == MTA_SIMULATOR)
		return true;
	if (m->opt.simulator.len == 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(simulator_domains); i++)
		if (slice_eq_text(domain, simulator_domains[i]))
			return true;
	return false;
}

static void
use_simulator(struct route *r)
{
	r->is_simulator = true;
	if (r->mta->opt.simulator.len == 0) {
		settle_none(r, VERDICT_DNS_NO_HOST);
		return;
	}
	add_host(r, SLICE("simulator"), 0);
	add_address(r, &r->host[0], &r->mta->opt.simulator);
	settle_hosts(r, ROUTE_TTL_MAX_S);
}

static struct route *
route_new(struct mta *m, struct slice domain)
{
	struct route *r = xmalloc(sizeof(*r));

	r->mta = m;
	r->refs = 1; /* the table's */
	r->state = ROUTE_ASKING;
	list_init(&r->jobs);
	list_init(&r->asking_node);
	arena_init(&r->arena);
	r->domain = arena_slice(&r->arena, domain);
	return r;
}

static void
route_ask(struct route *r)
{
	if (is_simulated(r->mta, r->domain)) {
		use_simulator(r);
		return;
	}
	r->asked_at_mono_ms = loop_mono_ms(r->mta->opt.loop);
	list_append(&r->mta->asking, &r->asking_node);
	r->query[0] =
	    resolver_ask(r->mta->resolver, r->domain, DNS_MX, on_mx, r);
}

/* What has not come by now has failed; the resolver goes on, and knows it the
 * next time. */
static void
give_up(struct route *r)
{
	for (size_t i = 0; i < ARRAY_LEN(r->query); i++)
		dns_query_cancel(&r->query[i]);
	r->open_queries = 0;
	r->address_failed = true;
	settle_hosts(r, 0);
}

static bool
has_waited(const struct route *r)
{
	return loop_mono_ms(r->mta->opt.loop) - r->asked_at_mono_ms >=
	    PATIENCE_MS;
}

/* What is urgent has as much room again. */
static size_t
room_for(const struct job *j, size_t most)
{
	bool is_urgent = (j->q.member.flags & QUEUE_TRANSACTIONAL) != 0;

	return is_urgent ? 2 * most : most;
}

/* One more may wait for DNS, if need be instead of those that have waited for
 * longest. */
static bool
make_room(const struct job *j)
{
	struct mta *m = j->mta;
	size_t most = MAX(m->opt.in_hand_max / ROUTING_PART, 1);
	struct list *node = list_first(&m->asking);
	struct route *oldest;

	if (m->routing_count < room_for(j, most))
		return true;
	if (node == NULL)
		return false; /* they are being told */
	oldest = list_entry(node, struct route, asking_node);
	if (!has_waited(oldest))
		return false;
	give_up(oldest);
	return true;
}

/* The turn of the last one of those for which it is one too many; NULL: it may
 * wait. r: NULL when it is yet to be asked. */
static int64_t *
turn_of_others(struct route *r, const struct job *j)
{
	if (r != NULL && r->job_count >= room_for(j, ROUTE_JOBS_MAX))
		return &r->turn_mono_ms;
	return make_room(j) ? NULL : &j->mta->routing_turn_mono_ms;
}

static void
come_back(struct job *j, int64_t *turn_mono_ms)
{
	int64_t now = loop_mono_ms(j->mta->opt.loop);
	int64_t turn = MAX(*turn_mono_ms, now + BACK_LEAST_MS) + BACK_GAP_MS;

	*turn_mono_ms = MIN(turn, now + BACK_MOST_MS);
	/* Not beyond its max age: it comes back then, to end. */
	lane_defer(j,
	    MIN(*turn_mono_ms - now, j->expires_at_ms - clock_now_ms()));
}

/* NULL: there is none yet, or it is too old. */
static struct route *
find_fresh(const struct mta *m, struct slice domain)
{
	struct route *r = hash_find(m->routes, domain);

	if (r == NULL ||
	    (r->state != ROUTE_ASKING &&
		r->expires_at_ms <= loop_mono_ms(m->opt.loop)))
		return NULL;
	return r;
}

void
route_job(struct job *j)
{
	struct mta *m = j->mta;
	struct slice domain = j->address.domain;
	struct route *r = find_fresh(m, domain);
	bool is_new = r == NULL;
	int64_t *turn = NULL;

	if (is_new || r->state == ROUTE_ASKING)
		turn = turn_of_others(r, j);
	if (turn != NULL) {
		come_back(j, turn);
		return;
	}
	if (is_new) {
		r = route_new(m, domain);
		route_unref(hash_put(m->routes, domain, r));
	}
	r->used_at_mono_ms = loop_mono_ms(m->opt.loop);
	j->route = route_ref(r);
	j->state = JOB_ROUTING;
	if (r->state != ROUTE_ASKING) {
		job_routed(j);
		return;
	}
	await(r, j);
	if (is_new)
		route_ask(r);
}

/* A host whose address does not come is not waited for when there is another
 * that is as good, and all is known of that one. */
static bool
is_good_enough(const struct route *r)
{
	for (size_t i = 0; i < r->host_count &&
	     r->host[i].preference == r->host[0].preference;
	     i++)
		if (r->host[i].addr_count > 0 && r->query[1 + i * 2] == NULL &&
		    r->query[2 + i * 2] == NULL)
			return true;
	return false;
}

static bool
tick_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct route *r = value;
	int64_t now = loop_mono_ms(m->opt.loop);

	list_each_safe (node, &r->jobs) {
		struct job *j = list_entry(node, struct job, node);

		if (j->expires_at_ms <= clock_now_ms())
			job_expired(j);
	}
	if (r->state == ROUTE_ASKING) {
		if (has_waited(r) && is_good_enough(r))
			give_up(r);
	} else if (r->refs == 1 &&
	    (r->expires_at_ms <= now ||
		now - r->used_at_mono_ms > ROUTE_UNUSED_MS)) {
		hash_remove(m->routes, key);
		route_unref(r);
	}
	return true;
}

void
routes_tick(struct mta *m)
{
	hash_each(m->routes, tick_one, m);
}

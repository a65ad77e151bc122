/*
 * From a domain to its hosts: delivery/route.c against name servers, a clock
 * and a schedule that the test plays.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "base/mem.h"

#define IN_HAND ((size_t)400) /* a quarter may wait for DNS */
#define CROWD ((size_t)64)    /* for one answer */

struct dns_query {
	struct list node;
	char name[64];
	enum dns_type type;
	dns_done *done;
	void *ctx;
};

static struct {
	int64_t now_ms;
	struct list questions;
	size_t asked;	   /* ever */
	struct list calls; /* deferred */
	size_t routed, back;
	int64_t back_after_ms; /* of the last one */
	struct route *last;    /* of the last job that was routed */
} fake;

struct call {
	struct list node;
	void (*fn)(void *ctx);
	void *ctx;
};

static struct mta mta;
static struct source sources[2];
static struct lane_state lane = { .mta = &mta };

/* ---- What the test plays --------------------------------------------------
 */

int64_t
loop_mono_ms(struct loop *l)
{
	(void)l;
	return fake.now_ms;
}

void
loop_defer(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct call *c = xmalloc(sizeof(*c));

	(void)l;
	c->fn = fn;
	c->ctx = ctx;
	list_append(&fake.calls, &c->node);
}

static void
end_turn(void)
{
	struct list *node;

	while ((node = list_pop(&fake.calls)) != NULL) {
		struct call *c = list_entry(node, struct call, node);

		c->fn(c->ctx);
		free(c);
	}
}

struct dns_query *
resolver_ask(struct resolver *r, struct slice name, enum dns_type type,
    dns_done *done, void *ctx)
{
	struct dns_query *q = xmalloc(sizeof(*q));

	(void)r;
	snprintf(q->name, sizeof(q->name), "%.*s", SLICE_FMT(name));
	q->type = type;
	q->done = done;
	q->ctx = ctx;
	list_append(&fake.questions, &q->node);
	fake.asked++;
	return q;
}

void
dns_query_cancel(struct dns_query **q)
{
	if (*q != NULL)
		list_remove(&(*q)->node);
	free(*q);
	*q = NULL;
}

static void
done_with(struct job *j)
{
	route_leave(j);
	route_unref(j->route);
	arena_fini(&j->arena);
	free(j);
}

void
job_routed(struct job *j)
{
	fake.routed++;
	route_unref(fake.last);
	fake.last = route_ref(j->route);
	done_with(j);
}

void
job_expired(struct job *j)
{
	(void)j;
	fail_msg("it is not old");
}

void
lane_defer(struct job *j, int64_t delay_ms)
{
	fake.back++;
	fake.back_after_ms = delay_ms;
	done_with(j);
}

int
shaping_provider_of_hosts(const struct shaping *s, const struct slice *host,
    size_t count)
{
	(void)s;
	for (size_t i = 0; i < count; i++)
		if (slice_eq_text(host[i], "mx1.big"))
			return 3;
	return -1;
}

int
shaping_provider_of_domain(const struct shaping *s, struct slice domain)
{
	(void)s;
	(void)domain;
	return -1;
}

struct shaping_limits
shaping_limits_of(const struct shaping *s, int provider,
    const struct slice *host, size_t count)
{
	(void)s;
	(void)host;
	(void)count;
	return (struct shaping_limits){
		.site_connections = (uint64_t)(provider + 10),
	};
}

/* ---- The stage ------------------------------------------------------------
 */

static void
send_to(const char *domain, bool is_urgent)
{
	struct job *j = xmalloc(sizeof(*j));

	j->magic = JOB_MAGIC;
	j->mta = &mta;
	j->lane = &lane;
	j->expires_at_ms = INT64_MAX;
	j->q.member.flags = is_urgent ? QUEUE_TRANSACTIONAL : 0;
	j->address.domain = arena_slice(&j->arena, slice_of(domain));
	list_init(&j->node);
	route_job(j);
}

/* The oldest question about that; takes it. */
static struct dns_query *
question(const char *name, enum dns_type type)
{
	list_each (node, &fake.questions) {
		struct dns_query *q = list_entry(node, struct dns_query, node);

		if (q->type == type && slice_eq_text(slice_of(q->name), name)) {
			list_remove(&q->node);
			return q;
		}
	}
	fail_msg("nobody asked for %s", name);
	abort(); /* which does not come back, but gcc does not know */
}

static void
answer(const char *name, enum dns_type type, const struct dns_answer *a)
{
	struct dns_query *q = question(name, type);

	q->done(q->ctx, a);
	free(q);
}

static void
answer_fails(const char *name, enum dns_type type)
{
	answer(name, type, &(struct dns_answer){ .result = DNS_FAILED });
}

static void
answer_address(const char *name)
{
	struct dns_record rec = { .type = DNS_A };
	const uint8_t octets[4] = { 192, 0, 2, 1 };

	net_addr_from_v4(octets, 0, &rec.addr);
	answer(name, DNS_A,
	    &(struct dns_answer){ .ttl_s = 600, .count = 1, .record = &rec });
}

/* All of preference 10 but the last, of 20. */
static void
answer_mx(const char *domain, const char *const *host, size_t count)
{
	struct dns_record rec[16] = { 0 };

	for (size_t i = 0; i < count; i++) {
		rec[i].type = DNS_MX;
		rec[i].preference = i + 1 < count ? 10 : 20;
		rec[i].name = slice_of(host[i]);
	}
	answer(domain, DNS_MX,
	    &(struct dns_answer){ .ttl_s = 600,
		.count = count,
		.record = rec });
}

static void
assert_site(const char *site)
{
	char got[256];

	assert_non_null(fake.last);
	assert_int_equal(fake.last->state, ROUTE_READY);
	snprintf(got, sizeof(got), "%.*s", SLICE_FMT(fake.last->site));
	assert_string_equal(got, site);
}

static int
set_up(void **state)
{
	const uint8_t octets[4] = { 192, 0, 2, 9 };

	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&mta, 0, sizeof(mta));
	fake.now_ms = 1000000;
	list_init(&fake.questions);
	list_init(&fake.calls);
	net_addr_from_v4(octets, 0, &sources[0].addr);
	mta.sources = sources;
	mta.source_count = 1;
	mta.opt.mode = MTA_LIVE;
	mta.opt.in_hand_max = IN_HAND;
	mta.opt.guard.allow_all = true;
	routes_init(&mta);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_turn();
	route_unref(fake.last);
	/* Jobs that still wait go as the lanes take them back. */
	list_each_safe (node, &mta.asking) {
		struct route *r = list_entry(node, struct route, asking_node);

		list_each_safe (job, &r->jobs)
			done_with(list_entry(job, struct job, node));
	}
	assert_int_equal(mta.routing_count, 0);
	routes_fini(&mta);
	assert_true(list_is_empty(&mta.asking));
	assert_true(list_is_empty(&fake.questions));
	return 0;
}

/* ---- Sites ----------------------------------------------------------------
 */

static void
a_site_is_the_same_when_an_address_is_not_known(void **state)
{
	static const char *const hosts[] = { "mx1.big", "mx2" };

	(void)state;
	send_to("one", false);
	answer_mx("one", hosts, 2);
	answer_address("mx1.big");
	answer_address("mx2");
	end_turn();
	assert_site("mx1.big,mx2");
	assert_int_equal(fake.last->host_count, 2);
	send_to("two", false);
	answer_mx("two", hosts, 2);
	answer_fails("mx1.big", DNS_A);
	answer_address("mx2");
	end_turn();
	assert_site("mx1.big,mx2");
	assert_int_equal(fake.last->host_count, 1);
	assert_int_equal(fake.last->provider, 3);
	assert_int_equal(fake.last->limits.site_connections, 13);
}

static void
of_too_many_hosts_the_same_are_kept(void **state)
{
	static const char *const turned[][11] = {
		{ "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "z" },
		{ "j", "i", "d", "e", "h", "g", "f", "c", "b", "a", "z" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(turned); i++) {
		char domain[] = { (char)('0' + i), '\0' };

		send_to(domain, false);
		answer_mx(domain, turned[i], ARRAY_LEN(turned[i]));
		for (char host[] = "a"; host[0] <= 'h'; host[0]++)
			answer_address(host);
		end_turn();
		assert_site("a,b,c,d,e,f,g,h");
	}
}

/* ---- Waiting --------------------------------------------------------------
 */

static void
few_wait_for_one_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < 1000; i++)
		send_to("silent", false);
	assert_int_equal(mta.routing_count, CROWD);
	assert_int_equal(fake.back, 1000 - CROWD);
	/* A few at a time, and not all of them soon. */
	assert_in_range(fake.back_after_ms, 2000, 15000);
	send_to("silent", true);
	assert_int_equal(mta.routing_count, CROWD + 1);
	assert_int_equal(fake.asked, 1);
	send_to("other", false);
	answer_fails("other", DNS_MX);
	end_turn();
	assert_int_equal(fake.routed, 1);
}

static void
one_more_takes_the_place_of_those_that_waited_for_longest(void **state)
{
	char name[16];

	(void)state;
	for (size_t i = 0; i < IN_HAND / 4; i++) {
		snprintf(name, sizeof(name), "silent%zu", i);
		send_to(name, false);
	}
	send_to("other", false);
	assert_int_equal(fake.back, 1);
	assert_int_equal(fake.asked, IN_HAND / 4);
	send_to("urgent", true);
	assert_int_equal(fake.asked, IN_HAND / 4 + 1);
	fake.now_ms += 1000;
	send_to("other", false);
	assert_int_equal(fake.back, 1);
	end_turn();
	assert_int_equal(fake.routed, 1);
	assert_int_equal(fake.last->state, ROUTE_NONE);
	assert_int_equal(fake.last->why_none, VERDICT_DNS_FAILED);
	assert_true(slice_eq_text(fake.last->domain, "silent0"));
	answer_fails("other", DNS_MX);
	end_turn();
	assert_int_equal(fake.routed, 2);
	assert_int_equal(mta.routing_count, IN_HAND / 4);
}

static void
a_silent_host_beside_one_as_good_is_not_waited_for(void **state)
{
	static const char *const hosts[] = { "good", "silent", "backup" };

	(void)state;
	send_to("one", false);
	answer_mx("one", hosts, 3);
	answer_address("backup");
	fake.now_ms += 1000;
	routes_tick(&mta);
	end_turn();
	assert_int_equal(fake.routed, 0); /* none of the best is known */
	answer_address("good");
	routes_tick(&mta);
	end_turn();
	assert_int_equal(fake.routed, 1);
	assert_site("backup,good,silent");
	assert_int_equal(fake.last->host_count, 2);
	/* It is asked for again soon, not at once. */
	fake.now_ms += 29000;
	send_to("one", false);
	assert_int_equal(fake.routed, 2);
	fake.now_ms += 1000;
	send_to("one", false);
	assert_int_equal(mta.routing_count, 1);
}

static void
a_failure_is_not_kept(void **state)
{
	(void)state;
	send_to("one", false);
	answer_fails("one", DNS_MX);
	end_turn();
	assert_int_equal(fake.last->state, ROUTE_NONE);
	send_to("one", false);
	assert_int_equal(fake.asked, 2);
	answer("one", DNS_MX,
	    &(struct dns_answer){ .result = DNS_NXDOMAIN, .ttl_s = 1 });
	end_turn();
	assert_int_equal(fake.last->why_none, VERDICT_DNS_NXDOMAIN);
	fake.now_ms += 59000;
	send_to("one", false);
	assert_int_equal(fake.routed, 3);
	assert_int_equal(fake.asked, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(CASE(a_site_is_the_same_when_an_address_is_not_known),
    CASE(of_too_many_hosts_the_same_are_kept), CASE(few_wait_for_one_answer),
    CASE(one_more_takes_the_place_of_those_that_waited_for_longest),
    CASE(a_silent_host_beside_one_as_good_is_not_waited_for),
    CASE(a_failure_is_not_kept))

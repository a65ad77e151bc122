/*
 * intake_world.h - an intake over a store and a queue that are functions of
 * this file, for one test program. The loop is real; no clock decides but in
 * the gap between commits, which a test sets long or to nothing.
 */
#ifndef INTAKE_WORLD_H
#define INTAKE_WORLD_H

#include "test.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "intake/intake.h"
#include "net/loop.h"
#include "queue/queue.h"
#include "store/accept.h"
#include "store/contents.h"
#include "store/domains.h"
#include "store/emails.h"
#include "store/keys.h"
#include "store/partitions.h"

/* ---- The store that is none ---------------------------------------------- */

struct fake {
	/* the commit under way */
	struct store_accept_item *const *items;
	size_t n;
	store_done *done;
	void *ctx;
	size_t commits;
	size_t cancelled;

	size_t key_finds, touches, domain_finds;
	store_key_auth_got *key_done;
	void *key_ctx;
	store_domain_got *domain_done;
	void *domain_ctx;
	store_event_got *events_done;
	void *events_ctx;

	size_t days;
	store_counted *days_done;
	void *days_ctx;

	size_t puts, put_bytes, drops;
	store_done *put_done;
	void *put_ctx;

	size_t pushes, jobs, most_jobs;
	int more_flags; /* that each job must have */
	char lanes[512];
};
static struct fake fake;

struct store_accept *
store_accept_start(struct pg *pg, int64_t now_ms,
    struct store_accept_item *const *items, size_t n, store_done *done,
    void *ctx)
{
	(void)pg;
	assert_true(now_ms > 0);
	assert_null(fake.done);
	fake.items = items;
	fake.n = n;
	fake.done = done;
	fake.ctx = ctx;
	fake.commits++;
	for (size_t i = 0; i < n; i++)
		items[i]->result = STORE_ACCEPT_OK;
	return (struct store_accept *)(void *)&fake;
}

void
store_accept_cancel(struct store_accept **op)
{
	fake.cancelled += *op != NULL;
	*op = NULL;
}

static UNUSED struct pg_tx *
some_tx(void)
{
	return (struct pg_tx *)(void *)&fake;
}

bool
store_day_is_missing(const struct error *err)
{
	return strstr(err->text, "no partition") != NULL;
}

struct pg_tx *
store_partitions_make(struct pg *pg, int64_t now_ms, store_counted *done,
    void *ctx)
{
	(void)pg;
	assert_true(now_ms > 0);
	fake.days++;
	fake.days_done = done;
	fake.days_ctx = ctx;
	return some_tx();
}

struct pg_tx *
store_key_find(struct pg *pg, const uint8_t hash[32], store_key_auth_got *done,
    void *ctx)
{
	(void)pg;
	(void)hash;
	fake.key_finds++;
	fake.key_done = done;
	fake.key_ctx = ctx;
	return some_tx();
}

struct pg_tx *
store_key_touch(struct pg *pg, struct id id, int64_t now_ms, store_done *done,
    void *ctx)
{
	(void)pg;
	(void)id;
	(void)now_ms;
	(void)done;
	(void)ctx;
	fake.touches++;
	return some_tx();
}

struct pg_tx *
store_domain_find_name(struct pg *pg, int account, struct slice name,
    store_domain_got *done, void *ctx)
{
	(void)pg;
	assert_int_equal(account, 5);
	assert_true(slice_eq_text(name, "example.org"));
	fake.domain_finds++;
	fake.domain_done = done;
	fake.domain_ctx = ctx;
	return some_tx();
}

struct pg_tx *
store_event_list(struct pg *pg, struct id email, store_event_got *done,
    void *ctx)
{
	(void)pg;
	(void)email;
	fake.events_done = done;
	fake.events_ctx = ctx;
	return some_tx();
}

struct pg_tx *
store_content_put(struct pg *pg, struct id email, size_t first,
    struct slice part, store_done *done, void *ctx)
{
	(void)pg;
	assert_false(id_is_zero(email));
	assert_int_equal(first * STORE_CHUNK_BYTES, fake.put_bytes);
	fake.puts++;
	fake.put_bytes += part.len;
	fake.put_done = done;
	fake.put_ctx = ctx;
	return some_tx();
}

struct pg_tx *
store_content_drop(struct pg *pg, struct id email, store_done *done, void *ctx)
{
	(void)pg;
	(void)done;
	(void)ctx;
	assert_false(id_is_zero(email));
	fake.drops++;
	return some_tx();
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	*tx = NULL;
}

void
queue_lane_of_domain(const struct shaping *s, int pool, struct slice domain,
    struct queue_lane *out)
{
	(void)s;
	*out = (struct queue_lane){ .pool = pool };
	out->name[0] = 'h';
	out->name[1] = domain.ptr[0];
}

void
queue_enqueue(struct queue *q, const struct queue_lane *lane,
    const struct queue_job *jobs, size_t n, queue_done *done, void *ctx)
{
	(void)q;
	(void)done;
	(void)ctx;
	fake.pushes++;
	fake.jobs += n;
	fake.most_jobs = MAX(fake.most_jobs, n);
	(void)snprintf(fake.lanes + strlen(fake.lanes),
	    sizeof(fake.lanes) - strlen(fake.lanes), "%s:%zu ", lane->name, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(jobs[i].member.flow, 10);
		assert_int_equal(jobs[i].member.flags, 0x31 | fake.more_flags);
		assert_int_equal(jobs[i].delay_ms, 0);
	}
}

/* ---- A world with one account -------------------------------------------- */

struct world {
	struct loop *loop;
	struct intake *in;
	struct intake_account account;
	struct mail_address to[2];
	struct mail_content content;
	struct intake_request request;
};

struct answer {
	int told;
	enum answer_kind kind;
	unsigned int retry_after_s;
	struct id email;
	bool replayed, all_suppressed;
	size_t recipients;
	char message[ANSWER_TEXT_MAX];
};

static UNUSED void
on_done(void *ctx, const struct intake_result *r)
{
	struct answer *a = ctx;

	a->told++;
	a->kind = r->answer.kind;
	a->retry_after_s = r->answer.retry_after_s;
	a->email = r->email;
	a->replayed = r->replayed;
	a->all_suppressed = r->all_suppressed;
	a->recipients = r->recipient_count;
	memcpy(a->message, r->answer.message, sizeof(a->message));
}

static struct mail_address
address(const char *local, const char *domain)
{
	return (struct mail_address){ .local = slice_of(local),
		.domain = slice_of(domain) };
}

static UNUSED struct world *
world_new(const struct intake_limits *limits)
{
	struct world *w = xmalloc(sizeof(*w));
	struct intake_options opt = { 0 };

	memset(&fake, 0, sizeof(fake));
	w->loop = loop_new();
	opt.loop = w->loop;
	if (limits != NULL)
		opt.limits = *limits;
	w->in = intake_new(&opt);
	w->account.number = 5;
	w->account.suppressed_answer = 422;
	w->account.stream[0].pool = 1;
	w->account.stream[0].weight_log2 = 3;
	w->to[0] = address("a", "example.com");
	w->content = (struct mail_content){
		.from = address("me", "example.org"),
		.to = w->to,
		.to_count = 1,
		.subject = SLICE("Hi"),
		.text = SLICE("Hello"),
	};
	w->request = (struct intake_request){ .account = &w->account,
		.content = &w->content,
		.endpoint = INTAKE_ENDPOINT_EMAILS };
	return w;
}

static UNUSED void
world_free(struct world *w)
{
	intake_free(&w->in);
	loop_free(&w->loop);
	free(w);
}

static UNUSED void
turn(struct world *w)
{
	loop_turn(w->loop, 0);
	loop_turn(w->loop, 0);
}

static UNUSED void
domain_is(const char *status, bool verified, int number)
{
	struct store_domain d = { .number = number,
		.account = 5,
		.status = slice_of(status),
		.verified = verified };
	store_domain_got *done = fake.domain_done;

	assert_non_null(done);
	fake.domain_done = NULL;
	done(fake.domain_ctx, &d, 1, NULL);
}

static UNUSED void
commit_ends(const struct error *err)
{
	store_done *done = fake.done;

	assert_non_null(done);
	fake.done = NULL;
	done(fake.ctx, err);
}

/* The domain known, so that what follows is about commits. */
static UNUSED struct world *
world_ready_after(const struct intake_limits *limits, int items)
{
	struct world *w = world_new(limits);
	struct answer a = { 0 };

	for (int i = 0; i < items; i++)
		intake_submit(w->in, &w->request, on_done, &a);
	domain_is("verified", true, 9);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(a.told, items);
	fake.commits = fake.pushes = fake.jobs = fake.most_jobs = 0;
	fake.lanes[0] = '\0';
	return w;
}

static UNUSED struct world *
world_ready(const struct intake_limits *limits)
{
	return world_ready_after(limits, 1);
}

/* The last commit was one of many. */
static UNUSED struct world *
world_busy(const struct intake_limits *limits)
{
	return world_ready_after(limits, 5);
}

UNUSED static const struct intake_limits no_gap = { .commit_gap_ms = -1,
	.cache_ttl_ms = 60000 };
UNUSED static const struct intake_limits long_gap = { .commit_gap_ms = 3600000,
	.cache_ttl_ms = 60000 };

#endif

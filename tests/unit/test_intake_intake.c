/*
 * Accepting: the group commit, its answers and what is pushed, against a store
 * and a queue made of functions in this file. The loop is real; nothing here
 * waits for a clock but the gap between commits, which is set long or short.
 */
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

	size_t puts, put_bytes, drops;
	store_done *put_done;
	void *put_ctx;

	size_t pushes, jobs, most_jobs;
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

static struct pg_tx *
some_tx(void)
{
	return (struct pg_tx *)(void *)&fake;
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
store_key_touch(
    struct pg *pg, struct id id, int64_t now_ms, store_done *done, void *ctx)
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
store_event_list(
    struct pg *pg, struct id email, store_event_got *done, void *ctx)
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
store_content_drop(
    struct pg *pg, struct id email, store_done *done, void *ctx)
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
queue_lane_of_domain(int pool, struct slice domain, struct queue_lane *out)
{
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
		assert_int_equal(jobs[i].member.flags, 0x31);
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

static void
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
	return (struct mail_address){
		.local = slice_of(local), .domain = slice_of(domain)
	};
}

static struct world *
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
		.content = &w->content, .endpoint = INTAKE_ENDPOINT_EMAILS };
	return w;
}

static void
world_free(struct world *w)
{
	intake_free(&w->in);
	loop_free(&w->loop);
	free(w);
}

static void
turn(struct world *w)
{
	loop_turn(w->loop, 0);
	loop_turn(w->loop, 0);
}

static void
domain_is(const char *status, bool verified, int number)
{
	struct store_domain d = { .number = number, .account = 5,
		.status = slice_of(status), .verified = verified };
	store_domain_got *done = fake.domain_done;

	assert_non_null(done);
	fake.domain_done = NULL;
	done(fake.domain_ctx, &d, 1, NULL);
}

static void
commit_ends(const struct error *err)
{
	store_done *done = fake.done;

	assert_non_null(done);
	fake.done = NULL;
	done(fake.ctx, err);
}

/* The domain known, so that what follows is about commits. */
static struct world *
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

static struct world *
world_ready(const struct intake_limits *limits)
{
	return world_ready_after(limits, 1);
}

/* The last commit was one of many. */
static struct world *
world_busy(const struct intake_limits *limits)
{
	return world_ready_after(limits, 5);
}

static const struct intake_limits no_gap = { .commit_gap_ms = -1,
	.cache_ttl_ms = 60000 };
static const struct intake_limits long_gap = { .commit_gap_ms = 3600000,
	.cache_ttl_ms = 60000 };

/* ---- Commits ------------------------------------------------------------- */

static void
the_first_message_goes_at_once(void **state)
{
	struct world *w = world_new(&long_gap);
	struct answer a = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	domain_is("verified", true, 9);
	turn(w);
	assert_int_equal(fake.commits, 1);
	assert_int_equal(a.told, 0);
	assert_int_equal(fake.items[0]->domain, 9);
	assert_int_equal(fake.items[0]->account, 5);
	assert_int_equal(fake.items[0]->count, 1);
	commit_ends(NULL);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.kind, ANSWER_OK);
	assert_int_equal(a.recipients, 1);
	assert_false(id_is_zero(a.email));
	assert_string_equal(fake.lanes, "he:1 ");
	assert_int_equal(intake_pending(w->in), 0);
	world_free(w);
}

static void
what_comes_during_a_commit_shares_the_next(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[5] = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a[0]);
	turn(w);
	assert_int_equal(fake.n, 1);
	for (int i = 1; i < 5; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.commits, 1);
	commit_ends(NULL);
	assert_int_equal(a[0].told, 1);
	turn(w);
	assert_int_equal(fake.commits, 2);
	assert_int_equal(fake.n, 4);
	for (int i = 1; i < 5; i++)
		assert_int_equal(a[i].told, 0);
	commit_ends(NULL);
	for (int i = 1; i < 5; i++)
		assert_int_equal(a[i].kind == ANSWER_OK && a[i].told == 1, 1);
	world_free(w);
}

static void
under_load_commits_keep_their_gap(void **state)
{
	struct intake_limits limits = long_gap;
	struct world *w;
	struct answer a[6] = { 0 };

	(void)state;
	limits.batch_items_max = 6;
	w = world_busy(&limits);
	for (int i = 0; i < 5; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.commits, 0);
	/* A full batch waits for nothing. */
	intake_submit(w->in, &w->request, on_done, &a[5]);
	turn(w);
	assert_int_equal(fake.commits, 1);
	assert_int_equal(fake.n, 6);
	commit_ends(NULL);
	world_free(w);
}

static void
a_few_clients_do_not_wait_for_a_gap(void **state)
{
	struct world *w = world_ready(&long_gap);
	struct answer a[4] = { 0 };

	(void)state;
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 4; i++)
			intake_submit(w->in, &w->request, on_done, &a[i]);
		turn(w);
		assert_int_equal(fake.commits, round);
		commit_ends(NULL);
	}
	world_free(w);
}

static void
the_gap_ends_by_itself(void **state)
{
	struct intake_limits limits = { .commit_gap_ms = 20,
		.cache_ttl_ms = 60000 };
	struct world *w = world_busy(&limits);
	struct answer a = { 0 };
	int64_t begin_ms = clock_mono_ms();

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	while (fake.commits == 0 && clock_mono_ms() < begin_ms + 5000)
		loop_turn(w->loop, 100);
	assert_int_equal(fake.commits, 1);
	commit_ends(NULL);
	world_free(w);
}

static void
a_batch_is_bounded_in_octets(void **state)
{
	struct intake_limits limits = no_gap;
	struct world *w;
	struct answer a[3] = { 0 };
	static char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text));
	limits.batch_bytes_max = 7000;
	w = world_ready(&limits);
	w->content.text = slice_mem(text, sizeof(text));
	for (int i = 0; i < 3; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.n, 2);
	commit_ends(NULL);
	turn(w);
	assert_int_equal(fake.n, 1);
	commit_ends(NULL);
	assert_int_equal(a[2].told, 1);
	world_free(w);
}

static void
without_the_database_all_are_told_to_come_again(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[2] = { 0 };
	struct error away = { ERR_STORE, 0, "gone" };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a[0]);
	intake_submit(w->in, &w->request, on_done, &a[1]);
	turn(w);
	test_log_expect(1);
	commit_ends(&away);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(a[i].told, 1);
		assert_int_equal(a[i].kind, ANSWER_UNAVAILABLE);
		assert_int_equal(a[i].retry_after_s, 5);
		assert_true(id_is_zero(a[i].email));
	}
	assert_int_equal(fake.pushes, 0);
	world_free(w);
}

static void
a_refused_item_hurts_nobody_else(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[3] = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	fake.items[1]->result = STORE_ACCEPT_REFUSED;
	fake.items[1]->refused = (struct error){ ERR_SYNTAX, 0, "odd" };
	test_log_expect(1);
	commit_ends(NULL);
	assert_int_equal(a[0].kind, ANSWER_OK);
	assert_int_equal(a[1].kind, ANSWER_INTERNAL);
	assert_int_equal(a[2].kind, ANSWER_OK);
	assert_int_equal(fake.jobs, 2);
	world_free(w);
}

static void
jobs_go_by_lane_in_calls_of_at_most_100(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a[130] = { 0 };

	(void)state;
	w->to[1] = address("b", "zeta.example");
	w->content.to_count = 2;
	for (int i = 0; i < 130; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(fake.n, 130);
	fake.items[7]->recipient[1].suppressed = true;
	commit_ends(NULL);
	assert_string_equal(fake.lanes, "he:100 he:30 hz:100 hz:29 ");
	assert_int_equal(a[7].kind, ANSWER_OK);
	assert_false(a[7].all_suppressed);
	world_free(w);
}

/* ---- Large contents ------------------------------------------------------ */

static char large_text[1300000];

static void
puts_end(const struct error *err)
{
	while (fake.put_done != NULL) {
		store_done *done = fake.put_done;

		fake.put_done = NULL;
		done(fake.put_ctx, err);
	}
}

static struct world *
world_large(void)
{
	struct intake_limits limits = no_gap;
	struct world *w;

	memset(large_text, 'x', sizeof(large_text));
	limits.large_bytes = 1000000;
	w = world_ready(&limits);
	w->content.text = slice_mem(large_text, sizeof(large_text));
	return w;
}

static void
a_large_content_goes_ahead_in_slices(void **state)
{
	struct world *w = world_large();
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	assert_int_equal(fake.commits, 0);
	assert_int_equal(fake.put_bytes, 512000);
	/* A small one does not wait for it. */
	w->content.text = SLICE("small");
	intake_submit(w->in, &w->request, on_done, &b);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(b.kind == ANSWER_OK && b.told == 1, 1);

	puts_end(NULL);
	assert_int_equal(fake.puts, 3);
	turn(w);
	assert_int_equal(fake.n, 1);
	assert_int_equal(fake.items[0]->content.len, 0);
	assert_int_equal(fake.items[0]->content_bytes, fake.put_bytes);
	assert_true(fake.put_bytes > sizeof(large_text));
	assert_true(fake.items[0]->head.len < 1000);
	commit_ends(NULL);
	assert_int_equal(a.kind == ANSWER_OK && a.told == 1, 1);
	assert_int_equal(fake.drops, 0);
	world_free(w);
}

static void
slices_of_an_email_that_will_not_be_are_taken_back(void **state)
{
	struct error away = { ERR_STORE, 0, "away" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_large();
		struct answer a = { 0 };

		w->request.idempotency_key = SLICE("k");
		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		if (i == 0) {
			test_log_expect(1);
			puts_end(&away);
			assert_int_equal(a.kind, ANSWER_UNAVAILABLE);
			assert_int_equal(fake.commits, 0);
		} else {
			puts_end(NULL);
			turn(w);
			fake.items[0]->result = STORE_ACCEPT_MISMATCH;
			commit_ends(NULL);
			assert_int_equal(a.kind, ANSWER_IDEMPOTENT_CLASH);
		}
		assert_int_equal(fake.drops, 1);
		world_free(w);
	}
}

/* ---- Suppression and idempotency ----------------------------------------- */

static void
all_suppressed_is_422_or_200_as_the_account_wants(void **state)
{
	struct world *w = world_ready(&no_gap);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct answer a = { 0 };

		w->account.suppressed_answer = i == 0 ? 422 : 200;
		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		fake.items[0]->recipient[0].suppressed = true;
		commit_ends(NULL);
		assert_int_equal(
		    a.kind, i == 0 ? ANSWER_SUPPRESSED : ANSWER_OK);
		assert_true(a.all_suppressed);
		assert_false(id_is_zero(a.email));
		assert_int_equal(fake.pushes, 0);
	}
	world_free(w);
}

static void
a_key_used_before_answers_as_before(void **state)
{
	static const struct {
		int kinds[2];
		enum answer_kind want;
	} rows[] = {
		{ { EVENT_QUEUED, EVENT_SUPPRESSED }, ANSWER_OK },
		{ { EVENT_SUPPRESSED, EVENT_SUPPRESSED }, ANSWER_SUPPRESSED },
	};
	struct world *w = world_ready(&no_gap);

	(void)state;
	w->request.idempotency_key = SLICE("k");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_event events[2] = { { .kind = rows[i].kinds[0] },
			{ .kind = rows[i].kinds[1] } };
		struct answer a = { 0 };
		struct id old = id_new_email(1000);

		intake_submit(w->in, &w->request, on_done, &a);
		turn(w);
		assert_true(slice_eq_text(fake.items[0]->key, "k"));
		assert_int_equal(fake.items[0]->endpoint, 1);
		fake.items[0]->result = STORE_ACCEPT_REPLAY;
		fake.items[0]->replay = old;
		commit_ends(NULL);
		assert_int_equal(a.told, 0);
		fake.events_done(fake.events_ctx, events, 2, NULL);
		assert_int_equal(a.kind, rows[i].want);
		assert_true(a.replayed);
		assert_int_equal(id_cmp(a.email, old), 0);
		assert_int_equal(fake.pushes, 0);
	}
	world_free(w);
}

static void
a_key_for_another_body_or_in_use_is_a_conflict(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	w->request.idempotency_key = SLICE("k");
	intake_submit(w->in, &w->request, on_done, &a);
	intake_submit(w->in, &w->request, on_done, &b);
	assert_int_equal(b.told, 0); /* never before it returns */
	turn(w);
	assert_int_equal(b.kind, ANSWER_IDEMPOTENT_BUSY);
	assert_int_equal(fake.n, 1);
	fake.items[0]->result = STORE_ACCEPT_MISMATCH;
	commit_ends(NULL);
	assert_int_equal(a.kind, ANSWER_IDEMPOTENT_CLASH);
	/* Free again. */
	intake_submit(w->in, &w->request, on_done, &c);
	turn(w);
	commit_ends(NULL);
	assert_int_equal(c.kind, ANSWER_OK);
	world_free(w);
}

/* ---- Refusals before the commit ------------------------------------------ */

static void
only_a_verified_domain_of_the_account_sends(void **state)
{
	static const struct {
		const char *status; /* NULL: no such domain */
		bool verified;
		int number, bound_to;
		enum answer_kind want;
		const char *begins;
	} rows[] = {
		{ NULL, false, 0, 0, ANSWER_DOMAIN,
		    "from: the domain example.org is not one of this" },
		{ "pending", false, 9, 0, ANSWER_DOMAIN,
		    "from: the domain example.org is not verified (it is pen" },
		{ "verified", true, 9, 8, ANSWER_DOMAIN,
		    "from: this API key may not send for the domain" },
		{ "away", false, 0, 0, ANSWER_UNAVAILABLE, "The database is" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(NULL);
		struct error no = { ERR_NOTFOUND, 0, "no" };
		struct error away = { ERR_STORE, 0, "away" };
		struct answer a = { 0 };

		w->account.domain = rows[i].bound_to;
		intake_submit(w->in, &w->request, on_done, &a);
		if (rows[i].status == NULL)
			fake.domain_done(fake.domain_ctx, NULL, 0, &no);
		else if (strcmp(rows[i].status, "away") == 0)
			fake.domain_done(fake.domain_ctx, NULL, 0, &away);
		else
			domain_is(rows[i].status, rows[i].verified,
			    rows[i].number);
		turn(w);
		assert_int_equal(a.told, 1);
		assert_int_equal(a.kind, rows[i].want);
		assert_true(slice_starts(
		    slice_of(a.message), slice_of(rows[i].begins)));
		assert_int_equal(fake.commits, 0);
		world_free(w);
	}
}

static void
what_waits_is_bounded(void **state)
{
	struct intake_limits limits = long_gap;
	struct world *w;
	struct answer a[4] = { 0 };

	(void)state;
	limits.pending_items_max = 3;
	w = world_busy(&limits);
	for (int i = 0; i < 4; i++)
		intake_submit(w->in, &w->request, on_done, &a[i]);
	turn(w);
	assert_int_equal(a[2].told, 0);
	assert_int_equal(a[3].kind, ANSWER_UNAVAILABLE);
	assert_int_equal(a[3].retry_after_s, 1);
	world_free(w);
	/* Nobody was told after the end. */
	assert_int_equal(a[0].told + a[1].told + a[2].told, 0);
}

static void
octets_that_wait_are_bounded_but_one_always_may(void **state)
{
	struct intake_limits limits = long_gap;
	struct world *w;
	struct answer a[2] = { 0 };
	static char text[8000];

	(void)state;
	memset(text, 'x', sizeof(text));
	limits.pending_bytes_max = 5000;
	w = world_busy(&limits);
	w->content.text = slice_mem(text, sizeof(text));
	intake_submit(w->in, &w->request, on_done, &a[0]);
	intake_submit(w->in, &w->request, on_done, &a[1]);
	turn(w);
	assert_int_equal(a[0].told, 0);
	assert_int_equal(a[1].kind, ANSWER_UNAVAILABLE);
	world_free(w);
}

static bool drained;

static void
on_drained(void *ctx)
{
	(void)ctx;
	drained = true;
}

static void
draining_finishes_what_is_under_way_and_takes_no_more(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	drained = false;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	intake_drain(w->in, 60000, on_drained, NULL);
	intake_submit(w->in, &w->request, on_done, &b);
	turn(w);
	assert_int_equal(b.kind, ANSWER_UNAVAILABLE);
	assert_false(drained);
	commit_ends(NULL);
	assert_int_equal(a.kind, ANSWER_OK);
	turn(w);
	assert_true(drained);
	world_free(w);
}

static void
freeing_cancels_the_commit_under_way(void **state)
{
	struct world *w = world_ready(&no_gap);
	struct answer a = { 0 };

	(void)state;
	intake_submit(w->in, &w->request, on_done, &a);
	turn(w);
	world_free(w);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(a.told, 0);
}

/* ---- Keys ---------------------------------------------------------------- */

struct who {
	int told;
	int account;
	enum answer_kind kind;
};

static void
on_authorized(void *ctx, const struct intake_account *account,
    const struct intake_answer *no)
{
	struct who *who = ctx;

	who->told++;
	who->account = account != NULL ? account->number : 0;
	who->kind = no != NULL ? no->kind : ANSWER_OK;
}

static void
known_and_unknown_keys_are_asked_for_once(void **state)
{
	struct world *w = world_new(&no_gap);
	struct store_key_auth auth = { .account.number = 7 };
	struct error none = { ERR_NOTFOUND, 0, "no" };
	struct error away = { ERR_STORE, 0, "away" };
	struct who a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 };

	(void)state;
	intake_authorize(w->in, SLICE("re_a"), on_authorized, &a);
	intake_authorize(w->in, SLICE("re_a"), on_authorized, &b);
	assert_int_equal(fake.key_finds, 1);
	fake.key_done(fake.key_ctx, &auth, NULL);
	assert_int_equal(a.account, 7);
	assert_int_equal(b.account, 7);
	assert_int_equal(fake.touches, 1);
	intake_authorize(w->in, SLICE("re_a"), on_authorized, &c);
	assert_int_equal(c.account, 7);
	assert_int_equal(fake.key_finds, 1);

	intake_authorize(w->in, SLICE("re_b"), on_authorized, &d);
	fake.key_done(fake.key_ctx, NULL, &none);
	assert_int_equal(d.kind, ANSWER_KEY_INVALID);
	intake_authorize(w->in, SLICE("re_b"), on_authorized, &d);
	assert_int_equal(d.told, 2);
	assert_int_equal(fake.key_finds, 2);

	intake_authorize(w->in, SLICE("re_c"), on_authorized, &e);
	fake.key_done(fake.key_ctx, NULL, &away);
	assert_int_equal(e.kind, ANSWER_UNAVAILABLE);
	intake_authorize(w->in, SLICE("re_c"), on_authorized, &e);
	assert_int_equal(fake.key_finds, 4);
	world_free(w);
}

static void
no_key_and_odd_keys_are_refused_without_a_question(void **state)
{
	struct world *w = world_new(NULL);
	struct who a = { 0 }, b = { 0 };
	static char long_key[300];

	(void)state;
	memset(long_key, 'k', sizeof(long_key));
	intake_authorize(w->in, SLICE(""), on_authorized, &a);
	assert_int_equal(a.kind, ANSWER_KEY_MISSING);
	intake_authorize(w->in, slice_mem(long_key, sizeof(long_key)),
	    on_authorized, &b);
	assert_int_equal(b.kind, ANSWER_KEY_INVALID);
	assert_int_equal(fake.key_finds, 0);
	world_free(w);
}

TEST_MAIN(cmocka_unit_test(the_first_message_goes_at_once),
    cmocka_unit_test(what_comes_during_a_commit_shares_the_next),
    cmocka_unit_test(under_load_commits_keep_their_gap),
    cmocka_unit_test(a_few_clients_do_not_wait_for_a_gap),
    cmocka_unit_test(the_gap_ends_by_itself),
    cmocka_unit_test(a_batch_is_bounded_in_octets),
    cmocka_unit_test(without_the_database_all_are_told_to_come_again),
    cmocka_unit_test(a_refused_item_hurts_nobody_else),
    cmocka_unit_test(jobs_go_by_lane_in_calls_of_at_most_100),
    cmocka_unit_test(a_large_content_goes_ahead_in_slices),
    cmocka_unit_test(slices_of_an_email_that_will_not_be_are_taken_back),
    cmocka_unit_test(all_suppressed_is_422_or_200_as_the_account_wants),
    cmocka_unit_test(a_key_used_before_answers_as_before),
    cmocka_unit_test(a_key_for_another_body_or_in_use_is_a_conflict),
    cmocka_unit_test(only_a_verified_domain_of_the_account_sends),
    cmocka_unit_test(what_waits_is_bounded),
    cmocka_unit_test(octets_that_wait_are_bounded_but_one_always_may),
    cmocka_unit_test(draining_finishes_what_is_under_way_and_takes_no_more),
    cmocka_unit_test(freeing_cancels_the_commit_under_way),
    cmocka_unit_test(known_and_unknown_keys_are_asked_for_once),
    cmocka_unit_test(no_key_and_odd_keys_are_refused_without_a_question))

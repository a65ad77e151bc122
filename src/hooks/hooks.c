/*
 * The role's heart: looks for due rows, ten times a second while nothing is
 * known to be due and at once while the last claim was full.
 *
 * A claim takes few rows of one endpoint too many, never thousands: it is
 * small, and an endpoint that has as much in hand as it may have under way is
 * left out of the next one. The lease covers the time in which the last row of
 * a batch of one slow endpoint has been tried.
 */
#include "hooks/hooks_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define TIMEOUT_MS_DEFAULT 15000
#define POLL_MS_DEFAULT 100
#define IN_FLIGHT_DEFAULT 256
#define ENDPOINT_DEFAULT 8
#define ROUNDS 4 /* of requests that one claim makes for one endpoint */
#define LEASE_SLACK_MS 30000

static void look(void *ctx);

static size_t
batch(const struct hooks *h)
{
	return h->endpoint_max * ROUNDS;
}

static int64_t
lease_ms(const struct hooks *h)
{
	return h->timeout_ms * (ROUNDS + 1) + LEASE_SLACK_MS;
}

static void
look_soon(struct hooks *h)
{
	if (!h->draining)
		loop_call_schedule(h->loop, &h->look, look, h);
}

static void
on_claimed(void *ctx, const struct store_delivery *row, size_t count,
    const struct error *err)
{
	struct hooks *h = ctx;

	OBJ_CHECK(h, HOOKS_MAGIC);
	h->claim = NULL;
	if (err != NULL) {
		log_warn(NULL, "webhook.claim_failed", log_err(err));
		h->more_due = false;
		hooks_went_on(h);
		return;
	}
	h->more_due = count == h->claim_limit;
	for (size_t i = 0; i < count; i++) {
		bool is_over;
		struct post *p = hooks_post_new(h, &row[i], &is_over);

		if (is_over)
			hooks_result_add(h, p);
		else
			hooks_post_wait(h, p, row[i].webhook);
	}
	if (h->draining)
		hooks_give_back(h);
	hooks_start_some(h);
	hooks_went_on(h);
}

/* How many rows may be taken in hand now. */
static size_t
room(const struct hooks *h)
{
	size_t most = h->in_flight_max * ROUNDS;
	size_t taken = h->in_hand + h->result_count;

	return taken < most ? MIN(most - taken, batch(h)) : 0;
}

static void
look(void *ctx)
{
	struct hooks *h = ctx;
	struct id *busy;
	size_t n;

	OBJ_CHECK(h, HOOKS_MAGIC);
	if (h->draining || h->claim != NULL || !pg_is_up(h->pg) || room(h) == 0)
		return;
	busy = xcalloc(hash_count(h->endpoints), sizeof(*busy));
	n = hooks_busy(h, busy);
	h->claim_limit = room(h);
	h->claim = store_delivery_claim(h->pg, clock_now_ms(), lease_ms(h),
	    h->claim_limit, busy, n, on_claimed, h);
	free(busy);
}

static void
on_next(void *ctx, int64_t due_at_ms, const struct error *err)
{
	struct hooks *h = ctx;

	OBJ_CHECK(h, HOOKS_MAGIC);
	h->ask = NULL;
	if (err == NULL && due_at_ms != 0 && due_at_ms <= clock_now_ms())
		look(h);
	hooks_went_on(h);
}

/* Asks whether anything is due: with 40 partitions a tenth of the cost of a
 * claim that finds nothing (0.2 against 2 ms). */
static void
on_poll(void *ctx)
{
	struct hooks *h = ctx;

	timer_set(h->poll, h->poll_ms);
	if (h->ask == NULL && h->claim == NULL && pg_is_up(h->pg))
		h->ask = store_delivery_next(h->pg, on_next, h);
}

struct hooks *
hooks_new(const struct hooks_options *opt)
{
	struct hooks *h = xmalloc(sizeof(*h));

	h->magic = HOOKS_MAGIC;
	h->loop = opt->loop;
	h->pg = opt->pg;
	h->keyring = opt->keyring;
	h->fetcher = fetcher_new(opt->loop, opt->guard);
	if (opt->ca_file != NULL && opt->ca_file[0] != '\0')
		h->ca_file = xstrdup(opt->ca_file);
	h->timeout_ms =
	    opt->timeout_ms > 0 ? opt->timeout_ms : TIMEOUT_MS_DEFAULT;
	h->poll_ms = opt->poll_ms > 0 ? opt->poll_ms : POLL_MS_DEFAULT;
	h->in_flight_max =
	    opt->in_flight_max > 0 ? opt->in_flight_max : IN_FLIGHT_DEFAULT;
	h->endpoint_max =
	    opt->endpoint_max > 0 ? opt->endpoint_max : ENDPOINT_DEFAULT;
	h->endpoints = hash_new();
	list_init(&h->ready);
	list_init(&h->in_flight_posts);
	hooks_results_init(h);
	h->poll = timer_new(opt->loop, on_poll, h);
	timer_set(h->poll, 0);
	return h;
}

/* Draining. */

static void
tell_drained(void *ctx)
{
	struct hooks *h = ctx;
	void (*done)(void *) = h->drain_done;

	OBJ_CHECK(h, HOOKS_MAGIC);
	timer_cancel(h->drain_timeout);
	loop_call_cancel(&h->drained);
	h->drain_done = NULL;
	if (done != NULL)
		done(h->drain_ctx);
}

void
hooks_went_on(struct hooks *h)
{
	if (!h->draining) {
		if (h->more_due)
			look_soon(h);
		return;
	}
	if (h->claim == NULL && h->in_flight == 0 && h->result_count == 0)
		loop_call_schedule(h->loop, &h->drained, tell_drained, h);
}

void
hooks_drain(struct hooks *h, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	OBJ_CHECK(h, HOOKS_MAGIC);
	h->draining = true;
	h->drain_done = done;
	h->drain_ctx = ctx;
	timer_cancel(h->poll);
	pg_tx_cancel(&h->ask);
	loop_call_cancel(&h->look);
	h->drain_timeout = timer_new(h->loop, tell_drained, h);
	timer_set(h->drain_timeout, timeout_ms);
	hooks_give_back(h);
	hooks_went_on(h);
}

void
hooks_free(struct hooks **hp)
{
	struct hooks *h = *hp;

	if (h == NULL)
		return;
	*hp = NULL;
	OBJ_CHECK(h, HOOKS_MAGIC);
	h->draining = true;
	pg_tx_cancel(&h->ask);
	pg_tx_cancel(&h->claim);
	loop_call_cancel(&h->look);
	loop_call_cancel(&h->drained);
	timer_free(&h->poll);
	timer_free(&h->drain_timeout);
	hooks_dispatch_fini(h);
	hooks_results_fini(h);
	fetcher_free(&h->fetcher);
	free(h->ca_file);
	h->bury.is_deferred = true;
	loop_call_schedule(h->loop, &h->bury, free, h);
}

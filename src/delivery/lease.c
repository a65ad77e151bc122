/*
 * Leasing: one question per lane at a time, only while there is room. A lane
 * is asked when its wake arrives, when its last lease came back full, when
 * something falls due, when a limit opens (room.c), and once a second anyway.
 * Acks and defers gather during a turn and go out together.
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "store/pg.h"

#define LEASE_BATCH 64
/* Enough of one lane: what waits in this process is not sorted with what
 * becomes ready in Redis meanwhile. */
#define LANE_WAITING_MAX 256
#define SYNC_EVERY 60 /* ticks */
/* What falls due is asked for together. */
#define DUE_LEAST_MS 50

static size_t
room(const struct mta *m)
{
	/* Without Postgres nothing could be read or claimed. */
	if (m->draining || m->worker == 0 || m->source_count == 0 ||
	    !pg_is_up(m->opt.pg) || !owner_is_alive(m) ||
	    m->in_hand >= m->opt.in_hand_max ||
	    outcome_writer_pending(m->outcomes) > m->opt.in_hand_max)
		return 0;
	return m->opt.in_hand_max - m->in_hand;
}

static void
lane_flush(struct lane_state *lane)
{
	struct mta *m = lane->mta;

	if (lane->ack_count > 0)
		queue_ack(m->queue, &lane->lane, m->worker, lane->acks,
		    lane->ack_count, NULL, NULL);
	if (lane->defer_count > 0)
		queue_defer(m->queue, &lane->lane, m->worker, lane->defers,
		    lane->defer_count, NULL, NULL);
	lane->ack_count = lane->defer_count = 0;
	lane_flush_parks(lane);
}

static void
ack_later(struct lane_state *lane, const struct queue_job *q)
{
	if (lane->ack_count == ARRAY_LEN(lane->acks))
		lane_flush(lane);
	lane->acks[lane->ack_count++] = *q;
	mta_flush_soon(lane->mta);
}

/*
 * After Redis has lost its memory the walk enqueues what is in hand here, too.
 * Held once more in the same lane is just as held; in another it is too much.
 */
static bool
is_in_hand(struct lane_state *lane, const struct queue_job *q)
{
	const struct job *j = job_find(lane->mta, q->member.id);

	if (j != NULL && j->lane != lane)
		ack_later(lane, q);
	return j != NULL;
}

static void
take_leased(struct lane_state *lane, const struct queue_lease_result *r)
{
	struct list fresh;

	list_init(&fresh);
	for (size_t i = 0; i < r->count; i++)
		if (!is_in_hand(lane, &r->job[i]))
			list_append(&fresh, &job_new(lane, &r->job[i])->node);
	if (!list_is_empty(&fresh))
		jobs_read(lane->mta, &fresh);
}

/* Asked again when the head of what is for later falls due. */
static void
wait_until_due(struct lane_state *lane, int64_t due_ms)
{
	struct mta *m = lane->mta;
	int64_t now_ms = loop_mono_ms(m->opt.loop);

	lane->due_mono_ms = due_ms == 0
	    ? 0
	    : now_ms + MAX(due_ms - clock_now_ms(), DUE_LEAST_MS);
	if (due_ms != 0 &&
	    (!timer_is_set(m->due) || lane->due_mono_ms < m->due_mono_ms)) {
		m->due_mono_ms = lane->due_mono_ms;
		timer_set(m->due, lane->due_mono_ms - now_ms);
	}
}

static void
on_leased(void *ctx, const struct queue_lease_result *r)
{
	struct lane_state *lane = ctx;
	struct mta *m = lane->mta;

	lane->asking = false;
	lane->has_more = lane->woken;
	if (r->err != NULL) {
		log_debug(&m->log, "lease.failed", log_err(r->err));
		return;
	}
	if (r->yield) {
		lane->has_more = true;
		timer_set(m->yield, 2);
		return;
	}
	wait_until_due(lane, r->next_due_ms);
	lane->has_more = lane->woken || r->count >= (lane->asked + 1) / 2;
	if (r->count < lane->asked)
		lane_is_drained(lane);
	if (lane->has_more)
		mta_flush_soon(m);
	if (r->count == 0)
		return;
	crash_point("lease-after");
	take_leased(lane, r);
}

/* Of how many jobs a lease should be at least. A provider's lane has its own
 * mail only: what is urgent in it should not wait for a whole batch to leave.
 */
static size_t
lease_least(const struct lane_state *lane)
{
	return lane->provider >= 0 ? LEASE_SMALL : LEASE_BATCH;
}

static bool
lane_is_full(const struct lane_state *lane)
{
	return lane->waiting_count + lease_least(lane) > LANE_WAITING_MAX;
}

/* Of the sources of its pool here: what processes share is shared by it. */
static unsigned int
lane_weight(const struct lane_state *lane)
{
	const struct mta *m = lane->mta;
	unsigned int sum = 0;

	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].pool == lane->lane.pool)
			sum += m->sources[i].weight;
	return sum;
}

/* Returns how many were asked for. */
static size_t
lane_ask(struct lane_state *lane, size_t n)
{
	size_t room = lane_is_full(lane) ? 0 : lane_room(lane);

	if (room == 0) {
		lane->has_more = true;
		lane_closed(lane);
		return 0;
	}
	lane->asking = true;
	lane->woken = false;
	lane->asked = MIN(MIN(n, room), LEASE_BATCH);
	lane->asked = MIN(lane->asked, LANE_WAITING_MAX - lane->waiting_count);
	if (lane->room != SIZE_MAX)
		lane->room -= lane->asked;
	queue_lease(lane->mta->queue, &lane->lane, lane->mta->worker,
	    lane->asked, lane_weight(lane), on_leased, lane);
	return lane->asked;
}

void
lanes_ask(struct mta *m)
{
	size_t n = room(m);

	/* Small leases cost Redis several times as much per job. */
	if (n < m->opt.in_hand_max / 4 || !queue_is_connected(m->queue))
		return;
	for (size_t i = 0; i < m->lane_count && n > 0; i++) {
		struct lane_state *lane =
		    m->lanes[(m->next_lane + i) % m->lane_count];

		if (lane->asking || !lane->is_served)
			continue;
		n -= lane_ask(lane, n);
	}
	if (m->lane_count > 0)
		m->next_lane = (m->next_lane + 1) % m->lane_count;
}

static void
lanes_ask_again(struct mta *m)
{
	size_t n = room(m);

	if (n == 0 || !queue_is_connected(m->queue))
		return;
	for (size_t i = 0; i < m->lane_count; i++) {
		struct lane_state *lane = m->lanes[i];

		if (!lane->has_more || lane->asking || !lane->is_served ||
		    lane_is_full(lane))
			continue;
		if (n < LEASE_BATCH || n < m->opt.in_hand_max / 4)
			break;
		n -= lane_ask(lane, n);
	}
}

static void
on_flush(void *ctx)
{
	struct mta *m = ctx;

	for (size_t i = 0; i < m->lane_count; i++)
		lane_flush(m->lanes[i]);
	lanes_ask_again(m);
}

void
mta_flush_soon(struct mta *m)
{
	loop_call_schedule(m->opt.loop, &m->flush_call, on_flush, m);
}

static void
on_due(void *ctx)
{
	struct mta *m = ctx;
	int64_t now_ms = loop_mono_ms(m->opt.loop);
	int64_t next_ms = INT64_MAX;

	for (size_t i = 0; i < m->lane_count; i++) {
		struct lane_state *lane = m->lanes[i];

		if (lane->due_mono_ms == 0)
			continue;
		if (lane->due_mono_ms > now_ms) {
			next_ms = MIN(next_ms, lane->due_mono_ms);
			continue;
		}
		lane->due_mono_ms = 0;
		lane->has_more = true;
	}
	if (next_ms != INT64_MAX) {
		m->due_mono_ms = next_ms;
		timer_set(m->due, next_ms - now_ms);
	}
	lanes_ask_again(m);
}

static void
on_room(void *ctx)
{
	lanes_ask_again(ctx);
}

static void
on_yield_over(void *ctx)
{
	lanes_ask_again(ctx);
}

void
lane_ack(struct job *j)
{
	ack_later(j->lane, &j->q);
	job_free(j);
}

void
lane_defer(struct job *j, int64_t delay_ms)
{
	struct lane_state *lane = j->lane;

	if (lane->defer_count == ARRAY_LEN(lane->defers))
		lane_flush(lane);
	j->q.delay_ms = MAX(delay_ms, 0);
	lane->defers[lane->defer_count++] = j->q;
	mta_flush_soon(j->mta);
	job_free(j);
}

/* Nothing was sent; a claim that stands is taken back first. */
static void
give_back(struct job *j)
{
	switch (j->state) {
	case JOB_READING:
	case JOB_ROUTING:
	case JOB_WAITING:
		lane_defer(j, 0);
		return;
	case JOB_LOADING:
	case JOB_RENEWING:
	case JOB_CLAIMED:
		claim_release(j);
		return;
	case JOB_CLAIMING:
	case JOB_SENDING:
	case JOB_WRITING:
	case JOB_RELEASING:
		return;
	}
}

void
lanes_give_back(struct mta *m)
{
	for (size_t i = 0; i < m->lane_count; i++)
		list_each_safe (node, &m->lanes[i]->held)
			give_back(list_entry(node, struct job, lane_node));
	claims_give_back(m);
}

bool
lanes_are_asking(const struct mta *m)
{
	for (size_t i = 0; i < m->lane_count; i++)
		if (m->lanes[i]->asking)
			return true;
	return false;
}

/* -- Redis came or came back --------------------------------------------- */

static void
on_synced(void *ctx, const struct queue_lease_result *r)
{
	struct lane_state *lane = ctx;

	if (r->err != NULL)
		return; /* the next reconnect syncs again */
	/* Held by another worker: ours only if claimed. */
	for (size_t i = 0; i < r->count; i++) {
		struct job *j = job_find(lane->mta, r->job[i].member.id);

		if (j != NULL && j->lane == lane &&
		    (j->state == JOB_READING || j->state == JOB_ROUTING ||
			j->state == JOB_WAITING))
			job_free(j);
	}
}

static void
lane_sync(struct lane_state *lane)
{
	struct mta *m = lane->mta;
	struct queue_job *jobs = xcalloc(lane->held_count, sizeof(*jobs));
	size_t n = 0;

	list_each (node, &lane->held)
		jobs[n++] = list_entry(node, struct job, lane_node)->q;
	/* What was acked or deferred in this turn goes first. */
	lane_flush(lane);
	queue_sync(m->queue, &lane->lane, m->worker, jobs, n, on_synced, lane);
	free(jobs);
}

/* Not while a lease is under way: its jobs are held there, and not yet here. */
void
lanes_tick(struct mta *m)
{
	size_t step = (m->lane_count + SYNC_EVERY - 1) / SYNC_EVERY;

	if (m->draining || m->worker == 0 || m->lane_count == 0 ||
	    !queue_is_connected(m->queue))
		return;
	for (size_t i = 0; i < step; i++) {
		struct lane_state *lane =
		    m->lanes[m->next_sync++ % m->lane_count];

		if (!lane->asking)
			lane_sync(lane);
	}
}

static void
on_connected(void *ctx)
{
	struct mta *m = ctx;

	for (size_t i = 0; i < m->lane_count && m->worker != 0; i++)
		lane_sync(m->lanes[i]);
	owner_reap(m);
	lanes_ask(m);
}

static void
on_wake(void *ctx, const struct queue_lane *which)
{
	struct mta *m = ctx;
	size_t n = room(m);

	for (size_t i = 0; i < m->lane_count && n > 0; i++) {
		struct lane_state *lane = m->lanes[i];

		if (lane->lane.pool == which->pool &&
		    strcmp(lane->lane.name, which->name) == 0) {
			if (lane->asking)
				lane->woken = true;
			else if (lane->is_served &&
			    queue_is_connected(m->queue))
				lane_ask(lane, n);
			return;
		}
	}
}

static const struct queue_ops ops = { on_connected, on_wake };

void
lanes_init(struct mta *m)
{
	m->held = hash_new();
	m->yield = timer_new(m->opt.loop, on_yield_over, m);
	m->due = timer_new(m->opt.loop, on_due, m);
	m->room_opens = timer_new(m->opt.loop, on_room, m);
}

static bool
has_pool(const struct mta *m, int pool)
{
	for (size_t i = 0; i < m->lane_count; i++)
		if (m->lanes[i]->lane.pool == pool)
			return true;
	return false;
}

static void
add_pool(struct mta *m, int pool)
{
	size_t count = queue_lane_count(m->opt.shaping);

	m->lanes =
	    xrealloc(m->lanes, (m->lane_count + count) * sizeof(m->lanes[0]));
	for (size_t i = 0; i < count; i++) {
		struct lane_state *lane = xmalloc(sizeof(*lane));

		lane->mta = m;
		list_init(&lane->held);
		queue_lane_nth(m->opt.shaping, pool, i, &lane->lane);
		lane->provider = shaping_provider_find(m->opt.shaping,
		    slice_of(lane->lane.name));
		lane->opens_us = INT64_MAX;
		m->lanes[m->lane_count++] = lane;
	}
}

static bool
is_served(const struct mta *m, const struct lane_state *lane)
{
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].pool == lane->lane.pool)
			return true;
	return false;
}

/*
 * The wake channels are per pool, so a new pool means a new connection; pools
 * come and go with sources, which is rare.
 */
void
lanes_update(struct mta *m)
{
	bool changed = m->queue == NULL;
	size_t n = 0;
	int *pools;

	for (size_t i = 0; i < m->source_count; i++) {
		if (has_pool(m, m->sources[i].pool))
			continue;
		add_pool(m, m->sources[i].pool);
		changed = true;
	}
	for (size_t i = 0; i < m->lane_count; i++) {
		m->lanes[i]->is_served = is_served(m, m->lanes[i]);
		if (!m->lanes[i]->is_served) /* whoever serves it says why */
			lane_is_drained(m->lanes[i]);
	}
	if (!changed)
		return;
	pools = xcalloc(m->lane_count, sizeof(*pools));
	for (size_t i = 0; i < m->lane_count;
	     i += queue_lane_count(m->opt.shaping))
		pools[n++] = m->lanes[i]->lane.pool;
	queue_free(&m->queue);
	/* Answers to what was asked on the old connection never come. */
	for (size_t i = 0; i < m->lane_count; i++)
		m->lanes[i]->asking = false;
	m->queue = queue_new(m->opt.loop, m->opt.redis, pools, n, &ops, m);
	free(pools);
}

void
lanes_fini(struct mta *m)
{
	for (size_t i = 0; i < m->lane_count; i++) {
		list_each_safe (node, &m->lanes[i]->held)
			job_free(list_entry(node, struct job, lane_node));
		free(m->lanes[i]);
	}
	free(m->lanes);
	m->lanes = NULL;
	m->lane_count = 0;
	hash_free(&m->held);
	timer_free(&m->yield);
	timer_free(&m->room_opens);
	timer_free(&m->due);
	queue_free(&m->queue);
}

/*
 * How much of a lane could start soon. A lane is asked only for that: what has
 * no room stays in Redis, where it costs nothing, and the lane says why. It is
 * asked again when a limit opens, by a timer of its own.
 *
 * Only a provider's lane can be closed by a rate: in the others a slow site is
 * one of many, and its mail goes back until its turn (dest.c).
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"

/* Looked at again after so long at the earliest. */
#define FRESH_MS 10
#define WITHIN_US 250000
#define LOOK_AGAIN_MS 60000 /* a limit may have been raised */
#define WHY_AGAIN_MS 10000
/* Not closed for so long: it is not what makes mail wait any more. */
#define WHY_OVER_MS (2 * WHY_AGAIN_MS)

struct sum {
	size_t room, most; /* now, and with nothing under way */
	int64_t opens_us;  /* when to look at those that are closed again */
	bool is_open;	   /* some source could send now */
	/* Of the closed one that opens first, for people: wall time, which is
	 * not that of the next look; 0: soon, nobody knows when. */
	const char *why;
	int64_t until_ms;
};

static size_t
add(size_t a, size_t b)
{
	return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static void
add_closed(struct sum *sum, int64_t opens_us, const char *why, int64_t until_ms)
{
	sum->opens_us = MIN(sum->opens_us, opens_us);
	if (sum->why == NULL || until_ms < sum->until_ms) {
		sum->why = why;
		sum->until_ms = until_ms;
	}
}

/* Of a moment that is passed before it is told again there is no telling. */
static int64_t
wall_ms(int64_t wait_us)
{
	return wait_us / 1000 > WHY_AGAIN_MS ? clock_now_ms() + wait_us / 1000
					     : 0;
}

static void
add_source(struct sum *sum, struct mta *m, const struct source *s, int provider)
{
	struct scope_room r = scopes_room(m, s, provider, WITHIN_US);
	struct quota_room day = quota_room(m, s, provider);
	int64_t now_us = clock_mono_us();

	if (day.again_us > 0)
		add_closed(sum, day.again_us, "daily limit", day.until_ms);
	else if (day.now == 0 && r.now > 0) /* all of it waits already */
		add_closed(sum, now_us + WITHIN_US, "daily limit",
		    day.until_ms);
	else if (r.now == 0)
		add_closed(sum, r.opens_us, r.why,
		    wall_ms(r.until_us - now_us));
	sum->is_open |= r.now > 0 && day.now > 0;
	sum->room = add(sum->room, MIN(r.now, day.now));
	sum->most = add(sum->most, MIN(r.most, day.now));
}

static void
say_why(struct lane_state *lane, const char *why, int64_t until_ms)
{
	struct mta *m = lane->mta;

	if (!queue_is_connected(m->queue))
		return;
	queue_why(m->queue, &lane->lane, m->worker, slice_of(why), until_ms,
	    NULL, NULL);
	lane->why = why[0] != '\0' ? why : NULL;
	lane->why_said_mono_ms = loop_mono_ms(m->opt.loop);
}

/* Once, and again for another reason; the time now and then. */
static void
tell_why(struct lane_state *lane, const struct sum *sum)
{
	int64_t age_ms =
	    loop_mono_ms(lane->mta->opt.loop) - lane->why_said_mono_ms;

	if (sum->is_open) {
		if (lane->why != NULL && age_ms > WHY_OVER_MS)
			say_why(lane, "", 0);
	} else if (sum->why != NULL &&
	    (sum->why != lane->why || age_ms > WHY_AGAIN_MS)) {
		say_why(lane, sum->why, sum->until_ms);
	}
}

void
lane_is_drained(struct lane_state *lane)
{
	if (lane->why != NULL)
		say_why(lane, "", 0);
}

static void
look(struct lane_state *lane)
{
	struct mta *m = lane->mta;
	struct sum sum = { .opens_us = INT64_MAX };

	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].pool == lane->lane.pool)
			add_source(&sum, m, &m->sources[i], lane->provider);
	/* What has not got to its destination is counted by none. */
	if (sum.room != SIZE_MAX && lane->fresh_count > 0) {
		sum.room -= MIN(sum.room, lane->fresh_count);
		sum.opens_us =
		    MIN(sum.opens_us, clock_mono_us() + FRESH_MS * 1000);
	}
	/* Small leases cost Redis several times as much per job; but what is
	 * urgent waits in the schedule for the next one. */
	if (sum.room > 0 && sum.room < MIN((sum.most + 3) / 4, LEASE_SMALL)) {
		sum.room = 0;
		sum.opens_us = clock_mono_us() + WITHIN_US / 4;
	}
	lane->room = sum.room;
	lane->opens_us = sum.opens_us;
	tell_why(lane, &sum);
}

size_t
lane_room(struct lane_state *lane)
{
	int64_t now_ms = loop_mono_ms(lane->mta->opt.loop);

	if (now_ms - lane->room_at_mono_ms >= FRESH_MS) {
		lane->room_at_mono_ms = now_ms;
		look(lane);
	}
	return lane->room;
}

void
lane_closed(struct lane_state *lane)
{
	struct mta *m = lane->mta;
	int64_t now_us = clock_mono_us();
	int64_t wait_ms = MAX(lane->opens_us - now_us, 0) / 1000 + 1;

	if (lane->opens_us == INT64_MAX)
		return;
	wait_ms = MIN(MAX(wait_ms, FRESH_MS), LOOK_AGAIN_MS);
	if (!timer_is_set(m->room_opens) ||
	    m->room_opens_us > now_us + wait_ms * 1000) {
		m->room_opens_us = now_us + wait_ms * 1000;
		timer_set(m->room_opens, wait_ms);
	}
}

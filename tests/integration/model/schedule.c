#include "tests/integration/model/schedule.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"

/* Finding. ---------------------------------------------------------------- */

struct schedule_job *
schedule_job(struct schedule *s, const struct queue_member *m)
{
	uint8_t octets[QUEUE_MEMBER_LEN];
	struct schedule_job *j;

	queue_member_encode(m, octets);
	for (size_t i = 0; i < s->count; i++)
		if (memcmp(s->job[i].octets, octets, sizeof(octets)) == 0)
			return &s->job[i];
	invariant(s->count < SCHEDULE_JOBS);
	j = &s->job[s->count++];
	*j = (struct schedule_job){ .member = *m };
	memcpy(j->octets, octets, sizeof(octets));
	return j;
}

size_t
schedule_size(const struct schedule *s, enum place place)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += s->job[i].place == place;
	return n;
}

/* In the order of a zset: by score, then by the octets. */
static bool
comes_before(const struct schedule_job *a, const struct schedule_job *b)
{
	if (a->score < b->score || a->score > b->score)
		return a->score < b->score;
	return memcmp(a->octets, b->octets, sizeof(a->octets)) < 0;
}

/* The first one there with a score from least to most; NULL: none. */
static struct schedule_job *
first_of(struct schedule *s, enum place place, double least, double most)
{
	struct schedule_job *first = NULL;

	for (size_t i = 0; i < s->count; i++) {
		struct schedule_job *j = &s->job[i];

		if (j->place == place && j->score >= least &&
		    j->score <= most &&
		    (first == NULL || comes_before(j, first)))
			first = j;
	}
	return first;
}

static bool
is_held_by(const struct schedule_job *j, int worker)
{
	return j->place == HELD && (int)j->score == worker;
}

static double *
finish_of(struct schedule *s, uint32_t flow)
{
	for (size_t i = 0; i < s->flow_count; i++)
		if (s->flow[i].flow == flow)
			return &s->flow[i].finish;
	invariant(s->flow_count < SCHEDULE_FLOWS);
	s->flow[s->flow_count].flow = flow;
	s->flow[s->flow_count].finish = s->virtual_time;
	return &s->flow[s->flow_count++].finish;
}

/* Moving. ----------------------------------------------------------------- */

static void
move(struct schedule_job *j, enum place place, double score)
{
	j->place = place;
	j->score = score;
}

/* Behind what its flow has already, charged. */
static void
put(struct schedule *s, struct schedule_job *j)
{
	double *finish = finish_of(s, j->member.flow);
	double start = MAX(s->virtual_time, *finish);
	unsigned int weight = 1u << (j->member.flags >> QUEUE_WEIGHT_SHIFT);
	bool is_transactional = j->member.flags & QUEUE_TRANSACTIONAL;

	*finish = start + 1.0 / weight;
	move(j, READY, is_transactional ? start - 1 : start);
}

/* To the head, not charged again. */
static void
front(struct schedule *s, struct schedule_job *j)
{
	move(j, READY, s->virtual_time);
}

static void
put_or_wait(struct schedule *s, struct schedule_job *j, int64_t delay_ms,
    int64_t now_ms, bool charged)
{
	if (delay_ms > 0)
		move(j, LATER, (double)(now_ms + delay_ms));
	else if (charged)
		put(s, j);
	else
		front(s, j);
}

/* Who waited is told: once. */
static void
wake(struct schedule *s, size_t count)
{
	if (count > 0)
		s->idle = false;
}

size_t
schedule_enqueue(struct schedule *s, const struct queue_job *jobs, size_t n,
    int64_t now_ms)
{
	size_t added = 0;

	for (size_t i = 0; i < n; i++) {
		struct schedule_job *j = schedule_job(s, &jobs[i].member);

		if (j->place != NOWHERE)
			continue;
		put_or_wait(s, j, jobs[i].delay_ms, now_ms, true);
		added++;
	}
	wake(s, added);
	return added;
}

/* Leases. ----------------------------------------------------------------- */

static double *
taken_by(struct schedule *s, int worker)
{
	double most = 0;

	for (size_t i = 0; i < s->worker_count; i++) {
		if (s->worker[i].worker == worker)
			return &s->worker[i].taken;
		most = MAX(most, s->worker[i].taken);
	}
	invariant(s->worker_count < SCHEDULE_WORKERS);
	s->worker[s->worker_count].worker = worker;
	s->worker[s->worker_count].taken = most;
	return &s->worker[s->worker_count++].taken;
}

/* The one that has had least; among equals as Redis sorts their numbers. */
static double *
least_taken(struct schedule *s)
{
	size_t least = 0;
	char a[12], b[12];

	for (size_t i = 1; i < s->worker_count; i++) {
		double d = s->worker[i].taken - s->worker[least].taken;

		snprintf(a, sizeof(a), "%d", s->worker[i].worker);
		snprintf(b, sizeof(b), "%d", s->worker[least].worker);
		if (d < 0 || (!(d > 0) && strcmp(a, b) < 0))
			least = i;
	}
	return &s->worker[least].taken;
}

/* A short queue, and this worker is more than 64 ahead: the lowest goes
 * first, once. */
static bool
must_yield(struct schedule *s, double mine)
{
	double *low;

	if (schedule_size(s, READY) >= 64)
		return false;
	low = least_taken(s);
	if (mine - *low <= 64)
		return false;
	*low = mine;
	return true;
}

static void
ripen(struct schedule *s, int64_t now_ms, size_t most)
{
	struct schedule_job *j;

	while (
	    most-- > 0 && (j = first_of(s, LATER, 0, (double)now_ms)) != NULL)
		put(s, j);
}

size_t
schedule_lease(struct schedule *s, int worker, size_t n, unsigned int weight,
    int64_t now_ms, struct queue_job *out, bool *yields)
{
	struct schedule_job *j;
	size_t got = 0;

	*yields = false;
	if (n == 0)
		return 0;
	*yields = must_yield(s, *taken_by(s, worker));
	if (*yields)
		return 0;
	ripen(s, now_ms, MAX(n, (size_t)128));
	while (got < n && (j = first_of(s, READY, -1e300, 1e300)) != NULL) {
		out[got++] =
		    (struct queue_job){ .member = j->member, .tag = j->score };
		s->virtual_time = MAX(s->virtual_time, j->score);
		move(j, HELD, worker);
	}
	*taken_by(s, worker) += (double)got / weight;
	if (got < n) {
		s->idle = true;
		s->flow_count = 0;
	}
	return got;
}

/* What holders do. -------------------------------------------------------- */

size_t
schedule_ack(struct schedule *s, int worker, const struct queue_job *jobs,
    size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		struct schedule_job *j = schedule_job(s, &jobs[i].member);

		if (is_held_by(j, worker)) {
			move(j, NOWHERE, 0);
			count++;
		}
	}
	return count;
}

size_t
schedule_defer(struct schedule *s, int worker, const struct queue_job *jobs,
    size_t n, int64_t now_ms)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		struct schedule_job *j = schedule_job(s, &jobs[i].member);

		if (is_held_by(j, worker) || j->place == NOWHERE) {
			put_or_wait(s, j, jobs[i].delay_ms, now_ms, false);
			count++;
		}
	}
	wake(s, count);
	return count;
}

size_t
schedule_reap(struct schedule *s, int dead, size_t max)
{
	struct schedule_job *j;
	size_t count = 0;

	for (size_t i = 0; i < s->worker_count; i++)
		if (s->worker[i].worker == dead)
			s->worker[i--] = s->worker[--s->worker_count];
	while (count < max && (j = first_of(s, HELD, dead, dead)) != NULL) {
		front(s, j);
		count++;
	}
	wake(s, count);
	return count;
}

static bool
is_among(const struct schedule_job *j, const struct queue_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (id_cmp(jobs[i].member.id, j->member.id) == 0)
			return true;
	return false;
}

size_t
schedule_sync(struct schedule *s, int worker, const struct queue_job *jobs,
    size_t n)
{
	size_t others = 0, lost = 0;

	for (size_t i = 0; i < s->count; i++)
		if (is_held_by(&s->job[i], worker) &&
		    !is_among(&s->job[i], jobs, n)) {
			front(s, &s->job[i]);
			lost++;
		}
	for (size_t i = 0; i < n; i++) {
		struct schedule_job *j = schedule_job(s, &jobs[i].member);

		if (j->place == HELD && !is_held_by(j, worker))
			others++;
		else
			move(j, HELD, worker);
	}
	wake(s, lost);
	return others;
}

size_t
schedule_park(struct schedule *s, int worker, int hold,
    const struct queue_job *jobs, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		struct schedule_job *j = schedule_job(s, &jobs[i].member);

		if (is_held_by(j, worker)) {
			move(j, PARKED, hold);
			count++;
		}
	}
	return count;
}

size_t
schedule_unpark(struct schedule *s, int hold, size_t max)
{
	struct schedule_job *j;
	size_t count = 0;

	while (count < max && (j = first_of(s, PARKED, hold, hold)) != NULL) {
		put(s, j);
		count++;
	}
	wake(s, count);
	return count;
}

size_t
schedule_drop(struct schedule *s, const struct queue_member *m)
{
	struct schedule_job *j = schedule_job(s, m);

	if (j->place == HELD)
		return 0;
	move(j, NOWHERE, 0);
	return 1;
}

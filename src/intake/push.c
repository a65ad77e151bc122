/*
 * intake/push.c - the jobs of a commit, one call per lane. Nobody waits for
 * the answer: what gets lost is found by the young walk (queue/walk.h).
 */
#include "intake_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/queue.h"

/* Longer calls would hold Redis for more than a millisecond. */
#define JOBS_PER_CALL 100

struct lane_job {
	const struct queue_lane *lane;
	struct queue_job job;
};

static int
lane_cmp(const struct queue_lane *a, const struct queue_lane *b)
{
	if (a->pool != b->pool)
		return a->pool < b->pool ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Ids break ties, so that jobs go in the order in which they were accepted. */
static int
by_lane(const void *a, const void *b)
{
	const struct lane_job *x = a, *y = b;
	int c = lane_cmp(x->lane, y->lane);

	return c != 0 ? c : id_cmp(x->job.member.id, y->job.member.id);
}

static size_t
gather(const struct intake_item *item, struct lane_job *out)
{
	const struct store_accept_item *s = &item->store;
	size_t n = 0;

	if (s->result != STORE_ACCEPT_OK)
		return 0;
	for (size_t i = 0; i < s->count; i++) {
		if (s->recipient[i].suppressed)
			continue;
		out[n++] = (struct lane_job){
			.lane = &item->lane[i],
			.job.member = {
				.id = id_of_recipient(
				    s->email, (unsigned int)i + 1),
				.flow = (uint32_t)s->account * 2 +
				    (uint32_t)s->stream,
				.flags = s->recipient[i].flags,
			},
		};
	}
	return n;
}

static void
send_all(struct intake *in, const struct lane_job *jobs, size_t n)
{
	struct queue_job run[JOBS_PER_CALL];
	size_t i = 0;

	while (i < n) {
		const struct queue_lane *lane = jobs[i].lane;
		size_t count = 0;

		while (i < n && count < JOBS_PER_CALL &&
		    lane_cmp(jobs[i].lane, lane) == 0)
			run[count++] = jobs[i++].job;
		queue_enqueue(in->queue, lane, run, count, NULL, NULL);
	}
}

void
intake_push(struct intake *in, const struct list *batch)
{
	struct lane_job *jobs;
	size_t most = 0, n = 0;

	list_each (node, batch)
		most +=
		    list_entry(node, struct intake_item, in_commit)->rcpt_count;
	if (most == 0)
		return;
	jobs = xcalloc(most, sizeof(*jobs));
	list_each (node, batch)
		n += gather(list_entry(node, struct intake_item, in_commit),
		    jobs + n);
	qsort(jobs, n, sizeof(*jobs), by_lane);
	send_all(in, jobs, n);
	free(jobs);
}

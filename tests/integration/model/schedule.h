/*
 * schedule.h - what the functions in src/queue/functions.lua promise, written
 * down a second time and as plainly as can be: one lane as a list of jobs. A
 * test makes the same calls here and there and compares.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include "queue/queue.h"

#define SCHEDULE_JOBS 1024
#define SCHEDULE_FLOWS 64
#define SCHEDULE_WORKERS 16

enum place {
	NOWHERE,
	READY,
	LATER,
	HELD,
	PARKED,
	PLACES,
};

struct schedule_job {
	uint8_t octets[QUEUE_MEMBER_LEN];
	struct queue_member member;
	enum place place;
	double score; /* fair tag, due time in ms, worker or hold */
};

struct schedule {
	size_t count;
	struct schedule_job job[SCHEDULE_JOBS];
	double virtual_time;
	bool idle;
	size_t flow_count;
	struct {
		uint32_t flow;
		double finish;
	} flow[SCHEDULE_FLOWS];
	size_t worker_count;
	struct {
		int worker;
		double taken;
	} worker[SCHEDULE_WORKERS];
};

/* Never NULL: what is not known yet is nowhere. */
struct schedule_job *schedule_job(struct schedule *s,
    const struct queue_member *m);
size_t schedule_size(const struct schedule *s, enum place place);

size_t schedule_enqueue(struct schedule *s, const struct queue_job *jobs,
    size_t n, int64_t now_ms);
/* Returns how many; out has room for n. */
size_t schedule_lease(struct schedule *s, int worker, size_t n,
    unsigned int weight, int64_t now_ms, struct queue_job *out, bool *yields);
size_t schedule_ack(struct schedule *s, int worker,
    const struct queue_job *jobs, size_t n);
size_t schedule_defer(struct schedule *s, int worker,
    const struct queue_job *jobs, size_t n, int64_t now_ms);
size_t schedule_reap(struct schedule *s, int dead, size_t max);
/* Returns how many another holds. */
size_t schedule_sync(struct schedule *s, int worker,
    const struct queue_job *jobs, size_t n);
size_t schedule_park(struct schedule *s, int worker, int hold,
    const struct queue_job *jobs, size_t n);
size_t schedule_unpark(struct schedule *s, int hold, size_t max);
size_t schedule_drop(struct schedule *s, const struct queue_member *m);

#endif

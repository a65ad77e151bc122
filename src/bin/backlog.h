/* bin/backlog.h - what verpost queue learns from Redis. */
#ifndef BIN_BACKLOG_H
#define BIN_BACKLOG_H

#include "base/arena.h"
#include "base/slice.h"
#include "bin/command.h"
#include "queue/depth.h"

struct queue;
struct session;

/* How long commands wait for Redis; they go on without it. */
#define BACKLOG_REDIS_MS 3000

/* Connected, or NULL after it has said so on standard error. */
struct queue *backlog_queue_open(struct session *s);

/* The jobs of a lane, or of all lanes of a provider. */
struct lane_depth {
	struct slice name;
	size_t ready, later, held, parked;
	char why[DEPTH_WHY_MAX]; /* "" or why a process does not ask for more */
	/* How many of its lanes have jobs, and how many of them say so; one
	 * that does, with so many. */
	size_t lanes, why_lanes, why_jobs;
	struct slice why_lane;
	size_t hold_count; /* for which some are parked */
	const int *hold;   /* their numbers, some more than once */
};

struct lane_depths {
	struct arena arena;
	size_t count;
	struct lane_depth *depth;
};

/* Names as store_backlog_list has them: by provider, else by lane. */
void lane_depths_read(struct lane_depths *d, struct session *s,
    bool by_provider);
void lane_depths_fini(struct lane_depths *d);
const struct lane_depth *lane_depths_find(const struct lane_depths *d,
    struct slice name);

/* verpost queue --by site, or source. */
int destinations_list(const struct args *a, bool by_site, size_t limit);

#endif

/*
 * proc/children.h - a set of child processes that are started again when they
 * die: at once the first time, then after 1 s, 2 s, 4 s ... up to 30 s; a
 * child that lived for a minute starts afresh. Used by the master for its
 * roles and by "verpost dev" for the servers it brings along.
 *
 * The set knows no clock, signal or loop: its owner hands in the time and what
 * waitpid said, and asks when it wants to be called next.
 */
#ifndef PROC_CHILDREN_H
#define PROC_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_STABLE_MS 60000
#define CHILD_DELAY_FIRST_MS 1000
#define CHILD_DELAY_MAX_MS 30000

/* The back-off alone; zero-initialised. */
struct child_backoff {
	unsigned int failures; /* in a row, each within a minute */
};
/* A child that was started at started_ms is gone: how long to wait. */
int64_t child_backoff_next(struct child_backoff *b, int64_t started_ms,
    int64_t now_ms);

struct children;

struct child_spec {
	const char *name; /* "mta 0"; copied */
	/* Runs in the new process and returns its exit status. */
	int (*run)(void *ctx);
	void *ctx;	 /* borrowed for the life of the set */
	int stage;	 /* children_stop ends them by stage */
	int stop_signal; /* asks it to finish: SIGTERM, SIGINT ... */
};

struct children *children_new(void);
/* Frees the list; running processes are left alone. */
void children_free(struct children **c);
void children_add(struct children *c, const struct child_spec *spec);

/* Starts what is due. In the new process it never returns. */
void children_start_due(struct children *c, int64_t now_ms);
/*
 * waitpid(-1, WNOHANG) until nothing is left; logs how each one ended and
 * plans its next start. Returns how many of ours ended.
 */
size_t children_reap(struct children *c, int64_t now_ms);
/* When children_start_due wants to be called; -1: never. */
int64_t children_next_ms(const struct children *c, int64_t now_ms);

/* From now on nothing is started again; asks those of the stage to finish.
 * stage -1: all. */
void children_stop(struct children *c, int stage);
/* Asks one child to finish so that it is started again at once: reload. */
void children_restart(struct children *c, size_t index, int64_t now_ms);
/* Whether a child is to run: false ends it for good, true starts it again. */
void children_want(struct children *c, size_t index, bool wanted);
bool children_is_wanted(const struct children *c, size_t index);
/* SIGKILL to what still runs of a stage; -1: all. */
void children_kill(struct children *c, int stage);
void children_kill_one(struct children *c, size_t index);
void children_signal(struct children *c, int signo); /* all that run */

size_t children_count(const struct children *c);
size_t children_running(const struct children *c, int stage); /* -1: all */
pid_t children_pid(const struct children *c, size_t index);   /* 0: none */
const char *children_name(const struct children *c, size_t index);

#endif

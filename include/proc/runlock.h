/*
 * proc/runlock.h - one master per run_dir: run_dir/verpost.pid is locked while
 * it runs and holds its number and, in a second line, the name of its node.
 */
#ifndef PROC_RUNLOCK_H
#define PROC_RUNLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proc/privileges.h"

/* Octets of a node's name that are kept. */
#define RUNLOCK_NODE_MAX 400

/*
 * Takes the lock and writes our number and node. The file is given to who, so
 * that a master which that user starts later can take it, too. One that is held
 * is waited for, patience_ms in all: its master may just be ending. Ends early,
 * with ERR_UNAVAIL, when stop_fd becomes readable. Returns the descriptor, or
 * -1 with ERR_CONFLICT naming who holds it.
 */
int runlock_take(const char *run_dir, const char *node,
    const struct identity *who, int64_t patience_ms, int stop_fd,
    struct error *err) MUST_CHECK;
/* Whether its file, if there is one, can be opened as runlock_take does. */
int runlock_check(const char *run_dir, struct error *err) MUST_CHECK;
/* The number of the process that holds it, or 0. node: the name of its node,
 * "" where it says none; to be freed by the caller, NULL with 0. */
long runlock_holder(const char *run_dir, char **node);
/* Waits wait_ms; true when stop_fd (-1: none) became readable meanwhile. */
bool runlock_stop_asked(int stop_fd, int wait_ms);

#endif

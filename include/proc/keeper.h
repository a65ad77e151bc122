/*
 * proc/keeper.h - timed duties. The keeper only knows when; what is done is a
 * function of the room it belongs to.
 *
 * Every node runs a keeper; the one that holds the advisory lock in Postgres
 * is the leader and does the work, the others ask every two seconds.
 */
#ifndef PROC_KEEPER_H
#define PROC_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/partitions.h"

struct keeper;
struct loop;
struct shaping;

struct keeper_options {
	struct loop *loop;
	const char *conninfo; /* its own connection: the lock lives with it */
	const char *redis;
	const struct shaping *shaping; /* borrowed */
	const char *node;
	struct store_retention retention;
};

struct keeper *keeper_new(const struct keeper_options *opt);
bool keeper_is_leader(const struct keeper *k);
/* Begins nothing more; what is under way may be cut off: every duty can be
 * repeated. done comes after this turn. */
void keeper_drain(struct keeper *k, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
void keeper_free(struct keeper **k);

#endif

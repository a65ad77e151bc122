/*
 * proc/worker.h - the skeleton that every child process runs: privileges,
 * title, loop, connections, the role itself, and how it ends.
 *
 * A role is a row: how many processes, which ports, what it needs, and four
 * functions around the room that does the work. proc/role_<x>.c holds one.
 */
#ifndef PROC_WORKER_H
#define PROC_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/error.h"
#include "proc/listeners.h"
#include "proc/privileges.h"
#include "proc/settings.h"

struct loop;
struct pg;
struct queue;
struct recent;
struct shaping;

/* What the master hands to a child through fork. */
struct worker_start {
	const struct settings *settings;
	const struct shaping *shaping;
	struct keyring *keyring; /* wiped in roles that need no keys */
	struct listeners *listeners;
	struct recent *recent; /* given up in roles that do not share it */
	const struct identity *identity;
	int life_fd;  /* end of file: the master is gone */
	int ready_fd; /* takes ready_octet once the role runs */
	uint8_t ready_octet;
};

/* What a role sees. */
struct worker {
	const struct settings *settings;
	const struct shaping *shaping;
	const struct keyring *keyring;
	const struct listeners *listeners; /* only the role's own ports */
	struct recent *recent;		   /* store/recent.h; or NULL */
	struct net_addr simulator;	   /* len 0: there is none */
	struct net_addr smtp_in;	   /* the same */
	const char *parser_path;
	struct loop *loop;
	unsigned int slot; /* 0.. among the processes of the role */
};

enum role_stage {
	ROLE_STAGE_FRONT, /* asked to stop first */
	ROLE_STAGE_BACK,  /* what others lean on until they are done */
	ROLE_STAGE_COUNT
};

struct role {
	const char *name;
	enum role_stage stage;
	unsigned int ports; /* PORT_BIT of what it listens on */
	bool needs_keys;
	bool shares_recent;
	/* How many processes this node runs; 0: none. */
	unsigned int (*count)(const struct settings *s);
	/* The role's own object, or NULL with err. */
	void *(*start)(struct worker *w, struct error *err);
	/* Finishes what has begun, then calls done(ctx), at the latest after
	 * timeout_ms. */
	void (*drain)(void *self, int64_t timeout_ms, void (*done)(void *ctx),
	    void *ctx);
	void (*stop)(void *self); /* frees it */
};

/* Every role, in the order in which they start; ends with NULL. */
extern const struct role *const roles[];
const struct role *role_find(const char *name);

/*
 * The life of a child: runs the role until SIGTERM, or until the master is
 * gone. Returns the exit status. Called in the new process, right after fork,
 * with all signals blocked.
 */
int worker_run(const struct role *role, unsigned int slot,
    const struct worker_start *start);

/* Each worker ends with this status when its role could not start. */
#define WORKER_EXIT_START 3

#endif

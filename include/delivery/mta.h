/*
 * delivery/mta.h - the engine: leases jobs, resolves their sites, claims,
 * signs and delivers them over SMTP, and hands what happened to outcome/.
 *
 * One mta is one process. It owns some sources (sending addresses); every
 * limit is counted per source, so all are plain integers here.
 */
#ifndef DELIVERY_MTA_H
#define DELIVERY_MTA_H

#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "net/addr.h"
#include "net/loop.h"
#include "outcome/verdict.h"

struct mta;
struct pg;
struct recent;
struct shaping;

enum mta_mode {
	MTA_SIMULATOR, /* every recipient goes to the simulator; no DNS */
	MTA_LOG,       /* a line in the log; recipients end failed: log_mode */
	MTA_LIVE,
};

struct mta_options {
	struct loop *loop;
	struct pg *pg;		       /* borrowed; reconnects by itself */
	const char *redis;	       /* "unix:/path" or "host:port" */
	const struct shaping *shaping; /* borrowed */
	const struct keyring *ring;
	const char *node;
	unsigned int slot;    /* 0.. within the node */
	unsigned int slots;   /* mta processes of this node */
	const char *slot_dir; /* of the slot files; NULL: none, for tests */
	enum mta_mode mode;
	struct net_addr simulator; /* port set; len 0: there is none */
	struct net_guard guard;	   /* where MX hosts may be */
	uint16_t smtp_port;	   /* 25 */
	const char *dns_servers;   /* NULL: the system's */
	struct retry_policy retry;
	size_t in_hand_max;	  /* jobs leased; 0: 2,000 */
	size_t in_hand_bytes_max; /* of their content; 0: 128 MB */
	const struct recent
	    *recent;	 /* looked at before the database; or NULL */
	int64_t idle_ms; /* an unused connection; 0: 30 s */
	/* This process was declared dead and others take its work: it must
	 * end now and come back under a new number. */
	void (*lost)(void *ctx);
	void *lost_ctx;
};

/* Whether a process that serves the slot still runs: it may do so without its
 * master, until its transactions are over. dir: as slot_dir. */
bool mta_slot_is_held(const char *dir, unsigned int slot);

struct mta *mta_new(const struct mta_options *opt);
/*
 * Leases nothing more, gives back what is not claimed, finishes what is, then
 * QUITs, gives up its sources and calls done; after timeout_ms it calls done
 * whatever is left.
 */
void mta_drain(struct mta *m, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
void mta_free(struct mta **m);

#endif

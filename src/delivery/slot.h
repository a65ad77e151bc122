/*
 * slot.h - the slot file: how far this process is with each claim, kept where
 * kill -9 leaves it (a shared mapping), so that the successor in the slot knows
 * what was sent and what was replied.
 *
 *   FREE -> WAIT -> CLAIMED -> SENT -> REPLIED -> FREE
 *             |        ^--------'         after the outcome's commit
 *             '-> FREE                    not ours, or taken back
 *
 * One writer, which holds the lock on the file (flock) for its life. A change
 * of phase is a memory store: it costs no system call. Every function accepts
 * a NULL slot and entry 0 (no entry), and then does nothing.
 */
#ifndef SLOT_H
#define SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "mail/status.h"
#include "model/id.h"

struct slot;

enum slot_phase {
	SLOT_FREE,
	SLOT_WAIT,    /* a claim was asked for: it may stand by now */
	SLOT_CLAIMED, /* it stands, and no dot has left this process */
	SLOT_SENT,    /* the dot may have left */
	SLOT_REPLIED, /* this was said; it may not have been committed */
};

struct slot_claim {
	struct id recipient;
	unsigned int n;
	int source;
	int64_t asked_at_ms; /* the claim's time is this or later */
};

/* Longer texts are cut. */
#define SLOT_TEXT_MAX 200
#define SLOT_MX_MAX 84
#define SLOT_TLS_MAX 40

struct slot_reply {
	unsigned int stage; /* enum smtp_stage */
	unsigned int code;
	struct mail_status status;
	struct slice text, mx, tls;
};

/*
 * Opens and locks dir/mta-<number>.slots, makes it if need be. What a process
 * of the same boot left there can be looked at with slot_next; a file that is
 * short, foreign, garbled or of another boot has nothing (and a line in the
 * log). -1 with ERR_CONFLICT: another process holds it, try again later; any
 * other kind: it cannot be used.
 */
int slot_open(struct slot **out, const char *dir, unsigned int number,
    const char *boot_id, struct error *err) MUST_CHECK;
/* What stands there stays; the lock goes. */
void slot_close(struct slot **s);

/* The worker under which the leftovers were claimed; 0: there are none. */
int slot_worker(const struct slot *s);
struct slot_left {
	enum slot_phase phase; /* never SLOT_FREE */
	struct slot_claim claim;
	int64_t claimed_at_ms; /* from SLOT_CLAIMED on */
	/* SLOT_REPLIED; of SLOT_SENT only mx and tls. Texts borrowed. */
	struct slot_reply reply;
};
/* The next leftover from *at (0 at first) on; false at the end. */
bool slot_next(const struct slot *s, size_t *at, struct slot_left *out);

/*
 * Everything left is settled: forgets it and makes room for so many entries.
 * Quota remainders stay. On failure it may be called again.
 */
int slot_reset(struct slot *s, size_t capacity, struct error *err) MUST_CHECK;
/* From now on entries are of this worker. */
void slot_begin(struct slot *s, int worker);

/* Whether no entry is free; false without a slot file. */
bool slot_is_full(const struct slot *s);
/* Takes an entry, in SLOT_WAIT: before the claim is asked for. */
unsigned int slot_take(struct slot *s, const struct slot_claim *claim);
/* The claim stands (again with a later time when it was renewed). */
void slot_claimed(struct slot *s, unsigned int entry, int64_t claimed_at_ms);
/* Before the first octet of the final dot is given to the connection. */
void slot_sent(struct slot *s, unsigned int entry, struct slice mx,
    struct slice tls);
/* The link died with the dot still in our buffer: as it was before. */
void slot_unsent(struct slot *s, unsigned int entry);
/* The far end's word on it: before the outcome goes to the writer. */
void slot_replied(struct slot *s, unsigned int entry,
    const struct slot_reply *reply);
/* After the outcome's commit, or when there is no claim (any more). */
void slot_drop(struct slot *s, unsigned int entry);

/*
 * Remainders of the blocks of daily quota (provider "": all of the source).
 * day: UTC, since 1970. get: 0 when there is none of that day. set: kept when
 * there is room, else a crash forfeits it. Lower it before MAIL FROM is
 * written.
 */
#define SLOT_QUOTAS 512
unsigned int slot_quota_get(const struct slot *s, int source,
    struct slice provider, int day);
void slot_quota_set(struct slot *s, int source, struct slice provider, int day,
    unsigned int remainder);

#endif

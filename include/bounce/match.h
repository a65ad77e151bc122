/*
 * bounce/match.h - the way back: takes unprocessed rows of returns, has the
 * parser read them, and hands what they say to the outcome writer.
 *
 * Runs in the smtpd role. Rows are claimed in the store, so several processes
 * and nodes share the work; a row left by a crash is found by the poll. The
 * token of the RCPT alone says who bounced (it was verified before the row was
 * written); addresses in a report are evidence.
 */
#ifndef BOUNCE_MATCH_H
#define BOUNCE_MATCH_H

#include <stdint.h>

#include "net/addr.h"

struct bounce;
struct loop;
struct pg;

struct bounce_options {
	struct loop *loop;
	struct pg *pg;		/* borrowed */
	struct net_addr parser; /* the parser's socket, "unix:/path" */
	int64_t poll_ms;	/* 0: 5,000 */
};

struct bounce *bounce_new(const struct bounce_options *opt);
/* A row was committed: look now. Cheap; call it after every commit. */
void bounce_kick(struct bounce *b);
/* Takes no new rows; done is called when those in hand are recorded, or at
 * the timeout (they stay unprocessed: another process takes them). */
void bounce_drain(struct bounce *b, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
void bounce_free(struct bounce **b);

#endif

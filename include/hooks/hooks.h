/*
 * hooks/hooks.h - the role that sends webhooks.
 *
 * Deliveries are rows of webhook_deliveries, made by the statement that
 * inserts the event. This process claims what is due (any number of processes
 * may), posts it, and writes down what came of it. A slow endpoint has at most
 * its own share of requests under way and holds up nobody else. A process that
 * dies loses nothing: what it had claimed is due again when its lease ends, so
 * an endpoint sees an event at least once, always under the same webhook-id.
 */
#ifndef HOOKS_HOOKS_H
#define HOOKS_HOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "net/addr.h"
#include "net/loop.h"

struct hooks;
struct pg;

struct hooks_options {
	struct loop *loop;
	struct pg *pg;		       /* borrowed; reconnects by itself */
	const struct keyring *keyring; /* borrowed: opens the secrets */
	const struct net_guard *guard; /* borrowed: where endpoints may be */
	const char *ca_file;	       /* more trust anchors, or NULL; copied */
	int64_t timeout_ms;	       /* for an answer; 0: 15 s */
	size_t in_flight_max;	       /* requests under way; 0: 256 */
	size_t endpoint_max;	       /* of those to one endpoint; 0: 8 */
	int64_t poll_ms; /* looks for new rows that often; 0: 100 ms */
};

struct hooks *hooks_new(const struct hooks_options *opt);
/* Takes nothing more, waits for the requests under way and for their results
 * to be written; calls done then, or after timeout_ms. */
void hooks_drain(struct hooks *h, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
void hooks_free(struct hooks **h);

#endif

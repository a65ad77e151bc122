/*
 * simulator/simulator.h - a real SMTP receiver for test recipients.
 *
 * What a recipient acts out stands in its local part (simulator/script.h); the
 * domain may be any. Mail that was taken is kept in simulator_mails, to be
 * listed and read; keeping it never holds up a reply.
 */
#ifndef SIMULATOR_SIMULATOR_H
#define SIMULATOR_SIMULATOR_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct loop;
struct pg;
struct simulator;

struct simulator_options {
	struct loop *loop;
	struct pg *pg;	       /* borrowed; NULL: nothing is kept */
	const int *listen_fds; /* listening, stay the caller's; copied */
	size_t listen_count;
	const char *hostname; /* in the greeting; copied */
	struct net_addr
	    bounce_to;		 /* where DSNs go: our smtpd; len 0: nowhere */
	int64_t bounce_delay_ms; /* between taking a mail and its DSN */
	size_t capture_max;	 /* mails kept; 0: 10,000 */
	size_t capture_bytes;	 /* kept of each; 0: 256 kB */
	size_t size_max;	 /* announced; 0: 50 MB */
	size_t connections_max;	 /* 0: 2,000 */
};

struct simulator *simulator_new(const struct simulator_options *opt);
/*
 * Takes no new connections; those in a transaction finish it, then get a 421.
 * done: all are gone, DSNs are sent and captures are stored, or the time is
 * over. Call simulator_free then.
 */
void simulator_drain(struct simulator *s, int64_t timeout_ms,
    void (*done)(void *ctx), void *ctx);
void simulator_free(struct simulator **s);

#endif

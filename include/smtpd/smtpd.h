/*
 * smtpd/smtpd.h - the receiver on the return-path port: what comes back.
 *
 * Takes mail for signed tokens (model/token.h) at any domain, because the
 * token alone says who; and for postmaster@ and abuse@ of our own name and of
 * every host the store knows. All else is 550: no relaying. The raw mail is
 * committed to the table returns before its 250; Postgres away: 451.
 */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"

struct loop;
struct pg;
struct ssl_ctx_st;
struct smtpd;

struct smtpd_options {
	struct loop *loop;
	struct pg *pg;	       /* borrowed */
	const int *listen_fds; /* listening, stay the caller's; copied */
	size_t listen_count;
	const char *hostname; /* in greeting, trace and postmaster@; copied */
	const struct keyring *keyring; /* borrowed */
	struct ssl_ctx_st *tls; /* borrowed; NULL: STARTTLS is not offered */
	size_t size_max;	/* octets of a mail; 0: 2 MB */
	size_t connections_max; /* of this process; 0: 200 */
	size_t peer_max;  /* connections of one address (v6: /64); 0: 20 */
	int64_t idle_ms;  /* without progress; 0: 5 min, as RFC 5321 wants */
	int64_t total_ms; /* life of a connection; 0: 15 min */
	/* A return was committed: the matcher may look. May be NULL. */
	void (*on_return)(void *ctx);
	void *ctx;
};

struct smtpd *smtpd_new(const struct smtpd_options *opt);
/* Takes no new connections; a mail that is being received is finished; done
 * when all are gone or at the timeout. Call smtpd_free then. */
void smtpd_drain(struct smtpd *s, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
void smtpd_free(struct smtpd **s);

#endif

/*
 * smtpd/link.h - an accepted connection and the SMTP server on it: octets go
 * from net/conn to smtp/server and back, no faster than the peer reads, and it
 * ends once, whoever notices the end first. The simulator has it, too.
 */
#ifndef SMTPD_LINK_H
#define SMTPD_LINK_H

#include <stdbool.h>

#include "net/conn.h"
#include "net/loop.h"
#include "smtp/server.h"

struct smtpd_link_ops {
	/* Something was said: set the deadline of the connection anew. */
	void (*touch)(void *ctx);
	/* Whether an answer is still to come: then the link stays, although
	 * the peer has said all it will. */
	bool (*owes)(void *ctx);
	/* The connection is gone. May be NULL. */
	void (*lost)(void *ctx, const struct error *why);
	/* The last call, with nobody in the link any more: the owner takes it
	 * apart. */
	void (*ended)(void *ctx);
};

struct smtpd_link {
	unsigned int magic;
	struct loop *loop;
	struct conn *conn;
	struct smtp_server *server;
	struct ssl_ctx_st *tls;
	const struct smtpd_link_ops *ops;
	void *ctx;
	struct loop_call ending;
	bool is_over, flush; /* flush: our last words are to be sent */
	bool wants_tls, is_draining;
	bool input_ended; /* the peer sends nothing more */
};

/*
 * In the owner's storage. fd: taken. ops, server_ops and tls are borrowed; tls
 * NULL: none. The server's need_tls, reset and closed call smtpd_link_need_tls,
 * _reset and _end(.., true).
 */
void smtpd_link_start(struct smtpd_link *l, struct loop *loop, int fd,
    const struct smtp_server_options *opt,
    const struct smtp_server_ops *server_ops, struct ssl_ctx_st *tls,
    const struct smtpd_link_ops *ops, void *ctx);
/* The answer to the server's message(), when it comes later. */
void smtpd_link_answer(struct smtpd_link *l, const struct smtp_decision *d);
void smtpd_link_need_tls(struct smtpd_link *l);
void smtpd_link_reset(struct smtpd_link *l);
/* After this turn. The first to say so decides on flush. */
void smtpd_link_end(struct smtpd_link *l, bool flush);
/* Takes nothing new: ends it now, or when its transaction is over. */
void smtpd_link_drain(struct smtpd_link *l);
void smtpd_link_fini(struct smtpd_link *l);

#endif

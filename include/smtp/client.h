/*
 * smtp/client.h - the client side of SMTP, without I/O.
 *
 * The owner feeds reply lines and writes out what gathers in c->out; events
 * come through ops. One recipient per transaction. Many transactions per
 * session; with PIPELINING, MAIL+RCPT+DATA go in one write, and the next
 * transaction's commands may ride behind the final dot (RFC 2920). BDAT is
 * not used. Drives strings in tests and fuzzers; delivery/session.c drives it
 * with sockets.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/address.h"
#include "smtp/reply.h"

/* What a session or transaction came to, when it was not a plain 2xx walk. */
enum smtp_stage {
	SMTP_STAGE_CONNECT, /* TCP; filled in by the owner */
	SMTP_STAGE_BANNER,
	SMTP_STAGE_EHLO,
	SMTP_STAGE_STARTTLS,
	SMTP_STAGE_TLS, /* the handshake; filled in by the owner */
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA,
	SMTP_STAGE_BODY, /* between 354 and the last octet of the dot */
	SMTP_STAGE_DOT,	 /* the dot went out: may have been taken */
	SMTP_STAGE_IDLE, /* between transactions, RSET, QUIT */
};

enum smtp_source {
	SMTP_REMOTE, /* the far end said it: reply is set */
	SMTP_LOCAL,  /* we could not: error is set */
};

struct smtp_outcome {
	enum smtp_source source;
	enum smtp_stage stage;
	struct smtp_reply reply; /* SMTP_REMOTE */
	struct error error;	 /* SMTP_LOCAL: ERR_NET, ERR_TIMEOUT, ERR_TLS,
				    ERR_SYNTAX (protocol error), ERR_LIMIT
				    (SIZE), ERR_NOTFOUND (8-bit or SMTPUTF8
				    not offered), ERR_DENIED (guard; an
				    address that is no address) */
};

const char *smtp_stage_name(enum smtp_stage stage); /* "RCPT TO" */

struct smtp_client_caps {
	bool ehlo; /* false: HELO was used */
	bool starttls, pipelining, eightbitmime, smtputf8, size, dsn, chunking;
	uint64_t size_max; /* 0: no limit announced */
};

struct smtp_client;

/*
 * Called from inside smtp_client_input/feed/tls_done/send/quit/lost. The owner
 * may call smtp_client_send and smtp_client_quit in ready and mail_done, and
 * may free the client in closed only (its last call).
 */
struct smtp_client_ops {
	/* STARTTLS was answered 220: once the input that was used has been
	 * consumed nothing may be left of it (RFC 3207 section 4.2: else give
	 * up with smtp_client_lost, ERR_SYNTAX); do the handshake, then call
	 * smtp_client_tls_done. Until then a reply is a protocol error. */
	void (*need_tls)(void *ctx);
	/* A transaction may be started (after EHLO, after the last one; with
	 * PIPELINING already while the last dot's reply is awaited). Told
	 * once each time it becomes true; ask smtp_client_can_send later. */
	void (*ready)(void *ctx);
	/* The head transaction ended with this outcome. A 250 to the dot is
	 * source SMTP_REMOTE, stage SMTP_STAGE_DOT, 2xx. Called once for each
	 * smtp_client_send, in order. Stage SMTP_STAGE_IDLE: its turn never
	 * came, the session ended first. outcome: borrowed. */
	void (*mail_done)(void *ctx, void *mail,
	    const struct smtp_outcome *outcome);
	/* The session is over (QUIT answered, 421, failure at greeting or
	 * EHLO, protocol error): close the connection. Transactions still
	 * pending have been reported before. why: borrowed. */
	void (*closed)(void *ctx, const struct smtp_outcome *why);
	/* The state, thus the deadline, changed. label for time-out logs.
	 * First called from smtp_client_new, for the greeting. */
	void (*deadline)(void *ctx, unsigned int seconds, const char *label);
	/* The final dot goes into the output now: last chance to record it.
	 * May be NULL. */
	void (*before_dot)(void *ctx, void *mail);
};

struct smtp_client_options {
	const char *helo_name; /* borrowed for the session */
	enum { SMTP_TLS_NEVER, SMTP_TLS_MAY, SMTP_TLS_MUST } tls;
	/* The transcript gets lines of ours (who 'C', a message is only
	 * counted) and of theirs ('S'); or NULL. mail: whose transaction it
	 * is, NULL: the session's, or of one that mail_done was called for. */
	void (*transcript)(void *ctx, void *mail, char who, struct slice line);
	/* 0: a message goes into the output as one piece. Else the output is
	 * kept near this many octets, and the owner calls smtp_client_more
	 * each time it has taken the output and there is room again. */
	size_t body_chunk;
	const struct log_ctx *log; /* borrowed, or NULL */
};

struct smtp_client *smtp_client_new(const struct smtp_client_options *opt,
    const struct smtp_client_ops *ops, void *ctx);
void smtp_client_free(struct smtp_client **c);

/*
 * Octets from the wire: takes whole lines off the front and feeds them.
 * Returns the octets used; stops early at need_tls and when the session is
 * over. The rest (an unfinished line) must be given again with what follows
 * it; a line longer than SMTP_REPLY_LINE_MAX is a protocol error.
 */
size_t smtp_client_input(struct smtp_client *c, struct slice data);
/* The same; unsent_octets: as for smtp_client_lost_unsent. What the server
 * says before it can have seen the final dot is no reply to it. */
size_t smtp_client_input_unsent(struct smtp_client *c, struct slice data,
    size_t unsent_octets);
/* One reply line without CRLF; what smtp_client_input does for each. */
void smtp_client_feed(struct smtp_client *c, struct slice line);
void smtp_client_tls_done(struct smtp_client *c);
/* TLS was refused or broke and the policy allows clear text is the owner's
 * matter: it makes a new session with SMTP_TLS_NEVER. */

/*
 * The link died or timed out: every pending transaction is reported with the
 * stage it was in, then closed. unsent_octets: how much of the output that
 * was taken never reached the system (conn_pending); a final dot in it was
 * not sent: SMTP_STAGE_BODY instead of SMTP_STAGE_DOT.
 */
void smtp_client_lost(struct smtp_client *c, const struct error *why);
void smtp_client_lost_unsent(struct smtp_client *c, const struct error *why,
    size_t unsent_octets);

struct smtp_mail {
	struct slice return_path; /* "b-...@host"; len 0: the null path */
	const struct mail_address *recipient;
	struct slice message; /* CRLF lines, not dot-stuffed; borrowed until
				 mail_done */
	bool eightbit;	      /* has octets above 0x7f: needs 8BITMIME */
	bool smtputf8;	      /* needs SMTPUTF8 */
	void *ctx;	      /* handed back in mail_done */
};

/* True when smtp_client_send may be called now. */
bool smtp_client_can_send(const struct smtp_client *c);
/*
 * Starts a transaction. *mail is copied; what it points to is borrowed until
 * mail_done. What the peer cannot take (size, 8-bit, SMTPUTF8) is refused
 * here: mail_done comes with SMTP_LOCAL, stage SMTP_STAGE_MAIL, kind
 * ERR_LIMIT, ERR_NOTFOUND or ERR_DENIED, in its turn; that is before this
 * returns when nothing else is pending and the call is not made from inside
 * ops.
 */
void smtp_client_send(struct smtp_client *c, const struct smtp_mail *mail);
/* Sends QUIT after what is pending. */
void smtp_client_quit(struct smtp_client *c);
const struct smtp_client_caps *smtp_client_capabilities(
    const struct smtp_client *c);
/* Octets to be written now; the owner empties it (strbuf_reset). */
struct strbuf *smtp_client_output(struct smtp_client *c);
/*
 * Puts the next piece of a message into the output; only with body_chunk.
 * False when there was none. Call it while the output is empty.
 */
bool smtp_client_more(struct smtp_client *c);
/* What is awaited: "RCPT TO", "end of data"; for logs. */
const char *smtp_client_label(const struct smtp_client *c);
bool smtp_client_is_closed(const struct smtp_client *c);

/* Appends msg dot-stuffed and "\r\n.\r\n"-terminated (RFC 5321 4.5.2). */
void smtp_dot_stuff(struct strbuf *out, struct slice message);

#endif

/*
 * smtp/server.h - the server side of SMTP, without I/O: used by the receiver
 * (bounces), the simulator, and later by submission.
 *
 * The owner feeds octets and writes out what gathers in the output. Bare CR
 * or LF anywhere is refused (SMTP smuggling); only CRLF "." CRLF ends a
 * message. Limits: command line 1,000 octets, message size, recipients,
 * errors per session.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/address.h"

struct smtp_server;

/* A decision of the owner: 0 means accept with the standard text. */
struct smtp_decision {
	unsigned int code;
	char text[200]; /* "5.1.1 no such user"; no CR, LF */
};

struct smtp_server_ops {
	/* Fill *d to refuse. "<>": domain and local have len 0; with
	 * any_sender what is no address is all in local. from and to live
	 * until reset. */
	void (*mail)(void *ctx, const struct mail_address *from,
	    struct smtp_decision *d);
	/* "<Postmaster>" without a domain: local "postmaster", domain len 0. */
	void (*rcpt)(void *ctx, const struct mail_address *to,
	    struct smtp_decision *d);
	/* DATA was given; refuse instead of 354. May be NULL. */
	void (*data)(void *ctx, struct smtp_decision *d);
	/*
	 * The whole message (dots removed, CRLF lines, borrowed until
	 * smtp_server_answer). The owner calls smtp_server_answer now or
	 * later; until then nothing more is read.
	 */
	void (*message)(void *ctx, struct slice message);
	/* The transaction ended or was reset: forget its recipients. */
	void (*reset)(void *ctx);
	/* STARTTLS was accepted: consume the input that was used, write the
	 * output, fail if there is more input, start TLS, and when it stands
	 * call smtp_server_tls_done. NULL: STARTTLS is not offered. */
	void (*need_tls)(void *ctx);
	/* Write out what is pending, then close. The last call; the owner may
	 * free the server in it. */
	void (*closed)(void *ctx);
};

#define SMTP_SENDER_MAX 320

struct smtp_server_options {
	const char *hostname;
	const char *banner;	 /* after "220 <hostname> " */
	size_t size_max;	 /* octets, announced */
	size_t rcpt_max;	 /* per transaction, at least 100 */
	unsigned int errors_max; /* 4xx/5xx before 421; 0: 20 */
	bool smtputf8;
	/* MAIL FROM:<MAILER-DAEMON> and worse is taken as it stands (printable
	 * UTF-8, without '<' and '>', SMTP_SENDER_MAX octets): to a receiver of
	 * bounces the sender is evidence and nothing else. */
	bool any_sender;
};

struct smtp_server *smtp_server_new(const struct smtp_server_options *opt,
    const struct smtp_server_ops *ops, void *ctx);
void smtp_server_free(struct smtp_server **s);
/*
 * Returns the octets used; stops early while an answer is awaited (feed the
 * rest again afterwards), at need_tls, and at an unfinished command line. To
 * bound the output, the owner feeds no more while its peer does not read.
 */
size_t smtp_server_feed(struct smtp_server *s, struct slice data);
/* The answer to message(); d->code 0: "250 2.0.0 Ok". */
void smtp_server_answer(struct smtp_server *s, const struct smtp_decision *d);
void smtp_server_tls_done(struct smtp_server *s);
/* "421 4.3.2 Shutting down" and closed; at once, but while an answer to
 * message() is awaited right behind it. */
void smtp_server_shutdown(struct smtp_server *s);
struct strbuf *smtp_server_output(struct smtp_server *s);
/* Whether RCPT, DATA or an answer may still follow a MAIL. */
bool smtp_server_in_transaction(const struct smtp_server *s);
/* The name given in EHLO or HELO, "" before it. */
const char *smtp_server_helo(const struct smtp_server *s);
bool smtp_server_is_esmtp(const struct smtp_server *s);

#endif

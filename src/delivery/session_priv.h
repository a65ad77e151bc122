/*
 * session_priv.h - the parts of a session:
 *
 *   session.c        its life, what smtp/client and net/conn say
 *   session_mail.c   one mail on it, from its claim to its outcome
 *   session_order.c  which addresses are tried, in which order
 *   session_limit.c  no dot of an old claim
 *   session_said.c   the transcript
 *   session_watch.c  no step for ever
 */
#ifndef SESSION_PRIV_H
#define SESSION_PRIV_H

#include "delivery/delivery_priv.h"

struct session {
	unsigned int magic;
	struct dest *dest;
	struct mta *mta;
	struct list node;
	unsigned int number; /* within the process; for people */
	struct route *route; /* counted: its hosts are used by index */
	struct {
		uint8_t host, addr;
	} order[ROUTE_ADDRS_MAX];
	size_t order_count, order_at;
	struct conn *conn;
	struct smtp_client *client;
	struct list mails; /* jobs under way, first one first */
	struct timer *idle;
	struct list idle_node; /* of a scope, while it is set */
	struct timer *later;   /* the next attempt to connect */
	struct timer *dot_limit;
	unsigned int mail_count;
	int64_t began_mono_ms, ready_mono_ms, dot_mono_ms;
	const char *awaits;    /* the step it is at, for people */
	int64_t awaits_ms;     /* that one's deadline */
	int64_t moved_mono_ms; /* since when it is there */
	bool ready;	       /* it was usable */
	bool of_use;	       /* a mail got an answer */
	bool clear_text;       /* of this attempt */
	bool quitting;
	bool tls_wanted;
	bool in_client; /* inside a call into smtp/client */
	bool over;
	struct smtp_transcript said; /* until it was usable */
	size_t said_from;	     /* where the present address begins */
	char host[NET_ADDR_TEXT + MAIL_DOMAIN_MAX + 4];
	char tls[64];
};

/* session_mail.c */
/* Builds it and gives it to smtp/client; or it ends, or goes back. */
void session_mail_start(struct session *s, struct job *j);
/* The last that is heard of it here. */
void session_mail_done(struct session *s, struct job *j,
    const struct smtp_outcome *outcome);

/* session_order.c */
void session_order(struct session *s);

/* session_limit.c */
/* The mail that is answered next, or NULL. */
struct job *session_head(struct session *s);
/* Before octets move: true when it was too late, and the link is given up. */
bool session_end_if_late(struct session *s);
void session_arm_limit(struct session *s);
void session_on_limit(void *ctx);

/* session_watch.c */
/* It is at another step, which may take so long. */
void session_awaits(struct session *s, const char *what, int64_t at_most_ms);
/* It got on within the step. */
void session_moved(struct session *s);

/* session.c: without progress. Its mails end as those of a lost link. */
void session_end_stuck(struct session *s, const struct error *why);

/* session_said.c */
/* smtp_client_options.transcript. */
void session_on_line(void *ctx, void *mail, char who, struct slice line);
/* A note of ours about the connection. */
void session_note(struct session *s, const char *text);
/* A connection to another address begins. */
void session_said_begin(struct session *s);
/* It is usable: what was tried before this address does not matter any more. */
void session_said_ready(struct session *s);
/* Appends the connection's lines and those of the mail, unless NULL. */
void session_said(struct session *s, const struct job *j, struct strbuf *out);

#endif

/*
 * session_priv.h - the parts of a session:
 *
 *   session.c        its life, what smtp/client and net/conn say
 *   session_order.c  which addresses are tried, in which order
 *   session_limit.c  no dot of an old claim
 */
#ifndef SESSION_PRIV_H
#define SESSION_PRIV_H

#include "delivery/delivery_priv.h"

struct session {
	unsigned int magic;
	struct dest *dest;
	struct mta *mta;
	struct list node;
	struct route *route; /* counted: its hosts are used by index */
	struct {
		uint8_t host, addr;
	} order[ROUTE_ADDRS_MAX];
	size_t order_count, order_at;
	struct conn *conn;
	struct smtp_client *client;
	struct list mails; /* jobs under way, first one first */
	struct timer *idle;
	struct timer *dot_limit;
	unsigned int mail_count;
	int64_t began_mono_ms, ready_mono_ms, dot_mono_ms;
	bool ready;	 /* it was usable */
	bool of_use;	 /* a mail got an answer */
	bool clear_text; /* of this attempt */
	bool quitting;
	bool tls_wanted;
	bool dot_is_out; /* for the crash point after it */
	bool in_client;	 /* inside a call into smtp/client */
	bool over;
	char host[NET_ADDR_TEXT + MAIL_DOMAIN_MAX + 4];
	char tls[64];
};

/* session_order.c */
void session_order(struct session *s);

/* session_limit.c */
/* The mail that is answered next, or NULL. */
struct job *session_head(struct session *s);
/* Before octets move: true when it was too late, and the link is given up. */
bool session_end_if_late(struct session *s);
void session_arm_limit(struct session *s);
void session_on_limit(void *ctx);

#endif

/* smtpd/smtpd_priv.h - the parts of the receiver; see smtpd.c. */
#ifndef SMTPD_SMTPD_PRIV_H
#define SMTPD_SMTPD_PRIV_H

#include "base/error.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "mail/address.h"
#include "model/id.h"
#include "net/conn.h"
#include "net/loop.h"
#include "smtp/server.h"
#include "smtpd/link.h"
#include "smtpd/smtpd.h"
#include "store/pg.h"

#define SMTPD_RCPT_MAX 100
/* Received fields before a mail counts as running in circles. */
#define SMTPD_HOPS_MAX 100

/* hosts.c: the names of the store that we receive for, read now and then. */
struct smtpd_hosts;
struct smtpd_hosts *smtpd_hosts_new(struct loop *l, struct pg *pg);
void smtpd_hosts_free(struct smtpd_hosts **h);
enum smtpd_host { SMTPD_HOST_OURS, SMTPD_HOST_STRANGE, SMTPD_HOST_UNKNOWN };
/* UNKNOWN: the names could not be read yet. host: lower case. */
enum smtpd_host smtpd_hosts_find(const struct smtpd_hosts *h,
    struct slice host);

struct smtpd {
	unsigned int magic;
	struct smtpd_options opt;
	char *hostname;
	struct log_ctx log;
	struct listener **listeners;
	size_t listener_count;
	struct smtpd_hosts *hosts;
	struct list sessions;
	size_t session_count;
	size_t receiving;     /* sessions between DATA and the dot */
	size_t receiving_max; /* bounds the memory of all messages */
	struct hash *peers;   /* address -> struct smtpd_peer */
	struct timer *drain_timer;
	struct loop_call drain_call;
	bool draining;
	void (*drained)(void *ctx);
	void *drained_ctx;
};

struct smtpd_peer {
	size_t count;
	size_t key_len;
	unsigned char key[9]; /* family and address; of IPv6 the first half */
};
/* NULL: that address has its share already. */
struct smtpd_peer *smtpd_peer_take(struct smtpd *d,
    const struct net_addr *addr);
void smtpd_peer_release(struct smtpd *d, struct smtpd_peer **peer);

/* session.c */
struct smtpd_session;
void smtpd_session_start(struct smtpd *d, int fd, const struct net_addr *addr,
    struct smtpd_peer *peer);
/* Takes nothing new: ends it now, or when its transaction is over. */
void smtpd_session_drain(struct list *node);
void smtpd_session_kill(struct list *node);
/* A session is gone (session.c tells). */
void smtpd_session_left(struct smtpd *d);

/* trace.c: Return-Path and Received (RFC 5321 section 4.4). */
struct smtpd_trace {
	struct slice from; /* "" for the null path */
	struct slice to;   /* the only recipient, or len 0 */
	const char *helo, *peer, *hostname;
	bool esmtp, tls;
	struct id id;
	int64_t now_ms;
};
void smtpd_trace_add(struct strbuf *out, const struct smtpd_trace *t);
/* How many Received fields the header has. */
size_t smtpd_trace_hops(struct slice message);

#endif

/*
 * The receiver: listeners, the limits on connections, and the drain. A
 * connection too many is told 421 and closed; it costs no session.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "smtpd/smtpd_priv.h"

#define SMTPD_MAGIC 0x534d5444u
#define SIZE_DEFAULT ((size_t)2 * 1024 * 1024)
#define CONNECTIONS_DEFAULT 200
#define PEER_DEFAULT 20
#define IDLE_DEFAULT_MS (5 * 60 * 1000) /* RFC 5321 section 4.5.3.2.7 */
#define TOTAL_DEFAULT_MS (15 * 60 * 1000)
#define RECEIVING_BYTES ((size_t)256 * 1024 * 1024)
#define RECEIVING_MIN 4
#define REFUSED_FLUSH_MS 2000

/* The share of one address. -------------------------------------------------
 */

static void
peer_key(struct smtpd_peer *p, const struct net_addr *addr)
{
	const struct sockaddr_in *v4 = (const void *)&addr->ss;
	const struct sockaddr_in6 *v6 = (const void *)&addr->ss;

	p->key[0] = (unsigned char)net_addr_family(addr);
	p->key_len = 1;
	if (net_addr_family(addr) == AF_INET) {
		memcpy(p->key + 1, &v4->sin_addr, 4);
		p->key_len = 5;
	} else if (net_addr_family(addr) == AF_INET6) {
		memcpy(p->key + 1, &v6->sin6_addr, 8);
		p->key_len = 9;
	}
}

struct smtpd_peer *
smtpd_peer_take(struct smtpd *d, const struct net_addr *addr)
{
	struct smtpd_peer key = { 0 };
	struct smtpd_peer *p;

	peer_key(&key, addr);
	p = hash_find(d->peers, slice_mem(key.key, key.key_len));
	if (p == NULL) {
		p = xmemdup(&key, sizeof(key));
		hash_put(d->peers, slice_mem(key.key, key.key_len), p);
	}
	if (p->count >= d->opt.peer_max)
		return NULL;
	p->count++;
	return p;
}

void
smtpd_peer_release(struct smtpd *d, struct smtpd_peer **peer)
{
	struct smtpd_peer *p = *peer;

	*peer = NULL;
	if (p == NULL || --p->count > 0)
		return;
	hash_remove(d->peers, slice_mem(p->key, p->key_len));
	free(p);
}

/* Connections. ----------------------------------------------------------------
 */

static void
ignore_ready(void *ctx)
{
	(void)ctx;
}

static void
ignore_closed(void *ctx, const struct error *why)
{
	(void)ctx;
	(void)why;
}

static const struct conn_ops refused_ops = {
	.ready = ignore_ready,
	.readable = ignore_ready,
	.closed = ignore_closed,
};

static void
turn_away(struct smtpd *d, int fd)
{
	struct conn *c = conn_accept(d->opt.loop, fd, &refused_ops, NULL);

	conn_write(c, SLICE("421 4.7.0 Too many connections\r\n"));
	conn_close_flushed(&c, REFUSED_FLUSH_MS);
}

static void
on_accept(void *ctx, int fd, const struct net_addr *addr)
{
	struct smtpd *d = ctx;
	struct smtpd_peer *peer = NULL;
	char text[NET_ADDR_TEXT];

	OBJ_CHECK(d, SMTPD_MAGIC);
	if (d->session_count < d->opt.connections_max)
		peer = smtpd_peer_take(d, addr);
	if (peer == NULL) {
		net_addr_format(addr, text);
		log_info(&d->log, "smtpd.turned_away", log_text("peer", text),
		    log_uint("sessions", d->session_count));
		turn_away(d, fd);
		return;
	}
	smtpd_session_start(d, fd, addr, peer);
}

/* Begin and end.
 * ----------------------------------------------------------------- */

static void
set_defaults(struct smtpd_options *o)
{
	if (o->size_max == 0)
		o->size_max = SIZE_DEFAULT;
	if (o->connections_max == 0)
		o->connections_max = CONNECTIONS_DEFAULT;
	o->connections_max = net_connections_max(o->connections_max);
	if (o->peer_max == 0)
		o->peer_max = PEER_DEFAULT;
	if (o->idle_ms == 0)
		o->idle_ms = IDLE_DEFAULT_MS;
	if (o->total_ms == 0)
		o->total_ms = TOTAL_DEFAULT_MS;
}

static void drain_done(void *ctx);

struct smtpd *
smtpd_new(const struct smtpd_options *opt)
{
	struct smtpd *d = xmalloc(sizeof(*d));

	d->magic = SMTPD_MAGIC;
	d->opt = *opt;
	set_defaults(&d->opt);
	d->hostname = xstrdup(opt->hostname);
	d->opt.hostname = d->hostname;
	d->opt.listen_fds = NULL;
	list_init(&d->sessions);
	d->receiving_max =
	    MAX(RECEIVING_BYTES / d->opt.size_max, (size_t)RECEIVING_MIN);
	d->peers = hash_new();
	d->hosts = smtpd_hosts_new(opt->loop, opt->pg);
	d->drain_timer = timer_new(opt->loop, drain_done, d);
	d->listener_count = opt->listen_count;
	d->listeners = xcalloc(opt->listen_count, sizeof(struct listener *));
	for (size_t i = 0; i < opt->listen_count; i++)
		d->listeners[i] =
		    listener_new(opt->loop, opt->listen_fds[i], on_accept, d);
	return d;
}

static void
stop_listening(struct smtpd *d)
{
	for (size_t i = 0; i < d->listener_count; i++)
		listener_free(&d->listeners[i]);
}

static void
drain_done(void *ctx)
{
	struct smtpd *d = ctx;
	void (*drained)(void *) = d->drained;

	OBJ_CHECK(d, SMTPD_MAGIC);
	d->drained = NULL;
	timer_cancel(d->drain_timer);
	loop_call_cancel(&d->drain_call);
	if (drained != NULL)
		drained(d->drained_ctx);
}

void
smtpd_session_left(struct smtpd *d)
{
	if (d->draining && d->session_count == 0)
		loop_call_schedule(d->opt.loop, &d->drain_call, drain_done, d);
}

void
smtpd_drain(struct smtpd *d, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	OBJ_CHECK(d, SMTPD_MAGIC);
	d->draining = true;
	d->drained = done;
	d->drained_ctx = ctx;
	stop_listening(d);
	list_each_safe (node, &d->sessions)
		smtpd_session_drain(node);
	timer_set(d->drain_timer, timeout_ms);
	smtpd_session_left(d);
}

void
smtpd_free(struct smtpd **dp)
{
	struct smtpd *d = *dp;

	if (d == NULL)
		return;
	OBJ_CHECK(d, SMTPD_MAGIC);
	*dp = NULL;
	stop_listening(d);
	list_each_safe (node, &d->sessions)
		smtpd_session_kill(node);
	loop_call_cancel(&d->drain_call);
	timer_free(&d->drain_timer);
	smtpd_hosts_free(&d->hosts);
	hash_free(&d->peers);
	free(d->listeners);
	free(d->hostname);
	d->magic = 0;
	free(d);
}

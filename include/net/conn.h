/*
 * net/conn.h - a buffered stream connection, plain or TLS.
 *
 * Readiness by raw events, evbuffers as storage only, an ops table that swaps
 * plain for TLS. One deadline timer, always armed by the owner. Callbacks are
 * the last act of a turn on the connection; after conn_close none comes.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/loop.h"

struct conn;
struct ssl_ctx_st;

struct conn_ops {
	/* Connected (conn_connect), or TLS is up (conn_start_tls). */
	void (*ready)(void *ctx);
	/* New octets: look with conn_peek, take with conn_consume. */
	void (*readable)(void *ctx);
	/* The output fell below CONN_LOW_WATER after having been above it.
	 * May be NULL. */
	void (*drained)(void *ctx);
	/* Nothing more will come: end of stream (kind ERR_NONE), reset,
	 * failed connect or handshake, or the deadline (ERR_TIMEOUT). What
	 * was read before can still be peeked at. Called once. */
	void (*closed)(void *ctx, const struct error *why);
	/*
	 * The far end sends nothing more and may still read: what is written
	 * goes out, closed comes when that fails or the deadline is over. What
	 * was read before can be peeked at. NULL: such an end is told by
	 * closed. A far end that is gone altogether looks the same until it is
	 * written to, so the owner comes to an end soon, and keeps a deadline.
	 */
	void (*ended)(void *ctx);
};

#define CONN_LOW_WATER ((size_t)16 * 1024)
#define CONN_INPUT_MAX ((size_t)64 * 1024)

/*
 * Starts to connect. source: local address to bind (its port is not used), or
 * NULL. The guard is applied to *to; a refusal arrives in closed (ERR_DENIED).
 * Never calls back before it returns; every failure arrives in closed.
 * ops: borrowed for the life of the connection.
 */
struct conn *conn_connect(struct loop *l, const struct net_addr *to,
    const struct net_addr *source, const struct net_guard *guard,
    int64_t timeout_ms, const struct conn_ops *ops, void *ctx);
/* Takes an accepted non-blocking descriptor. */
struct conn *conn_accept(struct loop *l, int fd, const struct conn_ops *ops,
    void *ctx);
/* Another owner from now on (a session pool hands its connection over). */
void conn_set_owner(struct conn *c, const struct conn_ops *ops, void *ctx);
/* Closes at once without flushing; clears the pointer; accepts NULL. */
void conn_close(struct conn **c);
/* Sends what is queued, says that nothing more comes, waits for the end from
 * the far side (so that no reset overtakes our last words), then closes by
 * itself, all within timeout_ms; the owner forgets it now. */
void conn_close_flushed(struct conn **c, int64_t timeout_ms);

/* Re-arms the deadline: closed(ERR_TIMEOUT) comes unless it is set again. The
 * label stands in the error text; a constant. after_ms < 0: none. May fire a
 * few ms late or early. */
void conn_set_deadline(struct conn *c, int64_t after_ms, const char *label);
/*
 * Queues octets. All that was queued within one turn of the loop leaves in one
 * writev at its end (one segment where it fits); earlier, once 256 kB wait.
 * Dropped after the end, and between conn_start_tls and ready.
 */
void conn_write(struct conn *c, struct slice data);
/* Queues without copying: data stays valid until free_fn(free_ctx). */
void conn_write_ref(struct conn *c, struct slice data,
    void (*free_fn)(void *ctx), void *free_ctx);
size_t conn_pending(const struct conn *c); /* octets not yet written */
/* drained comes as well when all that is pending has been written; once. */
void conn_tell_written(struct conn *c);
size_t conn_input_len(const struct conn *c);
/* The whole input as one run; borrowed until the next consume or turn. */
struct slice conn_peek(struct conn *c);
void conn_consume(struct conn *c, size_t n);
/* Stops reading from the socket above this much unread input (default
 * CONN_INPUT_MAX; back-pressure), so input never grows above it. */
void conn_set_input_max(struct conn *c, size_t bytes);
void conn_pause_reading(struct conn *c, bool paused);

/*
 * Swaps to TLS. Fails (closed, ERR_TLS) when unread octets are there (RFC 3207
 * section 4.2: no plaintext crosses into TLS). What is queued goes out in the
 * clear first ("220 ready"). timeout_ms becomes the deadline; ready comes when
 * the handshake is done. host: server name for SNI on the client side, NULL on
 * the server side. ctx: borrowed, see net/tls.h.
 */
void conn_start_tls(struct conn *c, struct ssl_ctx_st *ctx, bool is_server,
    const char *host, int64_t timeout_ms);
bool conn_is_tls(const struct conn *c); /* and the handshake is done */
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" */
void conn_tls_describe(const struct conn *c, char *out, size_t out_len);
const struct net_addr *conn_peer(const struct conn *c);
/* The local address in use; unset before the connection stands. */
struct net_addr conn_local(const struct conn *c);
int conn_fd(const struct conn *c);

/* A listening socket's accept loop in this process. */
struct listener;
/*
 * fd: listening, non-blocking, inherited from the master; stays the caller's.
 * Accepted sockets are non-blocking, close-on-exec, TCP_NODELAY. On EMFILE it
 * pauses for 100 ms instead of spinning.
 */
struct listener *listener_new(struct loop *l, int fd,
    void (*on_accept)(void *ctx, int fd, const struct net_addr *peer),
    void *ctx);
void listener_free(struct listener **l);
void listener_pause(struct listener *l, bool paused);

/* Binds and listens: SO_REUSEADDR, non-blocking, close-on-exec; TCP_NODELAY
 * on TCP. A stale Unix socket file is replaced. Returns the fd or -1. */
int net_listen(const struct net_addr *a, int backlog,
    struct error *err) MUST_CHECK;

/*
 * How many connections a server may hold, at most wanted: the limit on open
 * files, less what the process needs besides (Postgres, Redis, files). Without
 * it, strangers who connect and rest would take the last descriptor.
 */
size_t net_connections_max(size_t wanted);

#endif

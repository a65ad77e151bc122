/* net/conn_priv.h - a connection from the inside: conn.c, conn_input.c and
 * conn_tls.c. */
#ifndef NET_CONN_PRIV_H
#define NET_CONN_PRIV_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <sys/types.h>

#include "net/conn.h"

#define CONN_MAGIC 0x636f6e6eU

/*
 *   conn_connect -> CONNECTING -> OPEN <- conn_accept
 *   OPEN -> CLEARING (what is queued leaves in the clear) -> HANDSHAKE -> OPEN
 *   OPEN -> LINGERING (conn_close_flushed; no owner)
 *   OPEN stays OPEN at the end of the input when the owner wants to hear of
 *   it (conn_ops.ended): read_ended
 *   any but LINGERING -> ENDED (closed was or will be told)
 */
enum conn_state {
	CONN_CONNECTING,
	CONN_OPEN,
	CONN_CLEARING,
	CONN_HANDSHAKE,
	CONN_LINGERING,
	CONN_ENDED,
};

/* What plain and TLS do differently. */
struct conn_io {
	/* Octets read, 0 when it would block, -1 with *why at the end of the
	 * stream (ERR_NONE) or on failure. */
	ssize_t (
	    *read)(struct conn *c, void *buf, size_t len, struct error *why);
	/* Sends from c->out and drains it; results as for read. */
	ssize_t (*write)(struct conn *c, struct error *why);
	/* Says that we send nothing more. */
	void (*end)(struct conn *c);
	/* A read takes all there is: go on until it would block, else octets
	 * stay inside, where no event tells of them. */
	bool has_inside;
};

extern const struct conn_io conn_io_plain, conn_io_tls;

struct conn {
	unsigned int magic;
	enum conn_state state;
	struct loop *loop;
	const struct conn_ops *ops;
	void *ctx;
	const struct conn_io *io;
	int fd;
	struct event readable, writable, deadline;
	bool reads, writes; /* which of them are on */

	struct { /* octets off..off + len */
		char *ptr;
		size_t off, len, cap;
	} in;
	size_t in_max;
	bool paused;
	bool has_inside; /* the io may hold octets that no event tells of */
	struct evbuffer *out;
	bool was_high;	    /* drained is owed */
	bool tell_written;  /* and so it is when nothing is left */
	bool write_blocked; /* until the socket is writable */
	size_t discarded;   /* while lingering */
	bool read_ended;    /* the far end sends nothing more */
	bool end_sent;

	int64_t deadline_ms; /* -1: none */
	int64_t armed_ms;    /* when the timer fires; -1: it is off */
	const char *label;

	SSL *ssl;
	bool read_wants_write, write_wants_read;

	struct error why;
	struct loop_call flush, resume, notify, bury, at_free;
	struct net_addr peer;
};

struct conn *conn_create(struct loop *l, int fd, const struct conn_ops *ops,
    void *ctx);
/* Ends the connection; the owner hears of it after the turn. */
void conn_finish_later(struct conn *c, const struct error *why);
/* ERR_NET with errno. Returns -1. */
int conn_sys_error(struct error *why, const char *what);
/* Ends the connection and tells the owner: the last act of its caller. */
void conn_finish(struct conn *c, const struct error *why);
/* TLS is up: the last act of its caller. */
void conn_tls_is_up(struct conn *c);
void conn_update_events(struct conn *c);

/* conn_input.c: whether more may be read. */
bool conn_has_room(const struct conn *c);
/*
 * Takes in what is there, up to the room and the budget. Returns the octets
 * taken; *ended says that why was set.
 */
size_t conn_take_in(struct conn *c, bool *ended, struct error *why);
/* Reads and tells the owner: the last act of its caller. */
void conn_read_some(struct conn *c);
/* Octets wait inside TLS; ctx: the connection. */
void conn_resume(void *ctx);
/* There may be room again. */
void conn_resume_reading(struct conn *c);

int conn_tls_init(struct conn *c, struct ssl_ctx_st *ctx, bool is_server,
    const char *host, struct error *err) MUST_CHECK;
/* Goes on with the handshake; may finish the connection. */
void conn_tls_step(struct conn *c);
/* Says goodbye if that is still possible, and frees. */
void conn_tls_fini(struct conn *c);

#endif

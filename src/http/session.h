/* http/session.h - one connection of a client, and the server from inside. */
#ifndef HTTP_SESSION_H
#define HTTP_SESSION_H

#include "chunked.h"
#include "head.h"
#include "net/conn.h"
#include "request.h"
#include "response.h"

#define HTTP_SESSION_MAGIC 0x68736573U
#define HTTP_SERVER_MAGIC 0x68737276U

/*
 *   IDLE -> HEAD -> BODY -> HANDLING -> IDLE ...
 *             |       |         |
 *             +-------+---------+--> ENDING -> closed
 *                     |                |
 *                     +--> DISCARDING -+
 *
 * DISCARDING: refused and already answered while the body is still coming; a
 * client that writes all before it reads gets to read the answer.
 */
enum http_session_state {
	HTTP_IDLE,	 /* between requests */
	HTTP_HEAD,	 /* some octets of a head are there */
	HTTP_BODY,	 /* the head is read, the body is coming */
	HTTP_HANDLING,	 /* with the handler */
	HTTP_DISCARDING, /* answered, the rest of the body is thrown away */
	HTTP_ENDING,	 /* answered, closes when the answer is out */
};

struct http_session {
	unsigned int magic;
	enum http_session_state state;
	struct http_server *server;
	struct list node; /* of the server: idle ones or busy ones */
	struct conn *conn;
	struct timer *timer;
	int64_t deadline_ms, armed_ms; /* -1: none */
	struct loop_call resume, bury;
	bool is_advancing;
	bool closes;	  /* after this answer */
	bool input_ended; /* what is here is all that will come */
	struct http_scan scan;
	struct http_chunked chunked;
	bool is_chunked;
	uint64_t body_left;	      /* not chunked: octets still to come */
	size_t discarded;	      /* of a body that nobody wants */
	struct http_request *request; /* from the head to the answer */
};

struct http_server {
	unsigned int magic;
	struct loop *loop;
	struct listener *listener; /* NULL while draining */
	struct http_options opt;
	struct http_router *router;
	struct http_budget *budget;
	struct list idle, busy; /* sessions; idle: the longest first */
	struct list requests;	/* with handlers */
	size_t session_count;
	struct http_date date;
	struct strbuf out; /* an answer being built */
	bool is_full;	   /* the listener is paused */
	int64_t next_full_log_ms;
	bool is_draining;
	struct timer *drain_timer;
	struct loop_call drain_call, bury;
	void (*drained)(void *ctx);
	void *drained_ctx;
};

void http_session_new(struct http_server *server, int fd,
    const struct net_addr *peer);
/* Closes at once; a request with its handler goes on without it. */
void http_session_free(struct http_session *s);
/* No request in it: says goodbye and goes. */
void http_session_end_idle(struct http_session *s);
/* The same, without waiting for the far end. */
void http_session_evict(struct http_session *s);

/* For the session: its place on the server's lists, and its end. */
void http_server_mark(struct http_session *s, bool is_idle);
void http_server_forget(struct http_session *s);
/* A request ended: perhaps it was the last one that a drain waits for. */
void http_server_check_drain(struct http_server *server);

#endif

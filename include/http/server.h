/*
 * http/server.h - an HTTP/1.1 server for JSON, and its router (RFC 9110, 9112).
 *
 * Our own, on net/conn; why: contrib/notes/0002-http-server.md. Strict where
 * leniency lets two parties disagree about where a request ends: refuses with
 * 400 and "Connection: close" a repeated or odd Content-Length, any
 * Transfer-Encoding but exactly "chunked", both together, odd chunk sizes,
 * chunk extensions, trailers, a missing or repeated Host, bare CR or LF,
 * folded lines, blanks before the colon, NUL and control octets, %00. Every
 * failure is answered in JSON. Bounds: connections, head (16 kB), body, all
 * bodies together, time for a whole request (slow drip), idle time.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "net/loop.h"

struct http_server;
struct http_request;

#define HTTP_PARAMS_MAX 4

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

struct http_route {
	enum http_method method;
	/* "/emails/{}": "{}" matches one segment; the route with fewer of them
	 * wins. At most HTTP_PARAMS_MAX. "/contacts/{*}" takes /contacts and
	 * all below it, with any method, where no other route has the path. */
	const char *path;
	void (*handle)(struct http_request *r, void *ctx);
	void *ctx;
};

/* 0 means the default. */
struct http_options {
	size_t body_max;	    /* 413 above; default 60 MB */
	size_t connections_max;	    /* default 10,000; then idle ones go */
	int64_t request_timeout_ms; /* first octet to last; default 60 s */
	int64_t idle_timeout_ms;    /* keep-alive; default 75 s */
	/* Memory of all bodies above 16 kB together; what would pass it is
	 * answered 503. Default 512 MB. */
	size_t bodies_max;
};

/*
 * listen_fd: inherited, listening, non-blocking; stays the caller's. Routes
 * are copied, their paths borrowed. Every path answers also under /v1 and
 * /api/v1. Unknown path: 404; known path, other method: 405 with Allow. HEAD
 * is served by the route of GET. A body is read (and bounded) before the
 * handler is called, also when there is none.
 */
struct http_server *http_server_new(struct loop *l, int listen_fd,
    const struct http_options *opt, const struct http_route *routes,
    size_t route_count);
/* Stops accepting; open requests are finished with "Connection: close"; done
 * is called, once and not before this returns, when none is left or after
 * timeout_ms. done may free the server. */
void http_server_drain(struct http_server *s, int64_t timeout_ms,
    void (*done)(void *ctx), void *ctx);
/* Closes all connections. Requests not yet answered stay valid; their answers
 * are dropped. Accepts a cleared pointer. */
void http_server_free(struct http_server **s);

/* Inside a handler. Everything borrowed until the answer. */

/* What the n-th "{}" matched, percent-decoded: UTF-8 without controls. */
struct slice http_param(const struct http_request *r, unsigned int n);
/* The first value of that name in the query string, decoded ('+' is a blank):
 * UTF-8 without controls; ptr NULL when absent. */
struct slice http_query(struct http_request *r, const char *name);
/* The first field of that name (any case), trimmed; ptr NULL when absent. A
 * request that repeats Authorization, Content-Type or Idempotency-Key never
 * comes so far. Octets above 0x7f are possible. */
struct slice http_header(const struct http_request *r, const char *name);
/* The whole body as one run that may be changed (JSON is parsed in place). */
struct slice http_body(struct http_request *r, char **mutable_ptr);
struct arena *http_arena(struct http_request *r);
/* As sent, without the query. */
struct slice http_path(const struct http_request *r);
/* The address of the client, without its port. */
const char *http_peer(const struct http_request *r);

/*
 * Answers later too: the request stays valid until answered. When the client
 * goes away the request stays valid as well, and the answer is dropped, so
 * each request must be answered exactly once.
 */
/* A field whose value has control octets is left out, with an error logged. */
void http_answer_header(struct http_request *r, const char *name,
    const char *value);
/* body: copied; JSON unless Content-Type was set. Frees the request. */
void http_answer(struct http_request *r, int status, struct slice body);
/* {"statusCode":...,"name":...,"message":...} */
void http_answer_error(struct http_request *r, int status, const char *name,
    const char *message);

#endif

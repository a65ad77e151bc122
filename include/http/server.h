/*
 * http/server.h - the HTTP server (evhttp, hardened) and its router.
 *
 * Refuses with 400 and "Connection: close" what evhttp lets pass: repeated or
 * odd Content-Length, Transfer-Encoding other than exactly "chunked", odd
 * chunk sizes, missing or repeated Host, bare LF, obs-fold, blanks before the
 * colon, NUL and control octets, and answers in JSON. Bounds: connections,
 * header size, body size, time for a whole request (slow drip), idle time.
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

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

struct http_route {
	enum http_method method;
	const char *path; /* "/emails/{}": "{}" matches one segment */
	void (*handle)(struct http_request *r, void *ctx);
	void *ctx;
};

struct http_options {
	size_t body_max;	   /* 413 above; default 60 MB */
	size_t connections_max;	   /* default 10,000 */
	int64_t request_timeout_ms; /* first octet to last; default 60 s */
	int64_t idle_timeout_ms;   /* keep-alive; default 75 s */
};

/* listen_fd: inherited. Routes are copied; every path answers also under
 * /v1 and /api/v1; unknown path: 404; known path, other method: 405. */
struct http_server *http_server_new(struct loop *l, int listen_fd,
    const struct http_options *opt, const struct http_route *routes,
    size_t route_count);
/* Stops accepting; open requests are finished with "Connection: close";
 * done is called when none is left or after timeout_ms. */
void http_server_drain(struct http_server *s, int64_t timeout_ms,
    void (*done)(void *ctx), void *ctx);
void http_server_free(struct http_server **s);

/* Inside a handler. Everything borrowed until the answer. */
struct slice http_param(const struct http_request *r, unsigned int n);
/* Decoded value from the query string; ptr NULL when absent. */
struct slice http_query(struct http_request *r, const char *name);
/* ptr NULL when absent. */
struct slice http_header(const struct http_request *r, const char *name);
/* The whole body as one run that may be changed (JSON is parsed in place). */
struct slice http_body(struct http_request *r, char **mutable_ptr);
struct arena *http_arena(struct http_request *r);
struct slice http_path(const struct http_request *r);
const char *http_peer(const struct http_request *r);

/*
 * Answers later too: the request stays valid until answered. When the client
 * goes away the request stays valid as well, and the answer is dropped, so
 * each request must be answered exactly once.
 */
void http_answer_header(
    struct http_request *r, const char *name, const char *value);
/* body: copied; JSON. Frees the request. */
void http_answer(struct http_request *r, int status, struct slice body);
/* {"statusCode":...,"name":...,"message":...} */
void http_answer_error(struct http_request *r, int status, const char *name,
    const char *message);

#endif

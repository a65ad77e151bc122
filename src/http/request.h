/*
 * http/request.h - a request between its head and its answer.
 *
 * It belongs to a session while it is read. Once its handler was called it
 * lives until it is answered, whatever becomes of session and server: each
 * clears the request's pointer to it when it goes.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/list.h"
#include "head.h"
#include "net/addr.h"
#include "router.h"

#define HTTP_REQUEST_MAGIC 0x72657173U

/* Bodies up to this much are not counted against bodies_max. */
#define HTTP_BODY_SMALL ((size_t)16 * 1024)

struct http_session;

/* What all bodies of a server hold; outlives the server while some do. */
struct http_budget {
	size_t used, max;
	size_t users; /* requests and the server */
};

struct http_request {
	unsigned int magic;
	struct http_session *session; /* NULL: the client is gone */
	struct http_server *server;   /* NULL: freed */
	struct list node;	      /* of the server */
	struct http_budget *budget;
	struct arena arena;
	struct http_head head; /* texts in the arena */
	struct http_match match;
	const struct http_refusal *refusal; /* instead of a route */
	struct {
		char *ptr;
		size_t len, cap;
	} body;
	struct strbuf fields; /* of the answer */
	bool has_type;
	bool was_handled; /* the handler has been called */
	char peer[NET_ADDR_TEXT];
};

struct http_request *http_request_new(struct http_budget *budget);
/* Gives back its body's share of the budget. */
void http_request_free(struct http_request **r);
/*
 * Appends to the body. expected: octets still to come with these, 0 when
 * unknown; memory grows with what has come, never ahead of it by more than
 * twice. Returns false when the budget is used up.
 */
bool http_request_add(struct http_request *r, struct slice data,
    uint64_t expected) MUST_CHECK;
void http_budget_unref(struct http_budget **b);

/* The session's half of an answer; see session.c. */
void http_session_answer(struct http_session *s, struct http_request *r,
    int status, struct slice body);

#endif

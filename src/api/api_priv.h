/*
 * api/api_priv.h - what the resources share: the call, its answers, paging.
 *
 * A handler opens a call; when its API key is good, go() runs. From then on
 * the call must be answered exactly once, by one of the api_answer functions,
 * which is the last that is done with it: it lives in the request's arena.
 */
#ifndef API_PRIV_H
#define API_PRIV_H

#include "api/httpd.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "model/id.h"
#include "net/loop.h"
#include "store/pg.h"

#define HTTPD_MAGIC 0x477bd001
#define API_CALL_MAGIC 0x477bd002

#define API_PAGE_DEFAULT 20
#define API_PAGE_MAX 100

struct httpd {
	uint32_t magic;
	struct loop *loop;
	struct pg *pg, *side;
	const struct keyring *keyring;
	const struct net_guard *webhook_guard;
	struct queue *queue;
	const struct depth *depth;
	struct intake *intake;
	struct http_server *server;
	struct large_pool *large;
	const struct api_absent **absent; /* what the routes of them point to */
	struct log_ctx log;
	struct list calls;	 /* opened and not yet answered */
	struct list health_asks; /* calls of GET /health */
	struct pg_tx *health_tx; /* what they wait for */
};

struct api_call {
	uint32_t magic;
	struct list node;
	struct httpd *h;
	struct http_request *r;
	struct arena *arena;
	bool is_sending; /* a key that may only send is enough */
	void (*go)(struct api_call *c);
	struct intake_account account;
	struct pg_tx *tx; /* the question under way, cancelled with the call */
	void *own;	  /* of the resource, for: */
	void (*cancel)(struct api_call *c); /* what else to cancel, or NULL */
};

/* Answers itself when the key is missing, unknown or not enough. */
void api_open(struct httpd *h, struct http_request *r, bool is_sending,
    void (*go)(struct api_call *c));

/* Without a key. */
struct api_call *api_open_unasked(struct httpd *h, struct http_request *r);

/* body: freed. */
void api_answer(struct api_call *c, int status, struct strbuf *body);
void api_answer_no(struct api_call *c, const struct intake_answer *no);
void api_refuse(struct api_call *c, enum answer_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* What the store said; what: "email", for "email not found". */
void api_answer_err(struct api_call *c, const char *what,
    const struct error *err);
/* {"object":what,"id":id} and, for deleted, "deleted":true. */
void api_answer_id(struct api_call *c, int status, const char *what,
    struct id id, bool deleted);

/* The n-th parameter of the path as an id; false: refused already. */
bool api_param_id(struct api_call *c, unsigned int n, struct id *out);
/* The body as a JSON object; false: refused already. */
bool api_body_object(struct api_call *c, const struct json **out);

struct api_page {
	size_t limit;
	struct id after, before; /* zero: not given */
};
/* limit, after, before of the query string; false: refused already. */
bool api_page_read(struct api_call *c, struct api_page *page);
/* {"object":"list","has_more":...,"data":[ and back. */
void api_list_begin(struct json_writer *w, struct strbuf *out, bool has_more);
void api_list_end(struct json_writer *w);

/* Postgres' way of writing a time, "2025-11-30 20:39:59.540+00"; 0: null. */
void api_time(struct json_writer *w, const char *name, int64_t ms);
void api_id(struct json_writer *w, const char *name, struct id id);

/* The resources. */
void api_email_post(struct http_request *r, void *ctx);
void api_email_get(struct http_request *r, void *ctx);
void api_email_cancel(struct http_request *r, void *ctx);
void api_email_list(struct http_request *r, void *ctx);
void api_attempt_list(struct http_request *r, void *ctx);
void api_webhook_post(struct http_request *r, void *ctx);
void api_webhook_get(struct http_request *r, void *ctx);
void api_webhook_list(struct http_request *r, void *ctx);
void api_webhook_patch(struct http_request *r, void *ctx);
void api_webhook_delete(struct http_request *r, void *ctx);
void api_suppression_post(struct http_request *r, void *ctx);
void api_suppression_get(struct http_request *r, void *ctx);
void api_suppression_list(struct http_request *r, void *ctx);
void api_suppression_delete(struct http_request *r, void *ctx);
void api_domain_get(struct http_request *r, void *ctx);
void api_domain_list(struct http_request *r, void *ctx);
void api_health(struct http_request *r, void *ctx);

#endif

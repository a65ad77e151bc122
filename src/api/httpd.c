/* api/httpd.c - the role: routes, start, drain. */
#include "api_priv.h"

#include "absent.h"
#include "base/mem.h"
#include "large.h"

/* Children that read large bodies, at a time. */
#define LARGE_RUNNING_MAX 2

static const struct {
	enum http_method method;
	const char *path;
	void (*handle)(struct http_request *r, void *ctx);
} routes[] = {
	{ HTTP_POST, "/emails", api_email_post },
	{ HTTP_GET, "/emails", api_email_list },
	{ HTTP_GET, "/emails/{}", api_email_get },
	{ HTTP_POST, "/emails/{}/cancel", api_email_cancel },
	{ HTTP_GET, "/emails/{}/attempts", api_attempt_list },
	{ HTTP_POST, "/webhooks", api_webhook_post },
	{ HTTP_GET, "/webhooks", api_webhook_list },
	{ HTTP_GET, "/webhooks/{}", api_webhook_get },
	{ HTTP_PATCH, "/webhooks/{}", api_webhook_patch },
	{ HTTP_DELETE, "/webhooks/{}", api_webhook_delete },
	{ HTTP_POST, "/suppressions", api_suppression_post },
	{ HTTP_GET, "/suppressions", api_suppression_list },
	{ HTTP_GET, "/suppressions/{}", api_suppression_get },
	{ HTTP_DELETE, "/suppressions/{}", api_suppression_delete },
	{ HTTP_GET, "/domains", api_domain_list },
	{ HTTP_GET, "/domains/{}", api_domain_get },
	{ HTTP_GET, "/health", api_health },
};

/* What is here, then what is not; out has room for both. */
static void
fill_routes(struct httpd *h, struct http_route *out)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		*out++ = (struct http_route){ routes[i].method, routes[i].path,
			routes[i].handle, h };
	h->absent = xcalloc(api_absent_count, sizeof(h->absent[0]));
	for (size_t i = 0; i < api_absent_count; i++) {
		h->absent[i] = &api_absent[i];
		*out++ = (struct http_route){ api_absent[i].method,
			api_absent[i].path, api_absent_answer, &h->absent[i] };
	}
}

struct httpd *
httpd_new(const struct httpd_options *opt)
{
	struct httpd *h = xmalloc(sizeof(*h));
	size_t count = ARRAY_LEN(routes) + api_absent_count;
	struct http_route *table = xcalloc(count, sizeof(*table));
	struct intake_options intake = {
		.loop = opt->loop,
		.pg = opt->pg,
		.pg_side = opt->pg_side,
		.queue = opt->queue,
		.shaping = opt->shaping,
		.recent = opt->recent,
		.recent_writer = opt->recent_writer,
		.limits = opt->limits,
	};

	h->magic = HTTPD_MAGIC;
	h->loop = opt->loop;
	h->pg = opt->pg;
	h->side = opt->pg_side != NULL ? opt->pg_side : opt->pg;
	h->queue = opt->queue;
	h->depth = opt->depth;
	h->keyring = opt->keyring;
	h->webhook_guard = opt->webhook_guard;
	list_init(&h->calls);
	list_init(&h->health_asks);
	h->intake = intake_new(&intake);
	h->large = large_pool_new(opt->loop, LARGE_RUNNING_MAX);
	fill_routes(h, table);
	h->server = http_server_new(opt->loop, opt->listen_fd, &opt->http,
	    table, count);
	free(table);
	return h;
}

/*
 * The intake goes on: what was asked before still gets its commit. Only the
 * server knows when every answer is out; when it knows, the intake owes
 * nothing, because each message it holds belongs to an open request.
 */
void
httpd_drain(struct httpd *h, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	OBJ_CHECK(h, HTTPD_MAGIC);
	http_server_drain(h->server, timeout_ms, done, ctx);
}

void
httpd_queue_asked(struct httpd *h)
{
	OBJ_CHECK(h, HTTPD_MAGIC);
	intake_queue_asked(h->intake);
}

void
httpd_queue_counted(struct httpd *h, size_t jobs)
{
	OBJ_CHECK(h, HTTPD_MAGIC);
	intake_queue_counted(h->intake, jobs);
}

/* What is still open hears nothing more: the server has closed its link. */
static void
drop_call(struct api_call *c)
{
	pg_tx_cancel(&c->tx);
	if (c->cancel != NULL)
		c->cancel(c);
	api_refuse(c, ANSWER_UNAVAILABLE, "This server is being stopped");
}

void
httpd_free(struct httpd **h)
{
	struct list *node;

	if (*h == NULL)
		return;
	OBJ_CHECK(*h, HTTPD_MAGIC);
	intake_free(&(*h)->intake);
	http_server_free(&(*h)->server);
	while ((node = list_first(&(*h)->calls)) != NULL)
		drop_call(list_entry(node, struct api_call, node));
	pg_tx_cancel(&(*h)->health_tx);
	large_pool_free(&(*h)->large);
	(*h)->magic = 0;
	free((*h)->absent);
	free(*h);
	*h = NULL;
}

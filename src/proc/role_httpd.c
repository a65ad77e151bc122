/* The HTTP API: one httpd per address, over the same connections. */
#include "api/httpd.h"
#include "base/mem.h"
#include "proc/role_priv.h"
#include "queue/depth.h"
#include "queue/queue.h"
#include "store/pg.h"

#define DEPTH_PERIOD_MS 500

struct role_http {
	struct loop *loop;
	struct pg *pg, *pg_side;
	struct queue *queue;
	struct depth *depth;
	struct net_guard webhook_guard;
	size_t count;
	struct httpd *httpd[LISTENERS_MAX];
	size_t draining;
	void (*done)(void *ctx);
	void *ctx;
};

static unsigned int
count(const struct settings *s)
{
	return (unsigned int)s->httpd_processes;
}

static struct httpd_options
options(const struct role_http *r, const struct worker *w, int fd)
{
	const struct settings *s = w->settings;

	return (struct httpd_options){
		.loop = r->loop,
		.pg = r->pg,
		.pg_side = r->pg_side,
		.queue = r->queue,
		.shaping = w->shaping,
		.depth = r->depth,
		.keyring = w->keyring,
		.webhook_guard = &r->webhook_guard,
		.recent = w->recent,
		.recent_writer = w->slot,
		.listen_fd = fd,
		.http = {
			.body_max = s->http_body_max,
			.connections_max = s->http_connections_max,
			.request_timeout_ms = (int64_t)s->http_request_time,
		},
		.limits = {
			.recipients_max = s->recipients_max,
			.message_bytes_max = s->message_size_max,
			.max_age_ms = (int64_t)s->max_age,
			.queue_max = s->queue_max,
		},
	};
}

static void
asked(void *ctx)
{
	struct role_http *r = ctx;

	for (size_t i = 0; i < r->count; i++)
		httpd_queue_asked(r->httpd[i]);
}

static void
counted(void *ctx, size_t jobs)
{
	struct role_http *r = ctx;

	for (size_t i = 0; i < r->count; i++)
		httpd_queue_counted(r->httpd[i], jobs);
}

static const struct depth_ops depth_ops = { asked, counted };

static void *
start(struct worker *w, struct error *err)
{
	struct role_http *r = xmalloc(sizeof(*r));
	int fds[LISTENERS_MAX];
	size_t n = listeners_fds(w->listeners, PORT_HTTP, fds, ARRAY_LEN(fds));

	(void)err;
	r->loop = w->loop;
	role_guard(w->settings->webhook_private, &r->webhook_guard);
	r->pg = role_pg(w, "verpost httpd", true);
	r->pg_side = role_pg(w, "verpost httpd side", false);
	r->queue = queue_new(w->loop, w->settings->redis, NULL, 0, NULL, NULL);
	r->depth = depth_new(w->loop, r->pg_side, r->queue, w->shaping,
	    DEPTH_PERIOD_MS, &depth_ops, r);
	for (r->count = 0; r->count < n; r->count++) {
		struct httpd_options o = options(r, w, fds[r->count]);

		r->httpd[r->count] = httpd_new(&o);
	}
	return r;
}

static void
one_drained(void *ctx)
{
	struct role_http *r = ctx;

	if (--r->draining == 0)
		r->done(r->ctx);
}

static void
drain(void *self, int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	struct role_http *r = self;

	r->done = done;
	r->ctx = ctx;
	r->draining = r->count;
	if (r->count == 0)
		loop_defer(r->loop, done, ctx);
	for (size_t i = 0; i < r->count; i++)
		httpd_drain(r->httpd[i], timeout_ms, one_drained, r);
}

static void
stop(void *self)
{
	struct role_http *r = self;

	for (size_t i = 0; i < r->count; i++)
		httpd_free(&r->httpd[i]);
	depth_free(&r->depth);
	queue_free(&r->queue);
	pg_free(&r->pg_side);
	pg_free(&r->pg);
	net_guard_fini(&r->webhook_guard);
	free(r);
}

const struct role role_httpd = {
	.name = "httpd",
	.stage = ROLE_STAGE_FRONT,
	.ports = PORT_BIT(PORT_HTTP),
	.needs_keys = true,
	.shares_recent = true,
	.count = count,
	.start = start,
	.drain = drain,
	.stop = stop,
};

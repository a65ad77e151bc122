#include "session.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define FULL_LOG_EVERY_MS 60000 /* it may come and go with every request */

static const struct http_options defaults = {
	.body_max = (size_t)60 * 1024 * 1024,
	.connections_max = 10000,
	.request_timeout_ms = 60000,
	.idle_timeout_ms = 75000,
	.bodies_max = (size_t)512 * 1024 * 1024,
};

/*
 * At the limit a new connection takes the place of the one that has been idle
 * for longest. While none is idle, new ones wait in the listen queue.
 */
static void
update_listener(struct http_server *server)
{
	bool full = server->session_count >= server->opt.connections_max &&
	    list_is_empty(&server->idle);

	if (server->listener == NULL || full == server->is_full)
		return;
	server->is_full = full;
	listener_pause(server->listener, full);
	if (full && loop_mono_ms(server->loop) >= server->next_full_log_ms) {
		server->next_full_log_ms =
		    loop_mono_ms(server->loop) + FULL_LOG_EVERY_MS;
		log_warn(NULL, "http.full",
		    log_uint("connections", server->session_count));
	}
}

static void
on_accept(void *ctx, int fd, const struct net_addr *peer)
{
	struct http_server *server = ctx;
	struct list *oldest = list_first(&server->idle);

	OBJ_CHECK(server, HTTP_SERVER_MAGIC);
	if (server->session_count >= server->opt.connections_max &&
	    oldest != NULL)
		http_session_evict(
		    list_entry(oldest, struct http_session, node));
	http_session_new(server, fd, peer);
}

void
http_server_mark(struct http_session *s, bool is_idle)
{
	struct http_server *server = s->server;

	list_remove(&s->node);
	list_append(is_idle ? &server->idle : &server->busy, &s->node);
	update_listener(server);
}

void
http_server_forget(struct http_session *s)
{
	struct http_server *server = s->server;

	list_remove(&s->node);
	server->session_count--;
	update_listener(server);
	http_server_check_drain(server);
}

/* ---- The end ----------------------------------------------------------- */

static void
tell_drained(void *ctx)
{
	struct http_server *server = ctx;
	void (*fn)(void *ctx) = server->drained;

	OBJ_CHECK(server, HTTP_SERVER_MAGIC);
	timer_cancel(server->drain_timer);
	server->drained = NULL;
	if (fn != NULL)
		fn(server->drained_ctx);
}

/*
 * Told after the turn: what the last answer wrote has then been flushed, since
 * its flush was scheduled before.
 */
void
http_server_check_drain(struct http_server *server)
{
	if (server->drained != NULL && server->session_count == 0 &&
	    list_is_empty(&server->requests))
		loop_call_schedule(server->loop, &server->drain_call,
		    tell_drained, server);
}

static void
on_drain_timeout(void *ctx)
{
	struct http_server *server = ctx;

	log_warn(NULL, "http.drain_timeout",
	    log_uint("connections", server->session_count));
	loop_call_cancel(&server->drain_call);
	tell_drained(server);
}

void
http_server_drain(struct http_server *server, int64_t timeout_ms,
    void (*done)(void *ctx), void *ctx)
{
	OBJ_CHECK(server, HTTP_SERVER_MAGIC);
	invariant(!server->is_draining);
	server->is_draining = true;
	server->drained = done;
	server->drained_ctx = ctx;
	listener_free(&server->listener);
	timer_set(server->drain_timer, timeout_ms);
	list_each_safe (node, &server->idle)
		http_session_end_idle(
		    list_entry(node, struct http_session, node));
	http_server_check_drain(server);
}

void
http_server_free(struct http_server **sp)
{
	struct http_server *server = *sp;
	struct list *node;

	if (server == NULL)
		return;
	OBJ_CHECK(server, HTTP_SERVER_MAGIC);
	*sp = NULL;
	server->drained = NULL;
	listener_free(&server->listener);
	while ((node = list_first(&server->idle)) != NULL ||
	    (node = list_first(&server->busy)) != NULL)
		http_session_free(list_entry(node, struct http_session, node));
	while ((node = list_pop(&server->requests)) != NULL)
		list_entry(node, struct http_request, node)->server = NULL;
	timer_free(&server->drain_timer);
	loop_call_cancel(&server->drain_call);
	http_router_free(&server->router);
	http_budget_unref(&server->budget);
	strbuf_fini(&server->out);
	/* A handler that freed us may still stand in a session of ours. */
	server->bury.is_deferred = true;
	loop_call_schedule(server->loop, &server->bury, free, server);
}

/* ---- The beginning ----------------------------------------------------- */

static struct http_options
with_defaults(const struct http_options *given)
{
	struct http_options opt = *given;

	if (opt.body_max == 0)
		opt.body_max = defaults.body_max;
	if (opt.connections_max == 0)
		opt.connections_max = defaults.connections_max;
	if (opt.request_timeout_ms == 0)
		opt.request_timeout_ms = defaults.request_timeout_ms;
	if (opt.idle_timeout_ms == 0)
		opt.idle_timeout_ms = defaults.idle_timeout_ms;
	if (opt.bodies_max == 0)
		opt.bodies_max = defaults.bodies_max;
	opt.connections_max = net_connections_max(opt.connections_max);
	/* One body of the permitted size must always be possible. */
	opt.bodies_max = MAX(opt.bodies_max, opt.body_max);
	return opt;
}

struct http_server *
http_server_new(struct loop *l, int listen_fd, const struct http_options *opt,
    const struct http_route *routes, size_t route_count)
{
	struct http_server *server = xmalloc(sizeof(*server));

	server->magic = HTTP_SERVER_MAGIC;
	server->loop = l;
	server->opt = with_defaults(opt);
	server->router = http_router_new(routes, route_count);
	server->budget = xmalloc(sizeof(*server->budget));
	server->budget->max = server->opt.bodies_max;
	server->budget->users = 1;
	list_init(&server->idle);
	list_init(&server->busy);
	list_init(&server->requests);
	strbuf_init(&server->out, 0);
	server->drain_timer = timer_new(l, on_drain_timeout, server);
	server->listener = listener_new(l, listen_fd, on_accept, server);
	return server;
}

/* Listeners, parts and drain; what is acted out stands in script.c. */
#include "simulator/simulator.h"

#include <stdlib.h>

#include "base/mem.h"
#include "simulator/simulator_priv.h"

#define SIMULATOR_MAGIC 0x53494d55u
#define CAPTURE_DEFAULT 10000
#define CAPTURE_BYTES_DEFAULT ((size_t)256 * 1024)
#define SIZE_DEFAULT ((size_t)50 * 1024 * 1024)
#define CONNECTIONS_DEFAULT 2000
#define MEMORY_MAX 100000
#define REFUSED_FLUSH_MS 2000

static void
ignore_event(void *ctx)
{
	(void)ctx;
}

static void
ignore_closed(void *ctx, const struct error *why)
{
	(void)ctx;
	(void)why;
}

static const struct conn_ops refused_ops = {
	.ready = ignore_event,
	.readable = ignore_event,
	.closed = ignore_closed,
};

static void
on_accept(void *ctx, int fd, const struct net_addr *peer)
{
	struct simulator *sim = ctx;
	struct conn *c;

	OBJ_CHECK(sim, SIMULATOR_MAGIC);
	(void)peer;
	if (sim->session_count < sim->opt.connections_max) {
		simulator_session_start(sim, fd);
		return;
	}
	c = conn_accept(sim->opt.loop, fd, &refused_ops, NULL);
	conn_write(c, SLICE("421 4.7.0 Too many connections\r\n"));
	conn_close_flushed(&c, REFUSED_FLUSH_MS);
}

static void
drain_done(void *ctx)
{
	struct simulator *sim = ctx;
	void (*drained)(void *) = sim->drained;

	OBJ_CHECK(sim, SIMULATOR_MAGIC);
	sim->drained = NULL;
	timer_cancel(sim->drain_timer);
	loop_call_cancel(&sim->drain_call);
	if (drained != NULL)
		drained(sim->drained_ctx);
}

void
simulator_check_drained(struct simulator *sim)
{
	if (!sim->draining || sim->session_count > 0 ||
	    (sim->bouncer != NULL &&
		!simulator_bouncer_is_idle(sim->bouncer)) ||
	    (sim->capture != NULL && !simulator_capture_is_idle(sim->capture)))
		return;
	loop_call_schedule(sim->opt.loop, &sim->drain_call, drain_done, sim);
}

static void
on_part_idle(void *ctx)
{
	simulator_check_drained(ctx);
}

static void
set_defaults(struct simulator_options *o)
{
	if (o->capture_max == 0)
		o->capture_max = CAPTURE_DEFAULT;
	if (o->capture_bytes == 0)
		o->capture_bytes = CAPTURE_BYTES_DEFAULT;
	if (o->size_max == 0)
		o->size_max = SIZE_DEFAULT;
	if (o->connections_max == 0)
		o->connections_max = CONNECTIONS_DEFAULT;
}

struct simulator *
simulator_new(const struct simulator_options *opt)
{
	struct simulator *sim = xmalloc(sizeof(*sim));

	sim->magic = SIMULATOR_MAGIC;
	sim->opt = *opt;
	set_defaults(&sim->opt);
	sim->hostname = xstrdup(opt->hostname);
	sim->opt.hostname = sim->hostname;
	sim->opt.listen_fds = NULL;
	list_init(&sim->sessions);
	sim->memory = simulator_memory_new(MEMORY_MAX);
	if (opt->pg != NULL)
		sim->capture = simulator_capture_new(opt->loop, opt->pg,
		    sim->opt.capture_max, sim->opt.capture_bytes, on_part_idle,
		    sim);
	if (opt->bounce_to.len != 0)
		sim->bouncer = simulator_bouncer_new(opt->loop, &opt->bounce_to,
		    sim->hostname, opt->bounce_delay_ms, on_part_idle, sim);
	sim->drain_timer = timer_new(opt->loop, drain_done, sim);
	sim->listener_count = opt->listen_count;
	sim->listeners = xcalloc(opt->listen_count, sizeof(struct listener *));
	for (size_t i = 0; i < opt->listen_count; i++)
		sim->listeners[i] =
		    listener_new(opt->loop, opt->listen_fds[i], on_accept, sim);
	return sim;
}

static void
stop_listening(struct simulator *sim)
{
	for (size_t i = 0; i < sim->listener_count; i++)
		listener_free(&sim->listeners[i]);
}

void
simulator_drain(struct simulator *sim, int64_t timeout_ms,
    void (*done)(void *ctx), void *ctx)
{
	OBJ_CHECK(sim, SIMULATOR_MAGIC);
	sim->draining = true;
	sim->drained = done;
	sim->drained_ctx = ctx;
	stop_listening(sim);
	list_each_safe (node, &sim->sessions)
		simulator_session_drain(node);
	if (sim->bouncer != NULL)
		simulator_bouncer_hurry(sim->bouncer);
	timer_set(sim->drain_timer, timeout_ms);
	simulator_check_drained(sim);
}

void
simulator_free(struct simulator **sp)
{
	struct simulator *sim = *sp;

	if (sim == NULL)
		return;
	OBJ_CHECK(sim, SIMULATOR_MAGIC);
	*sp = NULL;
	stop_listening(sim);
	list_each_safe (node, &sim->sessions)
		simulator_session_kill(node);
	loop_call_cancel(&sim->drain_call);
	timer_free(&sim->drain_timer);
	simulator_bouncer_free(&sim->bouncer);
	simulator_capture_free(&sim->capture);
	simulator_memory_free(&sim->memory);
	free(sim->listeners);
	free(sim->hostname);
	sim->magic = 0;
	free(sim);
}

#include "net/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"

/*
 * A turn is one pass of event_base_loop(EVLOOP_ONCE): everything that was
 * ready is handled. After it come the deferred calls that stood in the list at
 * that moment; what they schedule waits for the next turn, so a call that
 * schedules itself again starves nobody. While calls wait, the loop only looks
 * for what is ready and does not sleep.
 *
 * The clock of libevent is the coarse one (a few ms): a timer may fire that
 * much early. The precise one costs a system call per turn.
 */

#define SCRATCH_LEN ((size_t)64 * 1024)

struct loop {
	struct event_base *base;
	struct list calls;   /* of struct loop_call */
	struct list signals; /* of struct loop_signal */
	struct list at_free; /* of struct loop_call */
	struct event wake;   /* ends a turn that waits a bounded time */
	char *scratch;
	int64_t mono_ms;
	bool mono_is_set;
	bool stopping;
};

/* A loop_defer: a call without an owner. */
struct loop_deferred {
	struct loop_call call;
	struct loop *loop;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop_signal {
	struct list node;
	struct event ev;
	int signo;
	void (*fn)(int signo, void *ctx);
	void *ctx;
};

struct timer {
	struct loop *loop;
	struct event ev;
	struct loop_call bury;
	void (*fn)(void *ctx);
	void *ctx;
};

struct watch {
	struct loop *loop;
	struct event read, write;
	struct loop_call bury;
	void (*fn)(void *ctx, bool readable, bool writable);
	void *ctx;
	bool wants_read, wants_write;
};

static void
on_wake(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
}

struct loop *
loop_new(void)
{
	struct loop *l = xmalloc(sizeof(*l));
	struct event_config *cfg = event_config_new();

	invariant(cfg != NULL);
	/* One thread per process: no locks. */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	invariant(l->base != NULL);
	list_init(&l->calls);
	list_init(&l->signals);
	list_init(&l->at_free);
	signal(SIGPIPE, SIG_IGN);
	event_assign(&l->wake, l->base, -1, 0, on_wake, NULL);
	l->scratch = xmalloc(SCRATCH_LEN);
	return l;
}

/* Calls with an owner are dropped: the owner may be gone. */
static void
drop_calls(struct loop *l)
{
	struct list *node;

	while ((node = list_pop(&l->calls)) != NULL) {
		struct loop_call *call =
		    list_entry(node, struct loop_call, node);

		if (call->is_deferred)
			call->fn(call->ctx);
	}
}

void
loop_free(struct loop **lp)
{
	struct loop *l = *lp;
	struct list *node;

	if (l == NULL)
		return;
	while ((node = list_pop(&l->at_free)) != NULL) {
		struct loop_call *call =
		    list_entry(node, struct loop_call, node);

		call->fn(call->ctx);
	}
	drop_calls(l);
	while ((node = list_pop(&l->signals)) != NULL) {
		struct loop_signal *s =
		    list_entry(node, struct loop_signal, node);

		event_del(&s->ev);
		free(s);
	}
	event_del(&l->wake);
	event_base_free(l->base);
	free(l->scratch);
	free(l);
	*lp = NULL;
}

/* Runs the calls that are there now, not those they schedule. */
static void
run_calls(struct loop *l)
{
	struct list batch, *node;

	if (list_is_empty(&l->calls))
		return;
	list_init(&batch);
	list_insert_before(&l->calls, &batch);
	list_remove(&l->calls);
	list_init(&l->calls);
	while ((node = list_pop(&batch)) != NULL) {
		struct loop_call *call =
		    list_entry(node, struct loop_call, node);

		call->fn(call->ctx);
	}
}

void
loop_turn(struct loop *l, int wait_ms)
{
	int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
	struct timeval tv = { wait_ms / 1000, (wait_ms % 1000) * 1000 };

	l->mono_is_set = false;
	if (wait_ms == 0 || !list_is_empty(&l->calls))
		flags |= EVLOOP_NONBLOCK;
	else if (wait_ms > 0)
		event_add(&l->wake, &tv);
	event_base_loop(l->base, flags);
	if (wait_ms > 0)
		event_del(&l->wake);
	run_calls(l);
	l->mono_is_set = false;
}

void
loop_run(struct loop *l)
{
	while (!l->stopping)
		loop_turn(l, -1);
	l->stopping = false;
}

void
loop_stop(struct loop *l)
{
	l->stopping = true;
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

void *
loop_scratch(struct loop *l, size_t *len)
{
	*len = SCRATCH_LEN;
	return l->scratch;
}

int64_t
loop_mono_ms(struct loop *l)
{
	if (!l->mono_is_set) {
		l->mono_ms = clock_mono_ms();
		l->mono_is_set = true;
	}
	return l->mono_ms;
}

static void
run_deferred(void *ctx)
{
	struct loop_deferred *d = ctx;
	void (*fn)(void *) = d->fn;
	void *fn_ctx = d->ctx;

	free(d);
	fn(fn_ctx);
}

void
loop_defer(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct loop_deferred *d = xmalloc(sizeof(*d));

	d->loop = l;
	d->fn = fn;
	d->ctx = ctx;
	d->call.is_deferred = true;
	loop_call_schedule(l, &d->call, run_deferred, d);
}

void
loop_call_schedule(struct loop *l, struct loop_call *call,
    void (*fn)(void *ctx), void *ctx)
{
	if (list_is_linked(&call->node))
		return;
	call->fn = fn;
	call->ctx = ctx;
	list_append(&l->calls, &call->node);
}

void
loop_call_cancel(struct loop_call *call)
{
	list_remove(&call->node);
}

void
loop_at_free(struct loop *l, struct loop_call *call, void (*fn)(void *ctx),
    void *ctx)
{
	call->fn = fn;
	call->ctx = ctx;
	list_append(&l->at_free, &call->node);
}

/*
 * Frees obj after the turn, through the call embedded in it; also when the
 * loop goes first.
 */
static void
bury(struct loop *l, struct loop_call *call, void *obj)
{
	call->is_deferred = true;
	loop_call_schedule(l, call, free, obj);
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct timer *t = ctx;

	(void)fd;
	(void)what;
	t->fn(t->ctx);
}

struct timer *
timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct timer *t = xmalloc(sizeof(*t));

	t->loop = l;
	t->fn = fn;
	t->ctx = ctx;
	event_assign(&t->ev, l->base, -1, 0, on_timer, t);
	return t;
}

void
timer_free(struct timer **tp)
{
	struct timer *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	event_del(&t->ev);
	bury(t->loop, &t->bury, t);
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	int64_t ms = after_ms > 0 ? after_ms : 0;
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	event_add(&t->ev, &tv);
}

void
timer_cancel(struct timer *t)
{
	event_del(&t->ev);
}

bool
timer_is_set(const struct timer *t)
{
	return event_pending(&t->ev, EV_TIMEOUT, NULL) != 0;
}

static void
on_signal(evutil_socket_t signo, short what, void *ctx)
{
	struct loop_signal *s = ctx;

	(void)signo;
	(void)what;
	s->fn(s->signo, s->ctx);
}

void
loop_on_signal(struct loop *l, int signo, void (*fn)(int signo, void *ctx),
    void *ctx)
{
	struct loop_signal *s = xmalloc(sizeof(*s));

	s->signo = signo;
	s->fn = fn;
	s->ctx = ctx;
	event_assign(&s->ev, l->base, signo, EV_SIGNAL | EV_PERSIST, on_signal,
	    s);
	event_add(&s->ev, NULL);
	list_append(&l->signals, &s->node);
}

static void
on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct watch *w = ctx;

	(void)fd;
	w->fn(w->ctx, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

struct watch *
watch_new(struct loop *l, int fd,
    void (*fn)(void *ctx, bool readable, bool writable), void *ctx)
{
	struct watch *w = xmalloc(sizeof(*w));

	w->loop = l;
	w->fn = fn;
	w->ctx = ctx;
	/* Two events: turning one on or off is a single epoll_ctl. */
	event_assign(&w->read, l->base, fd, EV_READ | EV_PERSIST, on_watch, w);
	event_assign(&w->write, l->base, fd, EV_WRITE | EV_PERSIST, on_watch,
	    w);
	return w;
}

void
watch_free(struct watch **wp)
{
	struct watch *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	watch_set(w, false, false);
	bury(w->loop, &w->bury, w);
}

static void
turn(struct event *ev, bool *is_on, bool want)
{
	if (*is_on == want)
		return;
	*is_on = want;
	if (want)
		event_add(ev, NULL);
	else
		event_del(ev);
}

void
watch_set(struct watch *w, bool want_read, bool want_write)
{
	turn(&w->read, &w->wants_read, want_read);
	turn(&w->write, &w->wants_write, want_write);
}

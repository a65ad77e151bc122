#include "store/redis.h"

#include <hiredis/async.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/loop.h"

/*
 * One connection of hiredis 0.14, wrapped for what it lacks and for where it
 * bites:
 *
 *   no deadlines    The head of our list of calls has the earliest; one timer
 *                   serves all, and a miss drops the connection.
 *   who frees       The library frees its context after a disconnect and after
 *                   a failed connect; we free only what it refused at once.
 *                   "ac" is NULL from the moment we or the library let go.
 *   late callbacks  On disconnect it calls everything pending with a NULL
 *                   reply. Our calls are moved to "failing" before, and are
 *                   told from the loop, one by one: each may free us.
 *   unsubscribing   From the last channel ends in an assertion when something
 *                   is pending, so a private channel is never left. Asking for
 *                   it again is also how a subscriber sees that the server is
 *                   still there: PING would leave an entry behind each time.
 */

#define DEADLINE_MS 5000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MOST_MS 2000
#define PROBE "verpost.probe"

enum state {
	STATE_CONNECTING,
	STATE_UP,
	STATE_WAITING,
	STATE_CLOSED,
};

struct call {
	struct list node;
	struct redis *r;
	redis_done *done;
	void *ctx;
	int64_t deadline_ms;
};

struct redis {
	struct loop *loop;
	char *path; /* Unix socket, or NULL */
	char *host;
	int port;
	struct error bad_url; /* kind ERR_NONE: fine */
	int64_t deadline_ms;
	const struct redis_ops *ops;
	void *ctx;

	enum state state;
	redisAsyncContext *ac;
	struct watch *watch;
	bool wants_read, wants_write;
	struct timer *timer; /* connect, back-off, deadline, probe */
	int64_t backoff_ms;
	struct error last;
	struct list calls;   /* sent, in order */
	struct list failing; /* to be told */
	struct loop_call fail_call, up_call;
	bool must_tell_lost, was_connected;
	size_t pending;

	bool is_subscriber;
	struct hash *channels;
	size_t awaited; /* subscribe answers still to come */
	int64_t probed_ms, heard_ms;
};

static const struct log_ctx redis_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "redis" } } } };

static void start_connect(struct redis *r);
static void tell_next(void *ctx);

/* Failing. --------------------------------------------------------------- */

static void
schedule_telling(struct redis *r)
{
	loop_call_schedule(r->loop, &r->fail_call, tell_next, r);
}

static void
tell_next(void *ctx)
{
	struct redis *r = ctx;
	struct list *node = list_pop(&r->failing);
	struct error err = r->last;

	if (node != NULL) {
		struct call call = *list_entry(node, struct call, node);

		free(list_entry(node, struct call, node));
		schedule_telling(r);
		r->pending--;
		if (call.done != NULL)
			call.done(call.ctx, NULL, &err);
		return;
	}
	if (r->must_tell_lost) {
		r->must_tell_lost = false;
		if (r->ops != NULL && r->ops->lost != NULL)
			r->ops->lost(r->ctx, &err);
	}
}

/* Not from within the library: the owner may free us. */
static void
tell_up(void *ctx)
{
	struct redis *r = ctx;

	r->was_connected = true;
	if (r->ops != NULL && r->ops->connected != NULL)
		r->ops->connected(r->ctx);
}

/* The connection is gone, or given up; ac is not touched any more. */
static void
lose(struct redis *r, const struct error *err)
{
	struct list *node;
	int64_t wait_ms = r->backoff_ms;

	r->backoff_ms = MIN(wait_ms * 2, clock_patience_ms(BACKOFF_MOST_MS));
	wait_ms =
	    wait_ms / 2 + (int64_t)(crypto_random_u64() % (uint64_t)wait_ms);
	watch_free(&r->watch);
	loop_call_cancel(&r->up_call);
	r->last = *err;
	log_warn(&redis_log,
	    r->state == STATE_UP ? "redis.lost" : "redis.connect_failed",
	    log_err(err), log_int("retry_ms", wait_ms));
	r->must_tell_lost = r->must_tell_lost || r->was_connected;
	r->was_connected = false;
	r->state = STATE_WAITING;
	while ((node = list_pop(&r->calls)) != NULL)
		list_append(&r->failing, node);
	schedule_telling(r);
	timer_set(r->timer, wait_ms);
}

/* Lets go of the context: the library frees it, now or after its callback. */
static void
drop(struct redis *r, const struct error *err)
{
	redisAsyncContext *ac = r->ac;

	r->ac = NULL;
	lose(r, err);
	if (ac != NULL) {
		ac->data = NULL;
		redisAsyncFree(ac);
	}
}

/* The library's events. ---------------------------------------------------- */

static void
on_ready(void *ctx, bool readable, bool writable)
{
	struct redis *r = ctx;

	if (readable && r->ac != NULL)
		redisAsyncHandleRead(r->ac);
	if (writable && r->ac != NULL)
		redisAsyncHandleWrite(r->ac);
}

static void
set_watch(struct redis *r)
{
	if (r->watch != NULL)
		watch_set(r->watch, r->wants_read, r->wants_write);
}

/*
 * The context may outlive our interest: then "data" is NULL. The hooks get the
 * context as their argument, because we may be gone.
 */
static void
add_read(void *arg)
{
	struct redis *r = ((redisAsyncContext *)arg)->data;

	if (r != NULL) {
		r->wants_read = true;
		set_watch(r);
	}
}

static void
del_read(void *arg)
{
	struct redis *r = ((redisAsyncContext *)arg)->data;

	if (r != NULL) {
		r->wants_read = false;
		set_watch(r);
	}
}

static void
add_write(void *arg)
{
	struct redis *r = ((redisAsyncContext *)arg)->data;

	if (r != NULL) {
		r->wants_write = true;
		set_watch(r);
	}
}

static void
del_write(void *arg)
{
	struct redis *r = ((redisAsyncContext *)arg)->data;

	if (r != NULL) {
		r->wants_write = false;
		set_watch(r);
	}
}

/* The library is about to close the descriptor. */
static void
cleanup(void *arg)
{
	struct redis *r = ((redisAsyncContext *)arg)->data;

	if (r != NULL)
		watch_free(&r->watch);
}

static void
set_context_error(struct error *err, const redisAsyncContext *ac,
    const char *what)
{
	error_set(err, ERR_NET, "redis: %s",
	    ac->err != 0 && ac->errstr != NULL ? ac->errstr : what);
}

static void
forget_context(struct redis *r)
{
	r->ac->data = NULL;
	r->ac = NULL;
}

static void
on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis *r = ac->data;
	struct error err = { 0 };

	(void)status;
	if (r == NULL)
		return;
	set_context_error(&err, ac, "the server closed the connection");
	forget_context(r);
	lose(r, &err);
}

/* Calls. ------------------------------------------------------------------ */

static void
arm_deadline(struct redis *r)
{
	struct list *node = list_first(&r->calls);

	if (r->is_subscriber)
		timer_set(r->timer, r->deadline_ms);
	else if (node == NULL)
		timer_cancel(r->timer);
	else
		timer_set(r->timer,
		    list_entry(node, struct call, node)->deadline_ms -
			clock_mono_ms());
}

static void
on_reply(redisAsyncContext *ac, void *raw, void *priv)
{
	struct redis *r = ac->data;
	const redisReply *reply = raw;
	struct call call;
	struct list *node;
	struct error err = { 0 };

	(void)priv;
	/* NULL: the connection goes down, and on_disconnect fails the rest. */
	if (r == NULL || reply == NULL || r->ac != ac)
		return;
	node = list_pop(&r->calls);
	if (node == NULL)
		return;
	call = *list_entry(node, struct call, node);
	free(list_entry(node, struct call, node));
	arm_deadline(r);
	r->pending--;
	if (call.done == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		error_set(&err, ERR_STORE, "redis: %.*s",
		    SLICE_FMT(slice_mem(reply->str, (size_t)reply->len)));
		call.done(call.ctx, NULL, &err);
	} else {
		call.done(call.ctx, (const struct redis_reply *)raw, NULL);
	}
}

static int
send_args(struct redis *r, const struct slice *argv, size_t argc,
    redisCallbackFn *fn, void *priv)
{
	const char **ptr = xcalloc(argc, sizeof(*ptr));
	size_t *len = xcalloc(argc, sizeof(*len));
	int rc;

	for (size_t i = 0; i < argc; i++) {
		ptr[i] = argv[i].ptr != NULL ? argv[i].ptr : "";
		len[i] = argv[i].len;
	}
	rc = redisAsyncCommandArgv(r->ac, fn, priv, (int)argc, ptr, len);
	free(ptr);
	free(len);
	return rc;
}

void
redis_command(struct redis *r, const struct slice *argv, size_t argc,
    redis_done *done, void *ctx)
{
	struct call *call = xmalloc(sizeof(*call));
	bool was_idle = list_is_empty(&r->calls);

	invariant(argc > 0 && argc < 0x7fffffff && !r->is_subscriber);
	call->r = r;
	call->done = done;
	call->ctx = ctx;
	call->deadline_ms = clock_mono_ms() + r->deadline_ms;
	r->pending++;
	if (r->state != STATE_UP ||
	    send_args(r, argv, argc, on_reply, NULL) != REDIS_OK) {
		list_append(&r->failing, &call->node);
		schedule_telling(r);
		return;
	}
	list_append(&r->calls, &call->node);
	if (was_idle)
		arm_deadline(r);
}

/* Subscriptions. --------------------------------------------------------- */

static void
on_message(redisAsyncContext *ac, void *raw, void *priv)
{
	struct redis *r = ac->data;
	const redisReply *reply = raw;
	struct slice kind, channel;

	(void)priv;
	if (r == NULL || reply == NULL || r->ac != ac ||
	    reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
		return;
	r->heard_ms = clock_mono_ms();
	kind =
	    slice_mem(reply->element[0]->str, (size_t)reply->element[0]->len);
	channel =
	    slice_mem(reply->element[1]->str, (size_t)reply->element[1]->len);
	if (slice_eq_text(kind, "message")) {
		if (r->ops != NULL && r->ops->message != NULL)
			r->ops->message(r->ctx, channel,
			    slice_mem(reply->element[2]->str,
				(size_t)reply->element[2]->len));
		return;
	}
	if (slice_eq_text(kind, "subscribe") && r->awaited > 0 &&
	    --r->awaited == 0)
		loop_call_schedule(r->loop, &r->up_call, tell_up, r);
}

static int
send_subscribe(struct redis *r, const char *verb, struct slice channel)
{
	const struct slice argv[] = { slice_of(verb), channel };

	return send_args(r, argv, 2, on_message, NULL);
}

struct subscribing {
	struct redis *r;
	int rc;
};

static bool
subscribe_one(void *ctx, struct slice channel, void *value)
{
	struct subscribing *s = ctx;

	(void)value;
	s->rc = send_subscribe(s->r, "SUBSCRIBE", channel);
	s->r->awaited++;
	return s->rc == REDIS_OK;
}

static void
subscribe_all(struct redis *r)
{
	struct subscribing s = { r, REDIS_OK };

	r->heard_ms = r->probed_ms = clock_mono_ms();
	r->awaited = 0;
	hash_each(r->channels, subscribe_one, &s);
	arm_deadline(r);
}

void
redis_subscribe(struct redis *r, struct slice channel)
{
	invariant(r->is_subscriber);
	if (hash_put(r->channels, channel, r) == NULL && r->state == STATE_UP)
		(void)send_subscribe(r, "SUBSCRIBE", channel);
}

void
redis_unsubscribe(struct redis *r, struct slice channel)
{
	invariant(r->is_subscriber);
	if (hash_remove(r->channels, channel) != NULL && r->state == STATE_UP)
		(void)send_subscribe(r, "UNSUBSCRIBE", channel);
}

/* Asks for the private channel again; silence since the last time is death. */
static void
probe(struct redis *r)
{
	struct error err = { 0 };

	if (r->heard_ms < r->probed_ms) {
		error_set(&err, ERR_TIMEOUT,
		    "redis: the subscription is silent for %lld ms",
		    (long long)r->deadline_ms);
		drop(r, &err);
		return;
	}
	r->probed_ms = clock_mono_ms();
	(void)send_subscribe(r, "SUBSCRIBE", SLICE(PROBE));
	arm_deadline(r);
}

/* Connecting. ------------------------------------------------------------- */

static void
on_connect(const redisAsyncContext *ac, int status)
{
	struct redis *r = ac->data;
	struct error err = { 0 };

	if (r == NULL)
		return;
	if (status != REDIS_OK) {
		/* The library frees it after this. */
		set_context_error(&err, ac, "cannot connect");
		forget_context(r);
		lose(r, &err);
		return;
	}
	r->state = STATE_UP;
	r->backoff_ms = BACKOFF_FIRST_MS;
	log_debug(&redis_log, "redis.up");
	if (r->is_subscriber) {
		subscribe_all(r);
		return;
	}
	timer_cancel(r->timer);
	arm_deadline(r);
	loop_call_schedule(r->loop, &r->up_call, tell_up, r);
}

static void
attach(struct redis *r, redisAsyncContext *ac)
{
	r->ac = ac;
	r->wants_read = r->wants_write = false;
	ac->data = r;
	ac->ev.data = ac;
	ac->ev.addRead = add_read;
	ac->ev.delRead = del_read;
	ac->ev.addWrite = add_write;
	ac->ev.delWrite = del_write;
	ac->ev.cleanup = cleanup;
	r->watch = watch_new(r->loop, ac->c.fd, on_ready, r);
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	/* Last: it asks for the first write event. */
	redisAsyncSetConnectCallback(ac, on_connect);
	timer_set(r->timer, r->deadline_ms);
}

static void
start_connect(struct redis *r)
{
	redisAsyncContext *ac;
	struct error err = { 0 };

	r->state = STATE_CONNECTING;
	if (r->bad_url.kind != ERR_NONE) {
		lose(r, &r->bad_url);
		return;
	}
	ac = r->path != NULL ? redisAsyncConnectUnix(r->path)
			     : redisAsyncConnect(r->host, r->port);
	if (ac == NULL) {
		error_set(&err, ERR_STORE, "redis: no memory");
		lose(r, &err);
		return;
	}
	if (ac->err != 0) {
		/* Refused at once: this one is ours to free. */
		set_context_error(&err, ac, "cannot connect");
		ac->data = NULL;
		redisAsyncFree(ac);
		lose(r, &err);
		return;
	}
	attach(r, ac);
}

static void
on_timer(void *ctx)
{
	struct redis *r = ctx;
	struct list *node = list_first(&r->calls);
	struct error err = { 0 };

	switch (r->state) {
	case STATE_WAITING:
		/* First everybody hears of the loss. */
		if (list_is_empty(&r->failing) && !r->must_tell_lost)
			start_connect(r);
		else
			timer_set(r->timer, 1);
		return;
	case STATE_CONNECTING:
		error_set(&err, ERR_TIMEOUT, "redis: cannot connect in %lld ms",
		    (long long)r->deadline_ms);
		drop(r, &err);
		return;
	case STATE_UP:
		if (r->is_subscriber) {
			probe(r);
			return;
		}
		if (node == NULL ||
		    list_entry(node, struct call, node)->deadline_ms >
			clock_mono_ms()) {
			arm_deadline(r);
			return;
		}
		error_set(&err, ERR_TIMEOUT, "redis: no answer within %lld ms",
		    (long long)r->deadline_ms);
		drop(r, &err);
		return;
	case STATE_CLOSED:
		return;
	}
}

/* "unix:/path", or an address and a port. */
static void
read_url(struct redis *r, const char *url)
{
	struct net_addr addr;
	struct slice text = slice_of(url);
	char host[NET_ADDR_TEXT];

	if (slice_starts(text, SLICE("unix:/"))) {
		r->path = slice_dup(slice_from(text, 5));
		return;
	}
	if (net_addr_parse_listen(text, &addr, &r->bad_url) != 0) {
		error_add(&r->bad_url, "redis: '%s'", url);
		r->bad_url.kind = ERR_CONFIG;
		return;
	}
	net_addr_format(&addr, host);
	r->host = xstrdup(host);
	r->port = net_addr_port(&addr);
}

static struct redis *
make(struct loop *l, const char *url, int64_t deadline_ms,
    const struct redis_ops *ops, void *ctx, bool is_subscriber)
{
	struct redis *r = xmalloc(sizeof(*r));

	r->loop = l;
	r->deadline_ms =
	    deadline_ms > 0 ? deadline_ms : clock_patience_ms(DEADLINE_MS);
	r->ops = ops;
	r->ctx = ctx;
	r->is_subscriber = is_subscriber;
	r->backoff_ms = BACKOFF_FIRST_MS;
	error_set(&r->last, ERR_NET, "redis: not connected yet");
	list_init(&r->calls);
	list_init(&r->failing);
	r->timer = timer_new(l, on_timer, r);
	if (is_subscriber) {
		r->channels = hash_new();
		hash_put(r->channels, SLICE(PROBE), r);
	}
	read_url(r, url);
	start_connect(r);
	return r;
}

struct redis *
redis_new(struct loop *l, const char *url, int64_t deadline_ms,
    const struct redis_ops *ops, void *ctx)
{
	return make(l, url, deadline_ms, ops, ctx, false);
}

struct redis *
redis_new_subscriber(struct loop *l, const char *url, int64_t deadline_ms,
    const struct redis_ops *ops, void *ctx)
{
	return make(l, url, deadline_ms, ops, ctx, true);
}

static void
destroy(void *ctx)
{
	struct redis *r = ctx;

	hash_free(&r->channels);
	free(r->path);
	free(r->host);
	free(r);
}

static void
free_calls(struct list *calls)
{
	struct list *node;

	while ((node = list_pop(calls)) != NULL)
		free(list_entry(node, struct call, node));
}

void
redis_free(struct redis **rp)
{
	struct redis *r = *rp;
	redisAsyncContext *ac;

	if (r == NULL)
		return;
	*rp = NULL;
	ac = r->ac;
	r->ac = NULL;
	r->state = STATE_CLOSED;
	watch_free(&r->watch);
	timer_free(&r->timer);
	loop_call_cancel(&r->fail_call);
	loop_call_cancel(&r->up_call);
	free_calls(&r->calls);
	free_calls(&r->failing);
	if (ac != NULL) {
		ac->data = NULL;
		redisAsyncFree(ac);
	}
	loop_defer(r->loop, destroy, r);
}

bool
redis_is_up(const struct redis *r)
{
	return r->state == STATE_UP;
}

const struct error *
redis_failure(const struct redis *r)
{
	return r->state == STATE_WAITING ? &r->last : NULL;
}

size_t
redis_pending(const struct redis *r)
{
	return r->pending;
}

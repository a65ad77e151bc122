/*
 * A connection is driven by three raw events (readable, writable, deadline)
 * and three deferred calls: flush (end of the turn in which something was
 * queued), resume (octets wait inside TLS) and notify (an end, of the input or
 * of all, that could not be told on the spot). Every path into the owner is the
 * last act of its function. Output lies in an evbuffer, which does writev and
 * references; input see conn_input.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/conn_priv.h"

#define FLUSH_EARLY_BYTES ((size_t)256 * 1024)
#define LINGER_MAX_BYTES ((size_t)1024 * 1024)
/* The timer is coarse: this much early still counts. */
#define DEADLINE_SLACK_MS 8

/* Plain sockets. */

int
conn_sys_error(struct error *why, const char *what)
{
	error_sys(why, "%s", what);
	why->kind = ERR_NET;
	return -1;
}

static bool
would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static ssize_t
plain_read(struct conn *c, void *buf, size_t len, struct error *why)
{
	ssize_t n = read(c->fd, buf, len);

	if (n > 0)
		return n;
	if (n < 0 && would_block())
		return 0;
	if (n < 0)
		return conn_sys_error(why, "reading");
	error_set(why, ERR_NONE, "closed by the far end");
	return -1;
}

static ssize_t
plain_write(struct conn *c, struct error *why)
{
	int n = evbuffer_write(c->out, c->fd);

	if (n >= 0)
		return n;
	return would_block() ? 0 : conn_sys_error(why, "writing");
}

static void
plain_end(struct conn *c)
{
	shutdown(c->fd, SHUT_WR);
}

const struct conn_io conn_io_plain = { plain_read, plain_write, plain_end,
	false };

/* Events. */

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
conn_update_events(struct conn *c)
{
	bool want_read = false, want_write = false;

	switch (c->state) {
	case CONN_CONNECTING:
		want_write = true;
		break;
	case CONN_OPEN:
		want_read = conn_has_room(c) || c->write_wants_read;
		want_write = c->write_blocked || c->read_wants_write;
		break;
	case CONN_CLEARING:
		want_write = c->write_blocked;
		break;
	case CONN_HANDSHAKE:
		want_read = !c->read_wants_write;
		want_write = c->read_wants_write;
		break;
	case CONN_LINGERING:
		want_read = !c->read_ended;
		want_write = c->write_blocked;
		break;
	case CONN_ENDED:
		break;
	}
	turn(&c->readable, &c->reads, want_read);
	turn(&c->writable, &c->writes, want_write);
}

static void
disarm(struct conn *c)
{
	turn(&c->readable, &c->reads, false);
	turn(&c->writable, &c->writes, false);
	event_del(&c->deadline);
	c->armed_ms = -1;
	loop_call_cancel(&c->flush);
	loop_call_cancel(&c->resume);
	loop_call_cancel(&c->notify);
}

/* The end. */

static void
bury(void *ctx)
{
	struct conn *c = ctx;

	free(c->in.ptr); /* kept so long: the owner may stand in a line of it */
	c->magic = 0;
	free(c);
}

static void
destroy(struct conn *c)
{
	c->state = CONN_ENDED;
	disarm(c);
	loop_call_cancel(&c->at_free);
	conn_tls_fini(c);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	evbuffer_free(c->out);
	c->out = NULL;
	c->bury.is_deferred = true;
	loop_call_schedule(c->loop, &c->bury, bury, c);
}

static void
tell_closed(void *ctx)
{
	struct conn *c = ctx;

	OBJ_CHECK(c, CONN_MAGIC);
	c->ops->closed(c->ctx, &c->why);
}

void
conn_finish_later(struct conn *c, const struct error *why)
{
	c->why = *why;
	c->state = CONN_ENDED;
	disarm(c);
	loop_call_schedule(c->loop, &c->notify, tell_closed, c);
}

void
conn_finish(struct conn *c, const struct error *why)
{
	if (c->state == CONN_LINGERING) {
		destroy(c);
		return;
	}
	c->why = *why;
	c->state = CONN_ENDED;
	disarm(c);
	tell_closed(c);
}

/* Nobody reads any more: an endless talker is cut off. */
static void
discard_some(struct conn *c)
{
	size_t len;
	void *scratch = loop_scratch(c->loop, &len);
	ssize_t n = read(c->fd, scratch, len);

	if (n > 0)
		c->discarded += (size_t)n;
	if (n == 0 && !c->end_sent) {
		/* It may still read what is on its way. */
		c->read_ended = true;
		conn_update_events(c);
	} else if (n == 0 || (n < 0 && !would_block()) ||
	    c->discarded > LINGER_MAX_BYTES) {
		destroy(c);
	}
}

/* Writing. */

/* 0, or -1 with why. */
static int
write_out(struct conn *c, struct error *why)
{
	c->write_blocked = false;
	c->write_wants_read = false;
	while (evbuffer_get_length(c->out) > 0) {
		ssize_t n = c->io->write(c, why);

		if (n < 0)
			return -1;
		if (n == 0) {
			c->write_blocked = !c->write_wants_read;
			break;
		}
	}
	return 0;
}

/*
 * The far end has closed or reset. What it said before (a 421, a refusal of
 * the whole transaction) may still be unread and is worth more than the error.
 */
static void
write_failed(struct conn *c, const struct error *why)
{
	struct error ignored = { 0 };
	bool ended;

	if (c->state != CONN_OPEN || conn_take_in(c, &ended, &ignored) == 0) {
		conn_finish(c, why);
		return;
	}
	conn_finish_later(c, why);
	c->ops->readable(c->ctx);
}

static void
after_flush(struct conn *c)
{
	size_t left = evbuffer_get_length(c->out);
	bool tell = (c->was_high && left < CONN_LOW_WATER) ||
	    (c->tell_written && left == 0);

	if (c->state == CONN_CLEARING && left == 0) {
		c->state = CONN_HANDSHAKE;
		conn_tls_step(c);
		return;
	}
	if (c->state == CONN_LINGERING && left == 0 && !c->end_sent) {
		c->end_sent = true;
		c->io->end(c);
		if (c->read_ended) {
			destroy(c);
			return;
		}
	}
	conn_update_events(c);
	if (!tell)
		return;
	c->was_high = false;
	c->tell_written = false;
	if (c->state == CONN_OPEN && c->ops->drained != NULL)
		c->ops->drained(c->ctx);
}

static void
on_flush(void *ctx)
{
	struct conn *c = ctx;
	struct error why = { 0 };

	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_CONNECTING || c->state == CONN_ENDED ||
	    c->state == CONN_HANDSHAKE)
		return;
	if (write_out(c, &why) < 0)
		write_failed(c, &why);
	else
		after_flush(c);
}

static void
schedule_flush(struct conn *c)
{
	if (c->state != CONN_CONNECTING && !c->write_blocked)
		loop_call_schedule(c->loop, &c->flush, on_flush, c);
}

/* Whether what is written now has anywhere to go. */
static bool
takes_output(const struct conn *c)
{
	return c->state == CONN_CONNECTING || c->state == CONN_OPEN;
}

/* What every way of queueing ends with. */
static void
queued(struct conn *c)
{
	struct error ignored = { 0 };
	size_t len = evbuffer_get_length(c->out);

	if (len >= CONN_LOW_WATER)
		c->was_high = true;
	/* A failure shows again in the flush, which may tell of it. */
	if (len >= FLUSH_EARLY_BYTES && c->state == CONN_OPEN &&
	    !c->write_blocked)
		(void)write_out(c, &ignored);
	if (c->write_blocked)
		conn_update_events(c);
	else
		schedule_flush(c);
}

void
conn_write(struct conn *c, struct slice data)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (!takes_output(c) || data.len == 0)
		return;
	invariant(evbuffer_add(c->out, data.ptr, data.len) == 0);
	queued(c);
}

struct ref {
	void (*free_fn)(void *ctx);
	void *free_ctx;
};

static void
release(const void *data, size_t len, void *ctx)
{
	struct ref ref = *(struct ref *)ctx;

	(void)data;
	(void)len;
	free(ctx);
	ref.free_fn(ref.free_ctx);
}

void
conn_write_ref(struct conn *c, struct slice data, void (*free_fn)(void *ctx),
    void *free_ctx)
{
	struct ref *ref;

	OBJ_CHECK(c, CONN_MAGIC);
	if (!takes_output(c) || data.len == 0) {
		free_fn(free_ctx);
		return;
	}
	ref = xmalloc(sizeof(*ref));
	ref->free_fn = free_fn;
	ref->free_ctx = free_ctx;
	invariant(evbuffer_add_reference(c->out, data.ptr, data.len, release,
		      ref) == 0);
	queued(c);
}

/* Readiness. */

static void
on_connected(struct conn *c)
{
	struct error why = { 0 };
	int code = 0;
	socklen_t len = sizeof(code);
	char text[NET_ADDR_TEXT];

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		code = errno;
	if (code != 0) {
		net_addr_format_port(&c->peer, text);
		errno = code;
		error_sys(&why, "connecting to %s", text);
		why.kind = code == ETIMEDOUT ? ERR_TIMEOUT : ERR_NET;
		conn_finish(c, &why);
		return;
	}
	c->state = CONN_OPEN;
	conn_update_events(c);
	if (evbuffer_get_length(c->out) > 0)
		schedule_flush(c);
	c->ops->ready(c->ctx);
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct conn *c = ctx;

	(void)fd;
	(void)what;
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->write_wants_read) {
		c->write_wants_read = false;
		schedule_flush(c);
		conn_update_events(c);
	}
	if (c->state == CONN_HANDSHAKE)
		conn_tls_step(c);
	else if (c->state == CONN_LINGERING)
		discard_some(c);
	else if (c->state == CONN_OPEN && conn_has_room(c))
		conn_read_some(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct conn *c = ctx;

	(void)fd;
	(void)what;
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_CONNECTING) {
		on_connected(c);
		return;
	}
	if (c->state == CONN_HANDSHAKE) {
		conn_tls_step(c);
		return;
	}
	if (c->read_wants_write) {
		c->read_wants_write = false;
		loop_call_schedule(c->loop, &c->resume, conn_resume, c);
	}
	loop_call_cancel(&c->flush);
	on_flush(c);
}

static void
arm(struct conn *c, int64_t after_ms)
{
	int64_t ms = MAX(after_ms, 0);
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	c->armed_ms = loop_mono_ms(c->loop) + ms;
	event_add(&c->deadline, &tv);
}

static void
on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct conn *c = ctx;
	struct error why = { 0 };
	int64_t left;

	(void)fd;
	(void)what;
	OBJ_CHECK(c, CONN_MAGIC);
	c->armed_ms = -1;
	if (c->deadline_ms < 0)
		return;
	left = c->deadline_ms - loop_mono_ms(c->loop);
	if (left > DEADLINE_SLACK_MS) {
		arm(c, left);
		return;
	}
	error_set(&why, ERR_TIMEOUT, "timed out: %s", c->label);
	conn_finish(c, &why);
}

/*
 * Deadlines mostly move ahead, once per command: then only the number is
 * changed, and the timer, when it fires, is set for the rest.
 */
void
conn_set_deadline(struct conn *c, int64_t after_ms, const char *label)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_ENDED)
		return;
	c->label = label;
	if (after_ms < 0) {
		c->deadline_ms = -1;
		return;
	}
	c->deadline_ms = loop_mono_ms(c->loop) + after_ms;
	if (c->armed_ms < 0 || c->deadline_ms < c->armed_ms)
		arm(c, after_ms);
}

/* Making one. */

static void
at_loop_free(void *ctx)
{
	destroy(ctx);
}

struct conn *
conn_create(struct loop *l, int fd, const struct conn_ops *ops, void *ctx)
{
	struct conn *c = xmalloc(sizeof(*c));
	struct event_base *base = loop_base(l);

	c->magic = CONN_MAGIC;
	c->loop = l;
	c->ops = ops;
	c->ctx = ctx;
	c->io = &conn_io_plain;
	c->fd = fd;
	c->in_max = CONN_INPUT_MAX;
	c->deadline_ms = c->armed_ms = -1;
	c->label = "";
	c->out = evbuffer_new();
	invariant(c->out != NULL);
	event_assign(&c->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
	    c);
	event_assign(&c->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
	    c);
	event_assign(&c->deadline, base, -1, 0, on_deadline, c);
	return c;
}

void
conn_set_owner(struct conn *c, const struct conn_ops *ops, void *ctx)
{
	OBJ_CHECK(c, CONN_MAGIC);
	c->ops = ops;
	c->ctx = ctx;
}

void
conn_close(struct conn **cp)
{
	struct conn *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	OBJ_CHECK(c, CONN_MAGIC);
	destroy(c);
}

void
conn_close_flushed(struct conn **cp, int64_t timeout_ms)
{
	struct conn *c = *cp;

	if (c == NULL || c->state != CONN_OPEN) {
		conn_close(cp);
		return;
	}
	*cp = NULL;
	OBJ_CHECK(c, CONN_MAGIC);
	loop_call_cancel(&c->resume);
	loop_call_cancel(&c->notify);
	c->state = CONN_LINGERING;
	conn_set_deadline(c, timeout_ms, "closing");
	loop_at_free(c->loop, &c->at_free, at_loop_free, c);
	conn_update_events(c);
	schedule_flush(c);
}

void
conn_start_tls(struct conn *c, struct ssl_ctx_st *ctx, bool is_server,
    const char *host, int64_t timeout_ms)
{
	struct error why = { 0 };

	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state != CONN_OPEN)
		return;
	if (c->in.len > 0 || c->ssl != NULL) {
		error_set(&why, ERR_TLS, "octets before the TLS handshake");
		conn_finish_later(c, &why);
		return;
	}
	if (conn_tls_init(c, ctx, is_server, host, &why) < 0) {
		conn_finish_later(c, &why);
		return;
	}
	c->state = CONN_CLEARING;
	conn_set_deadline(c, timeout_ms, "TLS handshake");
	conn_update_events(c);
	schedule_flush(c);
}

void
conn_tls_is_up(struct conn *c)
{
	c->state = CONN_OPEN;
	c->io = &conn_io_tls;
	c->has_inside = true; /* data may have come with the last flight */
	c->read_wants_write = false;
	conn_resume_reading(c);
	if (evbuffer_get_length(c->out) > 0)
		schedule_flush(c);
	c->ops->ready(c->ctx);
}

/* Looking at it. */

size_t
conn_pending(const struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	return evbuffer_get_length(c->out);
}

void
conn_tell_written(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	c->tell_written = true;
}

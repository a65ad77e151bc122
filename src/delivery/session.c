/*
 * One connection of a destination: smtp/client over net/conn.
 *
 *   CONNECTING --ready--> TALKING --client ready--> usable (ready = true)
 *       |                    |                          |
 *       +--- next address <--+--------------------------+--> over
 *
 * Until it has been of use (a mail got an answer) a failure means the next
 * address, and when the addresses are used up, over. A TLS handshake that
 * breaks or stalls is tried once more in clear text at the same address
 * (opportunistic TLS, design section 6). Mails are bound to a session only when
 * their MAIL FROM goes out.
 */
#include "delivery/session_priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"

#define CONNECT_MS 30000
#define TLS_MS 30000
#define TLS_AGAIN_MS (60 * 60 * 1000)
/* After this no further address is tried. */
#define OPENING_MS (3 * 60 * 1000)
/* An unused connection that lived so long was closed for being idle. */
#define IDLE_LEAST_MS 5000
#define BODY_CHUNK ((size_t)64 * 1024)
#define SAID_MAX SMTP_TRANSCRIPT_LEAST

static void session_connect(struct session *s);
static void end_idle(struct session *s);

struct list *
session_node(struct session *s)
{
	return &s->node;
}

struct session *
session_of(struct list *node)
{
	struct session *s = list_entry(node, struct session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	return s;
}

struct session *
session_of_idle(struct list *idle_node)
{
	struct session *s = list_entry(idle_node, struct session, idle_node);

	OBJ_CHECK(s, SESSION_MAGIC);
	return s;
}

/* -- the end ------------------------------------------------------------------
 */

static void
free_later(void *ctx)
{
	struct session *s = ctx;

	s->magic = 0;
	free(s);
}

/* Disarms everything; freed after this turn. */
static void
session_dispose(struct session *s)
{
	s->over = true;
	end_idle(s);
	list_remove(&s->node);
	timer_free(&s->idle);
	timer_free(&s->later);
	timer_free(&s->dot_limit);
	conn_close(&s->conn);
	smtp_client_free(&s->client);
	smtp_transcript_fini(&s->said);
	route_unref(s->route);
	loop_defer(s->mta->opt.loop, free_later, s);
}

static void
session_over(struct session *s, const struct smtp_outcome *why, bool failed)
{
	struct dest *d = s->dest;
	char host[sizeof(s->host)];
	struct strbuf said = STRBUF_INIT;
	struct session_end end = {
		.was_ready = s->ready,
		.was_quitting = s->quitting,
		.failed = failed,
		.why = why,
		.host = host,
	};

	memcpy(host, s->host, sizeof(host));
	if (failed)
		session_said(s, NULL, &said);
	end.transcript = strbuf_slice(&said);
	session_dispose(s);
	dest_session_over(d, &end);
	strbuf_fini(&said);
}

/* It did what it is for, or was left alone until the host had enough of it. */
static bool
ended_well(const struct session *s)
{
	return s->quitting || s->of_use ||
	    (s->ready && s->mail_count == 0 &&
		loop_mono_ms(s->mta->opt.loop) - s->ready_mono_ms >
		    IDLE_LEAST_MS);
}

static bool
may_try_next(const struct session *s)
{
	return s->order_at < s->order_count && !s->mta->draining &&
	    !s->dest->is_retired &&
	    loop_mono_ms(s->mta->opt.loop) - s->began_mono_ms < OPENING_MS;
}

static void
forget_host(struct session *s)
{
	conn_close(&s->conn);
	smtp_client_free(&s->client);
	end_idle(s);
	timer_cancel(s->dot_limit);
	s->mail_count = 0;
	if (s->ready)
		dest_session_unready(s->dest);
	s->ready = false;
}

static void
session_failed(struct session *s, const struct smtp_outcome *why)
{
	struct smtp_outcome copy = *why;
	bool tls_broke =
	    why->stage == SMTP_STAGE_TLS || why->stage == SMTP_STAGE_STARTTLS;

	if (why->source == SMTP_LOCAL)
		session_note(s, why->error.text);

	if (ended_well(s)) {
		session_over(s, &copy, false);
		return;
	}
	log_debug(&s->mta->log, "session.failed", log_text("host", s->host),
	    log_text("stage", smtp_stage_name(copy.stage)),
	    log_text("error",
		copy.source == SMTP_REMOTE ? copy.reply.text
					   : copy.error.text));
	forget_host(s);
	if (tls_broke && !s->clear_text) {
		struct dest *d = s->dest;

		d->clear_text_only = true;
		d->tls_again_mono_ms =
		    loop_mono_ms(s->mta->opt.loop) + TLS_AGAIN_MS;
		session_connect(s);
		return;
	}
	s->order_at++;
	if (may_try_next(s))
		session_connect(s);
	else
		session_over(s, &copy, true);
}

/* -- sending ------------------------------------------------------------------
 */

static void
after_dot(void *ctx)
{
	(void)ctx;
	crash_point("dot-before-reply");
}

/*
 * The final dot is noted before the connection gets it. It is held back while
 * anything waits there, so that it is written in the turn in which it is noted:
 * what a slow host has not been given was not sent.
 */
static bool
dot_is_held(struct session *s)
{
	const struct job *head = session_head(s);

	return head != NULL && head->dot == DOT_OUT &&
	    conn_pending(s->conn) > 0;
}

static void
give_output(struct session *s)
{
	struct strbuf *out = smtp_client_output(s->client);
	struct job *head = session_head(s);
	bool has_dot = head != NULL && head->dot == DOT_OUT;

	if (has_dot) {
		slot_sent(s->mta->slot, head->entry, slice_of(s->host),
		    slice_of(s->tls));
		head->dot = DOT_GIVEN;
		/* All of it is in out; should it not leave, it is built anew.
		 */
		strbuf_fini(&head->message);
	}
	if (out->len > 0)
		session_moved(s);
	conn_write(s->conn, strbuf_slice(out));
	strbuf_reset(out);
	/* The connection writes at the end of the turn, before this. */
	if (has_dot && CRASH_POINTS)
		loop_defer(s->mta->opt.loop, after_dot, NULL);
}

static void
session_flush(struct session *s)
{
	if (s->over || s->client == NULL || s->conn == NULL ||
	    session_end_if_late(s))
		return;
	do {
		if (dot_is_held(s)) {
			conn_tell_written(s->conn);
			return;
		}
		give_output(s);
	} while (
	    conn_pending(s->conn) < BODY_CHUNK && smtp_client_more(s->client));
}

/* Behind the dot of another, where what rides waits for its reply, too. */
static bool
may_ride(const struct session *s)
{
	return dest_may_ride(s->dest) &&
	    loop_mono_ms(s->mta->opt.loop) - s->dot_mono_ms <= DEST_RIDE_MS;
}

static bool
may_send(struct session *s)
{
	return !s->over && !s->quitting && s->ready &&
	    smtp_client_can_send(s->client) && owner_is_alive(s->mta) &&
	    (list_is_empty(&s->mails) || may_ride(s));
}

static void
begin_idle(struct session *s)
{
	if (timer_is_set(s->idle))
		return;
	if (!scopes_idle(s->dest, &s->idle_node)) {
		session_quit(s);
		return;
	}
	s->dest->idle_count++;
	timer_set(s->idle, s->mta->opt.idle_ms);
}

static void
end_idle(struct session *s)
{
	if (!timer_is_set(s->idle))
		return;
	timer_cancel(s->idle);
	list_remove(&s->idle_node);
	s->dest->idle_count--;
}

static void
session_pull(struct session *s)
{
	while (may_send(s)) {
		struct job *j;

		if (s->route->limits.connection_mails > 0 &&
		    s->mail_count >= s->route->limits.connection_mails) {
			session_quit(s);
			return;
		}
		j = dest_take(s->dest);
		if (j == NULL)
			break;
		end_idle(s);
		session_mail_start(s, j);
	}
	if (!s->over && list_is_empty(&s->mails) && s->ready && !s->quitting)
		begin_idle(s);
}

void
session_kick(struct session *s)
{
	if (s->over || !s->ready || s->in_client)
		return;
	session_pull(s);
	session_flush(s);
}

void
session_quit(struct session *s)
{
	if (s->over || s->quitting)
		return;
	s->quitting = true;
	end_idle(s);
	dest_session_quits(s->dest, s->ready);
	if (s->client == NULL) {
		struct smtp_outcome why = { .source = SMTP_LOCAL,
			.stage = SMTP_STAGE_CONNECT };

		error_set(&why.error, ERR_UNAVAIL, "shutting down");
		session_over(s, &why, false);
		return;
	}
	smtp_client_quit(s->client);
	session_flush(s);
}

void
session_abort(struct session *s)
{
	list_each_safe (node, &s->mails)
		job_free(list_entry(node, struct job, node));
	session_dispose(s);
	dest_session_gone(s->dest);
}

static void
on_idle(void *ctx)
{
	struct session *s = ctx;

	list_remove(&s->idle_node);
	s->dest->idle_count--;
	session_quit(s);
}

/* -- smtp/client speaks
 * --------------------------------------------------------- */

static void
on_need_tls(void *ctx)
{
	struct session *s = ctx;

	s->tls_wanted = true; /* once the input is consumed */
}

static void
on_client_ready(void *ctx)
{
	struct session *s = ctx;

	if (!s->ready) {
		s->ready = true;
		s->ready_mono_ms = loop_mono_ms(s->mta->opt.loop);
		session_said_ready(s);
		dest_session_ready(s->dest);
	}
	session_pull(s);
}

static void
on_mail_done(void *ctx, void *mail, const struct smtp_outcome *outcome)
{
	struct job *j = mail;

	OBJ_CHECK(j, JOB_MAGIC);
	session_mail_done(ctx, j, outcome);
}

static void
on_client_closed(void *ctx, const struct smtp_outcome *why)
{
	session_failed(ctx, why);
}

static void
on_client_deadline(void *ctx, unsigned int seconds, const char *label)
{
	struct session *s = ctx;

	conn_set_deadline(s->conn, (int64_t)seconds * 1000, label);
	session_awaits(s, label, (int64_t)seconds * 1000);
}

static void
on_before_dot(void *ctx, void *mail)
{
	struct session *s = ctx;
	struct job *j = mail;

	j->dot = DOT_OUT;
	s->dot_mono_ms = loop_mono_ms(s->mta->opt.loop);
}

static const struct smtp_client_ops client_ops = {
	.need_tls = on_need_tls,
	.ready = on_client_ready,
	.mail_done = on_mail_done,
	.closed = on_client_closed,
	.deadline = on_client_deadline,
	.before_dot = on_before_dot,
};

/* -- net/conn speaks
 * -------------------------------------------------------------- */

static void
on_conn_ready(void *ctx)
{
	struct session *s = ctx;
	struct smtp_client_options opt = { 0 };

	OBJ_CHECK(s, SESSION_MAGIC);
	if (s->client != NULL) { /* TLS is up */
		conn_tls_describe(s->conn, s->tls, sizeof(s->tls));
		session_note(s, s->tls);
		s->in_client = true;
		smtp_client_tls_done(s->client);
		s->in_client = false;
		session_flush(s);
		return;
	}
	opt.helo_name = s->dest->source.helo;
	opt.tls = s->clear_text ? SMTP_TLS_NEVER : SMTP_TLS_MAY;
	opt.body_chunk = BODY_CHUNK;
	opt.transcript = session_on_line;
	opt.log = &s->mta->log;
	s->client = smtp_client_new(&opt, &client_ops, s);
}

static void
on_conn_readable(void *ctx)
{
	struct session *s = ctx;
	struct slice in;
	size_t used;

	OBJ_CHECK(s, SESSION_MAGIC);
	if (s->client == NULL)
		return; /* cannot be: the client is made when it connects */
	in = conn_peek(s->conn);
	s->in_client = true;
	used = smtp_client_input_unsent(s->client, in, conn_pending(s->conn));
	s->in_client = false;
	if (s->over || s->conn == NULL || s->client == NULL)
		return;
	conn_consume(s->conn, used);
	session_flush(s);
	if (s->over || !s->tls_wanted)
		return;
	s->tls_wanted = false;
	session_awaits(s, "TLS handshake", TLS_MS);
	conn_start_tls(s->conn, s->mta->tls, false,
	    s->route->host[s->order[s->order_at].host].name.ptr, TLS_MS);
}

static void
on_conn_drained(void *ctx)
{
	session_flush(ctx);
}

static void
session_lost(struct session *s, const struct error *why)
{
	struct smtp_outcome outcome = { .source = SMTP_LOCAL,
		.stage = SMTP_STAGE_CONNECT,
		.error = *why };

	if (s->client == NULL) {
		session_failed(s, &outcome);
		return;
	}
	/* The last words (a 421 before the close) are still there. */
	s->in_client = true;
	(void)smtp_client_input_unsent(s->client, conn_peek(s->conn),
	    conn_pending(s->conn));
	s->in_client = false;
	if (!s->over && s->client != NULL)
		smtp_client_lost_unsent(s->client, why, conn_pending(s->conn));
}

static void
on_conn_closed(void *ctx, const struct error *why)
{
	struct session *s = ctx;
	struct error err = *why;

	OBJ_CHECK(s, SESSION_MAGIC);
	if (err.kind == ERR_NONE)
		error_set(&err, ERR_NET, "the host closed the connection");
	session_lost(s, &err);
}

void
session_end_stuck(struct session *s, const struct error *why)
{
	struct smtp_outcome outcome = { .source = SMTP_LOCAL,
		.stage = SMTP_STAGE_CONNECT,
		.error = *why };
	int64_t since = s->moved_mono_ms;

	session_lost(s, why);
	if (s->over || s->moved_mono_ms != since)
		return;
	/* The client does not know of it. What it sent of these mails is as
	 * unknown as after a crash: their claims stay, to be found. */
	list_each_safe (node, &s->mails)
		job_free(list_entry(node, struct job, node));
	session_over(s, &outcome, true);
}

static const struct conn_ops conn_ops = {
	.ready = on_conn_ready,
	.readable = on_conn_readable,
	.drained = on_conn_drained,
	.closed = on_conn_closed,
};

/* -- the start
 * ---------------------------------------------------------------------- */

static void
session_connect(struct session *s)
{
	struct mta *m = s->mta;
	const struct route_host *host =
	    &s->route->host[s->order[s->order_at].host];
	struct net_addr to = host->addr[s->order[s->order_at].addr];
	const struct net_addr *from = &s->dest->source.addr;
	char ip[NET_ADDR_TEXT];
	int64_t wait_ms = scopes_connect_ms(s->dest);

	if (wait_ms > 0) {
		timer_set(s->later, wait_ms);
		return;
	}
	s->clear_text = s->dest->clear_text_only || m->tls == NULL;
	s->tls_wanted = false;
	net_addr_format_port(&to, ip);
	snprintf(s->host, sizeof(s->host), "%.*s[%s]", SLICE_FMT(host->name),
	    ip);
	s->tls[0] = '\0';
	session_said_begin(s);
	session_awaits(s, "connect", CONNECT_MS);
	/* The simulator is on this machine; a public source cannot reach it. */
	s->conn =
	    conn_connect(m->opt.loop, &to, s->route->is_simulator ? NULL : from,
		s->route->is_simulator ? &m->open_guard : &m->opt.guard,
		CONNECT_MS, &conn_ops, s);
}

static void
on_later(void *ctx)
{
	session_connect(ctx);
}

static void
no_address(void *ctx)
{
	struct session *s = ctx;
	struct smtp_outcome why = { .source = SMTP_LOCAL,
		.stage = SMTP_STAGE_CONNECT };
	char ip[NET_ADDR_TEXT];

	if (s->over)
		return;
	net_addr_format(&s->dest->source.addr, ip);
	error_set(&why.error, ERR_NET,
	    "no mail host has an address of the family of source %s", ip);
	session_over(s, &why, true);
}

struct session *
session_new(struct dest *d)
{
	struct session *s = xmalloc(sizeof(*s));
	struct mta *m = d->mta;

	s->magic = SESSION_MAGIC;
	s->dest = d;
	s->mta = m;
	s->number = ++m->session_number;
	s->began_mono_ms = loop_mono_ms(m->opt.loop);
	s->route = route_ref(d->route);
	smtp_transcript_init(&s->said, SAID_MAX);
	list_init(&s->node);
	list_init(&s->mails);
	s->idle = timer_new(m->opt.loop, on_idle, s);
	s->later = timer_new(m->opt.loop, on_later, s);
	list_init(&s->idle_node);
	s->dot_limit = timer_new(m->opt.loop, session_on_limit, s);
	session_awaits(s, "connect", CONNECT_MS);
	session_order(s);
	if (s->order_count == 0)
		loop_defer(m->opt.loop, no_address, s);
	else
		session_connect(s);
	return s;
}

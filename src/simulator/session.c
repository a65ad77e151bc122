/*
 * One connection of the simulator. Recipients are judged by their names; what
 * the final reply is follows from the harshest of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "simulator/simulator_priv.h"
#include "smtp/server.h"

#define SESSION_MAGIC 0x53494d53u
#define OUTPUT_MAX ((size_t)64 * 1024)
#define RCPT_MAX 100
#define IDLE_MS (5 * 60 * 1000)
#define FLUSH_MS 5000

struct rcpt {
	struct rcpt *next;
	struct slice address;
	struct script script;
};

struct simulator_session {
	unsigned int magic;
	struct list node;
	struct simulator *sim;
	struct conn *conn;
	struct smtp_server *server;
	struct loop_call ending;
	struct timer *slow; /* while the slow reply waits */
	bool over, flush, draining;
	bool input_ended; /* the client sends nothing more */
	/* The transaction. */
	struct arena mem;
	struct slice from;
	struct rcpt *rcpts, **tail;
};

static void
write_output(struct simulator_session *s)
{
	struct strbuf *out = smtp_server_output(s->server);

	if (out->len > 0 && s->conn != NULL)
		conn_write(s->conn, strbuf_slice(out));
	strbuf_reset(out);
}

static void
take_apart(struct simulator_session *s)
{
	loop_call_cancel(&s->ending);
	timer_free(&s->slow);
	if (s->flush && s->conn != NULL) {
		write_output(s);
		conn_close_flushed(&s->conn, FLUSH_MS);
	}
	conn_close(&s->conn);
	smtp_server_free(&s->server);
	arena_fini(&s->mem);
	list_remove(&s->node);
	s->sim->session_count--;
	s->magic = 0;
	free(s);
}

static void
end_now(void *ctx)
{
	struct simulator_session *s = ctx;
	struct simulator *sim = s->sim;

	OBJ_CHECK(s, SESSION_MAGIC);
	take_apart(s);
	simulator_check_drained(sim);
}

static void
end_later(struct simulator_session *s, bool flush)
{
	if (!s->over)
		s->flush = flush;
	s->over = true;
	loop_call_schedule(s->sim->opt.loop, &s->ending, end_now, s);
}

static void
pump(struct simulator_session *s)
{
	while (!s->over && conn_pending(s->conn) < OUTPUT_MAX) {
		struct slice in = conn_peek(s->conn);
		size_t used = in.len > 0 ? smtp_server_feed(s->server, in) : 0;

		write_output(s);
		if (used == 0)
			break;
		conn_consume(s->conn, used);
		conn_set_deadline(s->conn, IDLE_MS, "command");
	}
	/* The client has said all it will, and has its answers. */
	if (s->input_ended && (s->slow == NULL || !timer_is_set(s->slow)) &&
	    conn_pending(s->conn) < OUTPUT_MAX)
		end_later(s, true);
}

static struct slice
address_text(struct simulator_session *s, const struct mail_address *a)
{
	if (a->domain.len == 0)
		return arena_slice(&s->mem, a->local);
	return slice_of(arena_fmt(&s->mem, "%.*s@%.*s", SLICE_FMT(a->local),
	    SLICE_FMT(a->domain)));
}

static void
on_mail(void *ctx, const struct mail_address *from, struct smtp_decision *d)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	(void)d;
	s->from = address_text(s, from);
}

static void
say(struct smtp_decision *d, const struct script *script)
{
	d->code = script->code;
	snprintf(d->text, sizeof(d->text), "%s", script->text);
}

static void
on_rcpt(void *ctx, const struct mail_address *to, struct smtp_decision *d)
{
	struct simulator_session *s = ctx;
	struct rcpt *r;

	OBJ_CHECK(s, SESSION_MAGIC);
	r = arena_alloc(&s->mem, sizeof(*r));
	r->address = address_text(s, to);
	script_read(to->local, &r->script);
	if (r->script.act == SCRIPT_REFUSE ||
	    (r->script.act == SCRIPT_DEFER_ONCE &&
		simulator_memory_is_new(s->sim->memory, s->from, r->address))) {
		say(d, &r->script);
		return;
	}
	*s->tail = r;
	s->tail = &r->next;
}

static void
answer(struct simulator_session *s, const struct smtp_decision *d)
{
	smtp_server_answer(s->server, d);
	write_output(s);
	if (!s->over) {
		conn_set_deadline(s->conn, IDLE_MS, "command");
		pump(s);
	}
}

static void
on_slow(void *ctx)
{
	struct simulator_session *s = ctx;
	struct smtp_decision d = { 0 };

	OBJ_CHECK(s, SESSION_MAGIC);
	if (!s->over)
		answer(s, &d);
}

static void
on_message(void *ctx, struct slice message)
{
	struct simulator_session *s = ctx;
	struct simulator *sim = s->sim;
	struct smtp_decision d = { 0 };
	bool slow = false, drop = false;

	OBJ_CHECK(s, SESSION_MAGIC);
	for (struct rcpt *r = s->rcpts; r != NULL; r = r->next) {
		if (r->script.act == SCRIPT_REJECT && d.code == 0)
			say(&d, &r->script);
		slow = slow || r->script.act == SCRIPT_SLOW;
		drop = drop || r->script.act == SCRIPT_DISCONNECT;
	}
	for (struct rcpt *r = s->rcpts; r != NULL; r = r->next) {
		if (sim->capture != NULL)
			simulator_capture_add(sim->capture, s->from, r->address,
			    d.code != 0 ? "rejected" : r->script.outcome,
			    message);
		if (sim->bouncer != NULL && d.code == 0 &&
		    r->script.act == SCRIPT_BOUNCE_LATER)
			simulator_bouncer_add(sim->bouncer, s->from, r->address,
			    message);
	}
	if (drop) {
		end_later(s, false);
	} else if (slow) {
		if (s->slow == NULL)
			s->slow = timer_new(sim->opt.loop, on_slow, s);
		timer_set(s->slow, SCRIPT_SLOW_MS);
	} else {
		smtp_server_answer(s->server, &d);
	}
}

static void
on_reset(void *ctx)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	arena_fini(&s->mem);
	s->from = SLICE("");
	s->rcpts = NULL;
	s->tail = &s->rcpts;
	if (s->draining)
		smtp_server_shutdown(s->server);
}

static void
on_server_closed(void *ctx)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	end_later(s, true);
}

static const struct smtp_server_ops server_ops = { on_mail, on_rcpt, NULL,
	on_message, on_reset, NULL, on_server_closed };

static void
on_readable(void *ctx)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	if (!s->over)
		pump(s);
}

static void
on_ended(void *ctx)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	s->input_ended = true;
	on_readable(s);
}

static void
on_conn_closed(void *ctx, const struct error *why)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	(void)why;
	end_later(s, false);
}

static const struct conn_ops conn_ops = {
	.ready = on_readable,
	.readable = on_readable,
	.drained = on_readable,
	.closed = on_conn_closed,
	.ended = on_ended,
};

void
simulator_session_start(struct simulator *sim, int fd)
{
	struct simulator_session *s = xmalloc(sizeof(*s));
	struct smtp_server_options opt = {
		.hostname = sim->hostname,
		.banner = "ESMTP Verpost simulator",
		.size_max = sim->opt.size_max,
		.rcpt_max = RCPT_MAX,
		.errors_max = UINT32_MAX, /* refusing is its job */
		.smtputf8 = true,
	};

	s->magic = SESSION_MAGIC;
	s->sim = sim;
	arena_init(&s->mem);
	s->tail = &s->rcpts;
	list_append(&sim->sessions, &s->node);
	sim->session_count++;
	s->conn = conn_accept(sim->opt.loop, fd, &conn_ops, s);
	s->server = smtp_server_new(&opt, &server_ops, s);
	write_output(s);
	conn_set_deadline(s->conn, IDLE_MS, "command");
}

void
simulator_session_drain(struct list *node)
{
	struct simulator_session *s =
	    list_entry(node, struct simulator_session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	s->draining = true;
	if (!s->over && !smtp_server_in_transaction(s->server))
		smtp_server_shutdown(s->server);
}

void
simulator_session_kill(struct list *node)
{
	struct simulator_session *s =
	    list_entry(node, struct simulator_session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	take_apart(s);
}

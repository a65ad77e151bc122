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
#include "smtpd/link.h"

#define SESSION_MAGIC 0x53494d53u
#define RCPT_MAX 100
#define IDLE_MS (5 * 60 * 1000)

struct rcpt {
	struct rcpt *next;
	struct slice address;
	struct script script;
};

struct simulator_session {
	unsigned int magic;
	struct list node;
	struct simulator *sim;
	struct smtpd_link link;
	struct timer *slow; /* while the slow reply waits */
	/* The transaction. */
	struct arena mem;
	struct slice from;
	struct rcpt *rcpts, **tail;
};

static void
take_apart(struct simulator_session *s)
{
	timer_free(&s->slow);
	smtpd_link_fini(&s->link);
	arena_fini(&s->mem);
	list_remove(&s->node);
	s->sim->session_count--;
	s->magic = 0;
	free(s);
}

static void
on_link_ended(void *ctx)
{
	struct simulator_session *s = ctx;
	struct simulator *sim = s->sim;

	OBJ_CHECK(s, SESSION_MAGIC);
	take_apart(s);
	simulator_check_drained(sim);
}

static void
on_touch(void *ctx)
{
	const struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	conn_set_deadline(s->link.conn, IDLE_MS, "command");
}

static bool
on_owes(void *ctx)
{
	const struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	return s->slow != NULL && timer_is_set(s->slow);
}

static const struct smtpd_link_ops link_ops = { on_touch, on_owes, NULL,
	on_link_ended };

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
on_slow(void *ctx)
{
	struct simulator_session *s = ctx;
	struct smtp_decision d = { 0 };

	OBJ_CHECK(s, SESSION_MAGIC);
	if (!s->link.is_over)
		smtpd_link_answer(&s->link, &d);
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
		smtpd_link_end(&s->link, false);
	} else if (slow) {
		if (s->slow == NULL)
			s->slow = timer_new(sim->opt.loop, on_slow, s);
		timer_set(s->slow, SCRIPT_SLOW_MS);
	} else {
		smtp_server_answer(s->link.server, &d);
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
	smtpd_link_reset(&s->link);
}

static void
on_server_closed(void *ctx)
{
	struct simulator_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	smtpd_link_end(&s->link, true);
}

static const struct smtp_server_ops server_ops = { on_mail, on_rcpt, NULL,
	on_message, on_reset, NULL, on_server_closed };

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
	smtpd_link_start(&s->link, sim->opt.loop, fd, &opt, &server_ops, NULL,
	    &link_ops, s);
}

void
simulator_session_drain(struct list *node)
{
	struct simulator_session *s =
	    list_entry(node, struct simulator_session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	smtpd_link_drain(&s->link);
}

void
simulator_session_kill(struct list *node)
{
	struct simulator_session *s =
	    list_entry(node, struct simulator_session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	take_apart(s);
}

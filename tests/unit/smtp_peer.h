/*
 * smtp_peer.h - the client of smtp/client.h, driven by traces. Each is a text:
 * "<" lines are fed, "!" lines are calls of the owner's, and what stands
 * between them is expected, neither more nor less: ">" what the client wrote,
 * "*" what it told.
 */
#ifndef SMTP_PEER_H
#define SMTP_PEER_H

#include "test.h"

#include <stdio.h>

#include "base/mem.h"
#include "smtp/client.h"
#include "smtp/client_priv.h"

#define MAILS_MAX 8

struct peer {
	struct smtp_client *client;
	struct strbuf trace;
	unsigned int in_ready; /* how many mails ready() may send */
	unsigned int sent;
	size_t size; /* of a message; 0: a short one */
	bool eightbit, utf8;
	const char *path; /* return path in place of b-N@rp.example */
	bool deadlines;	  /* show them */
	struct mail_address to[MAILS_MAX];
	char text[MAILS_MAX][64];
	char name[MAILS_MAX][16];
	char *large;
};

static inline void
note(struct peer *p, const char *what)
{
	strbuf_add_text(&p->trace, what);
	strbuf_add_char(&p->trace, '\n');
}

static inline void
note_outcome(struct peer *p, const struct smtp_outcome *o)
{
	if (o->source == SMTP_REMOTE)
		strbuf_add_fmt(&p->trace, " remote %s %u\n",
		    smtp_stage_name(o->stage), o->reply.code);
	else
		strbuf_add_fmt(&p->trace, " local %s %s\n",
		    smtp_stage_name(o->stage), error_kind_name(o->error.kind));
}

static inline void
send_one(struct peer *p)
{
	unsigned int n = p->sent++;
	struct smtp_mail mail = { 0 };

	assert_in_range(n, 0, MAILS_MAX - 1);
	snprintf(p->name[n], sizeof(p->name[n]), "b-%u@rp.example", n + 1);
	snprintf(p->text[n], sizeof(p->text[n]), "text %u\r\n", n + 1);
	p->to[n].local = SLICE("ann");
	p->to[n].domain = SLICE("to.example");
	p->to[n].smtputf8 = p->utf8;
	mail.return_path = slice_of(p->path != NULL ? p->path : p->name[n]);
	mail.recipient = &p->to[n];
	mail.message =
	    p->size > 0 ? slice_mem(p->large, p->size) : slice_of(p->text[n]);
	mail.eightbit = p->eightbit;
	mail.ctx = p->text[n];
	smtp_client_send(p->client, &mail);
}

static inline void
on_need_tls(void *ctx)
{
	note(ctx, "* tls");
}

static inline void
on_ready(void *ctx)
{
	struct peer *p = ctx;

	note(p, "* ready");
	if (p->in_ready > 0) {
		p->in_ready--;
		send_one(p);
	}
}

static inline void
on_mail_done(void *ctx, void *mail, const struct smtp_outcome *outcome)
{
	struct peer *p = ctx;
	const char *text = mail;

	strbuf_add_fmt(&p->trace, "* done %c", text[5]);
	note_outcome(p, outcome);
}

static inline void
on_closed(void *ctx, const struct smtp_outcome *why)
{
	struct peer *p = ctx;

	strbuf_add_text(&p->trace, "* closed");
	note_outcome(p, why);
}

static inline void
on_deadline(void *ctx, unsigned int seconds, const char *label)
{
	struct peer *p = ctx;

	if (p->deadlines)
		strbuf_add_fmt(&p->trace, "* %u s for %s\n", seconds, label);
}

static inline void
on_before_dot(void *ctx, void *mail)
{
	const char *text = mail;
	struct peer *p = ctx;

	strbuf_add_fmt(&p->trace, "* dot %c\n", text[5]);
}

static const struct smtp_client_ops ops = { on_need_tls, on_ready, on_mail_done,
	on_closed, on_deadline, on_before_dot };

/* What the client wrote, as trace lines. */
static inline void
take_output(struct peer *p)
{
	struct strbuf *out = smtp_client_output(p->client);
	struct slice rest = strbuf_slice(out), line;

	while (slice_take_line(&rest, &line)) {
		strbuf_add_text(&p->trace, "> ");
		strbuf_add_slice(&p->trace, line);
		strbuf_add_char(&p->trace, '\n');
	}
	strbuf_reset(out);
}

static inline void
call(struct peer *p, struct slice what)
{
	struct error err = { .kind = ERR_TIMEOUT };
	struct error broken = { .kind = ERR_NET };

	if (slice_eq_text(what, "send"))
		send_one(p);
	else if (slice_eq_text(what, "quit"))
		smtp_client_quit(p->client);
	else if (slice_eq_text(what, "tls_done"))
		smtp_client_tls_done(p->client);
	else if (slice_eq_text(what, "lost"))
		smtp_client_lost(p->client, &broken);
	else if (slice_eq_text(what, "lost, 1 unsent"))
		smtp_client_lost_unsent(p->client, &broken, 1);
	else if (slice_eq_text(what, "lost, 3 unsent"))
		smtp_client_lost_unsent(p->client, &broken, 3);
	else if (slice_eq_text(what, "lost, all unsent"))
		smtp_client_lost_unsent(p->client, &broken, SIZE_MAX);
	else if (slice_eq_text(what, "time-out"))
		smtp_client_lost(p->client, &err);
	else if (slice_eq_text(what, "more"))
		assert_true(smtp_client_more(p->client));
	else
		fail_msg("no such call: %.*s", SLICE_FMT(what));
}

static inline void
feed(struct peer *p, struct slice line)
{
	char *copy = xasprintf("%.*s\r\n", SLICE_FMT(line));
	size_t len = strlen(copy);

	assert_int_equal(smtp_client_input(p->client, slice_mem(copy, len)),
	    len);
	free(copy);
}

static inline void
start(struct peer *p, int tls)
{
	struct smtp_client_options opt = { .helo_name = "me.example" };

	opt.tls = tls;
	strbuf_init(&p->trace, 0);
	p->client = smtp_client_new(&opt, &ops, p);
}

static inline void
stop(struct peer *p)
{
	smtp_client_free(&p->client);
	strbuf_fini(&p->trace);
	free(p->large);
}

/* Runs the inputs of a trace and compares all of it. */
static inline void
run(struct peer *p, const char *name, const char *expected)
{
	struct slice rest = slice_of(expected), line;
	struct strbuf got = STRBUF_INIT;

	while (slice_take_line(&rest, &line)) {
		if (line.len < 2 || (*line.ptr != '<' && *line.ptr != '!'))
			continue;
		strbuf_add_slice(&got, strbuf_slice(&p->trace));
		strbuf_reset(&p->trace);
		strbuf_add_slice(&got, line);
		strbuf_add_char(&got, '\n');
		if (*line.ptr == '<')
			feed(p, slice_from(line, 2));
		else
			call(p, slice_from(line, 2));
		take_output(p);
	}
	strbuf_add_slice(&got, strbuf_slice(&p->trace));
	strbuf_reset(&p->trace);
	if (strcmp(strbuf_text(&got), expected) != 0)
		fail_msg("%s:\n--- expected\n%s--- got\n%s", name, expected,
		    strbuf_text(&got));
	strbuf_fini(&got);
}

/* Openings, without and with PIPELINING; the last line is what comes next. */
#define PLAIN                                                                  \
	"< 220 hello\n"                                                        \
	"> EHLO me.example\n"                                                  \
	"< 250 there\n"                                                        \
	"* ready\n"
#define PIPED                                                                  \
	"< 220 hello\n"                                                        \
	"> EHLO me.example\n"                                                  \
	"< 250-there\n"                                                        \
	"< 250 PIPELINING\n"                                                   \
	"* ready\n"
#define MAIL(n) "> MAIL FROM:<b-" n "@rp.example>\n"
#define RCPT "> RCPT TO:<ann@to.example>\n"
#define GROUP(n) MAIL(n) RCPT "> DATA\n"
#define TEXT(n) "> text " n "\n> .\n"

#endif

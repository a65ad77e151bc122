/*
 * Each case is a trace: "<" lines are fed, "!" lines are calls of the owner's,
 * and what stands between them is expected, neither more nor less: ">" what
 * the client wrote, "*" what it told.
 */
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

static void
note(struct peer *p, const char *what)
{
	strbuf_add_text(&p->trace, what);
	strbuf_add_char(&p->trace, '\n');
}

static void
note_outcome(struct peer *p, const struct smtp_outcome *o)
{
	if (o->source == SMTP_REMOTE)
		strbuf_add_fmt(&p->trace, " remote %s %u\n",
		    smtp_stage_name(o->stage), o->reply.code);
	else
		strbuf_add_fmt(&p->trace, " local %s %s\n",
		    smtp_stage_name(o->stage), error_kind_name(o->error.kind));
}

static void
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

static void
on_need_tls(void *ctx)
{
	note(ctx, "* tls");
}

static void
on_ready(void *ctx)
{
	struct peer *p = ctx;

	note(p, "* ready");
	if (p->in_ready > 0) {
		p->in_ready--;
		send_one(p);
	}
}

static void
on_mail_done(void *ctx, void *mail, const struct smtp_outcome *outcome)
{
	struct peer *p = ctx;
	const char *text = mail;

	strbuf_add_fmt(&p->trace, "* done %c", text[5]);
	note_outcome(p, outcome);
}

static void
on_closed(void *ctx, const struct smtp_outcome *why)
{
	struct peer *p = ctx;

	strbuf_add_text(&p->trace, "* closed");
	note_outcome(p, why);
}

static void
on_deadline(void *ctx, unsigned int seconds, const char *label)
{
	struct peer *p = ctx;

	if (p->deadlines)
		strbuf_add_fmt(&p->trace, "* %u s for %s\n", seconds, label);
}

static void
on_before_dot(void *ctx, void *mail)
{
	const char *text = mail;
	struct peer *p = ctx;

	strbuf_add_fmt(&p->trace, "* dot %c\n", text[5]);
}

static const struct smtp_client_ops ops = { on_need_tls, on_ready, on_mail_done,
	on_closed, on_deadline, on_before_dot };

/* What the client wrote, as trace lines. */
static void
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

static void
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

static void
feed(struct peer *p, struct slice line)
{
	char *copy = xasprintf("%.*s\r\n", SLICE_FMT(line));
	size_t len = strlen(copy);

	assert_int_equal(smtp_client_input(p->client, slice_mem(copy, len)),
	    len);
	free(copy);
}

static void
start(struct peer *p, int tls)
{
	struct smtp_client_options opt = { .helo_name = "me.example" };

	opt.tls = tls;
	strbuf_init(&p->trace, 0);
	p->client = smtp_client_new(&opt, &ops, p);
}

static void
stop(struct peer *p)
{
	smtp_client_free(&p->client);
	strbuf_fini(&p->trace);
	free(p->large);
}

/* Runs the inputs of a trace and compares all of it. */
static void
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

static const struct {
	const char *name;
	unsigned int in_ready;
	int tls;
	const char *trace;
} cases[] = {
	{ "one mail, a command at a time", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 354 go\n* dot 1\n" TEXT(
				"1") "< 250 taken\n* done 1 remote end of data "
				     "250\n* ready\n"
				     "! quit\n> QUIT\n"
				     "< 221 bye\n* closed remote idle 221\n" },
	{ "pipelined: the next one rides behind the dot", 3, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
			 "2") "< 250 taken\n* done 1 remote end of data 250\n"
			      "< 250 ok\n< 250 ok\n"
			      "< 354 go\n* dot 2\n* ready\n" TEXT("2") GROUP(
				  "3") "< 250 taken\n* done 2 remote end of "
				       "data 250\n"
				       "! quit\n"
				       "< 250 ok\n< 250 ok\n< 354 go\n* dot "
				       "3\n" TEXT(
					   "3") "< 250 taken\n* done 3 remote "
						"end of data 250\n> QUIT\n"
						"< 221 bye\n* closed remote "
						"idle 221\n" },
	{ "greeting refused", 0, SMTP_TLS_NEVER,
	    "< 554 no\n* closed remote greeting 554\n" },
	{ "greeting deferred", 0, SMTP_TLS_NEVER,
	    "< 421-busy\n< 421 later\n* closed remote greeting 421\n" },
	{ "greeting of another protocol", 0, SMTP_TLS_NEVER,
	    "< +OK POP3 ready\n* closed local greeting syntax\n" },
	{ "greeting 250", 0, SMTP_TLS_NEVER,
	    "< 250 what\n* closed local greeting syntax\n" },
	{ "EHLO unknown: HELO", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 502 what\n> HELO me.example\n"
	    "< 250 there\n* ready\n" },
	{ "EHLO and HELO unknown", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 500 what\n> HELO me.example\n"
	    "< 500 what\n* closed remote EHLO 500\n" },
	{ "EHLO refused: no second try", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 550 5.7.1 blocked\n* closed remote EHLO 550\n" },
	{ "EHLO deferred", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 451 later\n* closed remote EHLO 451\n" },
	{ "TLS, and what was offered before it is forgotten", 1, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250-PIPELINING\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 220 go\n* tls\n"
	    "! tls_done\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n* ready\n" MAIL("1") },
	{ "TLS wanted, not offered: in the clear", 0, SMTP_TLS_MAY, PLAIN },
	{ "TLS offered, not wanted", 0, SMTP_TLS_NEVER,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n* ready\n" },
	{ "TLS required, not offered", 0, SMTP_TLS_MUST,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250 there\n* closed local STARTTLS tls\n" },
	{ "TLS required, EHLO unknown", 0, SMTP_TLS_MUST,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 500 what\n> HELO me.example\n"
	    "< 250 there\n* closed local STARTTLS tls\n" },
	{ "STARTTLS refused", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 454 not now\n* closed remote STARTTLS 454\n" },
	{ "the handshake fails", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 220 go\n* tls\n"
	    "! lost\n* closed local TLS handshake net\n" },
	{ "a reply in the middle of the handshake", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 220 go\n* tls\n"
	    "< 250 smuggled\n* closed local TLS handshake syntax\n" },
	{ "MAIL refused", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 550 no\n* done 1 remote MAIL FROM 550\n* ready\n"
			    "! send\n" MAIL("2") },
	{ "RCPT refused: RSET before the next", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL(
		"1") "< 250 ok\n" RCPT
		     "< 550 5.1.1 who\n* done 1 remote RCPT TO 550\n* ready\n"
		     "! send\n> RSET\n"
		     "< 250 ok\n" MAIL("2") },
	{ "RSET refused: its victim has not begun", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 550 who\n* done 1 remote RCPT TO 550\n* ready\n"
			    "! send\n> RSET\n"
			    "< 500 what\n* done 2 remote idle 500\n* closed "
			    "remote idle 500\n" },
	{ "no RSET when nothing follows", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 550 who\n* done 1 remote RCPT TO 550\n* ready\n"
			    "! quit\n> QUIT\n"
			    "! time-out\n* closed local idle timeout\n" },
	{ "DATA refused", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 451 full\n* done 1 remote DATA 451\n* ready\n"
			    "! send\n> RSET\n" },
	{ "the dot refused: no RSET", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 354 go\n* dot 1\n" TEXT(
				"1") "< 554 5.6.0 spam\n* done 1 remote end of "
				     "data 554\n* ready\n"
				     "! send\n" MAIL("2") },
	{ "251 is as good as 250", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 251 forwarded\n> DATA\n" },
	{ "pipelined, MAIL refused, the rest too", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 550 no\n* done 1 remote MAIL FROM 550\n"
			     "< 503 need MAIL\n"
			     "< 503 need RCPT\n* ready\n" GROUP("2") },
	{ "pipelined, RCPT refused, DATA too: RSET rides ahead", 2,
	    SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 554 no recipients\n* ready\n> RSET\n" GROUP(
				 "2") "< 250 ok\n< 250 ok\n< 250 ok\n"
				      "< 354 go\n* dot 2\n* ready\n" TEXT(
					  "2") },
	{ "pipelined, RSET refused: its victim has not begun", 2,
	    SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 554 no recipients\n* ready\n> RSET\n" GROUP(
				 "2") "< 550 what\n* done 2 remote idle 550\n* "
				      "closed remote idle 550\n" },
	{ "pipelined, RCPT refused, DATA let in: a lone dot", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 354 go\n> .\n"
			     "< 554 no recipients\n* ready\n" GROUP("2") },
	{ "pipelined, MAIL refused, DATA let in: a lone dot", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 550 no\n* done 1 remote MAIL FROM 550\n"
			     "< 503 need MAIL\n"
			     "< 354 go\n> .\n"
			     "< 250 fine\n* ready\n" GROUP("2") },
	{ "MAIL refused, RCPT and DATA taken: no dot at all", 1, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 550 no\n* done 1 remote MAIL FROM 550\n"
			     "< 250 ok\n"
			     "< 354 go\n* closed local DATA syntax\n" },
	{ "pipelined, DATA refused", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 452 full\n* done 1 remote DATA 452\n* ready\n> "
			     "RSET\n" GROUP("2") },
	{ "421 to the dot: the next one has not begun", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
				 "2") "< 421 going down\n* done 1 remote end "
				      "of data 421\n"
				      "* done 2 remote idle 421\n"
				      "* closed remote end of data 421\n" },
	{ "lost after the dot: only that one may have been taken", 2,
	    SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
				 "2") "! lost\n* done 1 local end of data net\n"
				      "* done 2 local idle net\n* closed local "
				      "end of data net\n" },
	{ "dot taken, then 421 to the next MAIL", 2, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
			 "2") "< 250 taken\n* done 1 remote end of data 250\n"
			      "< 421 enough\n* done 2 remote MAIL FROM 421\n"
			      "* closed remote MAIL FROM 421\n" },
	{ "garbage in place of the dot's reply: outcome unknown", 1,
	    SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "< 250ok\n* done 1 local end of data syntax\n"
			      "* closed local end of data syntax\n" },
	{ "354 in reply to the dot", 1, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "< 354 go on\n* done 1 local end of data syntax\n"
			      "* closed local end of data syntax\n" },
	{ "354 in reply to MAIL", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 354 go\n* done 1 local MAIL FROM syntax\n"
			    "* closed local MAIL FROM syntax\n" },
	{ "354 in reply to RCPT", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 354 go\n* done 1 local RCPT TO syntax\n"
			    "* closed local RCPT TO syntax\n" },
	{ "250 in reply to DATA", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 250 fine\n* done 1 local DATA syntax\n"
			    "* closed local DATA syntax\n" },
	{ "354 in reply to EHLO", 0, SMTP_TLS_NEVER,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 354 go\n* closed local EHLO syntax\n" },
	{ "250 in reply to STARTTLS", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 250 go\n* closed local STARTTLS syntax\n" },
	{ "354 in reply to RSET", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 550 who\n* done 1 remote RCPT TO 550\n* ready\n"
			    "! send\n> RSET\n"
			    "< 354 go\n* done 2 local idle syntax\n* closed "
			    "local idle syntax\n" },
	{ "354 in reply to the lone dot", 1, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 354 go\n> .\n"
			     "< 354 go\n* closed local idle syntax\n" },
	{ "a reply nobody awaits", 0, SMTP_TLS_NEVER,
	    PLAIN "< 250 again\n* closed local idle syntax\n" },
	{ "421 while idle", 0, SMTP_TLS_NEVER,
	    PLAIN "< 421 too long\n* closed remote idle 421\n" },
	{ "any reply to QUIT will do", 0, SMTP_TLS_NEVER,
	    PLAIN "! quit\n> QUIT\n< 500 what\n* closed remote idle 500\n" },
	{ "QUIT asked for before the greeting", 0, SMTP_TLS_NEVER,
	    "! quit\n< 220 hello\n> EHLO me.example\n"
	    "< 250 there\n> QUIT\n" },
	{ "nothing is heard after the end", 0, SMTP_TLS_NEVER,
	    PLAIN "! lost\n* closed local idle net\n"
		  "! lost\n! quit\n! tls_done\n" },
	{ "the code changes in a reply", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250-ok\n"
			    "< 550 no\n* done 1 local MAIL FROM syntax\n"
			    "* closed local MAIL FROM syntax\n" },
	{ "the dot has not left our own buffer: not sent", 1, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "! lost, all unsent\n* done 1 local message net\n"
			      "* closed local end of data net\n" },
	{ "only the dot's three octets are left: not sent", 1, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "! lost, 3 unsent\n* done 1 local message net\n"
			      "* closed local end of data net\n" },
	{ "its last octet is left: it may count as sent", 1, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 354 go\n* dot 1\n* ready\n" TEXT(
				 "1") "! lost, 1 unsent\n* done 1 local end of "
				      "data net\n"
				      "* closed local end of data net\n" },
};

static void
follows_the_trace(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct peer p = { .in_ready = cases[i].in_ready };

		print_message("%s\n", cases[i].name);
		start(&p, cases[i].tls);
		run(&p, cases[i].name, cases[i].trace);
		stop(&p);
	}
}

static void
all_in_one_segment_gives_one_write(void **state)
{
	static const char replies[] = "250 ok\r\n250 ok\r\n354 go\r\n";
	struct peer p = { .in_ready = 2 };

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	run(&p, "opening", PIPED GROUP("1"));
	assert_int_equal(smtp_client_input(p.client, slice_of(replies)),
	    strlen(replies));
	take_output(&p);
	assert_string_equal(strbuf_text(&p.trace),
	    "* dot 1\n* ready\n" TEXT("1") GROUP("2"));
	stop(&p);
}

static void
an_unfinished_line_is_left(void **state)
{
	struct peer p = { 0 };

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	assert_int_equal(smtp_client_input(p.client, SLICE("22")), 0);
	assert_int_equal(smtp_client_input(p.client, SLICE("220 a\r\n25")), 7);
	assert_int_equal(smtp_client_input(p.client, SLICE("250 b\n")), 6);
	assert_true(smtp_client_can_send(p.client));
	stop(&p);
}

static void
an_endless_line_is_refused(void **state)
{
	struct peer p = { 0 };
	char *line = xmalloc(SMTP_REPLY_LINE_MAX + 1);

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	memset(line, '2', SMTP_REPLY_LINE_MAX + 1);
	assert_int_equal(smtp_client_input(p.client,
			     slice_mem(line, SMTP_REPLY_LINE_MAX)),
	    0);
	assert_false(smtp_client_is_closed(p.client));
	(void)smtp_client_input(p.client,
	    slice_mem(line, SMTP_REPLY_LINE_MAX + 1));
	assert_string_equal(strbuf_text(&p.trace),
	    "* closed local greeting limit\n");
	free(line);
	stop(&p);
}

static void
an_endless_reply_is_refused(void **state)
{
	struct peer p = { 0 };
	size_t n = 0;

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	while (!smtp_client_is_closed(p.client) && n < 10000) {
		smtp_client_feed(p.client, SLICE("220-and then"));
		n++;
	}
	assert_int_equal(n, SMTP_REPLY_LINES_MAX + 1);
	assert_string_equal(strbuf_text(&p.trace),
	    "* closed local greeting limit\n");
	stop(&p);
}

static void
input_stops_where_tls_begins(void **state)
{
	struct peer p = { 0 };

	(void)state;
	start(&p, SMTP_TLS_MUST);
	run(&p, "opening",
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n");
	assert_int_equal(smtp_client_input(p.client,
			     SLICE("220 go\r\n250 injected\r\n")),
	    strlen("220 go\r\n"));
	assert_string_equal(strbuf_text(&p.trace), "* tls\n");
	stop(&p);
}

static const struct {
	const char *name, *offer;
	bool eightbit, utf8;
	const char *path;
	size_t size;
	const char *trace;
} offers[] = {
	{ "SIZE", "SIZE 0", false, false, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example> SIZE=8\n" },
	{ "SIZE counts the CRLF that will be added", "SIZE", false, false, NULL,
	    100, "> MAIL FROM:<b-1@rp.example> SIZE=102\n" },
	{ "as large as it may be", "SIZE 102", false, false, NULL, 100,
	    "> MAIL FROM:<b-1@rp.example> SIZE=102\n" },
	{ "too large", "SIZE 101", false, false, NULL, 100,
	    "* done 1 local MAIL FROM limit\n* ready\n" },
	{ "a limit that is no number", "SIZE plenty", false, false, NULL, 100,
	    "> MAIL FROM:<b-1@rp.example> SIZE=102\n" },
	{ "8BITMIME", "8bitmime", true, false, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example> BODY=8BITMIME\n" },
	{ "8BITMIME not needed", "8BITMIME", false, false, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example>\n" },
	{ "8BITMIME not offered", "XYZ", true, false, NULL, 0,
	    "* done 1 local MAIL FROM notfound\n* ready\n" },
	{ "SMTPUTF8", "SMTPUTF8", false, true, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example> SMTPUTF8\n" },
	{ "SMTPUTF8 not offered", "8BITMIME", false, true, NULL, 0,
	    "* done 1 local MAIL FROM notfound\n* ready\n" },
	{ "the null path", "XYZ", false, false, "", 0, "> MAIL FROM:<>\n" },
	{ "a line break in the return path", "XYZ", false, false,
	    "a@b>\r\nRCPT TO:<c@d", 0,
	    "* done 1 local MAIL FROM syntax\n* ready\n" },
	{ "a parameter in the return path", "XYZ", false, false, "a@b> SIZE=1",
	    0, "* done 1 local MAIL FROM syntax\n* ready\n" },
};

static void
uses_what_is_offered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		struct peer p = { .in_ready = 1,
			.eightbit = offers[i].eightbit,
			.utf8 = offers[i].utf8,
			.size = offers[i].size,
			.path = offers[i].path };
		char *trace = xasprintf("< 220 hello\n> EHLO me.example\n"
					"< 250-there\n< 250 %s\n* ready\n%s",
		    offers[i].offer, offers[i].trace);

		print_message("%s\n", offers[i].name);
		p.large = xmalloc(p.size + 1);
		memset(p.large, 'x', p.size);
		start(&p, SMTP_TLS_NEVER);
		run(&p, offers[i].name, trace);
		stop(&p);
		free(trace);
	}
}

static void
a_local_refusal_waits_for_its_turn(void **state)
{
	struct peer p = { .in_ready = 1, .size = 100 };

	(void)state;
	p.large = xmalloc(100);
	memset(p.large, 'x', 100);
	start(&p, SMTP_TLS_NEVER);
	p.size = 0;
	run(&p, "first",
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250-PIPELINING\n< 250 SIZE 50\n* ready\n"
	    "> MAIL FROM:<b-1@rp.example> SIZE=8\n" RCPT "> DATA\n"
	    "< 250 ok\n< 250 ok\n< 354 go\n* dot 1\n* ready\n" TEXT("1"));
	p.size = 100;
	run(&p, "second",
	    "! send\n"
	    "< 250 taken\n* done 1 remote end of data 250\n"
	    "* done 2 local MAIL FROM limit\n* ready\n");
	stop(&p);
}

static void
a_large_message_goes_out_in_pieces(void **state)
{
	static const char line[] = "..0123456789012345678901234567890123456789"
				   "0123456789\r\n";
	struct smtp_client_options opt = { .helo_name = "me.example",
		.body_chunk = 1000 };
	struct strbuf whole = STRBUF_INIT, expected = STRBUF_INIT,
		      got = STRBUF_INIT;
	struct peer p = { .in_ready = 1 };
	size_t pieces = 0;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		strbuf_add_text(&whole, line);
	smtp_dot_stuff(&expected, strbuf_slice(&whole));
	p.size = whole.len;
	p.large = strbuf_take(&whole);
	strbuf_init(&p.trace, 0);
	p.client = smtp_client_new(&opt, &ops, &p);
	run(&p, "opening", PIPED GROUP("1") "< 250 ok\n< 250 ok\n");
	smtp_client_feed(p.client, SLICE("354 go"));
	do {
		struct strbuf *out = smtp_client_output(p.client);

		assert_in_range(out->len, 1, 1100);
		strbuf_add_slice(&got, strbuf_slice(out));
		strbuf_reset(out);
		pieces++;
	} while (smtp_client_more(p.client));
	assert_in_range(pieces, 5, 8);
	assert_int_equal(got.len, expected.len);
	assert_memory_equal(got.ptr, expected.ptr, got.len);
	/* Only when the dot is out may the next one begin. */
	assert_string_equal(strbuf_text(&p.trace), "* dot 1\n* ready\n");
	strbuf_fini(&got);
	strbuf_fini(&expected);
	stop(&p);
}

static void
a_reply_in_the_middle_of_the_message_ends_it(void **state)
{
	static const struct {
		const char *reply, *trace;
	} rows[] = {
		{ "552 too large",
		    "* done 1 remote end of data 552\n"
		    "* closed remote end of data 552\n" },
		{ "250 thanks",
		    "* done 1 local message syntax\n"
		    "* closed local end of data syntax\n" },
		{ "421 bye",
		    "* done 1 remote end of data 421\n"
		    "* closed remote end of data 421\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_client_options opt = { .helo_name = "me.example",
			.body_chunk = 10 };
		struct peer p = { .in_ready = 1, .size = 100 };

		p.large = xmalloc(100);
		memset(p.large, 'x', 100);
		strbuf_init(&p.trace, 0);
		p.client = smtp_client_new(&opt, &ops, &p);
		run(&p, "opening",
		    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
				     "< 354 go\n> xxxxxxxxxx\n");
		smtp_client_feed(p.client, slice_of(rows[i].reply));
		assert_string_equal(strbuf_text(&p.trace), rows[i].trace);
		stop(&p);
	}
}

/* Where a peer can be stopped: what to feed to get there. */
static const struct {
	enum smtp_state state;
	int tls;
	const char *lines[8];
} stops[] = {
	{ SMTP_BANNER, SMTP_TLS_NEVER, { NULL } },
	{ SMTP_EHLO, SMTP_TLS_NEVER, { "220 a" } },
	{ SMTP_HELO, SMTP_TLS_NEVER, { "220 a", "500 a" } },
	{ SMTP_STARTTLS, SMTP_TLS_MAY, { "220 a", "250-a", "250 STARTTLS" } },
	{ SMTP_TLS, SMTP_TLS_MAY,
	    { "220 a", "250-a", "250 STARTTLS", "220 a" } },
	{ SMTP_MAIL, SMTP_TLS_NEVER, { "220 a", "250 a" } },
	{ SMTP_RCPT, SMTP_TLS_NEVER, { "220 a", "250 a", "250 a" } },
	{ SMTP_DATA, SMTP_TLS_NEVER, { "220 a", "250 a", "250 a", "250 a" } },
	{ SMTP_DOT, SMTP_TLS_NEVER,
	    { "220 a", "250 a", "250 a", "250 a", "354 a" } },
	{ SMTP_EMPTY_DOT, SMTP_TLS_NEVER,
	    { "220 a", "250-a", "250 PIPELINING", "250 a", "550 a", "354 a" } },
	{ SMTP_RSET, SMTP_TLS_NEVER, { "220 a", "250 a", "250 a", "550 a" } },
	{ SMTP_QUIT, SMTP_TLS_NEVER, { "220 a", "250 a", "550 a" } },
	{ SMTP_IDLE, SMTP_TLS_NEVER, { "220 a", "250 a", "550 a" } },
};

static void
go_to(struct peer *p, size_t i)
{
	p->in_ready = stops[i].state == SMTP_RSET ? 2 : 1;
	start(p, stops[i].tls);
	for (size_t n = 0; stops[i].lines[n] != NULL; n++)
		smtp_client_feed(p->client, slice_of(stops[i].lines[n]));
	if (stops[i].state == SMTP_QUIT)
		smtp_client_quit(p->client);
	assert_string_equal(smtp_client_label(p->client),
	    smtp_state_name(stops[i].state));
	strbuf_reset(&p->trace);
}

static size_t
count_of(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

static void
every_state_has_an_end(void **state)
{
	static const char *const ends[] = { "421 a", "rubbish", "999 a", "",
		NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		for (size_t n = 0; n < ARRAY_LEN(ends); n++) {
			struct peer p = { 0 };
			struct error err = { .kind = ERR_NET };
			size_t sent;

			go_to(&p, i);
			sent = p.sent;
			if (ends[n] != NULL)
				smtp_client_feed(p.client, slice_of(ends[n]));
			else
				smtp_client_lost(p.client, &err);
			print_message("%s, '%s': %s",
			    smtp_state_name(stops[i].state),
			    ends[n] != NULL ? ends[n] : "(lost)",
			    strbuf_text(&p.trace));
			assert_true(smtp_client_is_closed(p.client));
			assert_false(smtp_client_can_send(p.client));
			assert_int_equal(count_of(strbuf_text(&p.trace),
					     "* closed"),
			    1);
			assert_in_range(count_of(strbuf_text(&p.trace),
					    "* done"),
			    0, sent);
			stop(&p);
		}
	}
}

static void
every_state_has_a_name_and_a_deadline(void **state)
{
	(void)state;
	for (enum smtp_state s = SMTP_BANNER; s < SMTP_STATE_COUNT; s++) {
		bool seen = s == SMTP_CLOSED;

		assert_non_null(smtp_state_name(s));
		if (s != SMTP_CLOSED)
			assert_in_range(smtp_state_deadline_s(s), 1, 600);
		for (size_t i = 0; i < ARRAY_LEN(stops); i++)
			seen = seen || stops[i].state == s;
		assert_true(seen); /* every_state_has_an_end walks it */
	}
	/* RFC 5321 section 4.5.3.2. */
	assert_int_equal(smtp_state_deadline_s(SMTP_BANNER), 300);
	assert_int_equal(smtp_state_deadline_s(SMTP_MAIL), 300);
	assert_int_equal(smtp_state_deadline_s(SMTP_RCPT), 300);
	assert_int_equal(smtp_state_deadline_s(SMTP_DATA), 120);
	assert_int_equal(smtp_state_deadline_s(SMTP_DOT), 600);
}

static void
the_deadline_is_that_of_the_awaited_reply(void **state)
{
	struct peer p = { .in_ready = 1, .deadlines = true };

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	run(&p, "deadlines",
	    "* 300 s for greeting\n"
	    "< 220 hello\n* 300 s for EHLO\n> EHLO me.example\n"
	    "< 250-there\n< 250 PIPELINING\n* 300 s for idle\n* ready\n"
	    "* 300 s for MAIL FROM\n" GROUP(
		"1") "< 250 ok\n* 300 s for RCPT TO\n"
		     "< 250 ok\n* 120 s for DATA\n"
		     "< 354 go\n* dot 1\n* 600 s for end of data\n* "
		     "ready\n" TEXT("1") "< 250 ok\n* done 1 remote end of "
					 "data 250\n* 300 s for idle\n");
	stop(&p);
}

static void
a_name_that_could_break_a_line_is_not_sent(void **state)
{
	struct smtp_client_options opt = { .helo_name = "me\r\nMAIL" };
	struct peer p = { 0 };

	(void)state;
	strbuf_init(&p.trace, 0);
	p.client = smtp_client_new(&opt, &ops, &p);
	run(&p, "name", "< 220 hello\n* closed local greeting syntax\n");
	stop(&p);
}

TEST_MAIN(cmocka_unit_test(follows_the_trace),
    cmocka_unit_test(all_in_one_segment_gives_one_write),
    cmocka_unit_test(an_unfinished_line_is_left),
    cmocka_unit_test(an_endless_line_is_refused),
    cmocka_unit_test(an_endless_reply_is_refused),
    cmocka_unit_test(input_stops_where_tls_begins),
    cmocka_unit_test(uses_what_is_offered),
    cmocka_unit_test(a_local_refusal_waits_for_its_turn),
    cmocka_unit_test(a_large_message_goes_out_in_pieces),
    cmocka_unit_test(a_reply_in_the_middle_of_the_message_ends_it),
    cmocka_unit_test(every_state_has_an_end),
    cmocka_unit_test(every_state_has_a_name_and_a_deadline),
    cmocka_unit_test(the_deadline_is_that_of_the_awaited_reply),
    cmocka_unit_test(a_name_that_could_break_a_line_is_not_sent))

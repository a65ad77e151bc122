/*
 * Each case is a trace: "<" lines are given with CRLF, "!" lines are calls;
 * what stands between them is expected: ">" replies, "*" what the owner heard.
 */
#include "test.h"

#include <stdio.h>

#include "base/mem.h"
#include "smtp/server.h"

struct owner {
	struct smtp_server *server;
	struct strbuf trace;
	bool later; /* message() does not answer */
};

static void
say(struct owner *o, const char *what, struct slice text)
{
	strbuf_add_fmt(&o->trace, "* %s %.*s\n", what, SLICE_FMT(text));
}

static void
say_address(struct owner *o, const char *what, const struct mail_address *a)
{
	struct strbuf text = STRBUF_INIT;

	mail_address_add_addr(&text, a);
	say(o, what, strbuf_slice(&text));
	strbuf_fini(&text);
}

static void
on_mail(void *ctx, const struct mail_address *from, struct smtp_decision *d)
{
	say_address(ctx, "mail", from);
	if (slice_eq_text(from->local, "bad")) {
		d->code = 550;
		snprintf(d->text, sizeof(d->text), "5.7.1 not\r\nyou");
	}
}

static void
on_rcpt(void *ctx, const struct mail_address *to, struct smtp_decision *d)
{
	say_address(ctx, "rcpt", to);
	if (slice_eq_text(to->local, "bad")) {
		d->code = 550;
		snprintf(d->text, sizeof(d->text), "5.1.1 nobody");
	} else if (slice_eq_text(to->local, "last")) {
		d->code = 421;
		snprintf(d->text, sizeof(d->text), "4.3.2 enough");
	}
}

static void
on_message(void *ctx, struct slice message)
{
	struct owner *o = ctx;
	struct smtp_decision d = { 0 };

	say(o, "message", slice_trim_lines(message));
	if (o->later)
		return;
	if (slice_starts(message, SLICE("bad"))) {
		d.code = 554;
		snprintf(d.text, sizeof(d.text), "5.6.0 no");
	}
	smtp_server_answer(o->server, &d);
}

static void
on_reset(void *ctx)
{
	say(ctx, "reset", SLICE(""));
}

static void
on_need_tls(void *ctx)
{
	say(ctx, "tls", SLICE(""));
}

static void
on_closed(void *ctx)
{
	say(ctx, "closed", SLICE(""));
}

static const struct smtp_server_ops tls_ops = { on_mail, on_rcpt, NULL,
	on_message, on_reset, on_need_tls, on_closed };
static const struct smtp_server_ops ops = { on_mail, on_rcpt, NULL, on_message,
	on_reset, NULL, on_closed };

static void
take_output(struct owner *o)
{
	struct strbuf *out = smtp_server_output(o->server);
	struct slice rest = strbuf_slice(out), line;

	while (slice_take_line(&rest, &line))
		strbuf_add_fmt(&o->trace, "> %.*s\n", SLICE_FMT(line));
	strbuf_reset(out);
}

static void
start(struct owner *o, bool tls)
{
	static const struct smtp_server_options opt = {
		.hostname = "in.example",
		.banner = "hello",
		.size_max = 100,
		.rcpt_max = 3,
		.errors_max = 4,
		.smtputf8 = true,
	};

	strbuf_init(&o->trace, 0);
	o->server = smtp_server_new(&opt, tls ? &tls_ops : &ops, o);
}

static void
stop(struct owner *o)
{
	smtp_server_free(&o->server);
	strbuf_fini(&o->trace);
}

static void
call(struct owner *o, struct slice what)
{
	struct smtp_decision ok = { 0 };

	if (slice_eq_text(what, "shutdown"))
		smtp_server_shutdown(o->server);
	else if (slice_eq_text(what, "later"))
		o->later = true;
	else if (slice_eq_text(what, "answer"))
		smtp_server_answer(o->server, &ok);
	else if (slice_eq_text(what, "tls_done"))
		smtp_server_tls_done(o->server);
	else if (slice_eq_text(what, "bare LF"))
		(void)smtp_server_feed(o->server, SLICE("a\n.\r\n"));
	else if (slice_eq_text(what, "bare CR"))
		(void)smtp_server_feed(o->server, SLICE("a\rb\r\n"));
	else if (slice_eq_text(what, "NUL"))
		(void)smtp_server_feed(o->server, SLICE("NO\0OP\r\n"));
	else
		fail_msg("no such call: %.*s", SLICE_FMT(what));
}

static void
run(struct owner *o, const char *name, const char *expected)
{
	struct slice rest = slice_of(expected), line;
	struct strbuf got = STRBUF_INIT;

	take_output(o);
	strbuf_reset(&o->trace);
	while (slice_take_line(&rest, &line)) {
		char *text;

		if (*line.ptr != '<' && *line.ptr != '!')
			continue;
		strbuf_add_fmt(&got, "%s%.*s\n", strbuf_text(&o->trace),
		    SLICE_FMT(line));
		strbuf_reset(&o->trace);
		text = xasprintf("%.*s\r\n", SLICE_FMT(slice_from(line, 2)));
		if (*line.ptr == '<')
			(void)smtp_server_feed(o->server, slice_of(text));
		else
			call(o, slice_from(line, 2));
		free(text);
		take_output(o);
	}
	strbuf_add_text(&got, strbuf_text(&o->trace));
	if (strcmp(strbuf_text(&got), expected) != 0)
		fail_msg("%s:\n--- expected\n%s--- got\n%s", name, expected,
		    strbuf_text(&got));
	strbuf_fini(&got);
}

#define HELO "< HELO me\n> 250 in.example\n"
#define MAIL "< MAIL FROM:<a@b.example>\n* mail a@b.example\n> 250 2.1.0 Ok\n"
#define RCPT "< RCPT TO:<c@d.example>\n* rcpt c@d.example\n> 250 2.1.5 Ok\n"
#define DATA "< DATA\n> 354 End with <CR><LF>.<CR><LF>\n"

static const struct {
	const char *name;
	bool tls;
	const char *trace;
} cases[] = {
	{ "what is offered", false,
	    "< EHLO me.example\n> 250-in.example\n> 250-PIPELINING\n"
	    "> 250-SIZE 100\n> 250-8BITMIME\n> 250-SMTPUTF8\n"
	    "> 250 ENHANCEDSTATUSCODES\n" },
	{ "a mail", false,
	    HELO MAIL RCPT DATA
	    "< hi\n< ..dots\n< .\n* message hi\r\n.dots\n* reset \n"
	    "> 250 2.0.0 Ok\n< QUIT\n* closed \n> 221 2.0.0 Bye\n" },
	{ "the null path, and postmaster without a domain", false,
	    HELO "< mail from:<>\n* mail @\n> 250 2.1.0 Ok\n"
		 "< rcpt to:<postMaster>\n* rcpt postmaster@\n"
		 "> 250 2.1.5 Ok\n" },
	{ "parameters", false,
	    HELO "< MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME SMTPUTF8\n"
		 "* mail a@b.example\n> 250 2.1.0 Ok\n"
		 "< RCPT TO:<\xc3\xa9@d.example>\n* rcpt \xc3\xa9@d.example\n"
		 "> 250 2.1.5 Ok\n" },
	{ "too large by its own word", false,
	    HELO "< MAIL FROM:<a@b.example> SIZE=101\n"
		 "> 552 5.3.4 Message too large\n" },
	{ "parameters nobody offered", false,
	    HELO "< MAIL FROM:<a@b.example> RET=HDRS\n"
		 "> 555 5.5.4 Unknown parameter\n"
		 "< MAIL FROM:<a@b.example> SIZE=1x\n"
		 "> 555 5.5.4 Unknown parameter\n" MAIL
		 "< RCPT TO:<c@d.example> NOTIFY=NEVER\n"
		 "> 555 5.5.4 Unknown parameter\n" },
	{ "UTF-8 without SMTPUTF8", false,
	    HELO "< MAIL FROM:<\xc3\xa9@b.example>\n"
		 "> 553 5.6.7 Say SMTPUTF8 for that address\n" MAIL
		 "< RCPT TO:<\xc3\xa9@d.example>\n"
		 "> 553 5.6.7 That address needs SMTPUTF8\n" },
	{ "out of order", false,
	    "< MAIL FROM:<a@b.example>\n> 503 5.5.1 Say EHLO first\n" HELO
	    "< RCPT TO:<c@d.example>\n> 503 5.5.1 Need MAIL first\n"
	    "< DATA\n> 503 5.5.1 Need MAIL first\n" MAIL
	    "< MAIL FROM:<a@b.example>\n* closed \n"
	    "> 503 5.5.1 One MAIL at a time\n"
	    "> 421 4.7.0 Too many errors\n" },
	{ "DATA without a recipient", false,
	    HELO MAIL "< RCPT TO:<bad@d.example>\n* rcpt bad@d.example\n"
		      "> 550 5.1.1 nobody\n"
		      "< DATA\n> 554 5.5.1 No valid recipients\n" },
	{ "an owner's words break no line", false,
	    HELO "< MAIL FROM:<bad@b.example>\n* mail bad@b.example\n"
		 "> 550 5.7.1 not??you\n" MAIL },
	{ "a 421 of the owner's ends it", false,
	    HELO MAIL "< RCPT TO:<last@d.example>\n* rcpt last@d.example\n"
		      "* closed \n> 421 4.3.2 enough\n" },
	{ "too many recipients", false,
	    HELO MAIL RCPT RCPT RCPT "< RCPT TO:<c@d.example>\n"
				     "> 452 4.5.3 Too many recipients\n" },
	{ "RSET forgets", false,
	    HELO MAIL RCPT "< RSET\n* reset \n> 250 2.0.0 Ok\n"
			   "< DATA\n> 503 5.5.1 Need MAIL first\n" },
	{ "EHLO forgets, too", false,
	    HELO MAIL RCPT "< HELO me\n* reset \n> 250 in.example\n"
			   "< RCPT TO:<c@d.example>\n"
			   "> 503 5.5.1 Need MAIL first\n" },
	{ "refused after the dot", false,
	    HELO MAIL RCPT DATA
	    "< bad\n< .\n* message bad\n* reset \n> 554 5.6.0 no\n" MAIL },
	{ "too large in truth", false,
	    HELO MAIL RCPT DATA
	    "< 01234567890123456789012345678901234567890123456789\n"
	    "< 01234567890123456789012345678901234567890123456789\n"
	    "< .\n* reset \n> 552 5.3.4 Message too large\n" MAIL },
	{ "small talk", false,
	    "< NOOP\n> 250 2.0.0 Ok\n< NOOP x\n> 250 2.0.0 Ok\n"
	    "< VRFY ann\n> 252 2.5.0 Try to send to it\n"
	    "< HELP\n> 214 2.0.0 RFC 5321\n"
	    "< EXPN list\n> 502 5.5.1 Not offered\n" },
	{ "unknown commands are counted", false,
	    "< XYZ\n> 500 5.5.1 Unknown command\n"
	    "< \n> 500 5.5.1 Unknown command\n"
	    "< DATA now\n> 501 5.5.4 No argument goes here\n"
	    "< MAIL\n* closed \n> 501 5.5.4 An argument is missing\n"
	    "> 421 4.7.0 Too many errors\n" },
	{ "bad syntax", false,
	    HELO "< MAIL FROM a@b\n> 501 5.5.4 Syntax: MAIL FROM:<address>\n"
		 "< MAIL FROM:a@b.example\n"
		 "> 501 5.5.4 Syntax: the address goes into <>\n"
		 "< MAIL FROM:<a@b.example\n"
		 "> 501 5.5.4 Syntax: the address does not end\n" },
	{ "more bad syntax", false,
	    HELO "< MAIL FROM:<a@b.example>x\n"
		 "> 501 5.5.4 Syntax: something follows the address\n"
		 "< HELO (x\n> 501 5.5.4 Syntax: HELO hostname\n"
		 "< MAIL FROM:<\">\"@b.example>\n* mail \">\"@b.example\n"
		 "> 250 2.1.0 Ok\n" },
	{ "a web browser", false,
	    "< POST / HTTP/1.1\n* closed \n"
	    "> 521 5.7.0 This is not a web server\n" },
	{ "a bare LF in the message ends the session", false,
	    HELO MAIL RCPT DATA "! bare LF\n* closed \n"
				"> 521 5.5.2 A bare CR or LF is not SMTP\n" },
	{ "a bare CR in the message ends the session", false,
	    HELO MAIL RCPT DATA "! bare CR\n* closed \n"
				"> 521 5.5.2 A bare CR or LF is not SMTP\n" },
	{ "a bare LF in a command ends the session", false,
	    "! bare LF\n* closed \n> 521 5.5.2 A bare CR or LF is not SMTP\n" },
	{ "a bare CR in a command ends the session", false,
	    "! bare CR\n* closed \n> 521 5.5.2 A bare CR or LF is not SMTP\n" },
	{ "control characters", false,
	    "! NUL\n> 500 5.5.2 Control character\n" },
	{ "STARTTLS not offered", false,
	    "< EHLO me\n> 250-in.example\n> 250-PIPELINING\n> 250-SIZE 100\n"
	    "> 250-8BITMIME\n> 250-SMTPUTF8\n> 250 ENHANCEDSTATUSCODES\n"
	    "< STARTTLS\n> 502 5.5.1 Not offered\n" },
	{ "STARTTLS", true,
	    "< EHLO me\n> 250-in.example\n> 250-PIPELINING\n> 250-SIZE 100\n"
	    "> 250-8BITMIME\n> 250-STARTTLS\n> 250-SMTPUTF8\n"
	    "> 250 ENHANCEDSTATUSCODES\n" MAIL
	    "< STARTTLS\n* reset \n* tls \n> 220 2.0.0 Ready\n"
	    "! tls_done\n"
	    "< MAIL FROM:<a@b.example>\n> 503 5.5.1 Say EHLO first\n"
	    "< EHLO me\n> 250-in.example\n> 250-PIPELINING\n> 250-SIZE 100\n"
	    "> 250-8BITMIME\n> 250-SMTPUTF8\n> 250 ENHANCEDSTATUSCODES\n"
	    "< STARTTLS\n> 503 5.5.1 TLS is on already\n" },
	{ "an answer that comes later", false,
	    HELO MAIL RCPT DATA
	    "! later\n< hi\n< .\n* message hi\n"
	    "! shutdown\n"
	    "! answer\n* reset \n* closed \n> 250 2.0.0 Ok\n"
	    "> 421 4.3.2 Shutting down\n" },
	{ "shutdown while idle", false,
	    HELO "! shutdown\n* closed \n> 421 4.3.2 Shutting down\n" },
};

static void
follows_the_trace(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct owner o = { 0 };

		print_message("%s\n", cases[i].name);
		start(&o, cases[i].tls);
		run(&o, cases[i].name, cases[i].trace);
		stop(&o);
	}
}

static const char group[] = "EHLO me\r\nMAIL FROM:<a@b.example>\r\n"
			    "RCPT TO:<c@d.example>\r\nDATA\r\nhi\r\n.\r\n"
			    "MAIL FROM:<a@b.example>\r\nRSET\r\nQUIT\r\n";

static void
greets_at_once(void **state)
{
	struct owner o = { 0 };

	(void)state;
	start(&o, false);
	assert_string_equal(strbuf_text(smtp_server_output(o.server)),
	    "220 in.example hello\r\n");
	stop(&o);
}

static void
input_may_be_cut_anywhere(void **state)
{
	struct owner whole = { 0 };

	(void)state;
	start(&whole, false);
	assert_int_equal(smtp_server_feed(whole.server, slice_of(group)),
	    strlen(group));
	take_output(&whole);
	assert_non_null(strstr(strbuf_text(&whole.trace), "* closed"));
	for (size_t cut = 1; cut < strlen(group); cut++) {
		struct owner o = { 0 };
		struct slice all = slice_of(group);
		size_t used;

		start(&o, false);
		used = smtp_server_feed(o.server, slice_first(all, cut));
		assert_in_range(used, 0, cut);
		all = slice_from(all, used);
		assert_int_equal(smtp_server_feed(o.server, all), all.len);
		take_output(&o);
		assert_string_equal(strbuf_text(&o.trace),
		    strbuf_text(&whole.trace));
		stop(&o);
	}
	stop(&whole);
}

static void
nothing_more_is_read_until_the_answer(void **state)
{
	struct owner o = { .later = true };
	struct smtp_decision ok = { 0 };
	struct slice in = slice_of(group);
	size_t used;

	(void)state;
	start(&o, false);
	used = smtp_server_feed(o.server, in);
	assert_int_equal(used, slice_find(in, SLICE(".\r\nMAIL")) + 3);
	assert_true(smtp_server_in_transaction(o.server));
	in = slice_from(in, used);
	assert_int_equal(smtp_server_feed(o.server, in), 0);
	smtp_server_answer(o.server, &ok);
	assert_false(smtp_server_in_transaction(o.server));
	assert_int_equal(smtp_server_feed(o.server, in), in.len);
	assert_non_null(strstr(strbuf_text(&o.trace), "* closed"));
	stop(&o);
}

static void
what_follows_starttls_is_not_taken(void **state)
{
	struct owner o = { 0 };
	static const char in[] = "EHLO me\r\nSTARTTLS\r\nMAIL FROM:<>\r\n";

	(void)state;
	start(&o, true);
	assert_int_equal(smtp_server_feed(o.server, slice_of(in)),
	    strlen(in) - 14);
	assert_string_equal(strbuf_text(&o.trace), "* tls \n");
	stop(&o);
}

static void
an_endless_line_ends_the_session(void **state)
{
	struct owner o = { 0 };
	char *line = xmalloc(2000);

	(void)state;
	memset(line, 'A', 2000);
	start(&o, false);
	assert_int_equal(smtp_server_feed(o.server, slice_mem(line, 999)), 0);
	assert_string_equal(strbuf_text(&o.trace), "");
	assert_int_equal(smtp_server_feed(o.server, slice_mem(line, 1000)),
	    1000);
	assert_string_equal(strbuf_text(&o.trace), "* closed \n");
	free(line);
	stop(&o);
}

TEST_MAIN(cmocka_unit_test(follows_the_trace), cmocka_unit_test(greets_at_once),
    cmocka_unit_test(input_may_be_cut_anywhere),
    cmocka_unit_test(nothing_more_is_read_until_the_answer),
    cmocka_unit_test(what_follows_starttls_is_not_taken),
    cmocka_unit_test(an_endless_line_ends_the_session))

/*
 * The server is a line at a time until DATA, then the message (server_data.c),
 * then a pause until the owner has answered for it. Every command is a row of
 * a table: its name, its handler, and whether an argument may follow.
 *
 *   COMMAND > DATA > ANSWER > COMMAND; COMMAND > TLS > COMMAND; any > CLOSED
 *
 * Strict where laxity has been abused: a CR or LF standing alone, a command
 * line that is too long, and the first words of HTTP end the session.
 */
#include "smtp/server.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "smtp/server_priv.h"

#define SMTP_SERVER_MAGIC 0x53525650u
#define LINE_MAX_OCTETS 1000 /* with CRLF */
#define HELO_MAX 255
#define ERRORS_DEFAULT 20
#define RCPT_REFUSED_MAX 100
#define TEXT_KEEP ((size_t)256 * 1024)

enum mode { MODE_COMMAND, MODE_DATA, MODE_ANSWER, MODE_TLS, MODE_CLOSED };

struct smtp_server {
	unsigned int magic;
	struct smtp_server_options opt;
	char *hostname;
	const struct smtp_server_ops *ops;
	void *ctx;
	enum mode mode;
	bool esmtp, tls, stopping, told;
	bool tls_asked, message_given;
	unsigned int nested;
	unsigned int errors;
	char helo[HELO_MAX + 1];
	/* The transaction. */
	bool has_mail, smtputf8;
	size_t rcpt_count, rcpt_tries;
	struct arena arena;
	struct smtp_message message;
	struct strbuf out;
};

/* Replies. ------------------------------------------------------------------
 */

static void
close_session(struct smtp_server *s)
{
	s->mode = MODE_CLOSED;
}

static void
reply(struct smtp_server *s, const char *line)
{
	strbuf_add_text(&s->out, line);
	strbuf_add_text(&s->out, "\r\n");
}

/* A reply that ends the session. */
static void
reply_last(struct smtp_server *s, const char *line)
{
	reply(s, line);
	close_session(s);
}

/* A 4xx or 5xx; too many of them end the session. */
static void
count_error(struct smtp_server *s)
{
	unsigned int max =
	    s->opt.errors_max != 0 ? s->opt.errors_max : ERRORS_DEFAULT;

	if (s->mode != MODE_CLOSED && ++s->errors >= max)
		reply_last(s, "421 4.7.0 Too many errors");
}

static void
reply_error(struct smtp_server *s, const char *line)
{
	reply(s, line);
	count_error(s);
}

/* The owner's words; nothing in them may end the line. */
static void
reply_decision(struct smtp_server *s, const struct smtp_decision *d)
{
	strbuf_add_u64(&s->out, d->code);
	strbuf_add_char(&s->out, ' ');
	for (const char *p = d->text; *p != '\0'; p++)
		strbuf_add_char(&s->out,
		    (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
	strbuf_add_text(&s->out, "\r\n");
	if (d->code == 421)
		close_session(s);
	else if (d->code >= 400)
		count_error(s);
}

/* Commands. ------------------------------------------------------------------
 */

static void
reset(struct smtp_server *s)
{
	bool was_open = s->has_mail;

	s->has_mail = s->smtputf8 = false;
	s->rcpt_count = s->rcpt_tries = 0;
	arena_fini(&s->arena);
	strbuf_reset(&s->message.text);
	if (s->message.text.cap > TEXT_KEEP)
		strbuf_fini(&s->message.text);
	if (was_open)
		s->ops->reset(s->ctx);
}

/* The name goes into trace headers: printable, no blanks, no brackets. */
static bool
set_helo(struct smtp_server *s, struct slice name)
{
	name = slice_trim(name);
	if (name.len == 0 || name.len > HELO_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' ||
		    strchr("()<>@,;\\\"", name.ptr[i]) != NULL)
			return false;
	memcpy(s->helo, name.ptr, name.len);
	s->helo[name.len] = '\0';
	return true;
}

static bool
can_start_tls(const struct smtp_server *s)
{
	return s->ops->need_tls != NULL && !s->tls;
}

static void
on_ehlo(struct smtp_server *s, struct slice arg)
{
	if (!set_helo(s, arg)) {
		reply_error(s, "501 5.5.4 Syntax: EHLO hostname");
		return;
	}
	reset(s);
	s->esmtp = true;
	strbuf_add_fmt(&s->out,
	    "250-%s\r\n250-PIPELINING\r\n250-SIZE %zu\r\n250-8BITMIME\r\n",
	    s->hostname, s->opt.size_max);
	if (can_start_tls(s))
		strbuf_add_text(&s->out, "250-STARTTLS\r\n");
	if (s->opt.smtputf8)
		strbuf_add_text(&s->out, "250-SMTPUTF8\r\n");
	strbuf_add_text(&s->out, "250 ENHANCEDSTATUSCODES\r\n");
}

static void
on_helo(struct smtp_server *s, struct slice arg)
{
	if (!set_helo(s, arg)) {
		reply_error(s, "501 5.5.4 Syntax: HELO hostname");
		return;
	}
	reset(s);
	s->esmtp = false;
	strbuf_add_fmt(&s->out, "250 %s\r\n", s->hostname);
}

static void
on_starttls(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	if (s->ops->need_tls == NULL || !s->esmtp) {
		reply_error(s, "502 5.5.1 Not offered");
	} else if (s->tls) {
		reply_error(s, "503 5.5.1 TLS is on already");
	} else {
		reset(s);
		reply(s, "220 2.0.0 Ready");
		s->mode = MODE_TLS;
		s->tls_asked = false;
	}
}

/* "FROM:" or "TO:" off the front, in any case. */
static bool
take_word(struct slice *arg, struct slice word)
{
	if (!slice_starts_nocase(*arg, word))
		return false;
	*arg = slice_from(*arg, word.len);
	return true;
}

static void
on_mail(struct smtp_server *s, struct slice arg)
{
	struct smtp_path_args args = { 0 };
	struct smtp_decision d = { 0 };
	struct error err = { 0 };

	if (s->helo[0] == '\0') {
		reply_error(s, "503 5.5.1 Say EHLO first");
		return;
	}
	if (s->has_mail) {
		reply_error(s, "503 5.5.1 One MAIL at a time");
		return;
	}
	if (!take_word(&arg, SLICE("FROM:"))) {
		reply_error(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
		return;
	}
	if (smtp_path_args_parse(&s->arena, arg,
		s->opt.any_sender ? SMTP_PATH_ANY_SENDER : SMTP_PATH_SENDER,
		s->opt.smtputf8, &args, &err) != 0) {
		reply_error(s, err.text);
		arena_fini(&s->arena);
		return;
	}
	if (args.size > s->opt.size_max) {
		reply_error(s, "552 5.3.4 Message too large");
		arena_fini(&s->arena);
		return;
	}
	s->ops->mail(s->ctx, &args.address, &d);
	if (d.code != 0) {
		reply_decision(s, &d);
		arena_fini(&s->arena);
		return;
	}
	s->has_mail = true;
	s->smtputf8 = args.smtputf8;
	reply(s, "250 2.1.0 Ok");
}

static void
on_rcpt(struct smtp_server *s, struct slice arg)
{
	struct smtp_path_args args = { 0 };
	struct smtp_decision d = { 0 };
	struct error err = { 0 };

	if (!s->has_mail) {
		reply_error(s, "503 5.5.1 Need MAIL first");
		return;
	}
	if (!take_word(&arg, SLICE("TO:"))) {
		reply_error(s, "501 5.5.4 Syntax: RCPT TO:<address>");
		return;
	}
	/* Refused ones take memory, too. */
	if (s->rcpt_count >= s->opt.rcpt_max ||
	    s->rcpt_tries++ >= s->opt.rcpt_max + RCPT_REFUSED_MAX) {
		reply_error(s, "452 4.5.3 Too many recipients");
		return;
	}
	if (smtp_path_args_parse(&s->arena, arg, SMTP_PATH_RCPT, false, &args,
		&err) != 0) {
		reply_error(s, err.text);
		return;
	}
	if (!s->smtputf8 && !ascii_only(arg)) {
		reply_error(s, "553 5.6.7 That address needs SMTPUTF8");
		return;
	}
	s->ops->rcpt(s->ctx, &args.address, &d);
	if (d.code != 0) {
		reply_decision(s, &d);
		return;
	}
	s->rcpt_count++;
	reply(s, "250 2.1.5 Ok");
}

static void
on_data(struct smtp_server *s, struct slice arg)
{
	struct smtp_decision d = { 0 };

	(void)arg;
	if (!s->has_mail) {
		reply_error(s, "503 5.5.1 Need MAIL first");
		return;
	}
	if (s->rcpt_count == 0) {
		reply_error(s, "554 5.5.1 No valid recipients");
		return;
	}
	if (s->ops->data != NULL)
		s->ops->data(s->ctx, &d);
	if (d.code != 0) {
		reply_decision(s, &d);
		return;
	}
	reply(s, "354 End with <CR><LF>.<CR><LF>");
	smtp_message_begin(&s->message, s->opt.size_max);
	s->mode = MODE_DATA;
}

static void
on_rset(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reset(s);
	reply(s, "250 2.0.0 Ok");
}

static void
on_noop(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reply(s, "250 2.0.0 Ok");
}

static void
on_vrfy(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reply(s, "252 2.5.0 Try to send to it");
}

static void
on_help(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reply(s, "214 2.0.0 RFC 5321");
}

static void
on_quit(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reply_last(s, "221 2.0.0 Bye");
}

static void
on_expn(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reply_error(s, "502 5.5.1 Not offered");
}

/* A web page made some browser speak to us: RFC 5321 knows no such words. */
static void
on_http(struct smtp_server *s, struct slice arg)
{
	(void)arg;
	reply_last(s, "521 5.7.0 This is not a web server");
}

static const struct {
	struct slice verb;
	void (*run)(struct smtp_server *, struct slice arg);
	enum { ARG_NONE, ARG_SOME, ARG_MAYBE } arg;
} commands[] = {
	{ { "EHLO", 4 }, on_ehlo, ARG_SOME },
	{ { "HELO", 4 }, on_helo, ARG_SOME },
	{ { "MAIL", 4 }, on_mail, ARG_SOME },
	{ { "RCPT", 4 }, on_rcpt, ARG_SOME },
	{ { "DATA", 4 }, on_data, ARG_NONE },
	{ { "RSET", 4 }, on_rset, ARG_NONE },
	{ { "NOOP", 4 }, on_noop, ARG_MAYBE },
	{ { "VRFY", 4 }, on_vrfy, ARG_SOME },
	{ { "EXPN", 4 }, on_expn, ARG_SOME },
	{ { "HELP", 4 }, on_help, ARG_MAYBE },
	{ { "QUIT", 4 }, on_quit, ARG_NONE },
	{ { "STARTTLS", 8 }, on_starttls, ARG_NONE },
	{ { "GET", 3 }, on_http, ARG_MAYBE },
	{ { "POST", 4 }, on_http, ARG_MAYBE },
	{ { "PUT", 3 }, on_http, ARG_MAYBE },
	{ { "CONNECT", 7 }, on_http, ARG_MAYBE },
	{ { "OPTIONS", 7 }, on_http, ARG_MAYBE },
};

static void
run_command(struct smtp_server *s, struct slice line)
{
	struct slice arg = line;
	struct slice verb = slice_take_until(&arg, ' ');

	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if (c < 0x20 || c == 0x7f) {
			reply_error(s, "500 5.5.2 Control character");
			return;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!slice_eq_nocase(verb, commands[i].verb))
			continue;
		arg = slice_trim(arg);
		if (commands[i].arg == ARG_NONE && arg.len > 0)
			reply_error(s, "501 5.5.4 No argument goes here");
		else if (commands[i].arg == ARG_SOME && arg.len == 0)
			reply_error(s, "501 5.5.4 An argument is missing");
		else
			commands[i].run(s, arg);
		return;
	}
	reply_error(s, "500 5.5.1 Unknown command");
}

/* Input. ---------------------------------------------------------------------
 */

/* One command line off the front; false when it is not all there. */
static bool
take_command(struct smtp_server *s, struct slice *in)
{
	struct slice head = slice_first(*in, LINE_MAX_OCTETS);
	size_t lf = slice_find_char(head, '\n');
	struct slice line = slice_first(head, lf);

	if (lf == head.len && head.len < LINE_MAX_OCTETS)
		return false;
	if (lf == head.len) {
		reply_last(s, "500 5.5.2 Line too long");
		return true;
	}
	*in = slice_from(*in, lf + 1);
	if (line.len == 0 || line.ptr[line.len - 1] != '\r' ||
	    slice_find_char(line, '\r') != line.len - 1) {
		reply_last(s, "521 5.5.2 A bare CR or LF is not SMTP");
		return true;
	}
	line.len--;
	run_command(s, line);
	return true;
}

static void
take_message(struct smtp_server *s, struct slice *in)
{
	switch (smtp_message_take(&s->message, in)) {
	case SMTP_DATA_MORE:
		break;
	case SMTP_DATA_BARE:
		reply_last(s, "521 5.5.2 A bare CR or LF is not SMTP");
		break;
	case SMTP_DATA_FLOOD:
		reply_last(s, "552 5.3.4 Message too large");
		break;
	case SMTP_DATA_END:
		if (s->message.too_large) {
			s->mode = MODE_COMMAND;
			reset(s);
			reply_error(s, "552 5.3.4 Message too large");
		} else {
			s->mode = MODE_ANSWER;
			s->message_given = false;
		}
		break;
	}
}

/* The owner may answer from within message(), so it is given in a loop. */
static void
give_message(struct smtp_server *s)
{
	s->message_given = true;
	s->ops->message(s->ctx, strbuf_slice(&s->message.text));
}

static void
settle(struct smtp_server *s)
{
	if (s->nested == 1 && s->mode == MODE_TLS && !s->tls_asked) {
		s->tls_asked = true;
		s->ops->need_tls(s->ctx);
	}
	if (s->nested == 1 && s->stopping &&
	    (s->mode == MODE_COMMAND || s->mode == MODE_DATA))
		reply_last(s, "421 4.3.2 Shutting down");
	s->nested--;
	if (s->nested == 0 && s->mode == MODE_CLOSED && !s->told) {
		s->told = true;
		s->ops->closed(s->ctx);
	}
}

/* Entry points.
 * ---------------------------------------------------------------- */

struct smtp_server *
smtp_server_new(const struct smtp_server_options *opt,
    const struct smtp_server_ops *ops, void *ctx)
{
	struct smtp_server *s = xmalloc(sizeof(*s));

	s->magic = SMTP_SERVER_MAGIC;
	s->opt = *opt;
	s->hostname = xstrdup(opt->hostname);
	s->ops = ops;
	s->ctx = ctx;
	arena_init(&s->arena);
	strbuf_init(&s->out, 0);
	strbuf_init(&s->message.text, 0);
	strbuf_add_fmt(&s->out, "220 %s %s\r\n", s->hostname,
	    opt->banner != NULL ? opt->banner : "ESMTP");
	return s;
}

void
smtp_server_free(struct smtp_server **s)
{
	if (*s == NULL)
		return;
	OBJ_CHECK(*s, SMTP_SERVER_MAGIC);
	(*s)->magic = 0;
	arena_fini(&(*s)->arena);
	strbuf_fini(&(*s)->message.text);
	strbuf_fini(&(*s)->out);
	free((*s)->hostname);
	free(*s);
	*s = NULL;
}

size_t
smtp_server_feed(struct smtp_server *s, struct slice data)
{
	struct slice in = data;
	size_t used;

	OBJ_CHECK(s, SMTP_SERVER_MAGIC);
	s->nested++;
	while (
	    in.len > 0 && (s->mode == MODE_COMMAND || s->mode == MODE_DATA)) {
		if (s->mode == MODE_DATA)
			take_message(s, &in);
		else if (!take_command(s, &in))
			break;
		if (s->mode == MODE_ANSWER)
			give_message(s);
	}
	/* What follows the end is nobody's. */
	used = s->mode == MODE_CLOSED ? data.len : data.len - in.len;
	settle(s);
	return used;
}

void
smtp_server_answer(struct smtp_server *s, const struct smtp_decision *d)
{
	OBJ_CHECK(s, SMTP_SERVER_MAGIC);
	invariant(s->mode == MODE_ANSWER && s->message_given);
	s->nested++;
	s->mode = MODE_COMMAND;
	if (d->code == 0)
		reply(s, "250 2.0.0 Ok");
	else
		reply_decision(s, d);
	reset(s);
	settle(s);
}

void
smtp_server_tls_done(struct smtp_server *s)
{
	OBJ_CHECK(s, SMTP_SERVER_MAGIC);
	if (s->mode != MODE_TLS)
		return;
	s->nested++;
	/* RFC 3207 section 4.2: back to the state after the greeting. */
	s->tls = true;
	s->esmtp = false;
	s->helo[0] = '\0';
	s->mode = MODE_COMMAND;
	settle(s);
}

void
smtp_server_shutdown(struct smtp_server *s)
{
	OBJ_CHECK(s, SMTP_SERVER_MAGIC);
	s->nested++;
	s->stopping = true;
	if (s->mode == MODE_TLS)
		close_session(s);
	settle(s);
}

struct strbuf *
smtp_server_output(struct smtp_server *s)
{
	return &s->out;
}

const char *
smtp_server_helo(const struct smtp_server *s)
{
	return s->helo;
}

bool
smtp_server_is_esmtp(const struct smtp_server *s)
{
	return s->esmtp;
}

bool
smtp_server_in_transaction(const struct smtp_server *s)
{
	return s->has_mail && s->mode != MODE_CLOSED;
}

/*
 * The client is two halves. The sending half (client_send.c) puts commands
 * into the output and notes each in a first-in first-out list of what is
 * awaited; with PIPELINING it runs ahead. The receiving half hands each reply
 * to the handler of the list's head; what the handler returns is the next
 * state, and enter() sends that state's command unless it was sent before.
 *
 *   BANNER > EHLO [> HELO] [> STARTTLS > TLS > EHLO] > IDLE
 *   IDLE [> RSET] > MAIL > RCPT > DATA > DOT > IDLE, or > MAIL when the next
 *       transaction already rides behind the dot
 *   MAIL refused > IDLE; RCPT or DATA refused > IDLE, RSET before the next
 *   the same with commands under way: on to DATA, which should be refused, too;
 *       a 354 is answered by a lone dot: > EMPTY_DOT > IDLE (RFC 2920 3.1)
 *   IDLE > QUIT > CLOSED; any > CLOSED on 421 or when the peer makes no sense
 *
 * Invariants: commands to be sent always belong to the newest transaction,
 * replies to the oldest; a transaction begins only when the one before it has
 * its dot out or is done with. Thus at most one has a dot without a reply.
 *
 * Callbacks that can end the owner's use of the client come last: closed is
 * called by settle() as the outermost entry point returns.
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/client_priv.h"

#define SMTP_CLIENT_MAGIC 0x534d5450u
#define OUT_KEEP ((size_t)256 * 1024)

typedef enum smtp_state smtp_on_reply(struct smtp_client *c,
    const struct smtp_reply *r, struct smtp_transaction *txn);

static smtp_on_reply on_banner, on_ehlo, on_helo, on_starttls, on_mail, on_rcpt,
    on_data, on_dot, on_empty_dot, on_rset, on_quit;

/* Deadlines: RFC 5321 section 4.5.3.2; it has none for RSET and QUIT. */
static const struct {
	const char *name; /* for logs and bounces */
	unsigned int deadline_s;
	smtp_send *send;	 /* NULL: nothing is sent, the others' turn */
	smtp_on_reply *on_reply; /* NULL: no reply is awaited */
	enum smtp_stage stage;
} steps[SMTP_STATE_COUNT] = {
	[SMTP_BANNER] = { "greeting", 300, NULL, on_banner, SMTP_STAGE_BANNER },
	[SMTP_EHLO] = { "EHLO", 300, smtp_send_ehlo, on_ehlo, SMTP_STAGE_EHLO },
	[SMTP_HELO] = { "HELO", 300, smtp_send_helo, on_helo, SMTP_STAGE_EHLO },
	[SMTP_STARTTLS] = { "STARTTLS", 120, smtp_send_starttls, on_starttls,
	    SMTP_STAGE_STARTTLS },
	[SMTP_TLS] = { "TLS handshake", 60, NULL, NULL, SMTP_STAGE_TLS },
	[SMTP_IDLE] = { "idle", 300, NULL, NULL, SMTP_STAGE_IDLE },
	[SMTP_MAIL] = { "MAIL FROM", 300, smtp_send_mail, on_mail,
	    SMTP_STAGE_MAIL },
	[SMTP_RCPT] = { "RCPT TO", 300, smtp_send_rcpt, on_rcpt,
	    SMTP_STAGE_RCPT },
	[SMTP_DATA] = { "DATA", 120, smtp_send_data, on_data, SMTP_STAGE_DATA },
	[SMTP_DOT] = { "end of data", 600, smtp_send_dot, on_dot,
	    SMTP_STAGE_DOT },
	[SMTP_EMPTY_DOT] = { "end of empty data", 600, smtp_send_empty_dot,
	    on_empty_dot, SMTP_STAGE_IDLE },
	[SMTP_RSET] = { "RSET", 60, smtp_send_rset, on_rset, SMTP_STAGE_IDLE },
	[SMTP_QUIT] = { "QUIT", 60, smtp_send_quit, on_quit, SMTP_STAGE_IDLE },
	[SMTP_CLOSED] = { "closed", 0, NULL, NULL, SMTP_STAGE_IDLE },
};

const char *
smtp_state_name(enum smtp_state state)
{
	return steps[state].name;
}

unsigned int
smtp_state_deadline_s(enum smtp_state state)
{
	return steps[state].deadline_s;
}

enum smtp_stage
smtp_state_stage(enum smtp_state state)
{
	return steps[state].stage;
}

const char *
smtp_stage_name(enum smtp_stage stage)
{
	static const char *const names[] = {
		[SMTP_STAGE_CONNECT] = "connect",
		[SMTP_STAGE_BANNER] = "greeting",
		[SMTP_STAGE_EHLO] = "EHLO",
		[SMTP_STAGE_STARTTLS] = "STARTTLS",
		[SMTP_STAGE_TLS] = "TLS handshake",
		[SMTP_STAGE_MAIL] = "MAIL FROM",
		[SMTP_STAGE_RCPT] = "RCPT TO",
		[SMTP_STAGE_DATA] = "DATA",
		[SMTP_STAGE_BODY] = "message",
		[SMTP_STAGE_DOT] = "end of data",
		[SMTP_STAGE_IDLE] = "idle",
	};

	return names[stage];
}

/* The machine. ------------------------------------------------------------ */

static void
send_step(struct smtp_client *c, enum smtp_state state)
{
	struct smtp_transaction *txn = NULL;

	if (state >= SMTP_MAIL && state <= SMTP_EMPTY_DOT) {
		invariant(smtp_txn_is_open(c));
		txn = &c->txn[smtp_txn_newest(c) - c->txn];
	}
	smtp_awaited_push(c, state, txn);
	steps[state].send(c, txn);
}

/* The only place where the state changes, but for the end. */
static void
enter(struct smtp_client *c, enum smtp_state next)
{
	const struct smtp_awaited *head = smtp_awaited_head(c);

	log_debug(c->opt.log, "smtp.state",
	    log_text("from", steps[c->state].name),
	    log_text("to", steps[next].name));
	c->state = next;
	if (head != NULL)
		invariant(head->state == next);
	else if (steps[next].send != NULL)
		send_step(c, next);
	c->ops->deadline(c->ctx, steps[next].deadline_s, steps[next].name);
}

/* What comes after a transaction, RSET or EHLO. */
static enum smtp_state
next_or_idle(struct smtp_client *c)
{
	const struct smtp_awaited *head = smtp_awaited_head(c);

	if (head != NULL)
		return head->state;
	return c->quitting ? SMTP_QUIT : SMTP_IDLE;
}

static enum smtp_state
on_banner(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	struct error err = { 0 };

	(void)txn;
	if (!smtp_name_is_safe(c->opt.helo_name)) {
		(void)error_set(&err, ERR_SYNTAX, "our own name is no name");
		return smtp_over_local(c, &err);
	}
	if (r->code == 220)
		return SMTP_EHLO;
	return r->code >= 400 ? smtp_over_reply(c, r)
			      : smtp_over_senseless(c, r);
}

static enum smtp_state
after_hello(struct smtp_client *c)
{
	struct error err = { 0 };

	if (!c->tls && c->opt.tls != SMTP_TLS_NEVER) {
		if (c->caps.starttls)
			return SMTP_STARTTLS;
		if (c->opt.tls == SMTP_TLS_MUST) {
			struct smtp_outcome why = {
				.source = SMTP_LOCAL,
				.stage = SMTP_STAGE_STARTTLS,
			};

			(void)error_set(&err, ERR_TLS,
			    "TLS is required, the server does not offer it");
			why.error = err;
			return smtp_over(c, &why);
		}
	}
	return next_or_idle(c);
}

static enum smtp_state
on_ehlo(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	(void)txn;
	if (r->code / 100 == 2) {
		c->caps.ehlo = true;
		return after_hello(c);
	}
	c->caps = (struct smtp_client_caps){ 0 };
	/* Not understood, as opposed to: I will not talk to you. */
	if (r->code >= 500 && r->code <= 504)
		return SMTP_HELO;
	return r->code >= 400 ? smtp_over_reply(c, r)
			      : smtp_over_senseless(c, r);
}

static enum smtp_state
on_helo(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	(void)txn;
	if (r->code / 100 == 2)
		return after_hello(c);
	return r->code >= 400 ? smtp_over_reply(c, r)
			      : smtp_over_senseless(c, r);
}

static enum smtp_state
on_starttls(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	(void)txn;
	if (r->code == 220)
		return SMTP_TLS;
	return r->code >= 400 ? smtp_over_reply(c, r)
			      : smtp_over_senseless(c, r);
}

/*
 * A command of a transaction was refused. With commands under way, on to the
 * next one's reply; else the transaction is over.
 */
static enum smtp_state
refused(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	smtp_report_reply(c, txn, steps[c->answered.state].stage, r);
	if (smtp_awaited_head(c) == NULL) {
		c->needs_rset = txn->mail_ok;
		smtp_txn_pop(c);
	}
	return next_or_idle(c);
}

static enum smtp_state
on_mail(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	if (r->code / 100 == 2) {
		txn->mail_ok = true;
		return SMTP_RCPT;
	}
	return r->code >= 400 ? refused(c, r, txn) : smtp_over_senseless(c, r);
}

static enum smtp_state
on_rcpt(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	if (r->code / 100 == 2) {
		txn->rcpt_ok = true;
		return SMTP_DATA;
	}
	return r->code >= 400 ? refused(c, r, txn) : smtp_over_senseless(c, r);
}

static enum smtp_state
on_data(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	if (r->code == 354 && txn->mail_ok && txn->rcpt_ok)
		return SMTP_DOT;
	/* A recipient without a sender: a dot might send an empty message. */
	if (r->code == 354 && !txn->rcpt_ok)
		return SMTP_EMPTY_DOT;
	return r->code >= 400 ? refused(c, r, txn) : smtp_over_senseless(c, r);
}

/* A dot that is still on our side was not sent. */
static void
take_back_dot(struct smtp_client *c, struct smtp_transaction *txn,
    size_t unsent_octets)
{
	uint64_t unsent;

	if (__builtin_add_overflow((uint64_t)c->out.len,
		(uint64_t)unsent_octets, &unsent) ||
	    unsent > c->out_total)
		unsent = c->out_total;
	if (txn->dot_out && txn->dot_at >= c->out_total - unsent)
		txn->dot_out = false;
}

/* A reply that was there before the dot was sent is not one to the dot: taken
 * for it, a stray 250 would lose a message. */
static enum smtp_state
on_dot(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	take_back_dot(c, txn, c->unsent);
	if (r->code < 400 && (r->code / 100 != 2 || !txn->dot_out))
		return smtp_over_senseless(c, r);
	/* Refused in the middle: there is no way to stop but to leave. */
	if (!txn->dot_out)
		return smtp_over_reply(c, r);
	smtp_report_reply(c, txn, SMTP_STAGE_DOT, r);
	smtp_txn_pop(c);
	/* One large message should not cost its memory for the session. */
	if (c->out.len == 0 && c->out.cap > OUT_KEEP)
		strbuf_fini(&c->out);
	return next_or_idle(c);
}

static enum smtp_state
on_empty_dot(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	(void)txn;
	if (r->code / 100 == 3)
		return smtp_over_senseless(c, r);
	smtp_txn_pop(c);
	return next_or_idle(c);
}

static enum smtp_state
on_rset(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	(void)txn;
	if (r->code / 100 == 3)
		return smtp_over_senseless(c, r);
	if (r->code / 100 != 2)
		return smtp_over_reply(c, r);
	c->needs_rset = false;
	if (smtp_awaited_head(c) == NULL && smtp_txn_is_open(c))
		return SMTP_MAIL;
	return next_or_idle(c);
}

static enum smtp_state
on_quit(struct smtp_client *c, const struct smtp_reply *r,
    struct smtp_transaction *txn)
{
	(void)txn;
	return smtp_over_reply(c, r);
}

static void
over_unawaited(struct smtp_client *c, const struct smtp_reply *r)
{
	struct error err = { 0 };

	c->answered = (struct smtp_awaited){ c->state, NULL };
	if (r->code == 421 && c->state == SMTP_IDLE) {
		smtp_over_reply(c, r);
		return;
	}
	(void)error_set(&err, ERR_SYNTAX,
	    "protocol error: reply %u that nobody awaits", r->code);
	smtp_over_local(c, &err);
}

static void
dispatch(struct smtp_client *c)
{
	const struct smtp_reply *r = &c->parser.reply;
	enum smtp_state next;

	if (c->awaited_count == 0) {
		over_unawaited(c, r);
		return;
	}
	c->answered = smtp_awaited_pop(c);
	c->answering = true;
	next = r->code == 421
	    ? smtp_over_reply(c, r)
	    : steps[c->answered.state].on_reply(c, r, c->answered.txn);
	c->answering = false;
	if (next != SMTP_CLOSED)
		enter(c, next);
}

static void
on_reply_line(void *ctx, unsigned int code, struct slice text)
{
	struct smtp_client *c = ctx;
	const struct smtp_awaited *head = smtp_awaited_head(c);

	/* The first line names the server, the others what it offers. */
	if (head != NULL && head->state == SMTP_EHLO && code == 250 &&
	    c->parser.lines > 1)
		smtp_caps_take(&c->caps, text);
}

static void
feed_line(struct smtp_client *c, struct slice line)
{
	const struct smtp_awaited *head = smtp_awaited_head(c);
	struct error err = { 0 };
	int rc;

	if (c->state == SMTP_CLOSED)
		return;
	smtp_note_line(c, head != NULL ? head->txn : NULL, 'S', line);
	rc = smtp_reply_feed(&c->parser, line, on_reply_line, c, &err);
	if (rc == 1) {
		dispatch(c);
	} else if (rc < 0) {
		(void)error_add(&err, "protocol error in reply to %s",
		    steps[c->state].name);
		/* Also what is too long: ERR_LIMIT is about a message. */
		err.kind = ERR_SYNTAX;
		smtp_over_local(c, &err);
	}
}

/*
 * Ends an entry point. The outermost one tells the owner what has come true;
 * closed is the very last act, for the owner may free the client in it.
 */
static void
settle(struct smtp_client *c)
{
	if (c->nested == 1) {
		if (c->state == SMTP_TLS && !c->tls_asked) {
			c->tls_asked = true;
			c->ops->need_tls(c->ctx);
		}
		smtp_report_refused(c);
		while (smtp_client_can_send(c) && !c->announced) {
			c->announced = true;
			c->ops->ready(c->ctx);
			smtp_report_refused(c);
		}
		if (c->state == SMTP_IDLE && c->quitting)
			enter(c, SMTP_QUIT);
		if (!smtp_client_can_send(c))
			c->announced = false;
	}
	c->nested--;
	if (c->nested == 0 && c->state == SMTP_CLOSED && !c->told) {
		c->told = true;
		c->ops->closed(c->ctx, &c->why);
	}
}

/* Entry points. ----------------------------------------------------------- */

struct smtp_client *
smtp_client_new(const struct smtp_client_options *opt,
    const struct smtp_client_ops *ops, void *ctx)
{
	struct smtp_client *c = xmalloc(sizeof(*c));

	c->magic = SMTP_CLIENT_MAGIC;
	c->opt = *opt;
	c->ops = ops;
	c->ctx = ctx;
	strbuf_init(&c->out, 0);
	c->nested++;
	smtp_awaited_push(c, SMTP_BANNER, NULL);
	enter(c, SMTP_BANNER);
	c->nested--;
	return c;
}

void
smtp_client_free(struct smtp_client **c)
{
	if (*c == NULL)
		return;
	OBJ_CHECK(*c, SMTP_CLIENT_MAGIC);
	(*c)->magic = 0;
	strbuf_fini(&(*c)->out);
	free(*c);
	*c = NULL;
}

size_t
smtp_client_input(struct smtp_client *c, struct slice data)
{
	return smtp_client_input_unsent(c, data, 0);
}

size_t
smtp_client_input_unsent(struct smtp_client *c, struct slice data,
    size_t unsent_octets)
{
	size_t used = 0;

	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	c->unsent = unsent_octets;
	c->nested++;
	while (c->state != SMTP_CLOSED && used < data.len) {
		struct slice line, rest = slice_from(data, used);

		if (c->state == SMTP_TLS && !c->tls_asked)
			break;
		line = slice_first(rest, slice_find_char(rest, '\n'));
		if (line.len == rest.len && rest.len <= SMTP_REPLY_LINE_MAX)
			break;
		used += MIN(line.len + 1, rest.len);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		feed_line(c, line);
	}
	settle(c);
	return used;
}

void
smtp_client_feed(struct smtp_client *c, struct slice line)
{
	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	c->nested++;
	feed_line(c, line);
	settle(c);
}

void
smtp_client_tls_done(struct smtp_client *c)
{
	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	if (c->state != SMTP_TLS)
		return;
	c->nested++;
	/* RFC 3207 section 4.2: what was said in the clear counts no more. */
	c->caps = (struct smtp_client_caps){ 0 };
	c->parser = (struct smtp_reply_parser){ 0 };
	c->tls = true;
	enter(c, SMTP_EHLO);
	settle(c);
}

void
smtp_client_lost_unsent(struct smtp_client *c, const struct error *why,
    size_t unsent_octets)
{
	struct smtp_transaction *txn;

	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	if (c->state == SMTP_CLOSED)
		return;
	c->nested++;
	txn = smtp_txn_oldest(c);
	if (txn != NULL)
		take_back_dot(c, txn, unsent_octets);
	smtp_over_local(c, why);
	settle(c);
}

void
smtp_client_lost(struct smtp_client *c, const struct error *why)
{
	smtp_client_lost_unsent(c, why, 0);
}

bool
smtp_client_can_send(const struct smtp_client *c)
{
	if (c->quitting || c->txn_count == SMTP_PENDING_MAX ||
	    smtp_txn_is_open(c))
		return false;
	if (c->state == SMTP_IDLE)
		return true;
	return c->caps.pipelining && c->state > SMTP_IDLE &&
	    c->state < SMTP_QUIT;
}

/* All commands in one go, or only the first. */
static void
start(struct smtp_client *c)
{
	enum smtp_state first = c->needs_rset ? SMTP_RSET : SMTP_MAIL;

	if (c->caps.pipelining) {
		if (c->needs_rset)
			send_step(c, SMTP_RSET);
		send_step(c, SMTP_MAIL);
		send_step(c, SMTP_RCPT);
		send_step(c, SMTP_DATA);
		c->needs_rset = false;
	}
	if (c->state == SMTP_IDLE)
		enter(c, first);
}

void
smtp_client_send(struct smtp_client *c, const struct smtp_mail *mail)
{
	struct smtp_transaction *txn;

	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	invariant(smtp_client_can_send(c));
	c->nested++;
	c->announced = false;
	txn = smtp_txn_push(c, mail);
	txn->refused = !smtp_mail_fits(&c->caps, mail, &txn->outcome);
	if (!txn->refused)
		start(c);
	settle(c);
}

void
smtp_client_quit(struct smtp_client *c)
{
	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	c->nested++;
	c->quitting = true;
	settle(c);
}

bool
smtp_client_more(struct smtp_client *c)
{
	OBJ_CHECK(c, SMTP_CLIENT_MAGIC);
	if (c->body_txn == NULL)
		return false;
	c->nested++;
	smtp_send_body(c);
	settle(c);
	return true;
}

const struct smtp_client_caps *
smtp_client_capabilities(const struct smtp_client *c)
{
	return &c->caps;
}

struct strbuf *
smtp_client_output(struct smtp_client *c)
{
	return &c->out;
}

const char *
smtp_client_label(const struct smtp_client *c)
{
	return steps[c->state].name;
}

bool
smtp_client_is_closed(const struct smtp_client *c)
{
	return c->state == SMTP_CLOSED;
}

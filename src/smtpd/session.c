/*
 * One connection on the return-path port: accepted mail goes to the table
 * returns, and the 250 waits for the commit.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/token.h"
#include "smtpd/smtpd_priv.h"
#include "store/returns.h"

#define SESSION_MAGIC 0x534d4451u
/* One mail becomes a row per recipient: what that may come to. */
#define COPIES_BYTES_MAX ((size_t)32 * 1024 * 1024)

struct rcpt {
	char *address;
	struct id recipient; /* zero: postmaster, abuse */
};

struct smtpd_session {
	unsigned int magic;
	struct list node;
	struct smtpd *d;
	struct smtpd_peer *peer;
	struct smtpd_link link;
	struct log_ctx log;
	char addr[NET_ADDR_TEXT];
	int64_t started_ms;
	bool receiving;
	/* The transaction. */
	char *from;
	struct rcpt rcpt[SMTPD_RCPT_MAX];
	size_t rcpt_count;
	struct pg_tx *commit;
	struct id id; /* of the first row */
};

static void
forget_transaction(struct smtpd_session *s)
{
	free(s->from);
	s->from = NULL;
	for (size_t i = 0; i < s->rcpt_count; i++)
		free(s->rcpt[i].address);
	s->rcpt_count = 0;
	if (s->receiving) {
		s->receiving = false;
		s->d->receiving--;
	}
}

static void
take_apart(struct smtpd_session *s)
{
	struct smtpd *d = s->d;

	pg_tx_cancel(&s->commit);
	smtpd_link_fini(&s->link);
	forget_transaction(s);
	smtpd_peer_release(d, &s->peer);
	list_remove(&s->node);
	d->session_count--;
	s->magic = 0;
	free(s);
}

static void
on_link_ended(void *ctx)
{
	struct smtpd_session *s = ctx;
	struct smtpd *d = s->d;

	OBJ_CHECK(s, SESSION_MAGIC);
	take_apart(s);
	smtpd_session_left(d);
}

/* Whatever comes first: too long silent, or too long here. */
static void
on_touch(void *ctx)
{
	struct smtpd_session *s = ctx;
	int64_t left = s->started_ms + s->d->opt.total_ms - clock_mono_ms();

	OBJ_CHECK(s, SESSION_MAGIC);
	conn_set_deadline(s->link.conn, MAX(MIN(left, s->d->opt.idle_ms), 1),
	    left < s->d->opt.idle_ms ? "end of session" : "command");
}

static bool
on_owes(void *ctx)
{
	const struct smtpd_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	return s->commit != NULL;
}

static void
on_lost(void *ctx, const struct error *why)
{
	const struct smtpd_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	log_debug(&s->log, "smtpd.closed", log_err(why));
}

static const struct smtpd_link_ops link_ops = { on_touch, on_owes, on_lost,
	on_link_ended };

/* What the server asks. ------------------------------------------------------
 */

static void
refuse(struct smtp_decision *d, unsigned int code, const char *text)
{
	d->code = code;
	snprintf(d->text, sizeof(d->text), "%s", text);
}

static void
on_mail(void *ctx, const struct mail_address *from, struct smtp_decision *d)
{
	struct smtpd_session *s = ctx;
	struct strbuf text = STRBUF_INIT;

	OBJ_CHECK(s, SESSION_MAGIC);
	(void)d;
	if (from->domain.len > 0)
		mail_address_add_addr(&text, from);
	else
		strbuf_add_slice(&text, from->local);
	s->from = strbuf_take(&text);
}

static bool
is_role(struct slice local)
{
	return slice_eq_nocase(local, SLICE("postmaster")) ||
	    slice_eq_nocase(local, SLICE("abuse"));
}

/* The token alone says who; its domain may be any. */
static void
judge(struct smtpd_session *s, const struct mail_address *to,
    struct id *recipient, struct smtp_decision *d)
{
	enum smtpd_host host;

	*recipient = (struct id){ { 0 } };
	if (token_verify(s->d->opt.keyring, TOKEN_RETURN_PATH, to->local,
		recipient))
		return;
	if (!is_role(to->local)) {
		refuse(d, 550, "5.1.1 No such address here");
		return;
	}
	if (to->domain.len == 0 ||
	    slice_eq_nocase(to->domain, slice_of(s->d->hostname)))
		return;
	host = smtpd_hosts_find(s->d->hosts, to->domain);
	if (host == SMTPD_HOST_UNKNOWN)
		refuse(d, 451, "4.3.0 Cannot look that up now");
	else if (host == SMTPD_HOST_STRANGE)
		refuse(d, 550, "5.7.1 We do not receive mail for that domain");
}

static void
on_rcpt(void *ctx, const struct mail_address *to, struct smtp_decision *d)
{
	struct smtpd_session *s = ctx;
	struct strbuf text = STRBUF_INIT;
	struct id recipient;

	OBJ_CHECK(s, SESSION_MAGIC);
	judge(s, to, &recipient, d);
	if (d->code != 0) {
		log_info(&s->log, "smtpd.refused", log_uint("code", d->code),
		    log_slice("local", to->local),
		    log_slice("domain", to->domain));
		return;
	}
	invariant(s->rcpt_count < SMTPD_RCPT_MAX);
	strbuf_add_slice(&text, to->local);
	if (to->domain.len > 0) {
		strbuf_add_char(&text, '@');
		strbuf_add_slice(&text, to->domain);
	}
	s->rcpt[s->rcpt_count].recipient = recipient;
	s->rcpt[s->rcpt_count++].address = strbuf_take(&text);
}

static void
on_data(void *ctx, struct smtp_decision *d)
{
	struct smtpd_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	if (s->d->receiving >= s->d->receiving_max) {
		refuse(d, 452, "4.3.1 Too much mail at once");
		return;
	}
	s->receiving = true;
	s->d->receiving++;
}

static void
on_committed(void *ctx, const struct error *err)
{
	struct smtpd_session *s = ctx;
	struct smtp_decision d = { 0 };

	OBJ_CHECK(s, SESSION_MAGIC);
	s->commit = NULL;
	if (err == NULL) {
		log_info(&s->log, "smtpd.received",
		    log_text("id", id_text(s->id).s), log_text("from", s->from),
		    log_text("to", s->rcpt[0].address),
		    log_uint("rcpts", s->rcpt_count));
		if (s->d->opt.on_return != NULL)
			s->d->opt.on_return(s->d->opt.ctx);
	} else if (err->kind == ERR_SYNTAX || err->kind == ERR_LIMIT) {
		log_error(&s->log, "smtpd.unstorable", log_err(err));
		refuse(&d, 554, "5.6.0 This mail cannot be kept");
	} else {
		log_warn(&s->log, "smtpd.store", log_err(err));
		refuse(&d, 451, "4.3.0 Cannot keep it now, try again");
	}
	smtpd_link_answer(&s->link, &d);
}

static void
store(struct smtpd_session *s, struct slice message)
{
	struct store_return rows[SMTPD_RCPT_MAX] = { { .tries = 0 } };
	int64_t now = clock_now_ms();
	struct strbuf raw = STRBUF_INIT;
	struct smtpd_trace trace = {
		.from = slice_of(s->from),
		.helo = smtp_server_helo(s->link.server),
		.peer = s->addr,
		.hostname = s->d->hostname,
		.esmtp = smtp_server_is_esmtp(s->link.server),
		.tls = conn_is_tls(s->link.conn),
		.now_ms = now,
	};

	for (size_t i = 0; i < s->rcpt_count; i++) {
		rows[i].id = id_new(now);
		rows[i].mail_from = slice_of(s->from);
		rows[i].rcpt_to = slice_of(s->rcpt[i].address);
		rows[i].recipient = s->rcpt[i].recipient;
		rows[i].peer = slice_of(s->addr);
	}
	trace.id = s->id = rows[0].id;
	if (s->rcpt_count == 1)
		trace.to = rows[0].rcpt_to;
	strbuf_reserve(&raw, message.len + 512);
	smtpd_trace_add(&raw, &trace);
	strbuf_add_slice(&raw, message);
	for (size_t i = 0; i < s->rcpt_count; i++)
		rows[i].raw = strbuf_slice(&raw);
	s->commit = store_return_add(s->d->opt.pg, now, rows, s->rcpt_count,
	    on_committed, s);
	strbuf_fini(&raw);
}

static void
on_message(void *ctx, struct slice message)
{
	struct smtpd_session *s = ctx;
	struct smtp_decision d = { 0 };

	OBJ_CHECK(s, SESSION_MAGIC);
	if (message.len > COPIES_BYTES_MAX / s->rcpt_count)
		refuse(&d, 452,
		    "4.5.3 Too many recipients for so large a mail");
	else if (smtpd_trace_hops(message) >= SMTPD_HOPS_MAX)
		refuse(&d, 554, "5.4.6 Too many hops");
	if (d.code != 0)
		smtp_server_answer(s->link.server, &d);
	else
		store(s, message);
}

static void
on_reset(void *ctx)
{
	struct smtpd_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	forget_transaction(s);
	smtpd_link_reset(&s->link);
}

static void
on_need_tls(void *ctx)
{
	struct smtpd_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	smtpd_link_need_tls(&s->link);
}

static void
on_server_closed(void *ctx)
{
	struct smtpd_session *s = ctx;

	OBJ_CHECK(s, SESSION_MAGIC);
	smtpd_link_end(&s->link, true);
}

static const struct smtp_server_ops server_ops = { on_mail, on_rcpt, on_data,
	on_message, on_reset, on_need_tls, on_server_closed };
static const struct smtp_server_ops plain_server_ops = { on_mail, on_rcpt,
	on_data, on_message, on_reset, NULL, on_server_closed };

void
smtpd_session_start(struct smtpd *d, int fd, const struct net_addr *addr,
    struct smtpd_peer *peer)
{
	struct smtpd_session *s = xmalloc(sizeof(*s));
	struct smtp_server_options opt = {
		.hostname = d->hostname,
		.banner = "ESMTP",
		.size_max = d->opt.size_max,
		.rcpt_max = SMTPD_RCPT_MAX,
		.smtputf8 = true,
		.any_sender = true,
	};

	s->magic = SESSION_MAGIC;
	s->d = d;
	s->peer = peer;
	s->started_ms = clock_mono_ms();
	net_addr_format(addr, s->addr);
	s->log = (struct log_ctx){ .parent = &d->log,
		.field = { log_text("peer", s->addr) } };
	list_append(&d->sessions, &s->node);
	d->session_count++;
	smtpd_link_start(&s->link, d->opt.loop, fd, &opt,
	    d->opt.tls != NULL ? &server_ops : &plain_server_ops, d->opt.tls,
	    &link_ops, s);
}

void
smtpd_session_drain(struct list *node)
{
	struct smtpd_session *s = list_entry(node, struct smtpd_session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	smtpd_link_drain(&s->link);
}

void
smtpd_session_kill(struct list *node)
{
	struct smtpd_session *s = list_entry(node, struct smtpd_session, node);

	OBJ_CHECK(s, SESSION_MAGIC);
	take_apart(s);
}

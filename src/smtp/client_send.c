/*
 * The sending half of the client: one function per command. Nothing from
 * outside gets into a command that could end its line: a path with a control
 * character is refused before the transaction begins.
 */
#include <stdio.h>
#include <string.h>

#include "smtp/client_priv.h"

/* Adds CRLF and counts what was added since *from. */
static void
end_line(struct smtp_client *c, const struct smtp_transaction *txn, size_t from)
{
	smtp_note_line(c, txn, 'C', slice_from(strbuf_slice(&c->out), from));
	strbuf_add_text(&c->out, "\r\n");
	c->out_total += c->out.len - from;
}

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.ptr[i];

		if (ch < 0x20 || ch == 0x7f)
			return true;
	}
	return false;
}

bool
smtp_name_is_safe(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return len > 0 && len <= MAIL_DOMAIN_MAX;
}

/* Unquoted, these would end the path. */
static bool
local_is_safe(struct slice local)
{
	return !has_control(local) && local.len <= MAIL_LOCAL_MAX &&
	    (slice_starts(local, SLICE("\"")) ||
		(!slice_has_char(local, ' ') && !slice_has_char(local, '<') &&
		    !slice_has_char(local, '>')));
}

static void
send_text(struct smtp_client *c, const struct smtp_transaction *txn,
    const char *line)
{
	size_t from = c->out.len;

	strbuf_add_text(&c->out, line);
	end_line(c, txn, from);
}

static void
send_hello(struct smtp_client *c, const char *verb)
{
	size_t from = c->out.len;

	strbuf_add_text(&c->out, verb);
	strbuf_add_char(&c->out, ' ');
	strbuf_add_text(&c->out, c->opt.helo_name);
	end_line(c, NULL, from);
}

void
smtp_send_ehlo(struct smtp_client *c, struct smtp_transaction *txn)
{
	(void)txn;
	send_hello(c, "EHLO");
}

void
smtp_send_helo(struct smtp_client *c, struct smtp_transaction *txn)
{
	(void)txn;
	send_hello(c, "HELO");
}

void
smtp_send_starttls(struct smtp_client *c, struct smtp_transaction *txn)
{
	send_text(c, txn, "STARTTLS");
}

/* Octets as RFC 1870 section 5 counts them: no dots added, CRLF at the end. */
static uint64_t
wire_size(const struct smtp_mail *mail)
{
	return mail->message.len + (smtp_ends_in_crlf(mail->message) ? 0 : 2);
}

static bool
needs_smtputf8(const struct smtp_mail *mail)
{
	return mail->smtputf8 || mail->recipient->smtputf8;
}

void
smtp_send_mail(struct smtp_client *c, struct smtp_transaction *txn)
{
	const struct smtp_mail *mail = &txn->mail;
	size_t from = c->out.len;

	strbuf_add_text(&c->out, "MAIL FROM:<");
	strbuf_add_slice(&c->out, mail->return_path);
	strbuf_add_char(&c->out, '>');
	if (c->caps.size) {
		strbuf_add_text(&c->out, " SIZE=");
		strbuf_add_u64(&c->out, wire_size(mail));
	}
	if (mail->eightbit && c->caps.eightbitmime)
		strbuf_add_text(&c->out, " BODY=8BITMIME");
	if (needs_smtputf8(mail))
		strbuf_add_text(&c->out, " SMTPUTF8");
	end_line(c, txn, from);
}

void
smtp_send_rcpt(struct smtp_client *c, struct smtp_transaction *txn)
{
	size_t from = c->out.len;

	strbuf_add_text(&c->out, "RCPT TO:<");
	mail_address_add_addr(&c->out, txn->mail.recipient);
	strbuf_add_char(&c->out, '>');
	end_line(c, txn, from);
}

void
smtp_send_data(struct smtp_client *c, struct smtp_transaction *txn)
{
	send_text(c, txn, "DATA");
}

static void
note_body(struct smtp_client *c, const struct smtp_transaction *txn)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "<%llu octets>",
	    (unsigned long long)wire_size(&txn->mail));

	smtp_note_line(c, txn, 'C', slice_mem(line, (size_t)n));
}

static void
send_body_end(struct smtp_client *c, struct smtp_transaction *txn)
{
	size_t from = c->out.len;

	if (c->ops->before_dot != NULL)
		c->ops->before_dot(c->ctx, txn->mail.ctx);
	smtp_dot_end(&c->out, smtp_ends_in_crlf(txn->mail.message));
	c->out_total += c->out.len - from;
	txn->dot_out = true;
	txn->dot_at = c->out_total - 3;
	c->body_txn = NULL;
	smtp_note_line(c, txn, 'C', SLICE("."));
}

/* How much of the body to take now: whole lines if that is possible. */
static size_t
piece_len(const struct smtp_client *c)
{
	const char *lf;

	if (c->opt.body_chunk == 0 || c->body_left.len <= c->opt.body_chunk)
		return c->body_left.len;
	lf = memrchr(c->body_left.ptr, '\n', c->opt.body_chunk);
	return lf != NULL ? (size_t)(lf - c->body_left.ptr) + 1
			  : c->opt.body_chunk;
}

void
smtp_send_body(struct smtp_client *c)
{
	size_t from = c->out.len;
	struct slice part = slice_first(c->body_left, piece_len(c));

	smtp_dot_stuff_part(&c->out, part, &c->body_line_start);
	c->out_total += c->out.len - from;
	c->body_left = slice_from(c->body_left, part.len);
	if (c->body_left.len == 0)
		send_body_end(c, c->body_txn);
}

void
smtp_send_dot(struct smtp_client *c, struct smtp_transaction *txn)
{
	c->body_left = txn->mail.message;
	c->body_line_start = true;
	c->body_txn = txn;
	note_body(c, txn);
	smtp_send_body(c);
}

void
smtp_send_empty_dot(struct smtp_client *c, struct smtp_transaction *txn)
{
	send_text(c, txn, ".");
}

void
smtp_send_rset(struct smtp_client *c, struct smtp_transaction *txn)
{
	send_text(c, txn, "RSET");
}

void
smtp_send_quit(struct smtp_client *c, struct smtp_transaction *txn)
{
	send_text(c, txn, "QUIT");
}

/* Addresses come out of the database: never trusted as far as the wire. */
static bool
path_is_safe(const struct smtp_mail *mail)
{
	return !has_control(mail->return_path) &&
	    !slice_has_char(mail->return_path, '<') &&
	    !slice_has_char(mail->return_path, '>') &&
	    !slice_has_char(mail->return_path, ' ') &&
	    local_is_safe(mail->recipient->local) &&
	    !has_control(mail->recipient->domain) &&
	    !slice_has_char(mail->recipient->domain, '>') &&
	    !slice_has_char(mail->recipient->domain, ' ') &&
	    mail->return_path.len <= MAIL_LOCAL_MAX + 1 + MAIL_DOMAIN_MAX &&
	    mail->recipient->domain.len <= MAIL_DOMAIN_MAX;
}

static int
check_mail(const struct smtp_client_caps *caps, const struct smtp_mail *mail,
    struct error *err)
{
	uint64_t size = wire_size(mail);

	if (!path_is_safe(mail))
		return error_set(err, ERR_DENIED,
		    "an address cannot be sent as it is");
	if (caps->size_max != 0 && size > caps->size_max)
		return error_set(err, ERR_LIMIT,
		    "message of %llu octets, the server takes %llu",
		    (unsigned long long)size,
		    (unsigned long long)caps->size_max);
	if (needs_smtputf8(mail) && !caps->smtputf8)
		return error_set(err, ERR_NOTFOUND,
		    "the server does not offer SMTPUTF8");
	if (mail->eightbit && !caps->eightbitmime)
		return error_set(err, ERR_NOTFOUND,
		    "the server does not offer 8BITMIME");
	return 0;
}

bool
smtp_mail_fits(const struct smtp_client_caps *caps,
    const struct smtp_mail *mail, struct smtp_outcome *out)
{
	struct error err = { 0 };

	if (check_mail(caps, mail, &err) == 0)
		return true;
	*out = (struct smtp_outcome){ .source = SMTP_LOCAL,
		.stage = SMTP_STAGE_MAIL,
		.error = err };
	return false;
}

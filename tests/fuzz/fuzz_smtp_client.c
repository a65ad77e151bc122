/*
 * What a server may say. The first octet chooses TLS and how large the pieces
 * are that the rest comes in, the second what the owner does.
 *
 * fuzz-rooms: smtp mail base
 * fuzz-packages: libidn2 libcrypto opendkim
 */
#include "fuzz.h"

#include <string.h>

#include "smtp/client.h"
#include "smtp/transcript.h"

#define MAILS_MAX 50

struct owner {
	struct smtp_client *client;
	unsigned int sent, done, dots, delivered, closed;
	bool wants_tls, eightbit, eager;
	struct smtp_transcript said;
};

static const struct mail_address to = { .local = { "ann", 3 },
	.domain = { "to.example", 10 } };
static const char text[] = "Subject: x\r\n\r\n.\r\n..\r\nend";

static void
send_one(struct owner *o)
{
	struct smtp_mail mail = { .return_path = SLICE("b-1@rp.example"),
		.recipient = &to,
		.message = slice_of(text) };

	mail.eightbit = o->eightbit;
	mail.ctx = o;
	o->sent++;
	smtp_client_send(o->client, &mail);
}

static void
on_need_tls(void *ctx)
{
	struct owner *o = ctx;

	o->wants_tls = true;
}

static void
on_ready(void *ctx)
{
	struct owner *o = ctx;

	invariant(smtp_client_can_send(o->client));
	if (o->sent < MAILS_MAX)
		send_one(o);
	else
		smtp_client_quit(o->client);
}

static void
on_mail_done(void *ctx, void *mail, const struct smtp_outcome *outcome)
{
	struct owner *o = ctx;

	invariant(mail == o);
	o->done++;
	invariant(o->done <= o->sent && o->closed == 0);
	if (outcome->source == SMTP_REMOTE) {
		const struct smtp_reply *r = &outcome->reply;

		invariant(r->code >= 200 && r->code <= 599);
		invariant(r->text_len <= SMTP_REPLY_TEXT_MAX);
		invariant(strlen(r->text) == r->text_len);
		if (r->code < 400) {
			o->delivered++;
			invariant(outcome->stage == SMTP_STAGE_DOT);
			invariant(o->delivered <= o->dots);
		}
	} else {
		invariant(outcome->error.kind != ERR_NONE);
	}
	if (o->eager && smtp_client_can_send(o->client) && o->sent < MAILS_MAX)
		send_one(o);
}

static void
on_closed(void *ctx, const struct smtp_outcome *why)
{
	struct owner *o = ctx;

	(void)why;
	o->closed++;
	invariant(o->closed == 1 && o->done == o->sent);
}

static void
on_deadline(void *ctx, unsigned int seconds, const char *label)
{
	(void)ctx;
	invariant(seconds > 0 && label != NULL);
}

static void
on_before_dot(void *ctx, void *mail)
{
	struct owner *o = ctx;

	(void)mail;
	o->dots++;
}

static const struct smtp_client_ops ops = { on_need_tls, on_ready, on_mail_done,
	on_closed, on_deadline, on_before_dot };

/* Whatever the server says, we speak in whole lines. */
static void
check_output(struct owner *o)
{
	struct strbuf *out = smtp_client_output(o->client);
	struct slice s = strbuf_slice(out);

	for (size_t i = 0; i < s.len; i++)
		invariant(s.ptr[i] != '\n' || (i > 0 && s.ptr[i - 1] == '\r'));
	strbuf_reset(out);
	while (smtp_client_more(o->client))
		strbuf_reset(out);
}

static void
feed(struct owner *o, struct slice data, size_t piece)
{
	size_t have = 0;

	while (data.len > 0 && !smtp_client_is_closed(o->client)) {
		size_t used;

		have = MIN(have + piece, data.len);
		used = smtp_client_input(o->client, slice_first(data, have));
		invariant(used <= have);
		data = slice_from(data, used);
		have -= used;
		check_output(o);
		if (o->wants_tls) {
			o->wants_tls = false;
			smtp_client_tls_done(o->client);
		} else if (used == 0 && have == data.len) {
			break;
		}
	}
}

static void
on_line(void *ctx, void *mail, char who, struct slice line)
{
	struct owner *o = ctx;
	const struct strbuf *said = &o->said.text;
	size_t before = said->len;

	invariant(mail == NULL || (mail == o && o->done < o->sent));
	smtp_transcript_line(&o->said, who, line);
	invariant(said->len <= o->said.max);
	for (size_t i = MIN(before, said->len); i < said->len; i++)
		invariant(said->ptr[i] == '\n' ||
		    (said->ptr[i] >= ' ' && said->ptr[i] <= '~'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_client_options opt = { .helo_name = "me.example" };
	struct owner o = { 0 };
	struct error err = { .kind = ERR_NET };

	if (size < 2)
		return 0;
	opt.tls = data[0] % 3;
	opt.body_chunk = (data[1] & 1) != 0 ? 5 : 0;
	o.eightbit = (data[1] & 2) != 0;
	o.eager = (data[1] & 4) != 0;
	opt.transcript = on_line;
	smtp_transcript_init(&o.said, SMTP_TRANSCRIPT_LEAST);
	o.client = smtp_client_new(&opt, &ops, &o);
	feed(&o, slice_mem(data + 2, size - 2), (size_t)data[0] / 3 + 1);
	if ((data[1] & 8) != 0)
		smtp_client_quit(o.client);
	smtp_client_lost_unsent(o.client, &err, data[1]);
	invariant(o.closed == 1);
	smtp_client_free(&o.client);
	smtp_transcript_fini(&o.said);
	return 0;
}

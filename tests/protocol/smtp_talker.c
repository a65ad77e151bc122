/*
 * smtp_talker - smtp/client over net/conn, for tests/protocol/run.
 *
 *   smtp_talker ADDRESS PORT [mails=N] [tls=never|may|must] [deadline=MS]
 *       [chunk=OCTETS] [size=OCTETS] [eightbit=1]
 *
 * Sends N mails over one connection and prints what became of each and of the
 * session: "mail 1: remote RCPT TO 550 5.1.1 No such user", "end: local
 * greeting timeout ...". deadline: no step waits longer than that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/tls.h"
#include "smtp/client.h"

#define OUTPUT_MAX ((size_t)64 * 1024)

struct talker {
	struct loop *loop;
	struct conn *conn;
	struct smtp_client *client;
	struct ssl_ctx_st *tls;
	struct mail_address to;
	char *message;
	uint64_t mails, sent, size, chunk, deadline_ms, eightbit;
	bool wants_tls, over;
};

static void
print_outcome(const struct smtp_outcome *o)
{
	char status[MAIL_STATUS_TEXT];

	mail_status_format(o->reply.status, status);
	if (o->source == SMTP_REMOTE)
		printf("remote %s %u %s %s\n", smtp_stage_name(o->stage),
		    o->reply.code, status, o->reply.text);
	else
		printf("local %s %s %s\n", smtp_stage_name(o->stage),
		    error_kind_name(o->error.kind), o->error.text);
}

static void
on_need_tls(void *ctx)
{
	struct talker *t = ctx;

	t->wants_tls = true;
}

static void
on_ready(void *ctx)
{
	struct talker *t = ctx;
	struct smtp_mail mail = { .return_path = SLICE("b-1@rp.example") };

	if (t->sent == t->mails) {
		smtp_client_quit(t->client);
		return;
	}
	mail.recipient = &t->to;
	mail.message = slice_mem(t->message, t->size);
	mail.eightbit = t->eightbit != 0;
	mail.ctx = (void *)(uintptr_t)++t->sent;
	smtp_client_send(t->client, &mail);
}

static void
on_mail_done(void *ctx, void *mail, const struct smtp_outcome *outcome)
{
	(void)ctx;
	printf("mail %u: ", (unsigned int)(uintptr_t)mail);
	print_outcome(outcome);
}

static void
on_client_closed(void *ctx, const struct smtp_outcome *why)
{
	struct talker *t = ctx;

	printf("end: ");
	print_outcome(why);
	t->over = true;
	loop_stop(t->loop);
}

static void
on_deadline(void *ctx, unsigned int seconds, const char *label)
{
	struct talker *t = ctx;
	int64_t ms = (int64_t)seconds * 1000;

	conn_set_deadline(t->conn, MIN(ms, (int64_t)t->deadline_ms), label);
}

static const struct smtp_client_ops client_ops = { on_need_tls, on_ready,
	on_mail_done, on_client_closed, on_deadline, NULL };

static void
write_output(struct talker *t)
{
	do {
		struct strbuf *out = smtp_client_output(t->client);

		if (out->len > 0)
			conn_write(t->conn, strbuf_slice(out));
		strbuf_reset(out);
	} while (
	    conn_pending(t->conn) < OUTPUT_MAX && smtp_client_more(t->client));
}

static void
on_conn_ready(void *ctx)
{
	struct talker *t = ctx;

	if (!conn_is_tls(t->conn))
		return;
	smtp_client_tls_done(t->client);
	write_output(t);
}

static void
on_readable(void *ctx)
{
	struct talker *t = ctx;

	conn_consume(t->conn, smtp_client_input(t->client, conn_peek(t->conn)));
	write_output(t);
	if (t->wants_tls) {
		t->wants_tls = false;
		conn_start_tls(t->conn, t->tls, false, "peer.example",
		    (int64_t)t->deadline_ms);
	}
}

static void
on_drained(void *ctx)
{
	write_output(ctx);
}

static void
on_conn_closed(void *ctx, const struct error *why)
{
	struct talker *t = ctx;
	struct error err = *why;

	if (err.kind == ERR_NONE)
		err.kind = ERR_NET;
	smtp_client_lost_unsent(t->client, &err, conn_pending(t->conn));
}

static const struct conn_ops conn_ops = {
	.ready = on_conn_ready,
	.readable = on_readable,
	.drained = on_drained,
	.closed = on_conn_closed,
};

static int
set_option(struct talker *t, int *tls, struct slice text, struct error *err)
{
	struct slice value = text;
	struct slice key = slice_take_until(&value, '=');
	const struct {
		const char *key;
		uint64_t *number;
	} numbers[] = {
		{ "mails", &t->mails },
		{ "deadline", &t->deadline_ms },
		{ "chunk", &t->chunk },
		{ "size", &t->size },
		{ "eightbit", &t->eightbit },
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (slice_eq_text(key, numbers[i].key) &&
		    slice_to_u64(value, numbers[i].number))
			return 0;
	if (slice_eq_text(text, "tls=never"))
		*tls = SMTP_TLS_NEVER;
	else if (slice_eq_text(text, "tls=may"))
		*tls = SMTP_TLS_MAY;
	else if (slice_eq_text(text, "tls=must"))
		*tls = SMTP_TLS_MUST;
	else
		return error_set(err, ERR_SYNTAX, "bad option '%.*s'",
		    SLICE_FMT(text));
	return 0;
}

static void
talk(struct talker *t, const struct net_addr *to, int tls)
{
	static const struct net_guard anywhere = { .allow_all = true };
	struct smtp_client_options opt = { .helo_name = "me.example" };

	opt.tls = tls;
	opt.body_chunk = t->chunk;
	t->conn = conn_connect(t->loop, to, NULL, &anywhere,
	    (int64_t)t->deadline_ms, &conn_ops, t);
	t->client = smtp_client_new(&opt, &client_ops, t);
	while (!t->over)
		loop_run(t->loop);
	conn_close(&t->conn);
	smtp_client_free(&t->client);
}

int
main(int argc, char **argv)
{
	struct talker t = { .mails = 1, .deadline_ms = 5000, .size = 100 };
	struct net_addr to;
	struct error err = { 0 };
	uint64_t port;
	int tls = SMTP_TLS_NEVER;

	if (argc < 3 || !slice_to_u64(slice_of(argv[2]), &port) ||
	    net_addr_parse(slice_of(argv[1]), (uint16_t)port, &to, &err) != 0)
		die("usage: smtp_talker ADDRESS PORT [key=value]...");
	for (int i = 3; i < argc; i++)
		if (set_option(&t, &tls, slice_of(argv[i]), &err) != 0)
			die("%s", err.text);
	t.to.local = SLICE("ann");
	t.to.domain = SLICE("to.example");
	t.message = xmalloc(t.size + 1);
	memset(t.message, 'x', t.size);
	for (size_t i = 78; i + 1 < t.size; i += 80)
		memcpy(t.message + i, "\r\n", 2);
	t.tls = tls_client_ctx_new(&err);
	if (t.tls == NULL)
		die("%s", err.text);
	t.loop = loop_new();
	talk(&t, &to, tls);
	loop_free(&t.loop);
	tls_ctx_free(&t.tls);
	free(t.message);
	return 0;
}

/*
 * A link ends in smtpd_link_end() only: whoever notices the end says so, and a
 * deferred call takes it apart when nobody stands in it any more.
 */
#include "smtpd/link.h"

#define LINK_MAGIC 0x534d4c4bu
/* While this much waits to be written, the peer is not listened to. */
#define OUTPUT_MAX ((size_t)64 * 1024)
#define FLUSH_MS 5000
#define TLS_MS 30000

static void
write_output(struct smtpd_link *l)
{
	struct strbuf *out = smtp_server_output(l->server);

	if (out->len > 0 && l->conn != NULL)
		conn_write(l->conn, strbuf_slice(out));
	strbuf_reset(out);
}

static void
end_now(void *ctx)
{
	struct smtpd_link *l = ctx;

	OBJ_CHECK(l, LINK_MAGIC);
	l->ops->ended(l->ctx);
}

void
smtpd_link_end(struct smtpd_link *l, bool flush)
{
	if (!l->is_over)
		l->flush = flush;
	l->is_over = true;
	loop_call_schedule(l->loop, &l->ending, end_now, l);
}

static void
pump(struct smtpd_link *l)
{
	while (!l->is_over && !l->wants_tls &&
	    conn_pending(l->conn) < OUTPUT_MAX) {
		struct slice in = conn_peek(l->conn);
		size_t used = in.len > 0 ? smtp_server_feed(l->server, in) : 0;

		write_output(l);
		if (used == 0)
			break;
		conn_consume(l->conn, used);
		l->ops->touch(l->ctx);
	}
	/* The peer has said all it will, and has its answers. */
	if (l->input_ended && !l->ops->owes(l->ctx) &&
	    conn_pending(l->conn) < OUTPUT_MAX)
		smtpd_link_end(l, true);
	if (l->wants_tls && !l->is_over) {
		l->wants_tls = false;
		conn_start_tls(l->conn, l->tls, true, NULL, TLS_MS);
	}
}

/* What the server asks. ------------------------------------------------------
 */

void
smtpd_link_answer(struct smtpd_link *l, const struct smtp_decision *d)
{
	smtp_server_answer(l->server, d);
	write_output(l);
	if (l->is_over)
		return;
	l->ops->touch(l->ctx);
	pump(l);
}

void
smtpd_link_need_tls(struct smtpd_link *l)
{
	l->wants_tls = true;
}

void
smtpd_link_reset(struct smtpd_link *l)
{
	if (l->is_draining)
		smtp_server_shutdown(l->server);
}

void
smtpd_link_drain(struct smtpd_link *l)
{
	l->is_draining = true;
	if (!l->is_over && !smtp_server_in_transaction(l->server))
		smtp_server_shutdown(l->server);
}

/* What the connection tells. --------------------------------------------------
 */

static void
on_ready(void *ctx)
{
	struct smtpd_link *l = ctx;

	OBJ_CHECK(l, LINK_MAGIC);
	smtp_server_tls_done(l->server);
	l->ops->touch(l->ctx);
	pump(l);
}

static void
on_readable(void *ctx)
{
	struct smtpd_link *l = ctx;

	OBJ_CHECK(l, LINK_MAGIC);
	if (!l->is_over)
		pump(l);
}

static void
on_ended(void *ctx)
{
	struct smtpd_link *l = ctx;

	OBJ_CHECK(l, LINK_MAGIC);
	l->input_ended = true;
	on_readable(l);
}

static void
on_closed(void *ctx, const struct error *why)
{
	struct smtpd_link *l = ctx;

	OBJ_CHECK(l, LINK_MAGIC);
	if (l->ops->lost != NULL)
		l->ops->lost(l->ctx, why);
	smtpd_link_end(l, false);
}

static const struct conn_ops conn_ops = {
	.ready = on_ready,
	.readable = on_readable,
	.drained = on_readable,
	.closed = on_closed,
	.ended = on_ended,
};

void
smtpd_link_start(struct smtpd_link *l, struct loop *loop, int fd,
    const struct smtp_server_options *opt,
    const struct smtp_server_ops *server_ops, struct ssl_ctx_st *tls,
    const struct smtpd_link_ops *ops, void *ctx)
{
	*l = (struct smtpd_link){ .magic = LINK_MAGIC,
		.loop = loop,
		.tls = tls,
		.ops = ops,
		.ctx = ctx };
	l->conn = conn_accept(loop, fd, &conn_ops, l);
	l->server = smtp_server_new(opt, server_ops, ctx);
	write_output(l);
	ops->touch(ctx);
}

void
smtpd_link_fini(struct smtpd_link *l)
{
	loop_call_cancel(&l->ending);
	if (l->flush && l->conn != NULL) {
		write_output(l);
		conn_close_flushed(&l->conn, FLUSH_MS);
	}
	conn_close(&l->conn);
	smtp_server_free(&l->server);
	l->magic = 0;
}

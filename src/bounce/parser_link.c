#include "parser_link.h"

#include "base/log.h"
#include "base/mem.h"
#include "bounce/report.h"
#include "net/conn.h"
#include "net/loop.h"

#define HEAD_LEN 4
#define CONNECT_MS 5000
/* The parser's own limit on processor time is 3 s. */
#define ANSWER_MS 30000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000

struct parser_link {
	struct loop *loop;
	struct net_addr addr;
	const struct parser_link_ops *ops;
	void *ctx;
	struct conn *conn;
	struct timer *timer; /* to connect again */
	int64_t backoff_ms;
	bool is_up, is_awaiting;
	bool was_told; /* the log knows that it is away */
};

static void
on_ready(void *ctx)
{
	struct parser_link *l = ctx;

	l->is_up = true;
	l->backoff_ms = BACKOFF_MIN_MS;
	if (l->was_told)
		log_info(NULL, "bounce.parser_back");
	l->was_told = false;
	/* Its end is told by the descriptor; there is nothing to wait for. */
	conn_set_deadline(l->conn, -1, "idle");
	l->ops->ready(l->ctx);
}

static void
lose(struct parser_link *l, const struct error *why)
{
	if (!l->was_told)
		log_warn(NULL, "bounce.parser_lost", log_err(why));
	l->was_told = true;
	conn_close(&l->conn);
	l->is_up = l->is_awaiting = false;
	timer_set(l->timer, l->backoff_ms);
	l->backoff_ms = MIN(l->backoff_ms * 2, (int64_t)BACKOFF_MAX_MS);
	l->ops->lost(l->ctx);
}

static void
on_closed(void *ctx, const struct error *why)
{
	lose(ctx, why);
}

static void
on_readable(void *ctx)
{
	struct parser_link *l = ctx;
	struct slice in = conn_peek(l->conn);
	struct error err = { 0 };
	size_t len = 0;
	char *copy;

	if (in.len < HEAD_LEN)
		return;
	for (size_t i = 0; i < HEAD_LEN; i++)
		len = len << 8 | (unsigned char)in.ptr[i];
	if (!l->is_awaiting || len > BOUNCE_ANSWER_MAX) {
		error_set(&err, ERR_SYNTAX, "the parser talks nonsense");
		lose(l, &err);
		return;
	}
	if (in.len - HEAD_LEN < len)
		return;
	/* A copy: the owner may send the next one from within. */
	copy = xmemdup(in.ptr + HEAD_LEN, len);
	conn_consume(l->conn, HEAD_LEN + len);
	conn_set_deadline(l->conn, -1, "idle");
	l->is_awaiting = false;
	l->ops->answered(l->ctx, slice_mem(copy, len));
	free(copy);
}

static const struct conn_ops link_ops = {
	.ready = on_ready,
	.readable = on_readable,
	.closed = on_closed,
};

static void
start(void *ctx)
{
	/* The address is ours, not one that a stranger named. */
	static const struct net_guard guard = { .allow_all = true };
	struct parser_link *l = ctx;

	l->conn = conn_connect(l->loop, &l->addr, NULL, &guard, CONNECT_MS,
	    &link_ops, l);
	conn_set_input_max(l->conn, BOUNCE_ANSWER_MAX + HEAD_LEN);
}

struct parser_link *
parser_link_new(struct loop *loop, const struct net_addr *addr,
    const struct parser_link_ops *ops, void *ctx)
{
	struct parser_link *l = xmalloc(sizeof(*l));

	l->loop = loop;
	l->addr = *addr;
	l->ops = ops;
	l->ctx = ctx;
	l->backoff_ms = BACKOFF_MIN_MS;
	l->timer = timer_new(loop, start, l);
	start(l);
	return l;
}

void
parser_link_free(struct parser_link **lp)
{
	struct parser_link *l = *lp;

	if (l == NULL)
		return;
	conn_close(&l->conn);
	timer_free(&l->timer);
	free(l);
	*lp = NULL;
}

bool
parser_link_is_ready(const struct parser_link *l)
{
	return l->is_up && !l->is_awaiting;
}

void
parser_link_send(struct parser_link *l, struct slice raw)
{
	char head[HEAD_LEN];

	invariant(parser_link_is_ready(l));
	raw = slice_first(raw, BOUNCE_RAW_MAX);
	for (size_t i = 0; i < HEAD_LEN; i++)
		head[i] = (char)(raw.len >> (24 - 8 * i) & 0xff);
	l->is_awaiting = true;
	conn_set_deadline(l->conn, ANSWER_MS, "answer of the parser");
	conn_write(l->conn, slice_mem(head, sizeof(head)));
	conn_write(l->conn, raw);
}

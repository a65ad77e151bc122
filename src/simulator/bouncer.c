/*
 * DSNs wait in the order in which they are due. A few carriers (an SMTP
 * session each) take what is due, one after the other, and quit when nothing
 * is. What was not taken for now waits again, a little longer each time.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/mem.h"
#include "simulator/simulator_priv.h"
#include "smtp/client.h"

#define CARRIER_MAGIC 0x43415252u
#define CARRIERS_MAX 4
#define PER_CARRIER 8 /* due ones that are worth another carrier */
#define WAITING_MAX 10000
#define TRIES_MAX 6
#define RETRY_MS 1000
#define HEADER_MAX 8192
#define CONNECT_MS 10000

struct bounce {
	struct list node;
	int64_t due_ms; /* clock_mono_ms */
	unsigned int tries;
	int64_t arrived_ms;
	char *return_path, *to, *header;
	struct mail_address address; /* return_path, in two parts */
	struct strbuf text;	     /* while it is being sent */
};

struct simulator_bouncer {
	struct loop *loop;
	struct net_addr to;
	char *hostname;
	int64_t delay_ms;
	void (*idle)(void *ctx);
	void *ctx;
	struct list waiting; /* struct bounce by due_ms */
	size_t waiting_count;
	struct list carriers;
	size_t carrier_count;
	int64_t not_before_ms; /* after a failed connect */
	struct timer *timer;
	bool hurried;
};

struct carrier {
	unsigned int magic;
	struct list node;
	struct simulator_bouncer *b;
	struct conn *conn;
	struct smtp_client *client;
	struct loop_call ending;
};

static const struct net_guard anywhere = { .allow_all = true };

/* The line. -------------------------------------------------------------------
 */

static void
bounce_free(struct bounce *n)
{
	free(n->return_path);
	free(n->to);
	free(n->header);
	strbuf_fini(&n->text);
	free(n);
}

static void
line_up(struct simulator_bouncer *b, struct bounce *n)
{
	struct list *at = &b->waiting;

	while (at->prev != &b->waiting &&
	    list_entry(at->prev, struct bounce, node)->due_ms > n->due_ms)
		at = at->prev;
	list_insert_before(at, &n->node);
	b->waiting_count++;
}

static struct bounce *
first_due(struct simulator_bouncer *b)
{
	struct list *node = list_first(&b->waiting);
	struct bounce *n =
	    node != NULL ? list_entry(node, struct bounce, node) : NULL;

	return n != NULL && (b->hurried || n->due_ms <= clock_mono_ms()) ? n
									 : NULL;
}

/* Carriers. -------------------------------------------------------------------
 */

static void wake(void *ctx);

static void
carrier_free(struct carrier *r)
{
	loop_call_cancel(&r->ending);
	conn_close(&r->conn);
	smtp_client_free(&r->client);
	list_remove(&r->node);
	r->b->carrier_count--;
	r->magic = 0;
	free(r);
}

static void
carrier_end(void *ctx)
{
	struct carrier *r = ctx;
	struct simulator_bouncer *b = r->b;

	OBJ_CHECK(r, CARRIER_MAGIC);
	carrier_free(r);
	if (simulator_bouncer_is_idle(b))
		b->idle(b->ctx);
	else
		wake(b);
}

static void
write_output(struct carrier *r)
{
	struct strbuf *out = smtp_client_output(r->client);

	if (out->len > 0 && r->conn != NULL)
		conn_write(r->conn, strbuf_slice(out));
	strbuf_reset(out);
}

static void
build(struct simulator_bouncer *b, struct bounce *n)
{
	int64_t now = clock_now_ms();
	struct simulator_dsn dsn = {
		.hostname = b->hostname,
		.return_path = slice_of(n->return_path),
		.recipient = slice_of(n->to),
		.header = slice_of(n->header),
		.arrived_ms = n->arrived_ms,
		.now_ms = now,
		.id = id_new(now),
	};

	strbuf_reset(&n->text);
	simulator_dsn_build(&n->text, &dsn);
}

static void
on_ready(void *ctx)
{
	struct carrier *r = ctx;
	struct bounce *n = first_due(r->b);
	struct smtp_mail mail = { 0 };

	OBJ_CHECK(r, CARRIER_MAGIC);
	if (n == NULL) {
		smtp_client_quit(r->client);
		return;
	}
	list_remove(&n->node);
	r->b->waiting_count--;
	build(r->b, n);
	mail.recipient = &n->address;
	mail.message = strbuf_slice(&n->text);
	mail.eightbit = !ascii_only(mail.message);
	mail.ctx = n;
	smtp_client_send(r->client, &mail);
}

static void
on_mail_done(void *ctx, void *mail, const struct smtp_outcome *o)
{
	struct carrier *r = ctx;
	struct bounce *n = mail;
	bool taken = o->source == SMTP_REMOTE && o->reply.code < 300;
	bool refused = o->source == SMTP_REMOTE && o->reply.code >= 500 &&
	    o->stage != SMTP_STAGE_IDLE;

	OBJ_CHECK(r, CARRIER_MAGIC);
	if (taken || refused || ++n->tries >= TRIES_MAX) {
		log_info(NULL,
		    taken ? "simulator.bounced" : "simulator.bounce_lost",
		    log_text("to", n->return_path),
		    log_uint("code", o->reply.code),
		    log_text("text",
			o->source == SMTP_REMOTE ? o->reply.text
						 : o->error.text));
		bounce_free(n);
		return;
	}
	n->due_ms = clock_mono_ms() + (RETRY_MS << n->tries);
	line_up(r->b, n);
}

static void
on_client_closed(void *ctx, const struct smtp_outcome *why)
{
	struct carrier *r = ctx;

	OBJ_CHECK(r, CARRIER_MAGIC);
	if (why->source == SMTP_LOCAL || why->stage != SMTP_STAGE_IDLE)
		r->b->not_before_ms = clock_mono_ms() + RETRY_MS;
	loop_call_schedule(r->b->loop, &r->ending, carrier_end, r);
}

static void
on_deadline(void *ctx, unsigned int seconds, const char *label)
{
	struct carrier *r = ctx;

	conn_set_deadline(r->conn, (int64_t)seconds * 1000, label);
}

static void
on_need_tls(void *ctx)
{
	(void)ctx; /* SMTP_TLS_NEVER */
}

static const struct smtp_client_ops client_ops = { on_need_tls, on_ready,
	on_mail_done, on_client_closed, on_deadline, NULL };

static void
on_connected(void *ctx)
{
	(void)ctx; /* the greeting is theirs */
}

static void
on_readable(void *ctx)
{
	struct carrier *r = ctx;

	OBJ_CHECK(r, CARRIER_MAGIC);
	if (smtp_client_is_closed(r->client))
		return;
	conn_consume(r->conn, smtp_client_input(r->client, conn_peek(r->conn)));
	write_output(r);
}

static void
on_conn_closed(void *ctx, const struct error *why)
{
	struct carrier *r = ctx;
	struct error err = *why;

	OBJ_CHECK(r, CARRIER_MAGIC);
	if (err.kind == ERR_NONE)
		err.kind = ERR_NET;
	smtp_client_lost_unsent(r->client, &err, conn_pending(r->conn));
}

static const struct conn_ops conn_ops = {
	.ready = on_connected,
	.readable = on_readable,
	.closed = on_conn_closed,
};

static void
carrier_start(struct simulator_bouncer *b)
{
	struct smtp_client_options opt = { .helo_name = b->hostname };
	struct carrier *r = xmalloc(sizeof(*r));

	opt.tls = SMTP_TLS_NEVER;
	r->magic = CARRIER_MAGIC;
	r->b = b;
	r->conn = conn_connect(b->loop, &b->to, NULL, &anywhere, CONNECT_MS,
	    &conn_ops, r);
	r->client = smtp_client_new(&opt, &client_ops, r);
	list_append(&b->carriers, &r->node);
	b->carrier_count++;
}

/* The bouncer.
 * ------------------------------------------------------------------- */

/* Sleeps until the first in the line is due. */
static void
arm(struct simulator_bouncer *b)
{
	struct list *first = list_first(&b->waiting);
	int64_t now = clock_mono_ms(), at = now;

	if (first == NULL)
		return;
	if (!b->hurried)
		at = list_entry(first, struct bounce, node)->due_ms;
	at = MAX(at, b->not_before_ms);
	timer_set(b->timer, MAX(at - now, 0));
}

/* Starts carriers for what is due. */
static void
wake(void *ctx)
{
	struct simulator_bouncer *b = ctx;

	if (b->not_before_ms > clock_mono_ms()) {
		arm(b);
		return;
	}
	while (first_due(b) != NULL && b->carrier_count < CARRIERS_MAX &&
	    b->carrier_count * PER_CARRIER < b->waiting_count)
		carrier_start(b);
	if (first_due(b) == NULL)
		arm(b); /* else the carriers see to the rest */
}

struct simulator_bouncer *
simulator_bouncer_new(struct loop *l, const struct net_addr *to,
    const char *hostname, int64_t delay_ms, void (*idle)(void *ctx), void *ctx)
{
	struct simulator_bouncer *b = xmalloc(sizeof(*b));

	b->loop = l;
	b->to = *to;
	b->hostname = xstrdup(hostname);
	b->delay_ms = delay_ms;
	b->idle = idle;
	b->ctx = ctx;
	list_init(&b->waiting);
	list_init(&b->carriers);
	b->timer = timer_new(l, wake, b);
	return b;
}

void
simulator_bouncer_free(struct simulator_bouncer **bp)
{
	struct simulator_bouncer *b = *bp;
	struct error err = { .kind = ERR_UNAVAIL };

	if (b == NULL)
		return;
	*bp = NULL;
	/* What is under way comes back into the line, and goes with it. */
	list_each_safe (node, &b->carriers) {
		struct carrier *r = list_entry(node, struct carrier, node);

		smtp_client_lost(r->client, &err);
		carrier_free(r);
	}
	list_each_safe (node, &b->waiting) {
		list_remove(node);
		bounce_free(list_entry(node, struct bounce, node));
	}
	timer_free(&b->timer);
	free(b->hostname);
	free(b);
}

void
simulator_bouncer_add(struct simulator_bouncer *b, struct slice return_path,
    struct slice to, struct slice message)
{
	struct bounce *n;
	const char *at;

	at = return_path.len > 0
	    ? memrchr(return_path.ptr, '@', return_path.len)
	    : NULL;
	if (at == NULL)
		return; /* the null path: nobody to tell (RFC 5321 4.5.5) */
	if (b->waiting_count >= WAITING_MAX) {
		log_warn(NULL, "simulator.bounces_full");
		return;
	}
	n = xmalloc(sizeof(*n));
	strbuf_init(&n->text, 0);
	n->return_path = slice_dup(return_path);
	n->to = slice_dup(to);
	n->header = slice_dup(simulator_dsn_header(message, HEADER_MAX));
	n->arrived_ms = clock_now_ms();
	n->due_ms = clock_mono_ms() + b->delay_ms;
	n->address.local =
	    slice_mem(n->return_path, (size_t)(at - return_path.ptr));
	n->address.domain = slice_of(n->return_path + n->address.local.len + 1);
	n->address.smtputf8 = !ascii_only(n->address.local);
	line_up(b, n);
	arm(b);
}

void
simulator_bouncer_hurry(struct simulator_bouncer *b)
{
	b->hurried = true;
	arm(b);
}

bool
simulator_bouncer_is_idle(const struct simulator_bouncer *b)
{
	return b->carrier_count == 0 && list_is_empty(&b->waiting);
}

#include "bounce/parser.h"

#include <iconv.h>
#include <signal.h>
#include <sys/time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "bounce/parse.h"
#include "bounce/report.h"
#include "net/conn.h"
#include "net/loop.h"

#include "sandbox.h"

#define MEMORY_MAX_DEFAULT ((uint64_t)512 << 20)
#define CPU_MAX_DEFAULT_MS 3000
#define CLIENTS_MAX 64
/* Between two mails a connection may rest; in a frame it must move. */
#define IDLE_MS (60 * 60 * 1000)
#define FRAME_MS 30000
#define DRAIN_STEP_MS 20
#define HEAD_LEN 4

struct parser {
	struct loop *loop;
	struct listener *listener;
	struct list clients;
	size_t client_count;
	int64_t cpu_max_ms;
	struct timer *drain_timer; /* NULL until draining */
	int64_t drain_until_ms;
	void (*drained)(void *ctx);
	void *drained_ctx;
};

struct client {
	struct list node;
	struct parser *parser;
	struct conn *conn;
};

/* ---- one mail ---- */

/* The kernel's share counts, too: memory is its work. At the end SIGPROF ends
 * the process: nothing handles it. */
static void
set_cpu_limit(int64_t ms)
{
	struct itimerval t = { .it_value = { .tv_sec = ms / 1000,
				   .tv_usec = ms % 1000 * 1000 } };

	setitimer(ITIMER_PROF, &t, NULL);
}

static void
put_length(struct strbuf *out, size_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		strbuf_add_char(out, (char)(n >> shift & 0xff));
}

static void
answer(struct client *c, struct slice raw)
{
	struct strbuf body = STRBUF_INIT, head = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct bounce_report *report;

	report = arena_alloc(&arena, sizeof(*report));
	set_cpu_limit(c->parser->cpu_max_ms);
	bounce_parse(&arena, raw, report);
	set_cpu_limit(0);
	bounce_report_encode(report, &body);
	put_length(&head, body.len);
	conn_write(c->conn, strbuf_slice(&head));
	conn_write(c->conn, strbuf_slice(&body));
	strbuf_fini(&body);
	strbuf_fini(&head);
	arena_fini(&arena);
}

/* ---- connections ---- */

static void
client_drop(struct client *c)
{
	struct parser *p = c->parser;

	conn_close(&c->conn);
	list_remove(&c->node);
	p->client_count--;
	free(c);
}

static size_t
frame_length(struct slice in)
{
	size_t n = 0;

	for (size_t i = 0; i < HEAD_LEN; i++)
		n = n << 8 | (unsigned char)in.ptr[i];
	return n;
}

static void
on_readable(void *ctx)
{
	struct client *c = ctx;
	struct slice in = conn_peek(c->conn);

	while (in.len >= HEAD_LEN) {
		size_t len = frame_length(in);

		if (len > BOUNCE_RAW_MAX) {
			log_warn(NULL, "parser.frame", log_uint("octets", len));
			client_drop(c);
			return;
		}
		if (in.len - HEAD_LEN < len)
			break;
		answer(c, slice_first(slice_from(in, HEAD_LEN), len));
		conn_consume(c->conn, HEAD_LEN + len);
		in = conn_peek(c->conn);
	}
	conn_set_deadline(c->conn, in.len > 0 ? FRAME_MS : IDLE_MS, "frame");
}

static void
on_closed(void *ctx, const struct error *why)
{
	(void)why;
	client_drop(ctx);
}

static const struct conn_ops client_ops = {
	.readable = on_readable,
	.closed = on_closed,
};

static void
on_accept(void *ctx, int fd, const struct net_addr *peer)
{
	struct parser *p = ctx;
	struct client *c = xmalloc(sizeof(*c));

	(void)peer;
	c->parser = p;
	c->conn = conn_accept(p->loop, fd, &client_ops, c);
	list_append(&p->clients, &c->node);
	p->client_count++;
	conn_set_input_max(c->conn, BOUNCE_RAW_MAX + HEAD_LEN);
	conn_set_deadline(c->conn, IDLE_MS, "frame");
	if (p->client_count > CLIENTS_MAX)
		client_drop(c);
}

/* ---- the process ---- */

/*
 * Tables of the character sets that subjects come in are loaded by their first
 * use, and stay while one user is left: so these stay open. Others read as
 * question marks, which is good enough for a log.
 */
static void
load_charsets(void)
{
	static const char *const names[] = { "ISO-8859-1", "ISO-8859-15",
		"WINDOWS-1252", "ISO-2022-JP" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)iconv_open("UTF-8", names[i]);
}

/* What opens files must have done so before the sandbox closes. */
static void
warm_up(void)
{
	static const char mail[] =
	    "Subject: =?iso-8859-1?q?=FC?=\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"
	    "Content-Type: message/delivery-status\r\n\r\n\r\n--b--\r\n";
	struct arena arena = ARENA_INIT;
	struct bounce_report *report;

	load_charsets();
	bounce_parse_init();
	(void)clock_now_ms();
	report = arena_alloc(&arena, sizeof(*report));
	bounce_parse(&arena, slice_of(mail), report);
	arena_fini(&arena);
}

struct parser *
parser_new(const struct parser_options *opt, struct error *err)
{
	uint64_t memory = opt->memory_max_bytes;
	struct parser *p;

	warm_up();
	signal(SIGPROF, SIG_DFL);
	if (sandbox_limit(memory != 0 ? memory : MEMORY_MAX_DEFAULT, err) != 0)
		return NULL;
	p = xmalloc(sizeof(*p));
	p->loop = opt->loop;
	p->cpu_max_ms =
	    opt->cpu_max_ms != 0 ? opt->cpu_max_ms : CPU_MAX_DEFAULT_MS;
	list_init(&p->clients);
	p->listener = listener_new(opt->loop, opt->listen_fd, on_accept, p);
	if (!opt->no_seccomp && sandbox_close(err) != 0)
		parser_free(&p);
	return p;
}

/* A connection that rests has nothing to wait for. */
static bool
is_resting(const struct client *c)
{
	return conn_input_len(c->conn) == 0 && conn_pending(c->conn) == 0;
}

static void
drain_step(void *ctx)
{
	struct parser *p = ctx;
	bool is_late = loop_mono_ms(p->loop) >= p->drain_until_ms;

	list_each_safe (node, &p->clients) {
		struct client *c = list_entry(node, struct client, node);

		if (is_late || is_resting(c))
			client_drop(c);
	}
	if (p->client_count > 0)
		timer_set(p->drain_timer, DRAIN_STEP_MS);
	else
		p->drained(p->drained_ctx);
}

void
parser_drain(struct parser *p, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	p->drained = done;
	p->drained_ctx = ctx;
	p->drain_until_ms = loop_mono_ms(p->loop) + timeout_ms;
	listener_free(&p->listener);
	if (p->drain_timer == NULL)
		p->drain_timer = timer_new(p->loop, drain_step, p);
	timer_set(p->drain_timer, 0);
}

void
parser_free(struct parser **pp)
{
	struct parser *p = *pp;

	if (p == NULL)
		return;
	list_each_safe (node, &p->clients)
		client_drop(list_entry(node, struct client, node));
	listener_free(&p->listener);
	timer_free(&p->drain_timer);
	free(p);
	*pp = NULL;
}

/*
 * net_probe - drives net/ for the integration tests, which speak to it in
 * lines.
 *
 *   net_probe dns SERVERS TIMEOUT-MS
 *       "ask TYPE NAME"   -> "answer NAME RESULT secure|open TTL RECORD,..."
 *       "flush"           -> "flushed"
 *       "later SECONDS"   -> "later": the age of the cache jumps ahead
 *   net_probe fetch ALLOWED TIMEOUT-MS ANSWER-MAX [CA-FILE]
 *       "post URL BODY"   -> "result STATUS KIND BODY-OCTETS TEXT"
 *       "cancel URL BODY" -> "cancelled": started and given up at once
 *   net_probe idle ADDRESS COUNT
 *       accepts COUNT connections, then prints "kilobytes each: N"
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/fetch.h"
#include "net/resolver.h"

struct probe {
	struct loop *loop;
	struct watch *input;
	char line[4096];
	size_t len;
	void (*on_line)(struct probe *p, struct slice line);

	struct resolver *resolver;
	struct net_guard guard;
	struct fetcher *fetcher;
	const char *ca_file;
	int64_t timeout_ms;
	size_t answer_max;

	struct conn **conn;
	size_t conn_count, conn_max;
	long before_kb;
};

static int64_t later_ms;

static int64_t
cache_clock(void)
{
	return clock_mono_ms() + later_ms;
}

static void
on_input(void *ctx, bool readable, bool writable)
{
	struct probe *p = ctx;
	struct slice rest, line;
	ssize_t n;

	(void)readable;
	(void)writable;
	n = read(STDIN_FILENO, p->line + p->len, sizeof(p->line) - p->len);
	if (n <= 0) {
		loop_stop(p->loop);
		return;
	}
	p->len += (size_t)n;
	rest = slice_mem(p->line, p->len);
	while (slice_has_char(rest, '\n')) {
		line = slice_take_until(&rest, '\n');
		p->on_line(p, line);
	}
	memmove(p->line, rest.ptr, rest.len);
	p->len = rest.len;
}

/* DNS. */

static const struct {
	const char *name;
	enum dns_type type;
} types[] = { { "MX", DNS_MX }, { "A", DNS_A }, { "AAAA", DNS_AAAA },
	{ "TXT", DNS_TXT }, { "TLSA", DNS_TLSA }, { "PTR", DNS_PTR },
	{ "CNAME", DNS_CNAME } };

static void
show_record(const struct dns_record *r)
{
	char text[NET_ADDR_TEXT];

	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		net_addr_format(&r->addr, text);
		printf("%s,", text);
		break;
	case DNS_MX:
		printf("%u:%.*s.,", (unsigned int)r->preference,
		    SLICE_FMT(r->name));
		break;
	case DNS_CNAME:
	case DNS_PTR:
		printf("%.*s.,", SLICE_FMT(r->name));
		break;
	case DNS_TXT:
		printf("%.*s,", SLICE_FMT(r->data));
		break;
	case DNS_TLSA:
	case DNS_SOA:
		printf("(%zu octets),", r->data.len);
		break;
	}
}

static void
on_answer(void *ctx, const struct dns_answer *a)
{
	static const char *const results[] = { [DNS_OK] = "ok",
		[DNS_NODATA] = "nodata",
		[DNS_NXDOMAIN] = "nxdomain",
		[DNS_FAILED] = "failed" };
	char *name = ctx;

	printf("answer %s %s %s %u ", name, results[a->result],
	    a->secure ? "secure" : "open", (unsigned int)a->ttl_s);
	for (size_t i = 0; i < a->count; i++)
		show_record(&a->record[i]);
	printf("%s\n", a->why);
	free(name);
}

static void
dns_line(struct probe *p, struct slice line)
{
	struct slice verb = slice_take_until(&line, ' ');

	if (slice_eq_text(verb, "flush")) {
		resolver_flush(p->resolver);
		printf("flushed\n");
	} else if (slice_eq_text(verb, "later")) {
		int64_t seconds = 0;

		(void)slice_to_i64(line, &seconds);
		later_ms += seconds * 1000;
		printf("later\n");
	} else {
		struct slice type = slice_take_until(&line, ' ');

		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			if (slice_eq_text(type, types[i].name))
				(void)resolver_ask(p->resolver, line,
				    types[i].type, on_answer, slice_dup(line));
		}
	}
}

static int
run_dns(struct probe *p, char **args)
{
	struct resolver_options opt = { .servers = args[0],
		.timeout_ms = strtol(args[1], NULL, 10),
		.now_ms = cache_clock };
	struct error err = { 0 };

	p->resolver = resolver_new(p->loop, &opt, &err);
	if (p->resolver == NULL)
		die("%s", err.text);
	p->on_line = dns_line;
	loop_run(p->loop);
	resolver_free(&p->resolver);
	return 0;
}

/* HTTP. */

static void
on_result(void *ctx, const struct fetch_result *r)
{
	(void)ctx;
	printf("result %d %s %zu %s\n", r->status, error_kind_name(r->err.kind),
	    r->body.len, r->err.text);
}

static void
fetch_line(struct probe *p, struct slice line)
{
	static const char *const headers[] = { "Content-Type: text/plain",
		"X-Probe: 1", NULL };
	struct slice verb = slice_take_until(&line, ' ');
	char *url = slice_dup(slice_take_until(&line, ' '));
	struct fetch_request req = { .method = "POST",
		.url = url,
		.headers = headers,
		.body = line,
		.timeout_ms = p->timeout_ms,
		.answer_max = p->answer_max,
		.ca_file = p->ca_file };
	struct fetch *f = fetch_start(p->fetcher, &req, on_result, p);

	free(url);
	if (slice_eq_text(verb, "cancel")) {
		fetch_cancel(&f);
		printf("cancelled\n");
	}
}

static int
run_fetch(struct probe *p, char **args)
{
	struct error err = { 0 };

	if (net_guard_parse(slice_of(args[0]), &p->guard, &err) < 0)
		die("%s", err.text);
	p->timeout_ms = strtol(args[1], NULL, 10);
	p->answer_max = strtoul(args[2], NULL, 10);
	p->ca_file = args[3];
	p->fetcher = fetcher_new(p->loop, &p->guard);
	p->on_line = fetch_line;
	loop_run(p->loop);
	fetcher_free(&p->fetcher);
	net_guard_fini(&p->guard);
	return 0;
}

/* Idle connections. */

static long
memory_kb(void)
{
	char line[256];
	long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return kb;
}

static void
idle_readable(void *ctx)
{
	struct conn **c = ctx;

	conn_consume(*c, conn_input_len(*c));
	conn_write(*c, SLICE("250 OK\r\n"));
}

static void
idle_closed(void *ctx, const struct error *why)
{
	(void)why;
	conn_close(ctx);
}

static const struct conn_ops idle_ops = { .readable = idle_readable,
	.closed = idle_closed };

static void
on_accept(void *ctx, int fd, const struct net_addr *peer)
{
	struct probe *p = ctx;
	struct conn **c;

	(void)peer;
	if (p->conn_count == p->conn_max) {
		close(fd);
		return;
	}
	c = &p->conn[p->conn_count++];
	*c = conn_accept(p->loop, fd, &idle_ops, c);
	conn_set_deadline(*c, 300000, "idle");
	conn_write(*c, SLICE("220 probe\r\n"));
}

static void
idle_line(struct probe *p, struct slice line)
{
	(void)line;
	printf("%zu connections, kilobytes each: %.1f\n", p->conn_count,
	    (double)(memory_kb() - p->before_kb) / (double)p->conn_count);
}

static int
run_idle(struct probe *p, char **args)
{
	struct net_addr at;
	struct error err = { 0 };
	struct listener *l;
	int fd;

	if (net_addr_parse_listen(slice_of(args[0]), &at, &err) < 0)
		die("%s", err.text);
	fd = net_listen(&at, 1024, &err);
	if (fd < 0)
		die("%s", err.text);
	p->conn_max = strtoul(args[1], NULL, 10);
	p->conn = xcalloc(p->conn_max, sizeof(*p->conn));
	p->before_kb = memory_kb();
	p->on_line = idle_line;
	l = listener_new(p->loop, fd, on_accept, p);
	printf("listening\n");
	loop_run(p->loop);
	listener_free(&l);
	for (size_t i = 0; i < p->conn_count; i++)
		conn_close(&p->conn[i]);
	free(p->conn);
	close(fd);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(struct probe *p, char **args);
	} verbs[] = { { "dns", 2, run_dns }, { "fetch", 3, run_fetch },
		{ "idle", 2, run_idle } };
	struct probe p = { .loop = loop_new() };
	int rc = 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	p.input = watch_new(p.loop, STDIN_FILENO, on_input, &p);
	watch_set(p.input, true, false);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (argc >= 2 + verbs[i].args &&
		    strcmp(argv[1], verbs[i].name) == 0)
			rc = verbs[i].run(&p, argv + 2);
	}
	watch_free(&p.input);
	loop_free(&p.loop);
	return rc;
}

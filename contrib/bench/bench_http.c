/*
 * bench_http - what a small POST costs the HTTP server, ours beside evhttp.
 *
 *   make contrib/bench/bench_http && contrib/bench/bench_http [BODY-OCTETS]
 *
 * A child serves POST /emails (reads the JSON, answers an id) on loopback, one
 * thread; the parent keeps 64 connections busy for three seconds, one request
 * each at a time. Prints requests per second and the child's own CPU time per
 * request, which the load generator beside it changes less.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/server.h"
#include "net/conn.h"

#define CLIENTS 64
#define RUN_MS 3000
#define ANSWER "{\"id\":\"0190b0a4-6b7e-7c3e-9a55-2f6c1f0d8a11\"}"

/* ---- The two servers --------------------------------------------------- */

static void
handle_ours(struct http_request *r, void *ctx)
{
	const struct json *root;
	char *text;
	struct slice body = http_body(r, &text);

	(void)ctx;
	if (json_parse(http_arena(r), text, body.len, &root, NULL) == 0)
		http_answer(r, 200, SLICE(ANSWER));
	else
		http_answer_error(r, 400, "validation_error", "No JSON.");
}

static void
serve_ours(int fd)
{
	const struct http_route route = { HTTP_POST, "/emails", handle_ours,
		NULL };
	const struct http_options opt = { 0 };
	struct loop *loop = loop_new();

	http_server_new(loop, fd, &opt, &route, 1);
	loop_run(loop);
}

static void
handle_evhttp(struct evhttp_request *req, void *ctx)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(in);
	char *text = (char *)evbuffer_pullup(in, -1);
	struct evbuffer *out = evbuffer_new();
	struct arena arena = ARENA_INIT;
	const struct json *root;

	(void)ctx;
	if (text == NULL || json_parse(&arena, text, len, &root, NULL) != 0)
		die("evhttp: no JSON");
	evhttp_add_header(evhttp_request_get_output_headers(req),
	    "Content-Type", "application/json; charset=utf-8");
	evbuffer_add(out, ANSWER, sizeof(ANSWER) - 1);
	evhttp_send_reply(req, 200, "OK", out);
	evbuffer_free(out);
	arena_fini(&arena);
}

static void
serve_evhttp(int fd)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);

	evhttp_set_gencb(http, handle_evhttp, NULL);
	evhttp_accept_socket(http, fd);
	event_base_dispatch(base);
}

/* ---- The load ---------------------------------------------------------- */

static int
dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("cannot connect");
	return fd;
}

static void
ask(int fd, struct slice request)
{
	if (write(fd, request.ptr, request.len) != (ssize_t)request.len)
		die("cannot write");
}

static uint64_t
drive(uint16_t port, struct slice request)
{
	struct pollfd fds[CLIENTS];
	int64_t end = clock_mono_ms() + RUN_MS;
	uint64_t answers = 0;

	for (size_t i = 0; i < CLIENTS; i++) {
		fds[i] = (struct pollfd){ dial(port), POLLIN, 0 };
		ask(fds[i].fd, request);
	}
	while (clock_mono_ms() < end) {
		poll(fds, CLIENTS, 100);
		for (size_t i = 0; i < CLIENTS; i++) {
			char answer[1024];

			if (fds[i].revents == 0)
				continue;
			/* An answer fits one segment, so one read has it. */
			if (read(fds[i].fd, answer, sizeof(answer)) < 100 ||
			    memcmp(answer, "HTTP/1.1 200", 12) != 0)
				die("a bad answer");
			answers++;
			ask(fds[i].fd, request);
		}
	}
	for (size_t i = 0; i < CLIENTS; i++)
		close(fds[i].fd);
	return answers;
}

static void
measure(const char *name, void (*serve)(int fd), struct slice request)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	struct net_addr listen_on;
	struct rusage usage;
	struct error err = { 0 };
	uint64_t answers;
	double cpu_us;
	pid_t pid;
	int fd;

	if (net_addr_parse(SLICE("127.0.0.1"), 0, &listen_on, &err) != 0 ||
	    (fd = net_listen(&listen_on, 128, &err)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		die("%s", err.text);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		serve(fd);
		_exit(0);
	}
	close(fd);
	answers = drive(ntohs(a.sin_port), request);
	kill(pid, SIGKILL);
	wait4(pid, NULL, 0, &usage);
	cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	printf("%-8s %9.0f requests/s %8.1f us CPU each\n", name,
	    (double)answers * 1000 / RUN_MS, cpu_us / (double)answers);
}

int
main(int argc, char **argv)
{
	struct strbuf text = STRBUF_INIT, request = STRBUF_INIT;
	uint64_t size = 200;

	if (argc > 1 && !slice_to_u64(slice_of(argv[1]), &size))
		die("usage: bench_http [BODY-OCTETS]");
	strbuf_add_text(&text, "{\"from\":\"a@b.example\",\"text\":\"");
	while (text.len + 2 < size)
		strbuf_add_char(&text, 'x');
	strbuf_add_text(&text, "\"}");
	strbuf_add_fmt(&request,
	    "POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Authorization: Bearer re_0123456789abcdef\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    text.len, text.ptr);
	for (int round = 0; round < 3; round++) {
		measure("ours", serve_ours, strbuf_slice(&request));
		measure("evhttp", serve_evhttp, strbuf_slice(&request));
	}
	strbuf_fini(&text);
	strbuf_fini(&request);
	return 0;
}

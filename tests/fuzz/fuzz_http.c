/*
 * The HTTP server, fed over a socket pair. The first octet of the input says
 * in how large pieces the rest is sent. What comes back must be a run of
 * complete answers (the last one may be cut when the client leaves), every
 * error in JSON; and what the parser takes must be unmistakable.
 *
 * fuzz-rooms: http net base
 * fuzz-packages: libcrypto libssl libevent_core libcares libcurl
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "fuzz.h"
#include "http/session.h"

static struct loop *loop;
static struct http_server *server;

static void
handle(struct http_request *r, void *ctx)
{
	struct strbuf out = STRBUF_INIT;
	struct slice body = http_body(r, NULL);
	struct json_writer w;

	(void)ctx;
	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_text_or_null(&w, "q", http_query(r, "q"));
	json_text_or_null(&w, "auth", http_header(r, "Authorization"));
	json_int(&w, "len", (int64_t)body.len);
	json_end(&w);
	http_answer(r, 200, strbuf_slice(&out));
	strbuf_fini(&out);
}

static void
start(void)
{
	static const struct http_route routes[] = {
		{ HTTP_POST, "/emails", handle, NULL },
		{ HTTP_GET, "/emails/{}", handle, NULL },
	};
	static const struct http_options opt = { .body_max = 4096 };
	int pair[2];

	/* Any descriptor serves as the one to listen on: nobody connects. */
	invariant(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	log_setup("fuzz", LOG_LEVEL_ERROR);
	loop = loop_new();
	server =
	    http_server_new(loop, pair[0], &opt, routes, ARRAY_LEN(routes));
}

/* Takes one answer off the front; false when it is cut. */
static bool
check_answer(struct slice *in)
{
	size_t end = slice_find(*in, SLICE("\r\n\r\n")), at;
	struct slice head = slice_first(*in, end), length;
	struct arena arena = ARENA_INIT;
	const struct json *root;
	uint64_t len = 0;
	char *body;

	if (end == in->len)
		return false;
	invariant(slice_starts(head, SLICE("HTTP/1.1 ")));
	*in = slice_from(*in, end + 4);
	if (slice_starts(head, SLICE("HTTP/1.1 100 ")))
		return true;
	at = slice_find(head, SLICE("\r\nContent-Length: "));
	invariant(at < head.len);
	length = slice_from(head, at + 18);
	invariant(
	    slice_to_u64(slice_first(length, slice_find_char(length, '\r')),
		&len));
	if (in->len < len)
		return false;
	/* To HEAD there is no body: then the next answer follows. */
	if (slice_starts(*in, SLICE("HTTP/1.1 ")) || in->len == 0)
		return true;
	body = arena_dup(&arena, slice_first(*in, len));
	invariant(json_parse(&arena, body, len, &root, NULL) == 0);
	*in = slice_from(*in, len);
	arena_fini(&arena);
	return true;
}

static void
receive(int fd, struct strbuf *out)
{
	char part[8192];
	ssize_t n;

	while ((n = recv(fd, part, sizeof(part), MSG_DONTWAIT)) > 0)
		strbuf_add(out, part, (size_t)n);
}

static void
talk(struct slice in, size_t step)
{
	static const struct net_addr nobody;
	struct strbuf out = STRBUF_INIT;
	struct slice answers;
	int pair[2];

	invariant(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		pair) == 0);
	http_session_new(server, pair[0], &nobody);
	while (in.len > 0) {
		ssize_t n = send(pair[1], in.ptr, MIN(step, in.len),
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			break;
		in = slice_from(in, (size_t)n);
		loop_turn(loop, 0);
		receive(pair[1], &out);
	}
	/* Half of them say that this was all, and get their answers. */
	if (step / 16 % 2 == 0)
		shutdown(pair[1], SHUT_WR);
	for (int i = 0; i < 3; i++) {
		loop_turn(loop, 0);
		receive(pair[1], &out);
	}
	close(pair[1]);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, 0);
	invariant(server->session_count == 0 && server->budget->used == 0);
	answers = strbuf_slice(&out);
	while (answers.len > 0 && check_answer(&answers))
		;
	strbuf_fini(&out);
}

static void
check_head(const struct http_head *head)
{
	invariant(head->path.len > 0 && *head->path.ptr == '/');
	invariant(!slice_has_char(head->path, '?'));
	invariant(!head->is_chunked || head->content_length == 0);
	invariant(head->is_old || http_head_find(head, SLICE("Host")) != NULL);
	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];

		invariant(f->name.len > 0 && !slice_has_char(f->name, ' '));
		for (size_t k = 0; k < f->value.len; k++)
			invariant((unsigned char)f->value.ptr[k] >= ' ' ||
			    f->value.ptr[k] == '\t');
	}
}

/* The parser alone, with the whole of the input. */
static void
parse(struct slice in)
{
	struct arena arena = ARENA_INIT;
	struct http_scan scan = { 0 };
	const struct http_refusal *why;
	struct http_head head;

	if (http_head_scan(&scan, in, &why) == HTTP_SCAN_DONE &&
	    http_head_parse(&arena, slice_first(in, scan.pos), &head) == NULL)
		check_head(&head);
	arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (loop == NULL)
		start();
	if (size < 2 || size > 65536)
		return 0;
	parse(slice_mem(data + 1, size - 1));
	talk(slice_mem(data + 1, size - 1), (size_t)data[0] * 16 + 1);
	return 0;
}

#include "test.h"

#include <stdio.h>

#include "http/head.h"

/* Scans text as it comes octet by octet, then parses. Returns the status of
 * the refusal, 0 when it is taken, -1 when the head is not complete. */
static int
read_head(struct arena *arena, struct slice text, struct http_head *head)
{
	struct http_scan scan = { 0 };
	const struct http_refusal *why = NULL;

	for (size_t n = 1; n <= text.len; n++) {
		switch (http_head_scan(&scan, slice_first(text, n), &why)) {
		case HTTP_SCAN_MORE:
			break;
		case HTTP_SCAN_BAD:
			return why->status;
		case HTTP_SCAN_DONE:
			why = http_head_parse(arena,
			    slice_first(text, scan.pos), head);
			return why != NULL ? why->status : 0;
		}
	}
	return -1;
}

#define H "Host: api.example\r\n"
#define POST "POST /emails HTTP/1.1\r\n" H

static const struct {
	struct slice text;
	int status; /* 0: taken */
} cases[] = {
#define CASE(status, text)                                                     \
	{                                                                      \
		{ text, sizeof(text) - 1 }, status                             \
	}
	CASE(0, "GET / HTTP/1.1\r\n" H "\r\n"),
	CASE(0, "GET / HTTP/1.0\r\n\r\n"),
	CASE(0, "GET /a%20b?c=%41+d HTTP/1.1\r\n" H "\r\n"),
	CASE(0, POST "Content-Length: 5\r\n\r\n"),
	CASE(0, POST "content-length:\t 005 \r\n\r\n"),
	CASE(0, POST "Transfer-Encoding: Chunked\r\n\r\n"),
	CASE(0, POST "X-Name: caf\xc3\xa9 \t x\r\n\r\n"),
	CASE(0, POST "X-Empty:\r\n\r\n"),
	CASE(0, POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
	CASE(0, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8025\r\n\r\n"),
	CASE(0, "OPTIONS /emails HTTP/1.1\r\n" H "\r\n"),
	CASE(-1, "GET / HTTP/1.1\r\n" H),
	CASE(-1, "GET / HTTP/1.1\r\n" H "\r"),
	/* Where a request ends: what evhttp 2.1 lets pass or reads its own way.
	 */
	CASE(400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
	CASE(400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
	CASE(400, POST "Content-Length: 5, 5\r\n\r\n"),
	CASE(400, POST "Content-Length: +5\r\n\r\n"),
	CASE(400, POST "Content-Length: -5\r\n\r\n"),
	CASE(400, POST "Content-Length: 0x5\r\n\r\n"),
	CASE(400, POST "Content-Length: 5 5\r\n\r\n"),
	CASE(400, POST "Content-Length:\r\n\r\n"),
	CASE(400, POST "Content-Length: 18446744073709551616\r\n\r\n"),
	CASE(400, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	CASE(400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
	CASE(400, POST "Transfer-Encoding: xchunked\r\n\r\n"),
	CASE(400, POST "Transfer-Encoding: identity\r\n\r\n"),
	CASE(400, POST "Transfer-Encoding:\r\n\r\n"),
	CASE(400,
	    POST "Transfer-Encoding: chunked\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"),
	CASE(400,
	    POST "Transfer-Encoding: chunked\r\n"
		 "Content-Length: 5\r\n\r\n"),
	CASE(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
	/* Whom it is for. */
	CASE(400, "GET / HTTP/1.1\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H H "\r\n"),
	CASE(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
	CASE(400, "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"),
	CASE(400, POST "Authorization: a\r\nauthorization: b\r\n\r\n"),
	CASE(400, POST "Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n"),
	/* Lines. */
	CASE(400, "GET / HTTP/1.1\n" H "\r\n"),
	CASE(400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "\n"),
	CASE(400, "\nGET / HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n\t" H "\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X(: a\r\n\r\n"),
	CASE(400, "GET / HTTP/1.1\r\n" H "X\xc3\xa9: a\r\n\r\n"),
	/* The request line. */
	CASE(400, "\x16\x03\x01"),
	CASE(400, "get / HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
	CASE(400, "GET /a b HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET / http/1.1\r\n" H "\r\n"),
	CASE(400, "GET /\r\n" H "\r\n"),
	CASE(400, "GET\r\n\r\n"),
	CASE(400, "G\r\n\r\n"),
	CASE(400, "GET emails HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET http://a/ HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /a\tb HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /%00 HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /?a=%00 HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /%4 HTTP/1.1\r\n" H "\r\n"),
	CASE(400, "GET /%zz HTTP/1.1\r\n" H "\r\n"),
	CASE(501, "BREW / HTTP/1.1\r\n" H "\r\n"),
	CASE(505, "PRI * HTTP/2.0\r\n\r\n"),
	CASE(505, "GET / HTTP/1.2\r\n" H "\r\n"),
	CASE(400, "GET / HTTP/11\r\n" H "\r\n"),
	CASE(417, POST "Expect: cake\r\n\r\n"),
};

static void
takes_what_is_unmistakable_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct http_head head = { 0 };
		int status = read_head(&arena, cases[i].text, &head);

		print_message("case %zu: %.*s\n", i, SLICE_FMT(cases[i].text));
		assert_int_equal(status, cases[i].status);
		arena_fini(&arena);
	}
}

static void
tells_what_the_head_says(void **state)
{
	struct arena arena = ARENA_INIT;
	struct http_head head = { 0 };

	(void)state;
	assert_int_equal(
	    read_head(&arena,
		SLICE("POST /emails/x?limit=5&after=a HTTP/1.1\r\n" H
		      "Authorization:  Bearer re_1 \r\nContent-Length: 77\r\n"
		      "Connection: Keep-Alive, CLOSE\r\n\r\nbody"),
		&head),
	    0);
	assert_int_equal(head.method, HTTP_POST);
	assert_true(slice_eq_text(head.path, "/emails/x"));
	assert_true(slice_eq_text(head.query, "limit=5&after=a"));
	assert_int_equal(head.field_count, 4);
	assert_true(
	    slice_eq_text(http_head_find(&head, SLICE("authorization"))->value,
		"Bearer re_1"));
	assert_null(http_head_find(&head, SLICE("Expect")));
	assert_true(head.content_length == 77);
	assert_false(head.is_chunked || head.is_head || head.is_old);
	assert_false(head.keeps_alive);
	arena_fini(&arena);
}

static const struct {
	struct slice text;
	bool keeps_alive, expects;
} connections[] = {
#define CONN(keeps, expects, text)                                             \
	{                                                                      \
		{ text, sizeof(text) - 1 }, keeps, expects                     \
	}
	CONN(true, false, POST "\r\n"),
	CONN(false, false, POST "Connection: close\r\n\r\n"),
	CONN(false, false, POST "Connection: x\r\nConnection: close\r\n\r\n"),
	CONN(false, false, "GET / HTTP/1.0\r\n\r\n"),
	CONN(true, false, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
	/* Nothing to wait with, nothing to continue. */
	CONN(true, false, POST "Expect: 100-continue\r\n\r\n"),
	CONN(true, true,
	    POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
	CONN(false, false,
	    "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"),
};

static void
knows_whether_the_connection_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
		struct arena arena = ARENA_INIT;
		struct http_head head = { 0 };

		print_message("case %zu\n", i);
		assert_int_equal(read_head(&arena, connections[i].text, &head),
		    0);
		assert_int_equal(head.keeps_alive, connections[i].keeps_alive);
		assert_int_equal(head.expects_continue, connections[i].expects);
		arena_fini(&arena);
	}
}

/* GET / with n fields of that length, complete. */
static int
read_large(size_t line, size_t n, size_t field)
{
	struct strbuf b = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct http_head head = { 0 };
	int status;

	strbuf_add_text(&b, "GET /");
	for (size_t i = 0; i < line; i++)
		strbuf_add_char(&b, 'x');
	strbuf_add_text(&b, " HTTP/1.1\r\n" H);
	for (size_t i = 0; i < n; i++) {
		strbuf_add_text(&b, "X: ");
		for (size_t k = 0; k < field; k++)
			strbuf_add_char(&b, 'x');
		strbuf_add_text(&b, "\r\n");
	}
	strbuf_add_text(&b, "\r\n");
	status = read_head(&arena, strbuf_slice(&b), &head);
	arena_fini(&arena);
	strbuf_fini(&b);
	return status;
}

static void
bounds_lines_fields_and_the_whole(void **state)
{
	(void)state;
	assert_int_equal(read_large(8000, 0, 0), 0);
	assert_int_equal(read_large(8200, 0, 0), 414);
	assert_int_equal(read_large(1, HTTP_FIELDS_MAX - 1, 10), 0);
	assert_int_equal(read_large(1, HTTP_FIELDS_MAX, 10), 431);
	assert_int_equal(read_large(1, 1, 16000), 0);
	assert_int_equal(read_large(1, 1, 16384), 431);
	assert_int_equal(read_large(1, 90, 200), 431);
}

TEST_MAIN(cmocka_unit_test(takes_what_is_unmistakable_and_nothing_else),
    cmocka_unit_test(tells_what_the_head_says),
    cmocka_unit_test(knows_whether_the_connection_stays),
    cmocka_unit_test(bounds_lines_fields_and_the_whole))

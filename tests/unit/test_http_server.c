/* What is asked and answered: requests, refusals, bodies. */
#include "http_world.h"

/* ---- One request after the other --------------------------------------- */

static void
serves_one_request_after_the_other(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H
		  "Content-Type: application/json\r\n"
		  "Content-Length: 5\r\n\r\nhello"));
	await(&w, &c, 1);
	assert_got(&c, "HTTP/1.1 200 OK\r\nDate: ");
	assert_got(&c,
	    " GMT\r\nContent-Type: application/json; charset=utf-8"
	    "\r\nContent-Length: ");
	assert_got(&c,
	    "\r\nX-Seen: yes\r\n\r\n{\"len\":5,\"body\":\"hello\","
	    "\"type\":\"application/json\"}");
	assert_not_got(&c, "Connection:");
	strbuf_reset(&c.got);
	send_all(&w, &c,
	    SLICE("\r\nGET /v1/emails/a%40b?x=1&q=two+words&n HTTP/1.1\r\n" H
		  "\r\n"));
	await(&w, &c, 1);
	assert_got(&c, "{\"id\":\"a@b\",\"q\":\"two words\",\"n\":\"\"}");
	strbuf_reset(&c.got);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H
		  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
	await(&w, &c, 0);
	assert_got(&c, "Connection: close");
	assert_got(&c, "{\"len\":5,\"body\":\"abcde\",\"type\":null}");
	hang_up(&c);
	close_world(&w);
}

static void
answers_pipelined_requests_in_order(void **state)
{
	struct strbuf in = STRBUF_INIT;
	struct world w;
	struct client c;
	const char *at;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	for (int i = 0; i < 200; i++)
		strbuf_add_fmt(&in,
		    "GET /emails/%d HTTP/1.1\r\n" H "\r\n"
		    "POST /emails HTTP/1.1\r\n" H
		    "Content-Length: 3\r\n\r\nabc",
		    i);
	send_all(&w, &c, strbuf_slice(&in));
	await(&w, &c, 400);
	at = c.got.ptr;
	for (int i = 0; i < 200; i++) {
		char want[32];

		snprintf(want, sizeof(want), "{\"id\":\"%d\",", i);
		at = strstr(at, want);
		assert_non_null(at);
	}
	assert_int_equal(w.handled, 400);
	/* The same, octet by octet. */
	strbuf_reset(&c.got);
	for (size_t i = 0; i < 200; i++)
		send_all(&w, &c, slice_mem(in.ptr + i, 1));
	await(&w, &c, 2);
	hang_up(&c);
	close_world(&w);
	strbuf_fini(&in);
}

static void
knows_the_manners_of_http10(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("GET /emails/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	await(&w, &c, 1);
	assert_got(&c, "Connection: keep-alive");
	send_all(&w, &c, SLICE("GET /emails/2 HTTP/1.0\r\n\r\n"));
	await(&w, &c, 0);
	assert_got(&c, "Connection: close");
	hang_up(&c);
	close_world(&w);
}

static void
sends_no_body_to_head(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("HEAD /emails/1 HTTP/1.1\r\n" H "\r\n"
		  "HEAD /none HTTP/1.1\r\n" H "\r\n"
		  "HEAD /emails/2 HTTP/1.1\r\n" H "Connection: close\r\n\r\n"));
	await(&w, &c, 0);
	assert_true(has_answers(&c, 3, true));
	assert_got(&c, "Content-Length: 28\r\n\r\nHTTP/1.1 404");
	assert_not_got(&c, "{");
	assert_int_equal(w.handled, 2);
	hang_up(&c);
	close_world(&w);
}

/* ---- Refusals ---------------------------------------------------------- */

static const struct {
	const char *in, *status, *body; /* body: part of it */
	bool stays;
} refusals[] = {
	{ "GET /nowhere HTTP/1.1\r\n" H "\r\n", "404 Not Found",
	    "{\"statusCode\":404,\"name\":\"not_found\",\"message\":\"", true },
	{ "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
	    "404 Not Found", "\"not_found\"", true },
	{ "POST /nowhere HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	  "3\r\nabc\r\n0\r\n\r\n",
	    "404 Not Found", "\"not_found\"", true },
	{ "GET /emails HTTP/1.1\r\n" H "\r\n", "405 Method Not Allowed\r\n",
	    "\"method_not_allowed\"", true },
	{ "OPTIONS /emails HTTP/1.1\r\n" H "\r\n", "405 Method Not Allowed\r\n",
	    "\"method_not_allowed\"", true },
	{ "GET /emails/%ff HTTP/1.1\r\n" H "\r\n", "400 Bad Request",
	    "percent-escape", true },
	{ "GET /emails/1?q=%0d%0a HTTP/1.1\r\n" H "\r\n", "400 Bad Request",
	    "percent-escape", true },
	{ "BREW / HTTP/1.1\r\n" H "\r\n", "501 Not Implemented",
	    "{\"statusCode\":501,\"name\":\"not_implemented\"", false },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version Not Supported",
	    "\"statusCode\":505", false },
	{ "\x16\x03\x01\x02", "400 Bad Request", "validation_error", false },
	{ "GET /emails/%00 HTTP/1.1\r\n" H "\r\n", "400 Bad Request",
	    "percent-escape", false },
	{ "GET /emails/1 HTTP/1.1\r\n\r\n", "400 Bad Request", "Host", false },
	{ "GET /emails/1 HTTP/1.1\nHost: a\n\n", "400 Bad Request", "CR LF",
	    false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	    "400 Bad Request", "twice", false },
	{ "POST /emails HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\nhello",
	    "400 Bad Request", "Content-Length", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked body", false },
	{ "POST /nowhere HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	    "400 Bad Request", "chunked body", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n0\r\nX: trailer\r\n\r\n",
	    "400 Bad Request", "chunked body", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Content-Length: 1\r\nExpect: cake\r\n\r\n",
	    "417 Expectation Failed", "100-continue", false },
	{ "POST /emails HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n",
	    "413 Content Too Large", "\"payload_too_large\"", false },
	{ "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n",
	    "413 Content Too Large", "\"payload_too_large\"", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Content-Length: 18446744073709551615\r\n\r\n",
	    "413 Content Too Large", "\"payload_too_large\"", false },
	{ "POST /emails HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
	    NULL, NULL, false }, /* waits for data, see below */
};

static void
refuses_in_json_and_closes_when_in_doubt(void **state)
{
	const struct http_options opt = { .body_max = 1000,
		.request_timeout_ms = 100 };
	struct world w;

	(void)state;
	open_world(&w, &opt);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct client c = dial(&w);
		char want[128];

		print_message("case %zu: %s\n", i, refusals[i].in);
		send_all(&w, &c, slice_of(refusals[i].in));
		await(&w, &c, 1);
		snprintf(want, sizeof(want), "HTTP/1.1 %s",
		    refusals[i].status != NULL ? refusals[i].status
					       : "408 Request Timeout");
		assert_memory_equal(c.got.ptr, want, strlen(want));
		if (refusals[i].body != NULL)
			assert_got(&c, refusals[i].body);
		assert_got(&c, "Content-Type: application/json");
		if (refusals[i].stays) {
			assert_not_got(&c, "Connection: close");
			send_all(&w, &c,
			    SLICE("GET /emails/7 HTTP/1.1\r\n" H "\r\n"));
			await(&w, &c, 2);
			assert_got(&c, "{\"id\":\"7\"");
		} else {
			assert_got(&c, "Connection: close");
		}
		hang_up(&c);
	}
	close_world(&w);
}

static void
names_the_methods_of_a_path(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("DELETE /late HTTP/1.1\r\n" H "\r\n"
		  "PATCH /emails HTTP/1.1\r\n" H "\r\n"));
	await(&w, &c, 2);
	assert_got(&c, "\r\nAllow: GET, HEAD, POST\r\n");
	assert_got(&c, "\r\nAllow: POST\r\n");
	hang_up(&c);
	close_world(&w);
}

static void
keeps_unsound_fields_out_of_the_head(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	test_log_expect(1);
	send_all(&w, &c, SLICE("GET /unsound HTTP/1.1\r\n" H "\r\n"));
	await(&w, &c, 1);
	assert_got(&c, "HTTP/1.1 422 Unprocessable Content\r\n");
	assert_got(&c,
	    "\r\n\r\n{\"statusCode\":422,\"name\":\"missing_required_"
	    "field\",\"message\":\"Missing `to`.\"}");
	assert_not_got(&c, "X-Evil");
	assert_not_got(&c, "Set-Cookie");
	hang_up(&c);
	close_world(&w);
}

/* ---- Bodies ------------------------------------------------------------ */

static void
says_413_to_a_client_that_writes_first(void **state)
{
	const struct http_options opt = { .body_max = 1000 };
	struct strbuf in = STRBUF_INIT;
	struct world w;
	struct client c;
	size_t big = (size_t)5 << 20;
	char *data = xmalloc(big);

	(void)state;
	open_world(&w, &opt);
	for (int chunked = 0; chunked < 2; chunked++) {
		c = dial(&w);
		strbuf_reset(&in);
		strbuf_add_fmt(&in,
		    chunked ? "POST /emails HTTP/1.1\r\n" H
			      "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
			    : "POST /emails HTTP/1.1\r\n" H
			      "Content-Length: %zu\r\n\r\n",
		    big);
		strbuf_add(&in, data, big);
		if (chunked)
			strbuf_add_text(&in, "\r\n0\r\n\r\n");
		send_all(&w, &c, strbuf_slice(&in));
		await(&w, &c, 0);
		assert_memory_equal(c.got.ptr, "HTTP/1.1 413 ", 13);
		assert_true(has_answers(&c, 1, false));
		assert_false(has_answers(&c, 2, false));
		hang_up(&c);
	}
	assert_int_equal(w.handled, 0);
	strbuf_fini(&in);
	free(data);
	close_world(&w);
}

static void
continues_those_who_ask(void **state)
{
	const struct http_options opt = { .body_max = 1000 };
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &opt);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 5\r\n"
		  "Expect: 100-continue\r\n\r\n"));
	TURN_UNTIL(&w, (receive(&c), c.got.len > 0));
	assert_string_equal(c.got.ptr, "HTTP/1.1 100 Continue\r\n\r\n");
	send_all(&w, &c, SLICE("hello"));
	await(&w, &c, 1);
	assert_got(&c, "\"body\":\"hello\"");
	hang_up(&c);
	/* Those who would be refused are told at once, and sent away. */
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 5000\r\n"
		  "Expect: 100-continue\r\n\r\n"));
	await(&w, &c, 0);
	assert_memory_equal(c.got.ptr, "HTTP/1.1 413 ", 13);
	hang_up(&c);
	c = dial(&w);
	send_all(&w, &c,
	    SLICE("POST /none HTTP/1.1\r\n" H "Content-Length: 5\r\n"
		  "Expect: 100-continue\r\n\r\n"));
	await(&w, &c, 0);
	assert_memory_equal(c.got.ptr, "HTTP/1.1 404 ", 13);
	hang_up(&c);
	close_world(&w);
}

static void
takes_60_megabytes_whole(void **state)
{
	size_t big = (size_t)60 << 20;
	struct strbuf in = STRBUF_INIT;
	uint8_t sum[SHA256_LEN];
	struct world w;
	struct client c;

	(void)state;
	open_world(&w, &ordinary);
	c = dial(&w);
	strbuf_add_fmt(&in,
	    "POST /emails HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", big);
	for (size_t i = 0; i < big / 8; i++) {
		uint64_t word = i * 0x9e3779b97f4a7c15U;

		strbuf_add(&in, &word, sizeof(word));
	}
	crypto_sha256(slice_from(strbuf_slice(&in), in.len - big), sum);
	send_all(&w, &c, strbuf_slice(&in));
	await(&w, &c, 1);
	assert_got(&c, "{\"len\":62914560,");
	assert_memory_equal(w.body_sum, sum, sizeof(sum));
	hang_up(&c);
	strbuf_fini(&in);
	close_world(&w);
}

static void
bounds_the_memory_of_all_bodies(void **state)
{
	const struct http_options opt = { .body_max = 100000,
		.bodies_max = 100000 };
	static char data[100000];
	struct world w;
	struct client hog, other, small;

	(void)state;
	open_world(&w, &opt);
	hog = dial(&w);
	send_all(&w, &hog,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 90001\r\n"
		  "\r\n"));
	send_all(&w, &hog, slice_mem(data, 90000));
	other = dial(&w);
	send_all(&w, &other,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 50000\r\n"
		  "\r\n"));
	send_all(&w, &other, slice_mem(data, 50000));
	await(&w, &other, 1);
	assert_memory_equal(other.got.ptr, "HTTP/1.1 503 ", 13);
	assert_got(&other, "\r\nRetry-After: ");
	hang_up(&other);
	/* Small ones always find room, and the memory comes back. */
	small = dial(&w);
	send_all(&w, &small,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 1000\r\n"
		  "\r\n"));
	send_all(&w, &small, slice_mem(data, 1000));
	await(&w, &small, 1);
	assert_got(&small, "{\"len\":1000,");
	hang_up(&small);
	send_all(&w, &hog, SLICE("x"));
	await(&w, &hog, 1);
	assert_got(&hog, "{\"len\":90001,");
	strbuf_reset(&hog.got);
	send_all(&w, &hog,
	    SLICE("POST /emails HTTP/1.1\r\n" H "Content-Length: 100000\r\n"
		  "\r\n"));
	send_all(&w, &hog, slice_mem(data, 100000));
	await(&w, &hog, 1);
	assert_got(&hog, "{\"len\":100000,");
	hang_up(&hog);
	close_world(&w);
}

TEST_MAIN(cmocka_unit_test(serves_one_request_after_the_other),
    cmocka_unit_test(answers_pipelined_requests_in_order),
    cmocka_unit_test(knows_the_manners_of_http10),
    cmocka_unit_test(sends_no_body_to_head),
    cmocka_unit_test(refuses_in_json_and_closes_when_in_doubt),
    cmocka_unit_test(names_the_methods_of_a_path),
    cmocka_unit_test(keeps_unsound_fields_out_of_the_head),
    cmocka_unit_test(says_413_to_a_client_that_writes_first),
    cmocka_unit_test(continues_those_who_ask),
    cmocka_unit_test(takes_60_megabytes_whole),
    cmocka_unit_test(bounds_the_memory_of_all_bodies))

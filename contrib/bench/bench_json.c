/*
 * bench_json - what reading the body of a POST costs, ours beside jansson.
 *
 *   make contrib/bench/bench_json && contrib/bench/bench_json
 *
 * Prints microseconds per body; every figure is the best of five rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "oracle_json.h"

#define ROUNDS 5

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* An email of about that size whose HTML is made of the unit. */
static void
make_body(struct strbuf *out, const char *unit, size_t size)
{
	struct strbuf html = STRBUF_INIT;
	struct json_writer w;

	while (html.len < size)
		strbuf_add_text(&html, unit);
	json_writer_init(&w, out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "from", "Shop <orders@shop.example>");
	json_begin_array(&w, "to");
	json_cstr(&w, NULL, "someone@mail.example");
	json_end(&w);
	json_cstr(&w, "subject", "Your order 1042 is on its way");
	json_text(&w, "html", strbuf_slice(&html));
	json_begin_array(&w, "tags");
	json_begin_object(&w, NULL);
	json_cstr(&w, "name", "kind");
	json_cstr(&w, "value", "order");
	json_end(&w);
	json_end(&w);
	json_end(&w);
	strbuf_fini(&html);
}

static void
read_ours(struct slice body, char *scratch)
{
	struct arena arena = ARENA_INIT;
	const struct json *root;

	/* The copy is part of the price: the reader changes its text. */
	memcpy(scratch, body.ptr, body.len);
	if (json_parse(&arena, scratch, body.len, &root, NULL) != 0)
		die("our reader refuses the body");
	arena_fini(&arena);
}

static void
read_peer(struct slice body, char *scratch)
{
	(void)scratch;
	if (oracle_json_check(body.ptr, body.len) != ORACLE_GOOD)
		die("jansson refuses the body");
}

static double
measure(void (*fn)(struct slice body, char *scratch), struct slice body)
{
	size_t times = 200000000 / (body.len * 20) + 1;
	char *scratch = xmalloc(body.len);
	double best = 1e12;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_us(), us;

		for (size_t i = 0; i < times; i++)
			fn(body, scratch);
		us = (now_us() - start) / (double)times;
		best = MIN(best, us);
	}
	free(scratch);
	return best;
}

int
main(void)
{
	static const struct {
		const char *name, *unit;
		size_t size;
	} bodies[] = {
		{ "10 kB plain text", "Thank you for the order you placed. ",
		    10000 },
		{ "10 kB HTML, escapes", "<td class=\"a\">Item</td>\r\n",
		    10000 },
		{ "10 kB Cyrillic",
		    "\xd0\xa1\xd0\xbf\xd0\xb0\xd1\x81\xd0\xb8"
		    "\xd0\xb1\xd0\xbe ",
		    10000 },
		{ "300 octets", "Hello. ", 100 },
		{ "10 MB of base64", "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu",
		    10000000 },
	};

	printf("%-22s %10s %10s %7s\n", "microseconds per body", "ours",
	    "jansson", "ratio");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct strbuf body = STRBUF_INIT;
		double ours, peer;

		make_body(&body, bodies[i].unit, bodies[i].size);
		ours = measure(read_ours, strbuf_slice(&body));
		peer = measure(read_peer, strbuf_slice(&body));
		printf("%-22s %10.2f %10.2f %6.1fx\n", bodies[i].name, ours,
		    peer, peer / ours);
		strbuf_fini(&body);
	}
	return 0;
}

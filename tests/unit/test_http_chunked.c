#include "test.h"

#include "base/strbuf.h"
#include "http/chunked.h"

static const struct {
	const char *text;
	const char *body; /* NULL: must be refused */
	const char *rest; /* NULL: the end does not come */
} cases[] = {
	{ "5\r\nhello\r\n0\r\n\r\n", "hello", "" },
	{ "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", "hello world",
	    "GET /" },
	{ "A\r\n0123456789\r\n00\r\n\r\n", "0123456789", "" },
	{ "a\r\n01\r\n456789\r\n0\r\n\r\n", "01\r\n456789", "" },
	{ "00000001\r\nx\r\n0\r\n\r\n", "x", "" },
	{ "0\r\n\r\n", "", "" },
	{ "", "", NULL },
	{ "5\r\nhel", "hel", NULL },
	{ "5\r\nhello\r\n0\r\n\r", "hello", NULL },
	{ "0x5\r\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ "+5\r\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ "-5\r\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ " 5\r\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ "5 \r\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ "5;a=b\r\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ "5\nhello\r\n0\r\n\r\n", NULL, NULL },
	{ "5\r\rhello", NULL, NULL },
	{ "5\r\nhello0\r\n\r\n", NULL, NULL },
	{ "5\r\nhello\n0\r\n\r\n", NULL, NULL },
	{ "5\r\nhello!\r\n0\r\n\r\n", NULL, NULL },
	{ "5\r\nhello\r\n0\r\nX: trailer\r\n\r\n", NULL, NULL },
	{ "5\r\nhello\r\n0\r\n\n", NULL, NULL },
	{ "\r\nhello\r\n", NULL, NULL },
	{ "000000005\r\nhello\r\n", NULL, NULL },
	{ "123456789\r\n", NULL, NULL },
	{ "g\r\n", NULL, NULL },
};

/* Feeds at most step octets at a time. */
static enum http_chunk_result
decode(struct slice text, size_t step, struct strbuf *body, struct slice *rest)
{
	struct http_chunked c = { 0 };
	enum http_chunk_result got = HTTP_CHUNK_MORE;

	while (text.len > 0) {
		struct slice in = slice_first(text, step), piece;
		size_t before = in.len;

		do {
			got = http_chunked_take(&c, &in, &piece);
			if (got == HTTP_CHUNK_PIECE)
				strbuf_add_slice(body, piece);
		} while (got == HTTP_CHUNK_PIECE);
		text = slice_from(text, before - in.len);
		if (got != HTTP_CHUNK_MORE)
			break;
	}
	*rest = text;
	return got;
}

static void
decodes_alike_in_any_pieces(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(steps); i++) {
		size_t n = i / ARRAY_LEN(steps);
		struct strbuf body = STRBUF_INIT;
		struct slice rest;
		enum http_chunk_result got = decode(slice_of(cases[n].text),
		    steps[i % ARRAY_LEN(steps)], &body, &rest);

		print_message("case %zu: %s\n", n, cases[n].text);
		if (cases[n].body == NULL) {
			assert_int_equal(got, HTTP_CHUNK_BAD);
		} else if (cases[n].rest == NULL) {
			assert_int_equal(got, HTTP_CHUNK_MORE);
			assert_string_equal(strbuf_text(&body), cases[n].body);
		} else {
			assert_int_equal(got, HTTP_CHUNK_END);
			assert_string_equal(strbuf_text(&body), cases[n].body);
			assert_true(slice_eq_text(rest, cases[n].rest));
		}
		strbuf_fini(&body);
	}
}

TEST_MAIN(cmocka_unit_test(decodes_alike_in_any_pieces))

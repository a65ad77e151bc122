#include "test.h"

#include "base/json.h"

static void
puts_names_and_commas(void **state)
{
	struct strbuf b = STRBUF_INIT;
	struct json_writer w;

	(void)state;
	json_writer_init(&w, &b);
	json_begin_object(&w, NULL);
	json_cstr(&w, "id", "x");
	json_int(&w, "n", INT64_MIN);
	json_begin_array(&w, "list");
	json_int(&w, NULL, 0);
	json_bool(&w, NULL, true);
	json_null(&w, NULL);
	json_begin_object(&w, NULL);
	json_end(&w);
	json_begin_array(&w, NULL);
	json_end(&w);
	json_end(&w);
	json_text_or_null(&w, "t", (struct slice){ NULL, 0 });
	json_text_or_null(&w, "e", SLICE(""));
	json_text_named(&w, SLICE("a\"b"), SLICE("v"));
	json_raw(&w, "raw", SLICE("[1]"));
	json_bool(&w, "last", false);
	json_end(&w);
	assert_string_equal(b.ptr,
	    "{\"id\":\"x\",\"n\":-9223372036854775808,"
	    "\"list\":[0,true,null,{},[]],\"t\":null,\"e\":\"\","
	    "\"a\\\"b\":\"v\",\"raw\":[1],\"last\":false}");
	strbuf_fini(&b);
}

static const struct {
	struct slice text;
	const char *quoted;
} cases[] = {
	{ { "", 0 }, "\"\"" },
	{ { NULL, 0 }, "\"\"" },
	{ { "\"\\/\b\f\n\r\t", 8 }, "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
	{ { "\0\x1f\x7f", 3 }, "\"\\u0000\\u001f\x7f\"" },
	{ { "\xc3\xa9\xf0\x9f\x98\x80", 6 }, "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
	{ { "a\xff\xc3(\xe2\x82", 6 },
	    "\"a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\"" },
	/* C1 is for terminals, what follows it is not. */
	{ { "\xc2\x80\xc2\x9b\xc2\xa0", 6 }, "\"\\u0080\\u009b\xc2\xa0\"" },
	{ { "sixteen or more plain octets\nthen a break and more", 50 },
	    "\"sixteen or more plain octets\\nthen a break and more\"" },
};

static void
quotes_any_octets_as_valid_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf b = STRBUF_INIT;

		print_message("case %zu\n", i);
		json_quote(&b, cases[i].text);
		assert_string_equal(b.ptr, cases[i].quoted);
		strbuf_fini(&b);
	}
}

static void
reads_back_what_it_wrote(void **state)
{
	struct arena arena = ARENA_INIT;
	struct strbuf b = STRBUF_INIT;
	const struct json *root = NULL;
	char text[300];
	size_t len = 0;

	(void)state;
	for (int c = 1; c < 0x80; c++)
		text[len++] = (char)c;
	for (int c = 0x80; c < 0xc0; c++) {
		text[len++] = '\xc3';
		text[len++] = (char)c;
	}
	json_quote(&b, slice_mem(text, len));
	assert_int_equal(json_parse(&arena, b.ptr, b.len, &root, NULL), 0);
	assert_true(slice_eq(root->text, slice_mem(text, len)));
	arena_fini(&arena);
	strbuf_fini(&b);
}

static void
stops_at_the_bound_of_its_buffer(void **state)
{
	struct json_writer w;
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 8);
	json_writer_init(&w, &b);
	json_begin_array(&w, NULL);
	json_cstr(&w, NULL, "0123456789");
	json_end(&w);
	assert_true(b.overflow);
	strbuf_fini(&b);
}

TEST_MAIN(cmocka_unit_test(puts_names_and_commas),
    cmocka_unit_test(quotes_any_octets_as_valid_json),
    cmocka_unit_test(reads_back_what_it_wrote),
    cmocka_unit_test(stops_at_the_bound_of_its_buffer))

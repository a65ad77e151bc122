#include "test.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

struct parsed {
	struct arena arena;
	char *text;
	const struct json *root;
	struct error err;
	int rc;
};

/* The text goes to the end of its own block, so that ASan sees overruns. */
static void
parse(struct parsed *p, struct slice text)
{
	*p = (struct parsed){ 0 };
	p->text = malloc(text.len > 0 ? text.len : 1);
	assert_non_null(p->text);
	if (text.len > 0)
		memcpy(p->text, text.ptr, text.len);
	p->rc = json_parse(&p->arena, p->text, text.len, &p->root, &p->err);
}

static void
forget(struct parsed *p)
{
	arena_fini(&p->arena);
	free(p->text);
}

static const struct {
	const char *text;
	const char *error; /* NULL: well-formed */
} cases[] = {
	{ "{}", NULL },
	{ " [ ] ", NULL },
	{ "null", NULL },
	{ "\ttrue\r\n", NULL },
	{ "\"x\"", NULL },
	{ "-0.5e+10", NULL },
	{ "[0,-0,1.0,1e5,1E-5,10.25e0]", NULL },
	{ "{\"a\":{\"a\":1},\"b\":[{\"a\":1}]}", NULL },
	{ "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", NULL },
	{ "", "line 1, column 1: no JSON text" },
	{ "  \n ", "line 2, column 2: no JSON text" },
	{ "{", "line 1, column 2: expected a member name in quotes" },
	{ "{a:1}", "line 1, column 2: expected a member name in quotes" },
	{ "{'a':1}", "line 1, column 2: expected a member name in quotes" },
	{ "{\"a\"}", "line 1, column 5: expected ':'" },
	{ "{\"a\":}", "line 1, column 6: expected a value" },
	{ "{\"a\":", "line 1, column 6: the text ends before the value" },
	{ "{\"a\":1,}", "line 1, column 8: expected a member name in quotes" },
	{ "{\"a\":1\n\"b\":2}", "line 2, column 1: expected ',' or '}'" },
	{ "[1,]", "line 1, column 4: expected a value" },
	{ "[1 2]", "line 1, column 4: expected ',' or ']'" },
	{ "[1", "line 1, column 3: expected ',' or ']'" },
	{ "[1}", "line 1, column 3: expected ',' or ']'" },
	{ "[,1]", "line 1, column 2: expected a value" },
	{ "{} {}", "line 1, column 4: something follows the JSON text" },
	{ "1 x", "line 1, column 3: something follows the JSON text" },
	{ "nul", "line 1, column 1: expected a value" },
	{ "True", "line 1, column 1: expected a value" },
	{ "NaN", "line 1, column 1: expected a value" },
	{ "Infinity", "line 1, column 1: expected a value" },
	{ "// no\n1", "line 1, column 1: expected a value" },
	{ "\xef\xbb\xbf{}", "line 1, column 1: expected a value" },
	{ "01", "line 1, column 2: something follows the JSON text" },
	{ "+1", "line 1, column 1: expected a value" },
	{ "-", "line 1, column 2: expected a digit" },
	{ "-x", "line 1, column 2: expected a digit" },
	{ ".5", "line 1, column 1: expected a value" },
	{ "1.", "line 1, column 3: expected a digit after the point" },
	{ "1.e5", "line 1, column 3: expected a digit after the point" },
	{ "1e", "line 1, column 3: expected a digit in the exponent" },
	{ "1e+", "line 1, column 4: expected a digit in the exponent" },
	{ "\"a", "line 1, column 3: string without end" },
	{ "\"\\", "line 1, column 2: string without end" },
	{ "\"\\\"", "line 1, column 4: string without end" },
	{ "\"\\x\"", "line 1, column 2: no such escape" },
	{ "\"a\nb\"", "line 1, column 3: control character in a string" },
	{ "\"a\tb\"", "line 1, column 3: control character in a string" },
	{ "\"\\u00e\"",
	    "line 1, column 4: expected four hex digits after \\u" },
	{ "\"\\u0000\"", "line 1, column 4: U+0000 is not allowed" },
	{ "\"\\udc00\"", "line 1, column 4: low surrogate without a high one" },
	{ "\"\\ud800\"", "line 1, column 4: high surrogate without a low one" },
	{ "\"\\ud800\\ud800\"",
	    "line 1, column 4: high surrogate without a low one" },
	{ "\"\\ud83d\\n\"",
	    "line 1, column 4: high surrogate without a low one" },
	{ "\"\xff\"", "line 1, column 2: ill-formed UTF-8" },
	{ "\"ok\xc3\"", "line 1, column 4: ill-formed UTF-8" },
	{ "\"\xed\xa0\x80\"", "line 1, column 2: ill-formed UTF-8" },
	{ "{\"a\":1,\n \"b\":2,\n \"a\":3}",
	    "line 3, column 7: the object that ends here names 'a' twice" },
	{ "{\"a\":1,\"\\u0061\":2}",
	    "line 1, column 18: the object that ends here names 'a' twice" },
};

static void
takes_rfc8259_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p;

		print_message("case %zu: %s\n", i, cases[i].text);
		parse(&p, slice_of(cases[i].text));
		if (cases[i].error == NULL) {
			assert_int_equal(p.rc, 0);
			assert_non_null(p.root);
		} else {
			assert_int_equal(p.rc, -1);
			assert_int_equal(p.err.kind, ERR_SYNTAX);
			assert_string_equal(p.err.text, cases[i].error);
			assert_null(p.root);
		}
		forget(&p);
	}
}

static const struct {
	const char *text, *decoded;
} strings[] = {
	{ "\"\"", "" },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
	{ "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\uFFFF\"",
	    "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf" },
	{ "\"<p class=\\\"wide\\\">a longer run of plain text</p>\\r\\n\xc3\xa9"
	  " and another longer run \\u00e9\xc3\xa9\xc3\xa9 end of it\"",
	    "<p class=\"wide\">a longer run of plain text</p>\r\n\xc3\xa9"
	    " and another longer run \xc3\xa9\xc3\xa9\xc3\xa9 end of it" },
};

static void
decodes_strings_in_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		struct parsed p;

		print_message("case %zu\n", i);
		parse(&p, slice_of(strings[i].text));
		assert_int_equal(p.rc, 0);
		assert_int_equal(p.root->type, JSON_STRING);
		assert_true(slice_eq_text(p.root->text, strings[i].decoded));
		forget(&p);
	}
}

/* An escape or a special octet at every place relative to the blocks of 16. */
static void
decodes_alike_at_every_offset(void **state)
{
	static const char *const specials[] = { "\\n", "\xc3\xa9", "\\u20ac",
		"" };
	static const char *const decoded[] = { "\n", "\xc3\xa9", "\xe2\x82\xac",
		"" };

	(void)state;
	for (size_t i = 0; i < 70 * 40 * ARRAY_LEN(specials); i++) {
		size_t kind = i % ARRAY_LEN(specials);
		int before = (int)(i / ARRAY_LEN(specials) % 40);
		int after = (int)(i / ARRAY_LEN(specials) / 40);
		static const char fill[] =
		    "abcdefghijklmnopqrstuvwxyz0123456789 abcdefghijklmnopqrst"
		    "uvwxyz0123456789";
		char *in = xasprintf("\"\\t%.*s%s%.*s\"", before, fill,
		    specials[kind], after, fill);
		char *want = xasprintf("\t%.*s%s%.*s", before, fill,
		    decoded[kind], after, fill);
		struct parsed p;

		parse(&p, slice_of(in));
		assert_int_equal(p.rc, 0);
		assert_true(slice_eq_text(p.root->text, want));
		forget(&p);
		free(in);
		free(want);
	}
}

static void
gives_a_tree_in_order(void **state)
{
	struct parsed p;
	const struct json *to, *v;
	int64_t n = 0;

	(void)state;
	parse(&p,
	    SLICE("{\"from\":\"a@b.example\",\"to\":[\"c\",null,true,-7],"
		  "\"n\":12,\"big\":99999999999999999999,\"f\":1.5,\"o\":{}}"));
	assert_int_equal(p.rc, 0);
	assert_int_equal(p.root->count, 6);
	assert_true(
	    slice_eq_text(json_get_text(p.root, "from"), "a@b.example"));
	assert_null(json_get_text(p.root, "n").ptr);
	assert_null(json_get_text(p.root, "absent").ptr);
	assert_null(json_get(NULL, "x"));
	to = json_get(p.root, "to");
	assert_int_equal(to->type, JSON_ARRAY);
	assert_int_equal(to->count, 4);
	assert_null(json_get(to, "c"));
	v = to->first;
	assert_true(slice_eq_text(v->text, "c"));
	v = v->next;
	assert_int_equal(v->type, JSON_NULL);
	v = v->next;
	assert_int_equal(v->type, JSON_TRUE);
	v = v->next;
	assert_true(json_to_i64(v, &n) && n == -7);
	assert_null(v->next);
	assert_true(json_to_i64(json_get(p.root, "n"), &n) && n == 12);
	assert_false(json_to_i64(json_get(p.root, "big"), &n));
	assert_false(json_to_i64(json_get(p.root, "f"), &n));
	assert_false(json_to_i64(json_get(p.root, "from"), &n));
	assert_false(json_to_i64(NULL, &n));
	assert_string_equal(json_type_name(json_get(p.root, "o")->type),
	    "object");
	forget(&p);
}

static void
packs_long_arrays_of_octets(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p,
	    SLICE("{\"content\":[0, 1,2,3,4,5,6,7,8,9,10,\n"
		  "100,200,255,34,92 ],\"x\":[1,2,3]}"));
	assert_int_equal(p.rc, 0);
	assert_int_equal(p.root->first->type, JSON_OCTETS);
	assert_null(p.root->first->first);
	assert_true(slice_eq(p.root->first->text,
	    SLICE("\0\1\2\3\4\5\6\7\x08\x09\x0a"
		  "d\xc8\xff\"\\")));
	assert_int_equal(json_get(p.root, "x")->type, JSON_ARRAY);
	assert_int_equal(json_get(p.root, "x")->count, 3);
	forget(&p);
	/* Not all octets: an ordinary array, or an error where it is one. */
	parse(&p, SLICE("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,256]"));
	assert_int_equal(p.root->type, JSON_ARRAY);
	assert_int_equal(p.root->count, 17);
	forget(&p);
	parse(&p, SLICE("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,\n01]"));
	assert_string_equal(p.err.text,
	    "line 2, column 2: expected ',' or ']'");
	forget(&p);
	parse(&p, SLICE("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"));
	assert_int_equal(p.rc, -1);
	forget(&p);
}

/* head, n times unit with '#' replaced by its number, tail. */
static void
parse_repeated(struct parsed *p, const char *head, const char *unit, size_t n,
    const char *tail)
{
	struct strbuf b = STRBUF_INIT;

	strbuf_add_text(&b, head);
	for (size_t i = 0; i < n; i++) {
		for (const char *c = unit; *c != '\0'; c++) {
			if (*c == '#')
				strbuf_add_u64(&b, i);
			else
				strbuf_add_char(&b, *c);
		}
	}
	strbuf_add_text(&b, tail);
	parse(p, strbuf_slice(&b));
	strbuf_fini(&b);
}

static void
bounds_depth_and_count(void **state)
{
	struct parsed p;

	(void)state;
	parse_repeated(&p, "", "[", JSON_DEPTH_MAX + (size_t)1, "");
	assert_int_equal(p.rc, -1);
	assert_int_equal(p.err.kind, ERR_LIMIT);
	forget(&p);
	parse_repeated(&p, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "]",
	    JSON_DEPTH_MAX, "");
	assert_int_equal(p.rc, 0);
	forget(&p);
	parse_repeated(&p, "[", "null,", JSON_NODES_MAX, "1]");
	assert_int_equal(p.rc, -1);
	assert_int_equal(p.err.kind, ERR_LIMIT);
	assert_string_equal(p.err.text,
	    "line 1, column 1249997: too many values");
	forget(&p);
}

static void
finds_a_double_name_among_many(void **state)
{
	struct parsed p;

	(void)state;
	parse_repeated(&p, "{", "\"k#\":0,", 200000, "\"last\":0}");
	assert_int_equal(p.rc, 0);
	assert_int_equal(p.root->count, 200001);
	forget(&p);
	parse_repeated(&p, "{", "\"k#\":0,", 200000, "\"k777\":0}");
	assert_int_equal(p.rc, -1);
	assert_non_null(strstr(p.err.text, "names 'k777' twice"));
	forget(&p);
}

static void
needs_no_error_struct(void **state)
{
	char texts[][24] = { "", "[1,", "{\"a\":1,\"a\":2}", "\"\\u0000\"" };
	struct arena arena = ARENA_INIT;
	const struct json *root;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(json_parse(&arena, texts[i], strlen(texts[i]),
				     &root, NULL),
		    -1);
	arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(takes_rfc8259_and_nothing_else),
    cmocka_unit_test(decodes_strings_in_place),
    cmocka_unit_test(decodes_alike_at_every_offset),
    cmocka_unit_test(gives_a_tree_in_order),
    cmocka_unit_test(packs_long_arrays_of_octets),
    cmocka_unit_test(bounds_depth_and_count),
    cmocka_unit_test(finds_a_double_name_among_many),
    cmocka_unit_test(needs_no_error_struct))

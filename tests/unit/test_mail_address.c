#include "test.h"

#include <stdio.h>

#include "mail/address.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64 "a" A63

static const struct {
	const char *text;
	const char *addr; /* NULL: must be refused */
	const char *display;
} cases[] = {
	{ "a@example.com", "a@example.com", "" },
	{ "  a@example.com\x20", "a@example.com", "" },
	{ "A.B+tag@EXAMPLE.Com", "A.B+tag@example.com", "" },
	{ "<a@example.com>", "a@example.com", "" },
	{ "Ann <a@example.com>", "a@example.com", "Ann" },
	{ "Ann B. Smith <a@example.com>", "a@example.com", "Ann B. Smith" },
	{ "\"Smith, Ann\" <a@example.com>", "a@example.com", "Smith, Ann" },
	{ "Smith, Ann <a@example.com>", "a@example.com", "Smith, Ann" },
	{ "\"a \\\"b\\\" \\\\ c\" <a@example.com>", "a@example.com",
	    "a \"b\" \\ c" },
	{ "\"<x@y.z>\" <a@example.com>", "a@example.com", "<x@y.z>" },
	{ "J\xc3\xbcrgen <j@b\xc3\xbc"
	  "cher.example>",
	    "j@xn--bcher-kva.example", "J\xc3\xbcrgen" },
	{ "a@B\xc3\x9c"
	  "CHER.example",
	    "a@xn--bcher-kva.example", "" },
	{ "j\xc3\xbcrgen@example.com", "j\xc3\xbcrgen@example.com", "" },
	{ "\"a b\"@example.com", "\"a b\"@example.com", "" },
	{ "\"a.b\"@example.com", "a.b@example.com", "" }, /* needs none */
	{ "\"a\\b\"@example.com", "ab@example.com", "" },
	{ "\"a@b\"@example.com", "\"a@b\"@example.com", "" },
	{ "\"a..b\"@example.com", "\"a..b\"@example.com", "" },
	{ "\"\"@example.com", "\"\"@example.com", "" },
	{ A64 "@example.com", A64 "@example.com", "" },
	{ "a@" A63 ".example", "a@" A63 ".example", "" },
	{ "", NULL, NULL },
	{ "   ", NULL, NULL },
	{ "a", NULL, NULL },
	{ "a@", NULL, NULL },
	{ "@example.com", NULL, NULL },
	{ "a@b@example.com", NULL, NULL },
	{ "a@example", NULL, NULL }, /* one label */
	{ "a@example..com", NULL, NULL },
	{ "a@.example.com", NULL, NULL },
	{ "a@example.com.", NULL, NULL },
	{ "a@-example.com", NULL, NULL },
	{ "a@example-.com", NULL, NULL },
	{ "a@exa_mple.com", NULL, NULL },
	{ "a@exa mple.com", NULL, NULL },
	{ "a@192.0.2.1", NULL, NULL },
	{ "a@[192.0.2.1]", NULL, NULL },
	{ "a@[IPv6:2001:db8::1]", NULL, NULL },
	{ "a" A64 "@example.com", NULL, NULL },
	{ "a@a" A63 ".example", NULL, NULL },
	{ A64 "@" A63 "." A63 "." A63, NULL, NULL }, /* 256 octets */
	{ "a..b@example.com", NULL, NULL },
	{ ".a@example.com", NULL, NULL },
	{ "a.@example.com", NULL, NULL },
	{ "a b@example.com", NULL, NULL },
	{ "a(c)@example.com", NULL, NULL },
	{ "a@example.com (comment)", NULL, NULL },
	{ "a@example.com, b@example.com", NULL, NULL },
	{ "Ann <a@example.com> <b@example.com>", NULL, NULL },
	{ "Ann <a@example.com", NULL, NULL },
	{ "Ann a@example.com>", NULL, NULL },
	{ "\"Ann <a@example.com>", NULL, NULL },
	{ "Team: a@example.com;", NULL, NULL },
	{ "<@relay.example:a@example.com>", NULL, NULL },
	{ "a\r\nBcc: x@example.com@example.com", NULL, NULL },
	{ "Ann\nX: y <a@example.com>", NULL, NULL },
	{ "Ann\t<a@example.com>", NULL, NULL },
	{ "a@example.com\x7f", NULL, NULL },
	{ "\xff@example.com", NULL, NULL },
	{ "a@\xe2\x98\x83\xe2\x80\x8d.example", NULL, NULL },
};

static void
takes_an_address_or_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct strbuf text = STRBUF_INIT;
		struct mail_address a = { 0 };
		struct error err = { 0 };
		int rc = mail_address_parse(&arena, slice_of(cases[i].text), &a,
		    &err);

		print_message("case %zu: '%s' %s\n", i, cases[i].text,
		    rc == 0 ? "" : err.text);
		assert_int_equal(rc, cases[i].addr != NULL ? 0 : -1);
		if (rc == 0) {
			mail_address_add_addr(&text, &a);
			assert_string_equal(strbuf_text(&text), cases[i].addr);
			assert_true(slice_eq_text(a.display, cases[i].display));
		} else {
			assert_true(err.text[0] != '\0');
			assert_int_equal(a.local.len, 0);
		}
		strbuf_fini(&text);
		arena_fini(&arena);
	}
}

static void
a_nul_never_passes(void **state)
{
	struct arena arena = ARENA_INIT;
	struct mail_address a;
	struct slice name;
	struct error err;

	(void)state;
	assert_int_equal(mail_address_parse(&arena,
			     SLICE("a@example.com\0.evil.example"), &a, &err),
	    -1);
	assert_int_equal(mail_domain_parse(&arena, SLICE("b\xc3\xbc\0.example"),
			     1, &name, &err),
	    -1);
	arena_fini(&arena);
}

static void
smtputf8_is_asked_for_only_by_the_local_part(void **state)
{
	struct arena arena = ARENA_INIT;
	struct mail_address a;
	struct error err;

	(void)state;
	assert_int_equal(mail_address_parse(&arena,
			     SLICE("\xc3\xbc <a@b\xc3\xbc.example>"), &a, &err),
	    0);
	assert_false(a.smtputf8);
	assert_int_equal(mail_address_parse(&arena, SLICE("\xc3\xbc@b.example"),
			     &a, &err),
	    0);
	assert_true(a.smtputf8);
	arena_fini(&arena);
}

static void
a_path_is_an_address_and_nothing_else(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} paths[] = {
		{ "a@example.com", true },
		{ "a@localhost", true },
		{ "b-abc@BOUNCES.example.com", true },
		{ "", false },
		{ " a@example.com", false },
		{ "Ann <a@example.com>", false },
		{ "<a@example.com>", false },
		{ "a@[127.0.0.1]", false },
		{ "@x,@y:a@example.com", false },
		{ "postmaster", false },
	};
	struct arena arena = ARENA_INIT;
	struct mail_address a;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		print_message("case %zu: '%s'\n", i, paths[i].text);
		assert_int_equal(mail_path_parse(&arena,
				     slice_of(paths[i].text), &a, &err) == 0,
		    paths[i].ok);
	}
	arena_fini(&arena);
}

static void
keys_compare_without_case(void **state)
{
	struct arena arena = ARENA_INIT;
	struct strbuf key = STRBUF_INIT;
	struct mail_address a;
	struct error err;

	(void)state;
	assert_int_equal(mail_address_parse(&arena,
			     SLICE("Ann <Ann.Smith@Example.COM>"), &a, &err),
	    0);
	mail_address_add_key(&key, &a);
	assert_string_equal(strbuf_text(&key), "ann.smith@example.com");
	strbuf_fini(&key);
	arena_fini(&arena);
}

static void
what_was_parsed_parses_again_from_its_header_form(void **state)
{
	static const char *const texts[] = {
		"a@example.com",
		"Ann <a@example.com>",
		"Ann B. Smith <a@example.com>",
		"\"Smith, \\\"Ann\\\" \\\\\" <a@example.com>",
		"\"a b\"@example.com",
	};
	struct arena arena = ARENA_INIT;
	struct mail_address a, b;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct strbuf text = STRBUF_INIT;

		assert_int_equal(mail_address_parse(&arena, slice_of(texts[i]),
				     &a, &err),
		    0);
		mail_address_add_header(&text, &a);
		print_message("case %zu: %s\n", i, strbuf_text(&text));
		assert_int_equal(mail_address_parse(&arena, strbuf_slice(&text),
				     &b, &err),
		    0);
		assert_true(slice_eq(a.display, b.display));
		assert_true(slice_eq(a.local, b.local));
		assert_true(slice_eq(a.domain, b.domain));
		strbuf_fini(&text);
	}
	arena_fini(&arena);
}

static void
domains_are_checked_alone_too(void **state)
{
	struct arena arena = ARENA_INIT;
	struct slice name;
	struct error err;

	(void)state;
	assert_int_equal(mail_domain_parse(&arena, SLICE("MX1"), 1, &name,
			     &err),
	    0);
	assert_true(slice_eq_text(name, "mx1"));
	assert_int_equal(mail_domain_parse(&arena, SLICE("mx1"), 2, &name,
			     &err),
	    -1);
	assert_int_equal(mail_domain_parse(&arena, SLICE("a.b.c"), 3, &name,
			     &err),
	    0);
	assert_int_equal(mail_domain_parse(&arena,
			     SLICE("stra\xc3\x9f"
				   "e.example"),
			     2, &name, &err),
	    0);
	assert_true(slice_eq_text(name, "xn--strae-oqa.example"));
	arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(takes_an_address_or_says_what_is_wrong),
    cmocka_unit_test(a_nul_never_passes),
    cmocka_unit_test(smtputf8_is_asked_for_only_by_the_local_part),
    cmocka_unit_test(a_path_is_an_address_and_nothing_else),
    cmocka_unit_test(keys_compare_without_case),
    cmocka_unit_test(what_was_parsed_parses_again_from_its_header_form),
    cmocka_unit_test(domains_are_checked_alone_too))

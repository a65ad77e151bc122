#include "test.h"

#include <stdlib.h>

#include "base/encode.h"

static const struct {
	const char *plain;
	size_t len;
	const char *hex, *base32, *base64;
} codes[] = {
	/* RFC 4648 section 10, base32 in lower case without padding */
	{ "", 0, "", "", "" },
	{ "f", 1, "66", "my", "Zg==" },
	{ "fo", 2, "666f", "mzxq", "Zm8=" },
	{ "foo", 3, "666f6f", "mzxw6", "Zm9v" },
	{ "foob", 4, "666f6f62", "mzxw6yq", "Zm9vYg==" },
	{ "fooba", 5, "666f6f6261", "mzxw6ytb", "Zm9vYmE=" },
	{ "foobar", 6, "666f6f626172", "mzxw6ytboi", "Zm9vYmFy" },
	{ "\xff\xfe\x00", 3, "fffe00", "777aa", "//4A" },
};

static void
codes_and_decodes_the_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct slice in = slice_mem(codes[i].plain, codes[i].len);
		struct strbuf b = STRBUF_INIT;
		char text[32] = "", raw[16] = "";

		print_message("case %zu\n", i);
		hex_encode(&b, in);
		assert_string_equal(strbuf_text(&b), codes[i].hex);
		assert_true(hex_decode(strbuf_slice(&b), raw, in.len));
		assert_memory_equal(raw, in.ptr, in.len);
		base32_encode(in.ptr, in.len, text);
		assert_string_equal(text, codes[i].base32);
		assert_int_equal(strlen(text), BASE32_LEN(in.len));
		assert_true(base32_decode(slice_of(text), raw, in.len));
		assert_memory_equal(raw, in.ptr, in.len);
		strbuf_reset(&b);
		base64_encode(&b, in, 0);
		assert_string_equal(strbuf_text(&b), codes[i].base64);
		strbuf_reset(&b);
		assert_true(
		    base64_decode(&b, slice_of(codes[i].base64), false));
		assert_true(slice_eq(strbuf_slice(&b), in));
		strbuf_fini(&b);
	}
}

static const struct {
	const char *text;
	bool spaces;
	const char *plain; /* NULL: must be refused */
} bad_base64[] = {
	{ "Zm9v", false, "foo" },
	{ "Zm9", false, NULL },	 /* cut */
	{ "Zm8", false, NULL },	 /* padding missing */
	{ "Zg=", false, NULL },	 /* half of it */
	{ "Zh==", false, NULL }, /* spare bits set */
	{ "Zm9=", false, NULL }, /* spare bits set */
	{ "Z===", false, NULL }, /* six bits are no octet */
	{ "====", false, NULL },
	{ "=", false, NULL },
	{ "Zg==Zg==", false, NULL }, /* goes on behind the padding */
	{ "Zg==\r\n", true, "f" },
	{ "Zg==\r\n=", true, NULL },
	{ "Zm9v\nYmFy", false, NULL },
	{ "Zm9v\r\n Ym\tFy", true, "foobar" },
	{ "Z m 9 v", true, "foo" },
	{ "Zm9v-_", false, NULL }, /* the other alphabet */
	{ "Zm9\xff", false, NULL },
	{ "Z=9v", false, NULL },
	{ "Zg=a", false, NULL },
};

static void
refuses_crooked_base64(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_base64); i++) {
		struct strbuf b = STRBUF_INIT;
		bool ok = base64_decode(&b, slice_of(bad_base64[i].text),
		    bad_base64[i].spaces);

		print_message("case %zu: '%s'\n", i, bad_base64[i].text);
		assert_int_equal(ok, bad_base64[i].plain != NULL);
		if (ok)
			assert_string_equal(strbuf_text(&b),
			    bad_base64[i].plain);
		strbuf_fini(&b);
	}
}

static void
breaks_base64_into_lines(void **state)
{
	struct strbuf b = STRBUF_INIT, back = STRBUF_INIT;
	char in[58];

	(void)state;
	memset(in, 'x', sizeof(in));
	base64_encode(&b, slice_mem(in, 57), 76);
	assert_int_equal(b.len, 78); /* exactly one line */
	strbuf_reset(&b);
	base64_encode(&b, slice_mem(in, 58), 76);
	assert_int_equal(b.len, 78 + 6);
	assert_memory_equal(b.ptr + 76, "\r\neA==\r\n", 8);
	assert_true(base64_decode(&back, strbuf_slice(&b), true));
	assert_true(slice_eq(strbuf_slice(&back), slice_mem(in, 58)));
	strbuf_reset(&b);
	base64url_encode(&b, SLICE("\xff\xfe\xfd\x00"));
	assert_string_equal(b.ptr, "__79AA");
	strbuf_fini(&b);
	strbuf_fini(&back);
}

static void
keeps_to_the_bound_of_the_buffer(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 7);
	base64_encode(&b, SLICE("foobar"), 0);
	assert_true(b.overflow);
	strbuf_reset(&b);
	hex_encode(&b, SLICE("foob"));
	assert_true(b.overflow);
	strbuf_reset(&b);
	base64url_encode(&b, SLICE("foobar"));
	assert_true(b.overflow);
	strbuf_reset(&b);
	assert_false(base64_decode(&b, SLICE("Zm9vYmFyZm9v"), false));
	assert_true(b.overflow);
	strbuf_fini(&b);
}

static void
reads_base32_in_any_case_and_strictly(void **state)
{
	char raw[2];

	(void)state;
	assert_true(base32_decode(SLICE("MzXq"), raw, 2));
	assert_memory_equal(raw, "fo", 2);
	assert_false(base32_decode(SLICE("mzxr"), raw, 2)); /* spare bits */
	assert_false(base32_decode(SLICE("mzx"), raw, 2));
	assert_false(base32_decode(SLICE("mzxqa"), raw, 2));
	assert_false(base32_decode(SLICE("mz1q"), raw, 2));
	assert_false(hex_decode(SLICE("6"), raw, 1));
	assert_false(hex_decode(SLICE("6g"), raw, 1));
	assert_false(hex_decode(SLICE("6666"), raw, 1));
	assert_true(hex_decode(SLICE("aBCd"), raw, 2));
}

static void
writes_ids_in_crockford_digits(void **state)
{
	uint8_t id[16], back[16];
	char text[CROCKFORD_ID_LEN + 1] = "";

	(void)state;
	memset(id, 0xff, sizeof(id));
	crockford_encode_id(id, text);
	assert_string_equal(text, "7zzzzzzzzzzzzzzzzzzzzzzzzz");
	assert_true(crockford_decode_id(slice_of(text), back));
	assert_memory_equal(id, back, 16);
	for (unsigned int i = 0; i < 16; i++)
		id[i] = (uint8_t)(i * 17);
	crockford_encode_id(id, text);
	/* 0x00112233445566778899aabbccddeeff, computed elsewhere */
	assert_string_equal(text, "0024h36h2ncsvrh6daqf6dvvqz");
	assert_true(
	    crockford_decode_id(SLICE("OO24H36H2NCSVRH6DAQF6DVVQZ"), back));
	assert_memory_equal(id, back, 16);
	assert_true(
	    crockford_decode_id(SLICE("0000000000000000000000000i"), back));
	assert_int_equal(back[15], 1);
	assert_false(
	    crockford_decode_id(SLICE("80000000000000000000000000"), back));
	assert_false(
	    crockford_decode_id(SLICE("0000000000000000000000000u"), back));
	assert_false(
	    crockford_decode_id(SLICE("000000000000000000000000 0"), back));
	assert_false(crockford_decode_id(SLICE("0"), back));
}

static const struct {
	const char *text;
	bool valid;
} utf8[] = {
	{ "", true },
	{ "plain ascii that is longer than eight", true },
	{ "ascii and then \xc3\xa9", true },
	{ "\xe2\x82\xac \xf0\x9f\x98\x80", true },
	{ "\xf4\x8f\xbf\xbf", true },  /* U+10FFFF */
	{ "\xf4\x90\x80\x80", false }, /* above */
	{ "\xf5\x80\x80\x80", false },
	{ "\xed\x9f\xbf\xee\x80\x80", true },
	{ "\xed\xa0\x80", false }, /* surrogate */
	{ "\xc0\x80", false },	   /* overlong */
	{ "\xc1\xbf", false },
	{ "\xe0\x9f\xbf", false },
	{ "\xf0\x8f\xbf\xbf", false },
	{ "\x80", false }, /* tail alone */
	{ "\xc3", false }, /* cut */
	{ "\xe2\x82", false },
	{ "\xf0\x9f\x98", false },
	{ "\xc3(", false },
	{ "\xe2(\xa1", false },
	{ "\xff", false },
};

static void
knows_well_formed_utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(utf8); i++) {
		print_message("case %zu\n", i);
		assert_int_equal(utf8_is_valid(slice_of(utf8[i].text)),
		    utf8[i].valid);
	}
	assert_true(ascii_only(SLICE("0123456789\x7f")));
	assert_false(ascii_only(SLICE("0123456789\x80")));
	assert_true(ascii_only(SLICE("")));
}

static void
takes_back_every_character_it_wrote(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x110000; c++) {
		bool is_char = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
		char octets[4];
		size_t n = utf8_put(c, octets);
		struct slice s = slice_mem(octets, n);
		uint32_t back;

		if (utf8_span(s) != n)
			fail_msg("U+%04x is not one character", c);
		back = utf8_take(&s);
		if (back != (is_char ? c : 0xfffd) || s.len != 0)
			fail_msg("U+%04x came back as U+%04x", c, back);
	}
}

static void
replaces_octet_by_octet(void **state)
{
	struct slice s = SLICE("\xff\xe2\x82z");
	struct strbuf b = STRBUF_INIT;

	(void)state;
	while (s.len > 0)
		utf8_add(&b, utf8_take(&s));
	assert_string_equal(b.ptr, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
	strbuf_fini(&b);
}

static void
cuts_between_characters(void **state)
{
	struct slice s = SLICE("a\xe2\x82\xac"
			       "b");

	(void)state;
	assert_int_equal(utf8_cut(s, 9).len, 5);
	assert_int_equal(utf8_cut(s, 4).len, 4);
	assert_int_equal(utf8_cut(s, 3).len, 1);
	assert_int_equal(utf8_cut(s, 2).len, 1);
	assert_int_equal(utf8_cut(s, 1).len, 1);
	assert_int_equal(utf8_cut(s, 0).len, 0);
	assert_int_equal(utf8_cut(SLICE("\x80\x80\x80\x80\x80\x80"), 5).len, 5);
}

TEST_MAIN(cmocka_unit_test(codes_and_decodes_the_vectors),
    cmocka_unit_test(refuses_crooked_base64),
    cmocka_unit_test(breaks_base64_into_lines),
    cmocka_unit_test(keeps_to_the_bound_of_the_buffer),
    cmocka_unit_test(reads_base32_in_any_case_and_strictly),
    cmocka_unit_test(writes_ids_in_crockford_digits),
    cmocka_unit_test(knows_well_formed_utf8),
    cmocka_unit_test(takes_back_every_character_it_wrote),
    cmocka_unit_test(replaces_octet_by_octet),
    cmocka_unit_test(cuts_between_characters))

#include "test.h"

#include "mail/header.h"
#include "mail/mime.h"

#define W50 "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"
#define U20                                                                    \
	"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"     \
	"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"     \
	"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"

static const struct {
	const char *value, *field;
} texts[] = {
	{ "", "Subject:\r\n" },
	{ "Hello", "Subject: Hello\r\n" },
	{ "  Hello\tworld  ", "Subject: Hello\tworld\r\n" },
	{ W50 "  " W50, "Subject: " W50 "\r\n  " W50 "\r\n" },
	{ W50 W50 " x", "Subject: " W50 W50 "\r\n x\r\n" },
	{ "The caf\xc3\xa9 is open",
	    "Subject: =?utf-8?q?The_caf=C3=A9_is_open?=\r\n" },
	{ "caf\xc3\xa9", "Subject: =?utf-8?b?Y2Fmw6k=?=\r\n" },
	{ "=?utf-8?q?x?=", "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?=\r\n" },
	/* Nothing can end the field. */
	{ "a\r\nBcc: b@example.com", "Subject: a  Bcc: b@example.com\r\n" },
	{ "a\nb\x01"
	  "c\x7f",
	    "Subject: a b c\r\n" },
	{ "bad \xff octet", "Subject: =?utf-8?q?bad_=EF=BF=BD_octet?=\r\n" },
	/* Base64 where it is shorter, characters whole. */
	{ U20 U20,
	    "Subject: =?utf-8?b?"
	    "w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7w=?=\r\n"
	    " =?utf-8?b?"
	    "w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8?="
	    "\r\n" },
};

static void
texts_are_folded_and_encoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct strbuf out = STRBUF_INIT;

		mime_add_unstructured(&out, "Subject",
		    slice_of(texts[i].value));
		print_message("case %zu: %s", i, strbuf_text(&out));
		assert_string_equal(strbuf_text(&out), texts[i].field);
		strbuf_fini(&out);
	}
}

/* Every line of a field within bounds; the last one ends it. */
static void
check_lines(const struct strbuf *out, size_t longest)
{
	struct slice rest = strbuf_slice(out), line;

	assert_true(out->len > 2);
	assert_memory_equal(out->ptr + out->len - 2, "\r\n", 2);
	while (slice_take_line(&rest, &line)) {
		assert_true(line.len <= longest);
		assert_false(slice_has_char(line, '\r'));
		assert_false(slice_has_char(line, '\0'));
		if (line.ptr != out->ptr)
			assert_true(line.ptr[0] == ' ' || line.ptr[0] == '\t');
		/* A line of blanks alone would end the header for some. */
		assert_true(slice_trim(line).len > 0);
	}
}

static void
no_value_breaks_the_bounds(void **state)
{
	static const char *const pieces[] = { "a", " ", "\t", "\xc3\xa4",
		"\xf0\x9f\x98\x80", "=?", W50, "\r\n", "\xff", "," };
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct strbuf value = STRBUF_INIT, out = STRBUF_INIT;
		bool encoded;

		for (int i = 0; i < 1 + round % 60; i++) {
			seed = seed * 1664525 + 1013904223;
			strbuf_add_text(&value,
			    pieces[(seed >> 16) % ARRAY_LEN(pieces)]);
		}
		mime_add_unstructured(&out, "X-Some-Header-Name",
		    strbuf_slice(&value));
		encoded =
		    slice_find(strbuf_slice(&out), SLICE("=?utf-8?")) < out.len;
		if (out.len > strlen("X-Some-Header-Name:\r\n"))
			check_lines(&out, encoded ? 78 : 998);
		strbuf_fini(&value);
		strbuf_fini(&out);
	}
}

static void
very_long_words_are_encoded(void **state)
{
	struct strbuf value = STRBUF_INIT, out = STRBUF_INIT;

	(void)state;
	for (int i = 0; i < 100; i++)
		strbuf_add_text(&value, W50);
	mime_add_unstructured(&out, "X-A", strbuf_slice(&value));
	check_lines(&out, 78);
	strbuf_reset(&value);
	strbuf_reset(&out);
	for (int i = 0; i < 5000; i++)
		strbuf_add_char(&value, i % 4999 == 0 ? 'x' : ' ');
	mime_add_unstructured(&out, "X-A", strbuf_slice(&value));
	check_lines(&out, 78);
	strbuf_fini(&value);
	strbuf_fini(&out);
}

static const struct {
	const char *display, *header;
} phrases[] = {
	{ "Ann", "Ann <a@b.example>" },
	{ "Ann Smith", "Ann Smith <a@b.example>" },
	{ "Ann B. Smith", "\"Ann B. Smith\" <a@b.example>" },
	{ "Smith, Ann", "\"Smith, Ann\" <a@b.example>" },
	{ "a \"b\" \\", "\"a \\\"b\\\" \\\\\" <a@b.example>" },
	{ "two  blanks", "\"two  blanks\" <a@b.example>" },
	{ "J\xc3\xbcrgen, X", "=?utf-8?q?J=C3=BCrgen=2C_X?= <a@b.example>" },
	{ "=?x?=", "=?utf-8?b?PT94Pz0=?= <a@b.example>" },
	{ "", "a@b.example" },
};

static void
names_are_atoms_or_quoted_or_encoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		struct mail_address a = { slice_of(phrases[i].display),
			SLICE("a"), SLICE("b.example"), false };
		struct strbuf out = STRBUF_INIT;

		mail_address_add_header(&out, &a);
		assert_string_equal(strbuf_text(&out), phrases[i].header);
		strbuf_fini(&out);
	}
}

static const struct {
	const char *value, *field;
} params[] = {
	{ "", "X: y\r\n" },
	{ "a.pdf", "X: y; filename=\"a.pdf\"\r\n" },
	{ "a b;c.pdf", "X: y; filename=\"a b;c.pdf\"\r\n" },
	{ "\xc3\xbc.pdf", "X: y; filename*=utf-8''%C3%BC.pdf\r\n" },
	{ "a\"b\\c", "X: y; filename*=utf-8''a%22b%5Cc\r\n" },
	{ "a\r\nb", "X: y; filename=\"a  b\"\r\n" },
	{ "0123456789abcde\xc3\xbc"
	  "0123456789.pdf",
	    "X: y; filename*0*=utf-8''0123456789abcde; "
	    "filename*1*=%C3%BC0123456789.pdf\r\n" },
	{ "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
	  "\xc3\xbc.pdf",
	    "X: y; filename*0*=utf-8''%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC"
	    "%C3%BC%C3%BC%C3%BC;\r\n filename*1*=%C3%BC.pdf\r\n" },
};

static void
parameters_take_any_file_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		struct strbuf out = STRBUF_INIT;
		struct mail_header h;

		mail_header_begin(&h, &out, SLICE("X"));
		mail_header_word(&h, SLICE("y"));
		mail_header_param(&h, "filename", slice_of(params[i].value));
		mail_header_end(&h);
		assert_string_equal(strbuf_text(&out), params[i].field);
		strbuf_fini(&out);
	}
}

TEST_MAIN(cmocka_unit_test(texts_are_folded_and_encoded),
    cmocka_unit_test(no_value_breaks_the_bounds),
    cmocka_unit_test(very_long_words_are_encoded),
    cmocka_unit_test(names_are_atoms_or_quoted_or_encoded),
    cmocka_unit_test(parameters_take_any_file_name))

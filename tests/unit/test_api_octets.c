/* Files in JSON: base64 and arrays of integers, in place. */
#include "test.h"

#include "api/octets.h"
#include "base/mem.h"
#include "base/strbuf.h"

static void
base64_decodes_over_itself_or_refuses(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL: refused */
		size_t want_len;
	} rows[] = {
		{ "", "", 0 },
		{ "AA==", "\0", 1 },
		{ "AAA=", "\0\0", 2 },
		{ "TWFu", "Man", 3 },
		{ "TWFuTQ==", "ManM", 4 },
		{ "TWFuTWE=", "ManMa", 5 },
		{ "+/+/", "\xfb\xff\xbf", 3 },
		{ "TWFu\r\nTWFu\r\n", "ManMan", 6 },
		{ " T W F u ", "Man", 3 },
		{ "TWFuTWFuTWFuTWFu\nTWFuTQ==\n", "ManManManManManM", 16 },
		{ "TQ", NULL, 0 },	 /* padding missing */
		{ "TQ=", NULL, 0 },
		{ "TQ==TWFu", NULL, 0 }, /* padding inside */
		{ "TR==", NULL, 0 },	 /* spare bits set */
		{ "TWF=", NULL, 0 },
		{ "T", NULL, 0 },
		{ "====", NULL, 0 },
		{ "TW=u", NULL, 0 },
		{ "TWF-", NULL, 0 }, /* base64url */
		{ "data:text/plain;base64,TWFu", NULL, 0 },
		{ "TWFu\xc3\xa4TWFu", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].text), n = 0;
		char *text = xmemdup(rows[i].text, len);

		if (rows[i].want == NULL) {
			assert_false(octets_of_base64(text, len, &n));
		} else {
			assert_true(octets_of_base64(text, len, &n));
			assert_int_equal(n, rows[i].want_len);
			assert_memory_equal(text, rows[i].want, n);
		}
		free(text);
	}
}

/* "[0, 1, 2, ...]" with count elements and that separator. */
static void
array_add(struct strbuf *b, size_t count, const char *separator)
{
	strbuf_add_char(b, '[');
	for (size_t i = 0; i < count; i++)
		strbuf_add_fmt(b, "%s%zu", i > 0 ? separator : "", i % 256);
	strbuf_add_char(b, ']');
}

static void
long_arrays_of_octets_become_base64(void **state)
{
	static const char *const separators[] = { ",", ", ", " ,\n\t" };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(separators); k++) {
		for (size_t count = 64; count < 600; count += 1) {
			struct strbuf b = STRBUF_INIT;
			char *end;
			size_t n, len;

			array_add(&b, count, separators[k]);
			len = b.len;
			octets_fold_arrays(b.ptr, b.len);
			assert_int_equal(b.len, len);
			assert_int_equal(b.ptr[0], '"');
			end = memchr(b.ptr + 1, '"', b.len - 1);
			assert_non_null(end);
			for (char *p = end + 1; p < b.ptr + b.len; p++)
				assert_int_equal(*p, ' ');
			assert_true(octets_of_base64(
			    b.ptr + 1, (size_t)(end - b.ptr - 1), &n));
			assert_int_equal(n, count);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(
				    (unsigned char)b.ptr[1 + i], i % 256);
			strbuf_fini(&b);
		}
	}
}

static void
what_is_no_array_of_octets_stays(void **state)
{
	static const struct {
		const char *before, *after; /* around 64 integers */
	} rows[] = {
		{ "\"", "\"" },		    /* inside a string */
		{ "\"\\\"", "\"" },	    /* behind an escaped quote */
		{ "\"\\\\\\\"", "\"" },	    /* an escaped \ and quote */
		{ "[256,", "" },	    /* the outer one is no array */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct strbuf b = STRBUF_INIT;
		char *copy;
		bool inside = rows[i].before[0] == '"';

		strbuf_add_text(&b, rows[i].before);
		array_add(&b, 64, ",");
		strbuf_add_text(&b, rows[i].after);
		copy = xmemdup(b.ptr, b.len);
		octets_fold_arrays(b.ptr, b.len);
		assert_int_equal(memcmp(copy, b.ptr, b.len) == 0, inside);
		free(copy);
		strbuf_fini(&b);
	}
}

static void
odd_arrays_stay(void **state)
{
	static const char *const odd[] = { "256", "-1", "1.0", "1e1", "01",
		"null", "", "\"1\"", "1 1", "1]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct strbuf b = STRBUF_INIT;
		char *copy;

		array_add(&b, 70, ",");
		strbuf_truncate(&b, b.len - 1);
		strbuf_add_fmt(&b, ",%s]", odd[i]);
		copy = xmemdup(b.ptr, b.len);
		octets_fold_arrays(b.ptr, b.len);
		/* "1]" ends the array and leaves a bracket: that one folds. */
		if (strcmp(odd[i], "1]") == 0)
			assert_int_equal(b.ptr[b.len - 1], ']');
		else
			assert_memory_equal(copy, b.ptr, b.len);
		free(copy);
		strbuf_fini(&b);
	}
}

static void
short_and_cut_arrays_stay(void **state)
{
	struct strbuf b = STRBUF_INIT;

	(void)state;
	array_add(&b, 63, ",");
	for (size_t len = 0; len <= b.len; len++) {
		char *copy = xmemdup(b.ptr, len);

		octets_fold_arrays(copy, len);
		assert_memory_equal(copy, b.ptr, len);
		free(copy);
	}
	strbuf_reset(&b);
	array_add(&b, 80, ",");
	for (size_t len = 0; len < b.len; len++) {
		char *copy = xmemdup(b.ptr, len);

		octets_fold_arrays(copy, len);
		assert_memory_equal(copy, b.ptr, len);
		free(copy);
	}
	strbuf_fini(&b);
}

TEST_MAIN(cmocka_unit_test(base64_decodes_over_itself_or_refuses),
    cmocka_unit_test(long_arrays_of_octets_become_base64),
    cmocka_unit_test(what_is_no_array_of_octets_stays),
    cmocka_unit_test(odd_arrays_stay),
    cmocka_unit_test(short_and_cut_arrays_stay))

/* Files in JSON: base64, in place. */
#include "test.h"

#include "api/octets.h"
#include "base/encode.h"
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
		{ "TQ", NULL, 0 }, /* padding missing */
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

static void
every_length_comes_back(void **state)
{
	(void)state;
	for (size_t len = 0; len < 300; len++) {
		struct strbuf b = STRBUF_INIT;
		char *octets = xmalloc(len);
		size_t n;

		for (size_t i = 0; i < len; i++)
			octets[i] = (char)(i * 7 + len);
		base64_encode(&b, slice_mem(octets, len),
		    len % 3 == 0 ? 76 : 0);
		assert_true(octets_of_base64(b.ptr, b.len, &n));
		assert_int_equal(n, len);
		if (len > 0)
			assert_memory_equal(b.ptr, octets, len);
		strbuf_fini(&b);
		free(octets);
	}
}

TEST_MAIN(cmocka_unit_test(base64_decodes_over_itself_or_refuses),
    cmocka_unit_test(every_length_comes_back))

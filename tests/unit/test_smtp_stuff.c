#include "test.h"

#include "base/mem.h"
#include "smtp/client_priv.h"
#include "smtp/server_priv.h"

static const struct {
	const char *message, *wire;
} cases[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },	   /* the last line gets its end */
	{ "a\n", "a\n\r\n.\r\n" }, /* LF alone is no line end */
	{ ".", "..\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ "..\r\n", "...\r\n.\r\n" },
	{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\r\n.b\r\n", "a\r\n..b\r\n.\r\n" },
	{ "a.\r\n b.c\r\n", "a.\r\n b.c\r\n.\r\n" },
	{ "a\r\n.", "a\r\n..\r\n.\r\n" },
	{ "a\n.\nb\r\n", "a\n..\nb\r\n.\r\n" }, /* no smuggling by bare LF */
	{ "\r\n\r\n", "\r\n\r\n.\r\n" },
};

static void
doubles_dots_that_begin_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT;

		smtp_dot_stuff(&out, slice_of(cases[i].message));
		assert_string_equal(strbuf_text(&out), cases[i].wire);
		strbuf_fini(&out);
	}
}

static void
pieces_give_the_same_as_the_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice message = slice_of(cases[i].message);

		for (size_t cut = 0; cut <= message.len; cut++) {
			struct strbuf out = STRBUF_INIT;
			bool line_start = true;

			smtp_dot_stuff_part(&out, slice_first(message, cut),
			    &line_start);
			smtp_dot_stuff_part(&out, slice_from(message, cut),
			    &line_start);
			smtp_dot_end(&out, smtp_ends_in_crlf(message));
			assert_string_equal(strbuf_text(&out), cases[i].wire);
			strbuf_fini(&out);
		}
	}
}

static void
add_one_octet(struct smtp_message *m, char c, enum smtp_data_result *result)
{
	struct slice in = { &c, 1 };

	*result = smtp_message_take(m, &in);
}

/* What one side stuffs, the other gives back, however it is cut up. */
static void
the_server_undoes_it(void **state)
{
	struct smtp_message m = { 0 };

	(void)state;
	strbuf_init(&m.text, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice wire = slice_of(cases[i].wire);
		struct slice message = slice_of(cases[i].message);
		enum smtp_data_result result = SMTP_DATA_MORE;
		bool bare = strcmp(cases[i].message, "a\n") == 0 ||
		    strcmp(cases[i].message, "a\n.\nb\r\n") == 0;

		smtp_message_begin(&m, 1000);
		for (size_t n = 0; n < wire.len && result == SMTP_DATA_MORE;
		     n++)
			add_one_octet(&m, wire.ptr[n], &result);
		assert_int_equal(result, bare ? SMTP_DATA_BARE : SMTP_DATA_END);
		if (bare)
			continue;
		assert_true(slice_starts(strbuf_slice(&m.text), message));
		assert_in_range(m.text.len, message.len, message.len + 2);
	}
	strbuf_fini(&m.text);
}

static const struct {
	const char *wire;
	enum smtp_data_result result;
} odd[] = {
	{ "a\n.\n", SMTP_DATA_BARE },
	{ "a\r.\r", SMTP_DATA_BARE },
	{ "a\r\n.\n", SMTP_DATA_BARE },
	{ "a\n.\r\n", SMTP_DATA_BARE },
	{ "a\r\n.\r\r\n", SMTP_DATA_BARE },
	{ "a\r\r\n.\r\n", SMTP_DATA_BARE },
	{ "\n", SMTP_DATA_BARE },
	{ "\r\r", SMTP_DATA_BARE },
	{ "..\r\n.\r\n", SMTP_DATA_END },
	{ ".a\r\n.\r\n", SMTP_DATA_END },
	{ ".\r\n", SMTP_DATA_END },
	{ ".", SMTP_DATA_MORE },
	{ ".\r", SMTP_DATA_MORE },
};

static void
refuses_line_ends_that_are_none(void **state)
{
	struct smtp_message m = { 0 };

	(void)state;
	strbuf_init(&m.text, 0);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct slice in = slice_of(odd[i].wire);

		smtp_message_begin(&m, 1000);
		assert_int_equal(smtp_message_take(&m, &in), odd[i].result);
	}
	strbuf_fini(&m.text);
}

static void
keeps_no_more_than_the_limit(void **state)
{
	struct smtp_message m = { 0 };
	struct slice in = SLICE("0123456789\r\n.\r\n");

	(void)state;
	strbuf_init(&m.text, 0);
	smtp_message_begin(&m, 12);
	assert_int_equal(smtp_message_take(&m, &in), SMTP_DATA_END);
	assert_false(m.too_large);
	in = SLICE("0123456789\r\n.\r\n");
	smtp_message_begin(&m, 11);
	assert_int_equal(smtp_message_take(&m, &in), SMTP_DATA_END);
	assert_true(m.too_large);
	assert_in_range(m.text.len, 0, 11);
	strbuf_fini(&m.text);
}

static void
a_flood_ends_some_time(void **state)
{
	struct smtp_message m = { 0 };
	enum smtp_data_result result = SMTP_DATA_MORE;
	char *block = xmalloc(65536);
	size_t n = 0;

	(void)state;
	memset(block, 'x', 65536);
	strbuf_init(&m.text, 0);
	smtp_message_begin(&m, 1000);
	for (; result == SMTP_DATA_MORE && n < 10000; n++) {
		struct slice in = { block, 65536 };

		result = smtp_message_take(&m, &in);
	}
	assert_int_equal(result, SMTP_DATA_FLOOD);
	assert_in_range(m.text.len, 0, 1000);
	strbuf_fini(&m.text);
	free(block);
}

TEST_MAIN(cmocka_unit_test(doubles_dots_that_begin_lines),
    cmocka_unit_test(pieces_give_the_same_as_the_whole),
    cmocka_unit_test(the_server_undoes_it),
    cmocka_unit_test(refuses_line_ends_that_are_none),
    cmocka_unit_test(keeps_no_more_than_the_limit),
    cmocka_unit_test(a_flood_ends_some_time))

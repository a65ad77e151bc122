#include "test.h"

#include "model/id.h"

/* 2025-11-30T20:39:59.540Z */
#define SOME_MS INT64_C(1764535199540)

static void
ids_increase_whatever_the_clock_does(void **state)
{
	struct id before = id_new(SOME_MS), after;

	(void)state;
	for (int i = 0; i < 20000; i++) { /* more than one counter holds */
		after = id_new(SOME_MS - (i % 7) * 100);
		assert_true(id_cmp(before, after) < 0);
		before = after;
		after = id_new_email(SOME_MS);
		assert_true(id_cmp(before, after) < 0);
		before = after;
	}
	after = id_new(SOME_MS + 60000);
	assert_true(id_cmp(before, after) < 0);
	assert_int_equal(id_time_ms(after), SOME_MS + 60000);
}

static void
a_clock_that_was_set_back_is_followed(void **state)
{
	(void)state;
	(void)id_new(SOME_MS + 1000000);
	assert_int_equal(id_time_ms(id_new(SOME_MS)), SOME_MS);
}

static void
the_form_is_uuid_version_7(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct id id = id_new(SOME_MS + 3000000 + i);

		assert_int_equal(id.b[6] & 0xf0, 0x70);
		assert_int_equal(id.b[8] & 0xc0, 0x80);
		assert_int_equal(id_time_ms(id), SOME_MS + 3000000 + i);
	}
}

static void
recipients_lie_between_two_emails(void **state)
{
	struct id a = id_new_email(SOME_MS + 9000000);
	struct id b = id_new_email(SOME_MS + 9000000);

	(void)state;
	assert_int_equal(id_recipient_number(a), 0);
	for (unsigned int n = 1; n <= ID_RECIPIENTS_MAX; n++) {
		struct id r = id_of_recipient(a, n);

		assert_int_equal(id_recipient_number(r), n);
		assert_int_equal(id_cmp(id_email_of(r), a), 0);
		assert_true(id_cmp(a, r) < 0);
		assert_true(id_cmp(r, b) < 0);
		assert_int_equal(id_day(r), id_day(a));
	}
}

static const struct {
	int64_t ms;
	int32_t day;
} days[] = {
	{ 0, 0 },
	{ 86399999, 0 },
	{ 86400000, 1 },
	{ INT64_C(1764460799999), 20421 }, /* last of 2025-11-29 */
	{ INT64_C(1764460800000), 20422 }, /* first of 2025-11-30 */
	{ INT64_C(951782400000), 11016 },  /* 2000-02-29 */
	{ INT64_C(281474976710655), 3257812 },
};

static void
the_day_follows_from_the_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		struct id id = id_floor(days[i].ms);

		assert_int_equal(id_time_ms(id), days[i].ms);
		assert_int_equal(id_day(id), days[i].day);
	}
	assert_true(id_is_zero(id_floor(0)));
	assert_true(id_is_zero(id_floor(-5)));
	assert_false(id_is_zero(id_floor(1)));
}

static void
the_floor_is_below_every_id_of_its_millisecond(void **state)
{
	struct id id = id_new(SOME_MS + 20000000);

	(void)state;
	assert_true(id_cmp(id_floor(id_time_ms(id)), id) < 0);
	assert_true(id_cmp(id, id_floor(id_time_ms(id) + 1)) < 0);
}

static void
both_written_forms_come_back_as_the_same_id(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct id id = id_new(SOME_MS + 30000000 + i * 7919), back;
		char uuid[ID_UUID_LEN + 1], gm[ID_GM_LEN + 1];

		id_format(id, uuid);
		id_format_gm(id, gm);
		assert_int_equal(strlen(uuid), ID_UUID_LEN);
		assert_int_equal(strlen(gm), ID_GM_LEN);
		assert_string_equal(uuid, id_text(id).s);
		back = (struct id){ { 0 } };
		assert_true(id_parse(slice_of(uuid), &back));
		assert_int_equal(id_cmp(id, back), 0);
		back = (struct id){ { 0 } };
		assert_true(id_parse(slice_of(gm), &back));
		assert_int_equal(id_cmp(id, back), 0);
	}
}

static const struct {
	const char *text;
	const char *uuid; /* NULL: refused */
} forms[] = {
	{ "019AD6F1-2B54-7ABC-8def-0123456789ab",
	    "019ad6f1-2b54-7abc-8def-0123456789ab" },
	{ "gm_00000000000000000000000001",
	    "00000000-0000-0000-0000-000000000001" },
	{ "GM_7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
	    "ffffffff-ffff-ffff-ffff-ffffffffffff" },
	{ "gm_0000000000000000000000000L",
	    "00000000-0000-0000-0000-000000000001" },
	{ "gm_80000000000000000000000000", NULL }, /* 129 bits */
	{ "gm_0000000000000000000000000u", NULL },
	{ "gm_0000000000000000000000000", NULL },
	{ "019ad6f12b547abc8def0123456789ab", NULL },
	{ "019ad6f1-2b54-7abc-8def-0123456789ag", NULL },
	{ "019ad6f1-2b54-7abc-8def0-123456789ab", NULL },
	{ "019ad6f1-2b54-7abc-8def-0123456789ab ", NULL },
	{ "", NULL },
};

static void
only_the_two_forms_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct id id = { { 1 } };
		bool ok = id_parse(slice_of(forms[i].text), &id);

		print_message("case %zu: '%s'\n", i, forms[i].text);
		assert_int_equal(ok, forms[i].uuid != NULL);
		if (ok)
			assert_string_equal(id_text(id).s, forms[i].uuid);
		else
			assert_int_equal(id.b[0], 1);
	}
}

static void
the_message_id_is_the_senders_own_or_follows(void **state)
{
	struct strbuf out = STRBUF_INIT;
	struct id id;

	(void)state;
	assert_true(
	    id_parse(SLICE("00000000-0000-0000-0000-000000000001"), &id));
	id_add_message_id(&out, SLICE("mine@here"), id, SLICE("example.org"));
	assert_string_equal(strbuf_text(&out), "<mine@here>");
	strbuf_reset(&out);
	id_add_message_id(&out, (struct slice){ NULL, 0 }, id,
	    SLICE("example.org"));
	assert_string_equal(strbuf_text(&out),
	    "<gm_00000000000000000000000001@example.org>");
	strbuf_fini(&out);
}

TEST_MAIN(cmocka_unit_test(ids_increase_whatever_the_clock_does),
    cmocka_unit_test(a_clock_that_was_set_back_is_followed),
    cmocka_unit_test(the_form_is_uuid_version_7),
    cmocka_unit_test(recipients_lie_between_two_emails),
    cmocka_unit_test(the_day_follows_from_the_id),
    cmocka_unit_test(the_floor_is_below_every_id_of_its_millisecond),
    cmocka_unit_test(both_written_forms_come_back_as_the_same_id),
    cmocka_unit_test(only_the_two_forms_are_read),
    cmocka_unit_test(the_message_id_is_the_senders_own_or_follows))

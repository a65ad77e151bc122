#include "test.h"

#include "base/strbuf.h"
#include "mail/dsn.h"

static const struct {
	const char *body;
	size_t count; /* 0: must be refused */
	struct {
		enum dsn_action action;
		uint16_t status[3];
		const char *final, *diagnostic;
		unsigned int code;
	} want[2];
} cases[] = {
	{ "Reporting-MTA: dns; mx.example.com\r\n"
	  "\r\n"
	  "Final-Recipient: rfc822; a@example.com\r\n"
	  "Action: failed\r\n"
	  "Status: 5.1.1\r\n"
	  "Diagnostic-Code: smtp; 550 5.1.1 <a@example.com>:\r\n"
	  "    User unknown\r\n",
	    1,
	    { { DSN_FAILED, { 5, 1, 1 }, "a@example.com",
		"550 5.1.1 <a@example.com>: User unknown", 550 } } },
	/* Bare LF, case, comments, order. */
	{ "reporting-mta:dns;x\n\nSTATUS: 4.4.1 (no answer)\n"
	  "ACTION: Delayed (will retry)\n"
	  "original-recipient: rfc822;o@example.com\n"
	  "final-recipient: RFC822;<f@example.com>\n",
	    1, { { DSN_DELAYED, { 4, 4, 1 }, "f@example.com", "", 0 } } },
	/* Two recipients. */
	{ "Reporting-MTA: dns; x\n\n"
	  "Final-Recipient: rfc822; a@example.com\nAction: failed\n"
	  "Status: 5.0.0\n\n"
	  "Final-Recipient: rfc822; b@example.com\nAction: delivered\n"
	  "Status: 2.0.0\n",
	    2,
	    { { DSN_FAILED, { 5, 0, 0 }, "a@example.com", "", 0 },
		{ DSN_DELIVERED, { 2, 0, 0 }, "b@example.com", "", 0 } } },
	/* Without an empty line anywhere. */
	{ "Reporting-MTA: dns; x\n"
	  "Final-Recipient: rfc822; a@example.com\nAction: failed\n"
	  "Status: 5.2.2\n"
	  "Final-Recipient: rfc822; b@example.com\nAction: relayed\n",
	    2,
	    { { DSN_FAILED, { 5, 2, 2 }, "a@example.com", "", 0 },
		{ DSN_RELAYED, { 0, 0, 0 }, "b@example.com", "", 0 } } },
	/* No Status: from the diagnostic. No Action: from the status. */
	{ "\n\nFinal-Recipient: rfc822; a@example.com\n"
	  "Diagnostic-Code: smtp; 550-5.7.1 refused by policy\n",
	    1,
	    { { DSN_FAILED, { 5, 7, 1 }, "a@example.com",
		"550-5.7.1 refused by policy", 550 } } },
	/* No type in front of the text; a status with a trailing dot. */
	{ "Final-Recipient: a@example.com\nAction: failed\nStatus: 5.1.1.\n"
	  "Diagnostic-Code: 553 gone\n",
	    1,
	    { { DSN_FAILED, { 5, 1, 1 }, "a@example.com", "553 gone", 553 } } },
	/* The global form. */
	{ "\nFinal-Recipient: utf-8; \xc3\xbc@example.com\nAction: failed\n"
	  "Status: 5.6.7\n",
	    1, { { DSN_FAILED, { 5, 6, 7 }, "\xc3\xbc@example.com", "", 0 } } },
	/* Nothing foreign comes out as it is. */
	{ "Final-Recipient: rfc822; a\x01\xff@example.com\nAction: failed\n"
	  "Status: 5.0.0\nDiagnostic-Code: X-x; \x1b[31m\tred\x7f\n",
	    1,
	    { { DSN_FAILED, { 5, 0, 0 }, "a ?@example.com", "[31m red", 0 } } },
	/* Codes that are none. */
	{ "Final-Recipient: rfc822; a@example.com\nAction: failed\n"
	  "Status: 9.9.9\nDiagnostic-Code: smtp; 5501 1.2.3.4 10.5.1.1\n",
	    1,
	    { { DSN_FAILED, { 0, 0, 0 }, "a@example.com",
		"5501 1.2.3.4 10.5.1.1", 0 } } },
	{ "", 0, { { 0 } } },
	{ "Reporting-MTA: dns; x\n", 0, { { 0 } } },
	{ "Final-Recipient: rfc822; a@example.com\n", 0, { { 0 } } },
	{ "Final-Recipient: rfc822; a@example.com\nAction: unknown\n", 0,
	    { { 0 } } },
	{ "just some text\nwithout: fields\n", 0, { { 0 } } },
};

static void
reports_are_read_field_by_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct error err = { 0 };
		struct dsn dsn;
		int rc = dsn_parse(&arena, slice_of(cases[i].body), &dsn, &err);

		print_message("case %zu\n", i);
		assert_int_equal(rc, cases[i].count > 0 ? 0 : -1);
		if (rc == 0)
			assert_int_equal(dsn.count, cases[i].count);
		for (size_t n = 0; n < cases[i].count; n++) {
			const struct dsn_recipient *r = &dsn.recipient[n];

			assert_int_equal(r->action, cases[i].want[n].action);
			assert_memory_equal(r->status.part,
			    cases[i].want[n].status, sizeof(r->status.part));
			assert_true(slice_eq_text(r->final_recipient,
			    cases[i].want[n].final));
			assert_true(slice_eq_text(r->diagnostic,
			    cases[i].want[n].diagnostic));
			assert_int_equal(r->reply_code, cases[i].want[n].code);
		}
		arena_fini(&arena);
	}
}

static void
size_is_bounded_everywhere(void **state)
{
	struct arena arena = ARENA_INIT;
	struct strbuf body = STRBUF_INIT;
	struct error err;
	struct dsn dsn;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		strbuf_add_text(&body,
		    "Final-Recipient: rfc822; a@example.com\n"
		    "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; ");
		for (int n = 0; n < 1000; n++)
			strbuf_add_text(&body, "x \n ");
		strbuf_add_text(&body, "\n\n");
	}
	assert_int_equal(dsn_parse(&arena, strbuf_slice(&body), &dsn, &err), 0);
	assert_int_equal(dsn.count, DSN_RECIPIENTS_MAX);
	for (size_t i = 0; i < dsn.count; i++)
		assert_true(dsn.recipient[i].diagnostic.len <= DSN_TEXT_MAX);
	assert_true(arena.used_bytes < 1000 * 3 * 1024);
	strbuf_fini(&body);
	arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(reports_are_read_field_by_field),
    cmocka_unit_test(size_is_bounded_everywhere))

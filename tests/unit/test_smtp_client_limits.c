/* Limits, offers, pieces, and an end for every state. */
#include "smtp_peer.h"

static void
all_in_one_segment_gives_one_write(void **state)
{
	static const char replies[] = "250 ok\r\n250 ok\r\n354 go\r\n";
	struct peer p = { .in_ready = 2 };

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	run(&p, "opening", PIPED GROUP("1"));
	assert_int_equal(smtp_client_input(p.client, slice_of(replies)),
	    strlen(replies));
	take_output(&p);
	assert_string_equal(strbuf_text(&p.trace),
	    "* dot 1\n* ready\n" TEXT("1") GROUP("2"));
	stop(&p);
}

static void
an_unfinished_line_is_left(void **state)
{
	struct peer p = { 0 };

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	assert_int_equal(smtp_client_input(p.client, SLICE("22")), 0);
	assert_int_equal(smtp_client_input(p.client, SLICE("220 a\r\n25")), 7);
	assert_int_equal(smtp_client_input(p.client, SLICE("250 b\n")), 6);
	assert_true(smtp_client_can_send(p.client));
	stop(&p);
}

static void
an_endless_line_is_refused(void **state)
{
	struct peer p = { 0 };
	char *line = xmalloc(SMTP_REPLY_LINE_MAX + 1);

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	memset(line, '2', SMTP_REPLY_LINE_MAX + 1);
	assert_int_equal(smtp_client_input(p.client,
			     slice_mem(line, SMTP_REPLY_LINE_MAX)),
	    0);
	assert_false(smtp_client_is_closed(p.client));
	(void)smtp_client_input(p.client,
	    slice_mem(line, SMTP_REPLY_LINE_MAX + 1));
	assert_string_equal(strbuf_text(&p.trace),
	    "* closed local greeting syntax\n");
	free(line);
	stop(&p);
}

static void
an_endless_reply_is_refused(void **state)
{
	struct peer p = { 0 };
	size_t n = 0;

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	while (!smtp_client_is_closed(p.client) && n < 10000) {
		smtp_client_feed(p.client, SLICE("220-and then"));
		n++;
	}
	assert_int_equal(n, SMTP_REPLY_LINES_MAX + 1);
	assert_string_equal(strbuf_text(&p.trace),
	    "* closed local greeting syntax\n");
	stop(&p);
}

static void
input_stops_where_tls_begins(void **state)
{
	struct peer p = { 0 };

	(void)state;
	start(&p, SMTP_TLS_MUST);
	run(&p, "opening",
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n");
	assert_int_equal(smtp_client_input(p.client,
			     SLICE("220 go\r\n250 injected\r\n")),
	    strlen("220 go\r\n"));
	assert_string_equal(strbuf_text(&p.trace), "* tls\n");
	stop(&p);
}

static const struct {
	const char *name, *offer;
	bool eightbit, utf8;
	const char *path;
	size_t size;
	const char *trace;
} offers[] = {
	{ "SIZE", "SIZE 0", false, false, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example> SIZE=8\n" },
	{ "SIZE counts the CRLF that will be added", "SIZE", false, false, NULL,
	    100, "> MAIL FROM:<b-1@rp.example> SIZE=102\n" },
	{ "as large as it may be", "SIZE 102", false, false, NULL, 100,
	    "> MAIL FROM:<b-1@rp.example> SIZE=102\n" },
	{ "too large", "SIZE 101", false, false, NULL, 100,
	    "* done 1 local MAIL FROM limit\n* ready\n" },
	{ "a limit that is no number", "SIZE plenty", false, false, NULL, 100,
	    "> MAIL FROM:<b-1@rp.example> SIZE=102\n" },
	{ "8BITMIME", "8bitmime", true, false, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example> BODY=8BITMIME\n" },
	{ "8BITMIME not needed", "8BITMIME", false, false, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example>\n" },
	{ "8BITMIME not offered", "XYZ", true, false, NULL, 0,
	    "* done 1 local MAIL FROM notfound\n* ready\n" },
	{ "SMTPUTF8", "SMTPUTF8", false, true, NULL, 0,
	    "> MAIL FROM:<b-1@rp.example> SMTPUTF8\n" },
	{ "SMTPUTF8 not offered", "8BITMIME", false, true, NULL, 0,
	    "* done 1 local MAIL FROM notfound\n* ready\n" },
	{ "the null path", "XYZ", false, false, "", 0, "> MAIL FROM:<>\n" },
	{ "a line break in the return path", "XYZ", false, false,
	    "a@b>\r\nRCPT TO:<c@d", 0,
	    "* done 1 local MAIL FROM denied\n* ready\n" },
	{ "a parameter in the return path", "XYZ", false, false, "a@b> SIZE=1",
	    0, "* done 1 local MAIL FROM denied\n* ready\n" },
};

static void
uses_what_is_offered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		struct peer p = { .in_ready = 1,
			.eightbit = offers[i].eightbit,
			.utf8 = offers[i].utf8,
			.size = offers[i].size,
			.path = offers[i].path };
		char *trace = xasprintf("< 220 hello\n> EHLO me.example\n"
					"< 250-there\n< 250 %s\n* ready\n%s",
		    offers[i].offer, offers[i].trace);

		print_message("%s\n", offers[i].name);
		p.large = xmalloc(p.size + 1);
		memset(p.large, 'x', p.size);
		start(&p, SMTP_TLS_NEVER);
		run(&p, offers[i].name, trace);
		stop(&p);
		free(trace);
	}
}

static void
a_local_refusal_waits_for_its_turn(void **state)
{
	struct peer p = { .in_ready = 1, .size = 100 };

	(void)state;
	p.large = xmalloc(100);
	memset(p.large, 'x', 100);
	start(&p, SMTP_TLS_NEVER);
	p.size = 0;
	run(&p, "first",
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250-PIPELINING\n< 250 SIZE 50\n* ready\n"
	    "> MAIL FROM:<b-1@rp.example> SIZE=8\n" RCPT "> DATA\n"
	    "< 250 ok\n< 250 ok\n< 354 go\n* dot 1\n* ready\n" TEXT("1"));
	p.size = 100;
	run(&p, "second",
	    "! send\n"
	    "< 250 taken\n* done 1 remote end of data 250\n"
	    "* done 2 local MAIL FROM limit\n* ready\n");
	stop(&p);
}

static void
a_large_message_goes_out_in_pieces(void **state)
{
	static const char line[] = "..0123456789012345678901234567890123456789"
				   "0123456789\r\n";
	struct smtp_client_options opt = { .helo_name = "me.example",
		.body_chunk = 1000 };
	struct strbuf whole = STRBUF_INIT, expected = STRBUF_INIT,
		      got = STRBUF_INIT;
	struct peer p = { .in_ready = 1 };
	size_t pieces = 0;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		strbuf_add_text(&whole, line);
	smtp_dot_stuff(&expected, strbuf_slice(&whole));
	p.size = whole.len;
	p.large = strbuf_take(&whole);
	strbuf_init(&p.trace, 0);
	p.client = smtp_client_new(&opt, &ops, &p);
	run(&p, "opening", PIPED GROUP("1") "< 250 ok\n< 250 ok\n");
	smtp_client_feed(p.client, SLICE("354 go"));
	do {
		struct strbuf *out = smtp_client_output(p.client);

		assert_in_range(out->len, 1, 1100);
		strbuf_add_slice(&got, strbuf_slice(out));
		strbuf_reset(out);
		pieces++;
	} while (smtp_client_more(p.client));
	assert_in_range(pieces, 5, 8);
	assert_int_equal(got.len, expected.len);
	assert_memory_equal(got.ptr, expected.ptr, got.len);
	/* Only when the dot is out may the next one begin. */
	assert_string_equal(strbuf_text(&p.trace), "* dot 1\n* ready\n");
	strbuf_fini(&got);
	strbuf_fini(&expected);
	stop(&p);
}

static void
a_reply_in_the_middle_of_the_message_ends_it(void **state)
{
	static const struct {
		const char *reply, *trace;
	} rows[] = {
		{ "552 too large",
		    "* done 1 remote end of data 552\n"
		    "* closed remote end of data 552\n" },
		{ "250 thanks",
		    "* done 1 local message syntax\n"
		    "* closed local end of data syntax\n" },
		{ "421 bye",
		    "* done 1 remote end of data 421\n"
		    "* closed remote end of data 421\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_client_options opt = { .helo_name = "me.example",
			.body_chunk = 10 };
		struct peer p = { .in_ready = 1, .size = 100 };

		p.large = xmalloc(100);
		memset(p.large, 'x', 100);
		strbuf_init(&p.trace, 0);
		p.client = smtp_client_new(&opt, &ops, &p);
		run(&p, "opening",
		    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
				     "< 354 go\n> xxxxxxxxxx\n");
		smtp_client_feed(p.client, slice_of(rows[i].reply));
		assert_string_equal(strbuf_text(&p.trace), rows[i].trace);
		stop(&p);
	}
}

/* A stray 250 taken for the reply to the dot would lose the message. */
static void
a_reply_before_the_dot_was_sent_is_not_one_to_the_dot(void **state)
{
	static const struct {
		const char *replies;
		size_t unsent;
		const char *trace;
	} rows[] = {
		{ "354 go\r\n250 thanks\r\n", 0,
		    "* dot 1\n* done 1 local message syntax\n"
		    "* closed local end of data syntax\n" },
		{ "354 go\r\n354 go on\r\n", 0,
		    "* dot 1\n* done 1 local message syntax\n"
		    "* closed local end of data syntax\n" },
		{ "354 go\r\n554 no\r\n", 0,
		    "* dot 1\n* done 1 remote end of data 554\n"
		    "* closed remote end of data 554\n" },
		{ "250 thanks\r\n", 3,
		    "* done 1 local message syntax\n"
		    "* closed local end of data syntax\n" },
		{ "250 thanks\r\n", 2, "* done 1 remote end of data 250\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer p = { .in_ready = 1 };

		start(&p, SMTP_TLS_NEVER);
		run(&p, "opening",
		    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n");
		if (rows[i].replies[0] != '3')
			run(&p, "dot", "< 354 go\n* dot 1\n" TEXT("1"));
		(void)smtp_client_input_unsent(p.client,
		    slice_of(rows[i].replies), rows[i].unsent);
		strbuf_reset(smtp_client_output(p.client));
		if (strncmp(strbuf_text(&p.trace), rows[i].trace,
			strlen(rows[i].trace)) != 0)
			fail_msg("%zu: %s", i, strbuf_text(&p.trace));
		stop(&p);
	}
}

/* Where a peer can be stopped: what to feed to get there. */
static const struct {
	enum smtp_state state;
	int tls;
	const char *lines[8];
} stops[] = {
	{ SMTP_BANNER, SMTP_TLS_NEVER, { NULL } },
	{ SMTP_EHLO, SMTP_TLS_NEVER, { "220 a" } },
	{ SMTP_HELO, SMTP_TLS_NEVER, { "220 a", "500 a" } },
	{ SMTP_STARTTLS, SMTP_TLS_MAY, { "220 a", "250-a", "250 STARTTLS" } },
	{ SMTP_TLS, SMTP_TLS_MAY,
	    { "220 a", "250-a", "250 STARTTLS", "220 a" } },
	{ SMTP_MAIL, SMTP_TLS_NEVER, { "220 a", "250 a" } },
	{ SMTP_RCPT, SMTP_TLS_NEVER, { "220 a", "250 a", "250 a" } },
	{ SMTP_DATA, SMTP_TLS_NEVER, { "220 a", "250 a", "250 a", "250 a" } },
	{ SMTP_DOT, SMTP_TLS_NEVER,
	    { "220 a", "250 a", "250 a", "250 a", "354 a" } },
	{ SMTP_EMPTY_DOT, SMTP_TLS_NEVER,
	    { "220 a", "250-a", "250 PIPELINING", "250 a", "550 a", "354 a" } },
	{ SMTP_RSET, SMTP_TLS_NEVER, { "220 a", "250 a", "250 a", "550 a" } },
	{ SMTP_QUIT, SMTP_TLS_NEVER, { "220 a", "250 a", "550 a" } },
	{ SMTP_IDLE, SMTP_TLS_NEVER, { "220 a", "250 a", "550 a" } },
};

static void
go_to(struct peer *p, size_t i)
{
	p->in_ready = stops[i].state == SMTP_RSET ? 2 : 1;
	start(p, stops[i].tls);
	for (size_t n = 0; stops[i].lines[n] != NULL; n++)
		smtp_client_feed(p->client, slice_of(stops[i].lines[n]));
	if (stops[i].state == SMTP_QUIT)
		smtp_client_quit(p->client);
	assert_string_equal(smtp_client_label(p->client),
	    smtp_state_name(stops[i].state));
	strbuf_reset(&p->trace);
}

static size_t
count_of(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

static void
every_state_has_an_end(void **state)
{
	static const char *const ends[] = { "421 a", "rubbish", "999 a", "",
		NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		for (size_t n = 0; n < ARRAY_LEN(ends); n++) {
			struct peer p = { 0 };
			struct error err = { .kind = ERR_NET };
			size_t sent;

			go_to(&p, i);
			sent = p.sent;
			if (ends[n] != NULL)
				smtp_client_feed(p.client, slice_of(ends[n]));
			else
				smtp_client_lost(p.client, &err);
			print_message("%s, '%s': %s",
			    smtp_state_name(stops[i].state),
			    ends[n] != NULL ? ends[n] : "(lost)",
			    strbuf_text(&p.trace));
			assert_true(smtp_client_is_closed(p.client));
			assert_false(smtp_client_can_send(p.client));
			assert_int_equal(count_of(strbuf_text(&p.trace),
					     "* closed"),
			    1);
			assert_in_range(count_of(strbuf_text(&p.trace),
					    "* done"),
			    0, sent);
			stop(&p);
		}
	}
}

static void
every_state_has_a_name_and_a_deadline(void **state)
{
	(void)state;
	for (enum smtp_state s = SMTP_BANNER; s < SMTP_STATE_COUNT; s++) {
		bool seen = s == SMTP_CLOSED;

		assert_non_null(smtp_state_name(s));
		if (s != SMTP_CLOSED)
			assert_in_range(smtp_state_deadline_s(s), 1, 600);
		for (size_t i = 0; i < ARRAY_LEN(stops); i++)
			seen = seen || stops[i].state == s;
		assert_true(seen); /* every_state_has_an_end walks it */
	}
	/* RFC 5321 section 4.5.3.2. */
	assert_int_equal(smtp_state_deadline_s(SMTP_BANNER), 300);
	assert_int_equal(smtp_state_deadline_s(SMTP_MAIL), 300);
	assert_int_equal(smtp_state_deadline_s(SMTP_RCPT), 300);
	assert_int_equal(smtp_state_deadline_s(SMTP_DATA), 120);
	assert_int_equal(smtp_state_deadline_s(SMTP_DOT), 600);
}

static void
the_deadline_is_that_of_the_awaited_reply(void **state)
{
	struct peer p = { .in_ready = 1, .deadlines = true };

	(void)state;
	start(&p, SMTP_TLS_NEVER);
	run(&p, "deadlines",
	    "* 300 s for greeting\n"
	    "< 220 hello\n* 300 s for EHLO\n> EHLO me.example\n"
	    "< 250-there\n< 250 PIPELINING\n* 300 s for idle\n* ready\n"
	    "* 300 s for MAIL FROM\n" GROUP(
		"1") "< 250 ok\n* 300 s for RCPT TO\n"
		     "< 250 ok\n* 120 s for DATA\n"
		     "< 354 go\n* dot 1\n* 600 s for end of data\n* "
		     "ready\n" TEXT("1") "< 250 ok\n* done 1 remote end of "
					 "data 250\n* 300 s for idle\n");
	stop(&p);
}

static void
a_name_that_could_break_a_line_is_not_sent(void **state)
{
	struct smtp_client_options opt = { .helo_name = "me\r\nMAIL" };
	struct peer p = { 0 };

	(void)state;
	strbuf_init(&p.trace, 0);
	p.client = smtp_client_new(&opt, &ops, &p);
	run(&p, "name", "< 220 hello\n* closed local greeting syntax\n");
	stop(&p);
}

TEST_MAIN(cmocka_unit_test(all_in_one_segment_gives_one_write),
    cmocka_unit_test(an_unfinished_line_is_left),
    cmocka_unit_test(an_endless_line_is_refused),
    cmocka_unit_test(an_endless_reply_is_refused),
    cmocka_unit_test(input_stops_where_tls_begins),
    cmocka_unit_test(uses_what_is_offered),
    cmocka_unit_test(a_local_refusal_waits_for_its_turn),
    cmocka_unit_test(a_large_message_goes_out_in_pieces),
    cmocka_unit_test(a_reply_in_the_middle_of_the_message_ends_it),
    cmocka_unit_test(a_reply_before_the_dot_was_sent_is_not_one_to_the_dot),
    cmocka_unit_test(every_state_has_an_end),
    cmocka_unit_test(every_state_has_a_name_and_a_deadline),
    cmocka_unit_test(the_deadline_is_that_of_the_awaited_reply),
    cmocka_unit_test(a_name_that_could_break_a_line_is_not_sent))

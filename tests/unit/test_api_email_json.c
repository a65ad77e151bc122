/* The JSON of POST /emails: what it means, and what is wrong with it. */
#include "test.h"

#include "api/email_json.h"
#include "base/mem.h"
#include "base/strbuf.h"

/* A request with what is needed, and room for one more member. */
#define BASE                                                                   \
	"\"from\":\"me@example.org\",\"to\":\"a@example.com\","                \
	"\"subject\":\"Hi\",\"text\":\"Hello\""
#define WITH(more) "{" BASE "," more "}"

static const struct {
	const char *json;
	enum answer_kind kind;
	const char *begins;
} refusals[] = {
	{ "", ANSWER_VALIDATION, "The request has no body" },
	{ "{", ANSWER_VALIDATION,
	    "The request body is not valid JSON: line 1" },
	{ "{} x", ANSWER_VALIDATION, "The request body is not valid JSON" },
	{ "[]", ANSWER_VALIDATION,
	    "The request body must be a JSON object, but is of type array" },
	{ "{\"a\":1,\"a\":2}", ANSWER_VALIDATION, "The request body is not" },
	{ "{\"from\":\"a\\u0000b\"}", ANSWER_VALIDATION,
	    "The request body is not" },
	{ "{}", ANSWER_FIELD_MISSING, "Missing `from` field." },
	{ "{\"from\":null}", ANSWER_FIELD_MISSING, "Missing `from` field." },
	{ "{\"from\":1}", ANSWER_VALIDATION,
	    "from: must be a string, but is of type number" },
	{ "{\"from\":[\"a@b.example\"]}", ANSWER_VALIDATION,
	    "from: must be a string, but is of type array" },
	{ "{\"from\":\"x@\"}", ANSWER_VALIDATION,
	    "from: 'x@' is not an email address: " },
	{ "{\"from\":\"a@example.org\",\"to\":{}}", ANSWER_VALIDATION,
	    "to: must be a string or an array of strings, but is of type" },
	{ "{\"from\":\"a@example.org\",\"to\":[\"a@example.com\",5]}",
	    ANSWER_VALIDATION, "to[1]: must be a string, but is of type" },
	{ "{\"from\":\"a@example.org\",\"to\":[\"a@example.com\",null]}",
	    ANSWER_VALIDATION, "to[1]: must be a string, but is of type" },
	{ "{\"from\":\"a@example.org\",\"to\":[\"a@example.com\",\"x@\"]}",
	    ANSWER_VALIDATION, "to[1]: 'x@' is not an email address" },
	{ "{\"from\":\"a@example.org\",\"to\":[\"1\",\"2\",\"3\",\"4\",\"5\","
	  "\"6\"]}",
	    ANSWER_VALIDATION, "to: has 6 addresses, at most 5" },
	{ WITH("\"cc\":[\"a@b\\r\\nc\"]"), ANSWER_VALIDATION,
	    "cc[0]: has a line break" },
	{ WITH("\"reply_to\":7"), ANSWER_VALIDATION, "reply_to: must be" },
	{ WITH("\"html\":7"), ANSWER_VALIDATION, "html: must be a string" },
	{ WITH("\"headers\":[]"), ANSWER_VALIDATION,
	    "headers: must be an object of names and strings" },
	{ WITH("\"headers\":{\"X-A\":1}"), ANSWER_VALIDATION,
	    "headers['X-A']: must be a string, but is of type number" },
	{ WITH("\"tags\":{}"), ANSWER_VALIDATION, "tags: must be an array" },
	{ WITH("\"tags\":[1]"), ANSWER_VALIDATION, "tags[0]: must be an" },
	{ WITH("\"tags\":[{\"name\":1}]"), ANSWER_VALIDATION,
	    "tags[0]: must be a string, but is of type number" },
	{ WITH("\"attachments\":{}"), ANSWER_VALIDATION, "attachments: must" },
	{ WITH("\"attachments\":[1]"), ANSWER_VALIDATION, "attachments[0]: m" },
	{ WITH("\"attachments\":[{\"filename\":\"a\"}]"), ANSWER_ATTACHMENT,
	    "attachments[0]: has no content" },
	{ WITH("\"attachments\":[{\"path\":\"https://x.example/a\"}]"),
	    ANSWER_ATTACHMENT, "attachments[0]: fetching a file by its path" },
	{ WITH("\"attachments\":[{\"content\":\"?\"}]"), ANSWER_ATTACHMENT,
	    "attachments[0]: its content is not base64" },
	{ WITH("\"attachments\":[{\"content\":[1,256]}]"), ANSWER_ATTACHMENT,
	    "attachments[0]: its content[1] is not an integer 0..255" },
	{ WITH("\"attachments\":[{\"content\":[1,\"a\"]}]"), ANSWER_ATTACHMENT,
	    "attachments[0]: its content[1] is not" },
	{ WITH("\"attachments\":[{\"content\":[1.5]}]"), ANSWER_ATTACHMENT,
	    "attachments[0]: its content[0] is not" },
	{ WITH("\"attachments\":[{\"content\":true}]"), ANSWER_ATTACHMENT,
	    "attachments[0]: its content must be" },
	{ WITH("\"attachments\":[{\"content\":{\"type\":\"Blob\"}}]"),
	    ANSWER_ATTACHMENT, "attachments[0]: its content must be" },
	{ WITH("\"scheduled_at\":\"in 1 min\""), ANSWER_VALIDATION,
	    "scheduled_at: is not supported" },
	{ WITH("\"template\":{\"id\":\"x\"}"), ANSWER_VALIDATION,
	    "template: is not supported" },
	{ WITH("\"topic_id\":\"x\""), ANSWER_VALIDATION,
	    "topic_id: is not supported" },
	{ WITH("\"reply-to\":\"x@example.org\""), ANSWER_PARAMETER,
	    "reply-to: is not a member of an email: did you mean reply_to?" },
	{ WITH("\"replyTo\":\"x@example.org\""), ANSWER_PARAMETER,
	    "replyTo: is not a member of an email: did you mean reply_to?" },
	{ WITH("\"body\":\"x\""), ANSWER_PARAMETER,
	    "body: is not a member of an email: did you mean html or text?" },
	{ WITH("\"HTML\":\"x\""), ANSWER_PARAMETER,
	    "HTML: is not a member of an email: did you mean html?" },
	{ WITH("\"attachment\":[]"), ANSWER_PARAMETER,
	    "attachment: is not a member of an email: did you mean attachm" },
	{ WITH("\"id\":1"), ANSWER_PARAMETER,
	    "id: is not a member of an email: leave it out" },
	{ WITH("\"a\\nb\":1"), ANSWER_PARAMETER,
	    "a?b: is not a member of an email: leave it out" },
	{ "{\"sender\":\"a@example.org\"}", ANSWER_PARAMETER,
	    "sender: is not a member of an email: did you mean from?" },
	{ WITH("\"tags\":[{\"name\":\"n\",\"values\":\"v\"}]"),
	    ANSWER_PARAMETER,
	    "tags[0].values: is not a member of a tag: did you mean value?" },
	{ WITH("\"attachments\":[{\"content\":\"\",\"contentId\":\"a\"}]"),
	    ANSWER_PARAMETER,
	    "attachments[0].contentId: is not a member of an attachment: did "
	    "you mean content_id?" },
	{ WITH("\"attachments\":[{\"content\":\"\",\"name\":\"a\"}]"),
	    ANSWER_PARAMETER,
	    "attachments[0].name: is not a member of an attachment: did you "
	    "mean filename?" },
	{ WITH("\"delivery\":1"), ANSWER_VALIDATION,
	    "delivery: must be a str" },
	{ WITH("\"delivery\":\"\""), ANSWER_VALIDATION,
	    "delivery: '' is neither" },
	{ WITH("\"delivery\":\"Exactly_once\""), ANSWER_VALIDATION,
	    "delivery: 'Exactly_once' is neither at_least_once" },
	{ WITH("\"stream\":\"bulk\""), ANSWER_VALIDATION,
	    "stream: 'bulk' is neither transactional" },
	{ WITH("\"stream\":1"), ANSWER_VALIDATION, "stream: must be a str" },
};

static int
read_json(struct arena *arena, char *body, size_t len, struct mail_content *c,
    struct intake_answer *no)
{
	return email_json_read(arena, body, len, 5, c, no);
}

static void
what_is_wrong_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct arena arena = ARENA_INIT;
		struct mail_content c;
		struct intake_answer no = { 0 };
		size_t len = strlen(refusals[i].json);
		char *body = xmemdup(refusals[i].json, len);

		print_message("%s\n", refusals[i].json);
		assert_int_equal(read_json(&arena, body, len, &c, &no), -1);
		print_message("  %s\n", no.message);
		assert_int_equal(no.kind, refusals[i].kind);
		assert_true(slice_starts(slice_of(no.message),
		    slice_of(refusals[i].begins)));
		arena_fini(&arena);
		free(body);
	}
}

static void
all_fields_arrive(void **state)
{
	static const char json[] =
	    "{\"from\":\"Acme \\u00e4 <me@example.org>\","
	    "\"to\":[\"a@example.com\",\"B <b@example.com>\"],"
	    "\"cc\":\"c@example.com\",\"bcc\":[],\"reply_to\":\"\","
	    "\"subject\":\"Gr\\u00fc\\u00dfe\",\"html\":\"<p>\\n</p>\","
	    "\"text\":\"a\\nb\",\"headers\":{\"X-A\":\"1\",\"X-B\":\"\"},"
	    "\"tags\":[{\"name\":\"n\",\"value\":\"v\"}],"
	    "\"scheduled_at\":null,\"unknown\":null,"
	    "\"attachments\":[{\"content\":\"TWFu\",\"filename\":\"m.txt\","
	    "\"content_type\":\"text/plain\",\"content_id\":\"logo\"},"
	    "{\"content\":[77,97,110]},"
	    "{\"filename\":\"e\",\"content\":\"\"},"
	    "{\"content\":{\"type\":\"Buffer\",\"data\":[1,0,255]},"
	    "\"path\":null}]}";
	struct arena arena = ARENA_INIT;
	struct mail_content c;
	struct intake_answer no;
	char *body = xmemdup(json, sizeof(json) - 1);

	(void)state;
	assert_int_equal(read_json(&arena, body, sizeof(json) - 1, &c, &no), 0);
	assert_true(slice_eq_text(c.from.display, "Acme \xc3\xa4"));
	assert_true(slice_eq_text(c.from.domain, "example.org"));
	assert_int_equal(c.to_count, 2);
	assert_true(slice_eq_text(c.to[1].display, "B"));
	assert_true(slice_eq_text(c.to[1].local, "b"));
	assert_int_equal(c.cc_count, 1);
	assert_int_equal(c.bcc_count, 0);
	assert_int_equal(c.reply_to_count, 0);
	assert_true(slice_eq_text(c.subject,
	    "Gr\xc3\xbc\xc3\x9f"
	    "e"));
	assert_true(slice_eq_text(c.html, "<p>\n</p>"));
	assert_true(slice_eq_text(c.text, "a\nb"));
	assert_false(c.text_opted_out);
	assert_int_equal(c.header_count, 2);
	assert_true(slice_eq_text(c.header[0].name, "X-A"));
	assert_true(slice_eq_text(c.header[1].value, ""));
	assert_int_equal(c.tag_count, 1);
	assert_true(slice_eq_text(c.tag[0].value, "v"));
	assert_int_equal(c.attachment_count, 4);
	assert_true(slice_eq_text(c.attachment[0].data, "Man"));
	assert_true(slice_eq_text(c.attachment[0].filename, "m.txt"));
	assert_true(slice_eq_text(c.attachment[0].content_type, "text/plain"));
	assert_true(slice_eq_text(c.attachment[0].content_id, "logo"));
	assert_true(slice_eq_text(c.attachment[1].data, "Man"));
	assert_true(slice_eq_text(c.attachment[1].filename, "attachment-2"));
	assert_int_equal(c.attachment[2].data.len, 0);
	assert_int_equal(c.attachment[3].data.len, 3);
	assert_memory_equal(c.attachment[3].data.ptr, "\1\0\377", 3);
	arena_fini(&arena);
	free(body);
}

static void
bodies_are_told_apart(void **state)
{
	static const struct {
		const char *members;
		bool html, text, opted_out;
	} rows[] = {
		{ "", false, false, false },
		{ ",\"html\":\"h\"", true, false, false },
		{ ",\"html\":\"h\",\"text\":null", true, false, false },
		{ ",\"html\":\"h\",\"text\":\"\"", true, false, true },
		{ ",\"html\":\"h\",\"text\":\"t\"", true, true, false },
		{ ",\"html\":\"\",\"text\":\"t\"", false, true, false },
		{ ",\"html\":\"\",\"text\":\"\"", false, false, false },
		{ ",\"text\":\"t\"", false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct mail_content c;
		struct intake_answer no;
		struct strbuf b = STRBUF_INIT;

		strbuf_add_fmt(&b, "{\"from\":\"a@example.org\"%s}",
		    rows[i].members);
		assert_int_equal(read_json(&arena, b.ptr, b.len, &c, &no), 0);
		assert_int_equal(c.html.ptr != NULL, rows[i].html);
		assert_int_equal(c.text.ptr != NULL, rows[i].text);
		assert_int_equal(c.text_opted_out, rows[i].opted_out);
		strbuf_fini(&b);
		arena_fini(&arena);
	}
}

static void
delivery_and_stream_are_the_careful_ones_unless_said(void **state)
{
	static const struct {
		const char *json;
		bool exactly_once, broadcast;
	} rows[] = {
		{ "{" BASE "}", false, false },
		{ WITH("\"delivery\":null"), false, false },
		{ WITH("\"delivery\":\"at_least_once\""), false, false },
		{ WITH("\"delivery\":\"exactly_once\""), true, false },
		{ WITH("\"stream\":null"), false, false },
		{ WITH("\"stream\":\"transactional\""), false, false },
		{ WITH("\"stream\":\"broadcast\""), false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct mail_content c;
		struct intake_answer no;
		size_t len = strlen(rows[i].json);
		char *body = xmemdup(rows[i].json, len);

		assert_int_equal(read_json(&arena, body, len, &c, &no), 0);
		assert_int_equal(c.exactly_once, rows[i].exactly_once);
		assert_int_equal(c.broadcast, rows[i].broadcast);
		arena_fini(&arena);
		free(body);
	}
}

static void
a_long_array_of_integers_is_a_file(void **state)
{
	struct arena arena = ARENA_INIT;
	struct mail_content c;
	struct intake_answer no;
	struct strbuf b = STRBUF_INIT;

	(void)state;
	strbuf_add_text(&b,
	    "{" BASE ",\"attachments\":[{\"content\":"
	    "{\"type\":\"Buffer\",\"data\":[0");
	for (int i = 1; i < 100000; i++)
		strbuf_add_fmt(&b, ", %d", i % 251);
	strbuf_add_text(&b, "]}}]}");
	assert_int_equal(read_json(&arena, b.ptr, b.len, &c, &no), 0);
	assert_int_equal(c.attachment_count, 1);
	assert_int_equal(c.attachment[0].data.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal((unsigned char)c.attachment[0].data.ptr[i],
		    i % 251);
	/* No tree node per octet. */
	assert_true(arena.used_bytes < 10000);
	strbuf_fini(&b);
	arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(what_is_wrong_is_named),
    cmocka_unit_test(all_fields_arrive),
    cmocka_unit_test(bodies_are_told_apart),
    cmocka_unit_test(delivery_and_stream_are_the_careful_ones_unless_said),
    cmocka_unit_test(a_long_array_of_integers_is_a_file))

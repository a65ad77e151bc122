/*
 * What goes on the wire, over a signer and a maker of texts of this file's own.
 */
#include "test.h"

#include "delivery/delivery_priv.h"
#include "mail/mime.h"

static unsigned int made;

void
mime_text_of_html(struct slice html, struct strbuf *out)
{
	made++;
	if (!slice_eq_text(html, "<br>"))
		strbuf_add_fmt(out, "text of %.*s\n", SLICE_FMT(html));
}

int
dkim_sign_message(struct dkim_signer *s, struct dkim_key *k,
    struct slice message, struct strbuf *out, struct error *err)
{
	(void)s;
	(void)k;
	(void)err;
	assert_true(message.len > 0);
	strbuf_add_text(out, "DKIM-Signature: v=1\r\n");
	return 0;
}

/* One job of an email whose content is shared by refs recipients. */
static void
build(struct content *content, uint8_t nth, struct strbuf *out)
{
	static struct keyring ring = { .count = 1, .key = { { .number = 1 } } };
	struct mta mta = { .opt = { .ring = &ring } };
	struct identity identity = { .name = "sender.example",
		.return_path_host = "bounces.sender.example" };
	struct job job = { .mta = &mta, .content = content };
	struct error err = { 0 };

	job.q.member.id.b[15] = nth;
	strbuf_init(&job.message, 0);
	assert_int_equal(message_build(&job, &identity, &err), 0);
	*out = job.message;
}

static const struct {
	const char *html, *text;
	bool opted_out;
	unsigned int refs, made; /* for two recipients */
	const char *has;	 /* a line of the message, or NULL */
	bool is_alternative;
} cases[] = {
	{ "<p>a</p>", NULL, false, 2, 1, "text of <p>a</p>", true },
	{ "<p>a</p>", NULL, false, 50, 1, "text of <p>a</p>", true },
	{ "<p>a</p>", NULL, false, 1, 2, "text of <p>a</p>", true },
	{ "<br>", NULL, false, 2, 1, NULL, false },
	{ "<p>a</p>", "own", false, 2, 0, "own", true },
	{ "<p>a</p>", NULL, true, 2, 0, NULL, false },
	{ NULL, "own", false, 2, 0, "own", false },
};

static void
the_text_of_an_email_is_made_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf record = STRBUF_INIT, first, second;
		struct mail_content c = { .subject = SLICE("Hi"),
			.text_opted_out = cases[i].opted_out };
		struct content shared = { .refs = cases[i].refs };

		print_message("case %zu\n", i);
		if (cases[i].html != NULL)
			c.html = slice_of(cases[i].html);
		if (cases[i].text != NULL)
			c.text = slice_of(cases[i].text);
		mail_content_encode(&c, &record);
		shared.ptr = record.ptr;
		shared.bytes = record.len;
		strbuf_init(&shared.text, 0);
		made = 0;
		build(&shared, 1, &first);
		build(&shared, 2, &second);
		assert_int_equal(made, cases[i].made);
		if (cases[i].has != NULL) {
			assert_non_null(
			    strstr(strbuf_text(&first), cases[i].has));
			assert_non_null(
			    strstr(strbuf_text(&second), cases[i].has));
		}
		assert_int_equal(strstr(strbuf_text(&second),
				     "multipart/alternative") != NULL,
		    cases[i].is_alternative);
		/* A reference of its own is all that differs. */
		assert_int_equal(first.len, second.len);
		assert_string_not_equal(strbuf_text(&first),
		    strbuf_text(&second));
		strbuf_fini(&first);
		strbuf_fini(&second);
		strbuf_fini(&shared.text);
		strbuf_fini(&record);
	}
}

TEST_MAIN(cmocka_unit_test(the_text_of_an_email_is_made_once))

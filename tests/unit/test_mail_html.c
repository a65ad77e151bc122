#include "test.h"

#include "mail/mime.h"

static const struct {
	const char *html, *text;
} cases[] = {
	{ "", "" },
	{ "   \n ", "" },
	{ "Hello", "Hello\n" },
	{ "<p>One</p><p>Two</p>", "One\n\nTwo\n" },
	{ "<p>a\n  b\t c</p>", "a b c\n" },
	{ "a<br>b<br/>c", "a\nb\nc\n" },
	{ "<div>a</div><div></div><div>b</div>", "a\nb\n" },
	{ "<h1>T</h1>x", "T\n\nx\n" },
	{ "<ul><li>a</li><li>b</ul>c", "- a\n- b\n\nc\n" },
	{ "<ol><li>a<li>b<ul><li>c</ul><li>d</ol>",
	    "1. a\n2. b\n  - c\n3. d\n" },
	{ "<a href=\"https://example.com/x?a=1&amp;b=2\">here</a>.",
	    "here (https://example.com/x?a=1&b=2).\n" },
	{ "<a href='https://example.com/'>https://example.com</a>",
	    "https://example.com\n" },
	{ "<a href='mailto:a@example.com'>a@example.com</a>",
	    "a@example.com\n" },
	{ "<a href='https://example.com'><img src=x></a>",
	    "https://example.com\n" },
	{ "<a href='https://example.com'><div>x</div></a>y",
	    "x (https://example.com)\ny\n" },
	{ "<a href='#top'>up</a> <a href='javascript:x()'>no</a>", "up no\n" },
	{ "<a href='https://a.example\r\n/b'>x</a>",
	    "x (https://a.example/b)\n" },
	{ "<img alt='Logo &amp; co'>", "Logo & co\n" },
	{ "<table><tr><th>a<th>b<tr><td>1</td><td>2</td></tr></table>",
	    "a b\n1 2\n" },
	{ "a<hr>b", "a\n\n---\n\nb\n" },
	{ "<pre>a\n  b\n\nc</pre>", "a\n  b\n\nc\n" },
	{ "<style>p { x }</style><title>t</title>a", "a\n" },
	{ "<script>if (a</b) '</p>'</script>x", "x\n" },
	{ "a<!-- <p>no</p> -->b", "ab\n" },
	{ "<!DOCTYPE html><?xml x?>a", "a\n" },
	/* blanks beside inline tags */
	{ "a <b>c</b> d", "a c d\n" },
	{ "<b>x </b>y", "x y\n" },
	{ "<p>Dear <strong>Ann</strong>, <em>thank</em> <span>you</span></p>",
	    "Dear Ann, thank you\n" },
	{ "a<b>c</b>d", "acd\n" },
	{ "<!--[if mso]><p>no</p><![endif]-->a", "a\n" },
	{ "a<span style='color:red; DISPLAY : none'>no<span>no</span></span>b",
	    "ab\n" },
	{ "a<div hidden>no</div>b", "ab\n" },
	{ "&lt;&gt;&amp;&quot;&#39;&apos;", "<>&\"''\n" },
	{ "&euro;&#8364;&#x20AC;&#128;",
	    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
	    "\xe2\x82\xac\n" },
	{ "a&nbsp;b&#160;c", "a b c\n" },
	{ "AT&T &unknown; &", "AT&T &unknown; &\n" },
	{ "&#0;&#xD800;&#99999999999;",
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	    "\n" },
	{ "a&zwnj;&#8203;b\xc2\xad", "ab\n" },
	{ "a < b > c <3", "a < b > c <3\n" },
	{ "x <b", "x\n" }, /* never closed: as browsers do */
	{ "x<!-- y", "x\n" },
	{ "x<script>y", "x\n" },
	{ "<p title='a>b' href=x>y", "y\n" },
	{ "bad \xff octet\x01", "bad \xef\xbf\xbd octet\n" },
};

static void
html_reads_as_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT;

		mime_text_of_html(slice_of(cases[i].html), &out);
		print_message("case %zu: %s\n", i, cases[i].html);
		assert_string_equal(strbuf_text(&out), cases[i].text);
		strbuf_fini(&out);
	}
}

/* A megabyte of each takes minutes if anything in it is quadratic. */
static void
hostile_html_takes_linear_time(void **state)
{
	static const char *const pieces[] = { "<", "<a", "<a ", "</", "<!--",
		"<!", "&", "&#", "<script>", "</script", "<a href='x",
		"<div hidden>", "<ul><li>", "<b>", "<pre>\n", "<p style='",
		"<a href=http://x>", "\r", "<x =" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct strbuf html = STRBUF_INIT, out = STRBUF_INIT;

		while (html.len < 1000000)
			strbuf_add_text(&html, pieces[i]);
		mime_text_of_html(strbuf_slice(&html), &out);
		assert_false(out.overflow);
		strbuf_fini(&html);
		strbuf_fini(&out);
	}
}

TEST_MAIN(cmocka_unit_test(html_reads_as_text),
    cmocka_unit_test(hostile_html_takes_linear_time))

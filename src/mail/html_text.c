/*
 * Text is laid out by what stands between: each tag asks for a number of line
 * ends or a blank, and the next visible character writes the most that was
 * asked for. So empty blocks leave no holes.
 */
#include "mail/mime.h"

#include "base/encode.h"

#include "html_priv.h"

#define LISTS_MAX 8 /* nested deeper: indented as the eighth */
#define URL_MAX 2000

struct layout {
	struct strbuf *out;
	unsigned int lines; /* line ends wanted before the next character */
	bool space;	    /* a blank wanted */
	unsigned int pre;   /* depth of <pre> */
	unsigned int lists; /* depth of lists, not bounded by LISTS_MAX */
	unsigned int number[LISTS_MAX]; /* of the next item; 0: bullets */
	struct slice href;		/* of the open <a>; ptr NULL: none */
	size_t href_start;		/* where its text began */
	char hidden[HTML_NAME_MAX]; /* the element that is not shown, or "" */
	unsigned int hidden_depth;
};

/* ---- writing ---- */

static void
flush(struct layout *l)
{
	if (l->out->len == 0) {
		l->lines = 0;
		l->space = false;
	}
	if (l->lines > 0) {
		for (unsigned int i = 0; i < l->lines; i++)
			strbuf_add_char(l->out, '\n');
		for (unsigned int i = 1; i < MIN(l->lists, LISTS_MAX); i++)
			strbuf_add_text(l->out, "  ");
	} else if (l->space) {
		strbuf_add_char(l->out, ' ');
	}
	l->lines = 0;
	l->space = false;
}

static void
want_lines(struct layout *l, unsigned int n)
{
	if (n == 0)
		return; /* an inline tag: the blank before it stays */
	l->lines = MAX(l->lines, n);
	l->space = false;
}

static bool
is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) ||
	    c == 0x2060 || c == 0xfeff;
}

static void
put_char(struct layout *l, uint32_t c)
{
	if (l->pre > 0 && c == '\n') {
		l->lines = MIN(l->lines + 1, 10u);
	} else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
	    c == '\f' || c == 0xa0) {
		if (l->pre > 0 && c != '\r') {
			flush(l);
			strbuf_add_char(l->out, ' ');
		} else if (l->lines == 0) {
			l->space = true;
		}
	} else if (c >= 0x20 && c != 0x7f && !is_invisible(c)) {
		flush(l);
		utf8_add(l->out, c);
	}
}

/* Octets at the front that are shown as they are. */
static size_t
plain_run(struct slice raw)
{
	size_t n = 0;

	while (n < raw.len && raw.ptr[n] > ' ' && raw.ptr[n] < 0x7f &&
	    raw.ptr[n] != '&')
		n++;
	return n;
}

static void
put_text(struct layout *l, struct slice raw)
{
	while (raw.len > 0) {
		size_t n = plain_run(raw);

		if (n > 0) {
			flush(l);
			strbuf_add(l->out, raw.ptr, n);
			raw = slice_from(raw, n);
		} else {
			put_char(l, html_take_char(&raw));
		}
	}
}

static void
put_words(struct layout *l, const char *text)
{
	flush(l);
	strbuf_add_text(l->out, text);
}

/* ---- links ---- */

static bool
is_shown_url(struct slice url)
{
	return slice_starts_nocase(url, SLICE("http://")) ||
	    slice_starts_nocase(url, SLICE("https://")) ||
	    slice_starts_nocase(url, SLICE("mailto:")) ||
	    slice_starts_nocase(url, SLICE("tel:"));
}

/* Whether text says the same as url, but for scheme and last slash. */
static bool
says_url(struct slice text, struct slice url)
{
	static const char *const schemes[] = { "", "https://", "http://",
		"mailto:", "tel:", "https://www.", "http://www." };

	if (url.len > 0 && url.ptr[url.len - 1] == '/')
		url.len--;
	if (text.len > 0 && text.ptr[text.len - 1] == '/')
		text.len--;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct slice scheme = slice_of(schemes[i]);

		if (slice_starts_nocase(url, scheme) &&
		    slice_eq_nocase(slice_from(url, scheme.len), text))
			return true;
	}
	return false;
}

static void
end_link(struct layout *l)
{
	struct slice raw = slice_trim_lines(l->href), text;
	struct strbuf url;

	if (l->href.ptr == NULL)
		return;
	l->href = (struct slice){ NULL, 0 };
	text = slice_trim_lines(
	    slice_from(strbuf_slice(l->out), MIN(l->href_start, l->out->len)));
	strbuf_init(&url, URL_MAX);
	while (raw.len > 0 && !url.overflow) {
		uint32_t c = html_take_char(&raw);

		if (c > 0x20 && c != 0x7f)
			utf8_add(&url, c);
	}
	if (!url.overflow && is_shown_url(strbuf_slice(&url)) &&
	    !says_url(text, strbuf_slice(&url))) {
		unsigned int lines = l->lines;

		/* Blocks may end within the link: the address is its last
		 * word all the same. */
		if (text.len > 0) {
			l->lines = 0;
			l->space = true;
		}
		flush(l);
		strbuf_add_fmt(l->out, text.len > 0 ? "(%s)" : "%s",
		    strbuf_text(&url));
		if (text.len > 0)
			l->lines = lines;
	}
	strbuf_fini(&url);
}

static void
begin_link(struct layout *l, struct slice href)
{
	end_link(l); /* links do not nest */
	if (href.ptr == NULL)
		return;
	l->href = href;
	l->href_start = l->out->len;
}

/* ---- tags ---- */

/* Line ends around an element, both before and after. */
static unsigned int
lines_around(const char *name)
{
	static const char *const two[] = { "p", "h1", "h2", "h3", "h4", "h5",
		"h6", "table", "blockquote", "pre", "dl", "hr" };
	static const char *const one[] = { "div", "tr", "li", "dt", "dd",
		"section", "article", "header", "footer", "nav", "aside",
		"main", "form", "fieldset", "address", "figure", "figcaption",
		"center", "caption", "body", "option", "legend" };

	for (size_t i = 0; i < ARRAY_LEN(two); i++)
		if (strcmp(name, two[i]) == 0)
			return 2;
	for (size_t i = 0; i < ARRAY_LEN(one); i++)
		if (strcmp(name, one[i]) == 0)
			return 1;
	return 0;
}

static bool
is_void(const char *name)
{
	static const char *const names[] = { "area", "base", "br", "col",
		"embed", "hr", "img", "input", "link", "meta", "source",
		"track", "wbr" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* "display:none", with blanks anywhere between. */
static bool
is_display_none(struct slice style)
{
	static const char want[] = "display:none";
	size_t n = 0;

	for (size_t i = 0; i < style.len; i++) {
		char c = ascii_lower(style.ptr[i]);

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			continue;
		n = c == want[n] ? n + 1 : c == want[0];
		if (want[n] == '\0')
			return true;
	}
	return false;
}

static void
begin_list(struct layout *l, bool ordered)
{
	want_lines(l, l->lists == 0 ? 2 : 1);
	if (l->lists < LISTS_MAX)
		l->number[l->lists] = ordered;
	l->lists++;
}

static void
begin_item(struct layout *l)
{
	unsigned int *number;

	want_lines(l, 1);
	if (l->lists == 0 || l->lists > LISTS_MAX) {
		put_words(l, "- ");
		return;
	}
	number = &l->number[l->lists - 1];
	flush(l);
	if (*number > 0)
		strbuf_add_fmt(l->out, "%u. ", (*number)++);
	else
		strbuf_add_text(l->out, "- ");
}

static void
on_start(struct layout *l, const struct html_token *t)
{
	if ((t->hidden || is_display_none(t->style)) && !is_void(t->name)) {
		memcpy(l->hidden, t->name, sizeof(l->hidden));
		l->hidden_depth = 1;
		return;
	}
	if (strcmp(t->name, "ul") == 0 || strcmp(t->name, "ol") == 0) {
		begin_list(l, t->name[0] == 'o');
	} else if (strcmp(t->name, "li") == 0) {
		begin_item(l);
	} else if (strcmp(t->name, "br") == 0) {
		l->lines = MIN(l->lines + 1, 2u);
		l->space = false;
	} else if (strcmp(t->name, "a") == 0) {
		begin_link(l, t->href);
	} else if (strcmp(t->name, "img") == 0) {
		put_text(l, t->alt);
	} else if (strcmp(t->name, "td") == 0 || strcmp(t->name, "th") == 0) {
		if (l->lines == 0)
			l->space = true;
	} else {
		want_lines(l, lines_around(t->name));
		if (strcmp(t->name, "pre") == 0)
			l->pre++;
		if (strcmp(t->name, "hr") == 0) {
			put_words(l, "---");
			want_lines(l, 2);
		}
	}
}

static void
on_end(struct layout *l, const struct html_token *t)
{
	if (strcmp(t->name, "ul") == 0 || strcmp(t->name, "ol") == 0) {
		if (l->lists > 0)
			l->lists--;
		want_lines(l, l->lists == 0 ? 2 : 1);
	} else if (strcmp(t->name, "a") == 0) {
		end_link(l);
	} else {
		want_lines(l, lines_around(t->name));
		if (strcmp(t->name, "pre") == 0 && l->pre > 0)
			l->pre--;
	}
}

/* Inside what is not shown only its own tags count. */
static void
on_hidden(struct layout *l, const struct html_token *t)
{
	if (t->type == HTML_TEXT || strcmp(t->name, l->hidden) != 0)
		return;
	if (t->type == HTML_START)
		l->hidden_depth++;
	else
		l->hidden_depth--;
}

void
mime_text_of_html(struct slice html, struct strbuf *out)
{
	struct strbuf text = STRBUF_INIT;
	struct layout l = { .out = &text };
	struct html_token t;

	while (html_take(&html, &t)) {
		if (l.hidden_depth > 0)
			on_hidden(&l, &t);
		else if (t.type == HTML_TEXT)
			put_text(&l, t.text);
		else if (t.type == HTML_START)
			on_start(&l, &t);
		else
			on_end(&l, &t);
	}
	end_link(&l);
	if (text.len > 0)
		strbuf_add_char(&text, '\n');
	strbuf_add_slice(out, strbuf_slice(&text));
	strbuf_fini(&text);
}

#include "base/encode.h"
#include "base/json.h"
#include "json_scan.h"

static void
add_escaped(struct strbuf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char esc[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
	static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
	const char *found = memchr(from, c, sizeof(from) - 1);

	if (found == NULL) {
		strbuf_add(out, esc, sizeof(esc));
		return;
	}
	esc[1] = into[found - from];
	strbuf_add(out, esc, 2);
}

/* U+0080 to U+009F: a terminal may obey them. */
static bool
is_c1(struct slice character)
{
	return character.len == 2 && character.ptr[0] == '\xc2' &&
	    (unsigned char)character.ptr[1] < 0xa0;
}

void
json_quote(struct strbuf *out, struct slice text)
{
	strbuf_reserve(out, text.len + 2);
	strbuf_add_char(out, '"');
	while (text.len > 0) {
		size_t n = json_plain_span(text.ptr, text.len);

		strbuf_add(out, text.ptr, n);
		text = slice_from(text, n);
		if (text.len == 0)
			break;
		n = utf8_span(text);
		if (is_c1(slice_first(text, n)))
			add_escaped(out, (unsigned char)text.ptr[1]);
		else if (n > 1)
			strbuf_add(out, text.ptr, n);
		else if (n == 1)
			add_escaped(out, (unsigned char)*text.ptr);
		else
			utf8_add(out, 0xfffd);
		text = slice_from(text, n > 0 ? n : 1);
	}
	strbuf_add_char(out, '"');
}

void
json_writer_init(struct json_writer *w, struct strbuf *out)
{
	*w = (struct json_writer){ .out = out };
}

/* The comma before an item and the name of a member. */
static void
begin_item(struct json_writer *w, const char *name)
{
	bool in_object = w->depth > 0 && w->closer[w->depth] == '}';

	invariant(in_object == (name != NULL));
	if (w->has_item[w->depth])
		strbuf_add_char(w->out, ',');
	w->has_item[w->depth] = true;
	if (name != NULL) {
		json_quote(w->out, slice_of(name));
		strbuf_add_char(w->out, ':');
	}
}

static void
begin(struct json_writer *w, const char *name, char opener, char closer)
{
	begin_item(w, name);
	strbuf_add_char(w->out, opener);
	invariant(w->depth < JSON_DEPTH_MAX);
	w->depth++;
	w->closer[w->depth] = (uint8_t)closer;
	w->has_item[w->depth] = false;
}

void
json_begin_object(struct json_writer *w, const char *name)
{
	begin(w, name, '{', '}');
}

void
json_begin_array(struct json_writer *w, const char *name)
{
	begin(w, name, '[', ']');
}

void
json_end(struct json_writer *w)
{
	invariant(w->depth > 0);
	strbuf_add_char(w->out, (char)w->closer[w->depth]);
	w->depth--;
}

void
json_text(struct json_writer *w, const char *name, struct slice value)
{
	begin_item(w, name);
	json_quote(w->out, value);
}

void
json_cstr(struct json_writer *w, const char *name, const char *value)
{
	json_text(w, name, slice_of(value));
}

void
json_text_or_null(struct json_writer *w, const char *name, struct slice value)
{
	if (value.ptr != NULL)
		json_text(w, name, value);
	else
		json_null(w, name);
}

void
json_int(struct json_writer *w, const char *name, int64_t value)
{
	begin_item(w, name);
	if (value < 0)
		strbuf_add_char(w->out, '-');
	strbuf_add_u64(w->out,
	    value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void
json_bool(struct json_writer *w, const char *name, bool value)
{
	begin_item(w, name);
	strbuf_add_text(w->out, value ? "true" : "false");
}

void
json_null(struct json_writer *w, const char *name)
{
	begin_item(w, name);
	strbuf_add_text(w->out, "null");
}

void
json_raw(struct json_writer *w, const char *name, struct slice raw)
{
	begin_item(w, name);
	strbuf_add_slice(w->out, raw);
}

void
json_text_named(struct json_writer *w, struct slice name, struct slice value)
{
	invariant(w->depth > 0 && w->closer[w->depth] == '}');
	if (w->has_item[w->depth])
		strbuf_add_char(w->out, ',');
	w->has_item[w->depth] = true;
	json_quote(w->out, name);
	strbuf_add_char(w->out, ':');
	json_quote(w->out, value);
}

/*
 * One pass, recursive (the depth is bounded), no look-behind. A string is
 * scanned 16 octets at a time and stays where it is; from its first escape on
 * the decoded text is moved to the front, which fits because no escape is
 * shorter than what it stands for.
 *
 * Memory stays in proportion to the text: at most JSON_NODES_MAX nodes, and a
 * long array of octet-sized integers (an attachment as some clients send it)
 * becomes one JSON_OCTETS node, packed in place.
 *
 * Lines are counted where white space is skipped: a raw LF stands nowhere
 * else in valid JSON.
 */
#include <stdlib.h>

#include "base/encode.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "json_scan.h"

#define FEW_MEMBERS 16	/* compared one by one */
#define OCTETS_LEAST 16 /* shorter arrays stay arrays */

struct reader {
	char *at;
	const char *end;
	const char *line_start;
	size_t line;
	size_t nodes;
	unsigned int depth;
	struct arena *arena;
	struct error *err;
};

static int read_value(struct reader *r, struct json *v);

static int
refuse_at(struct reader *r, const char *at, const char *why)
{
	return error_set(r->err, ERR_SYNTAX, "line %zu, column %zu: %s",
	    r->line, (size_t)(at - r->line_start) + 1, why);
}

static int
refuse(struct reader *r, const char *why)
{
	return refuse_at(r, r->at, why);
}

static int
refuse_limit(struct reader *r, const char *why)
{
	refuse(r, why);
	if (r->err != NULL)
		r->err->kind = ERR_LIMIT;
	return -1;
}

static inline void
skip_white(struct reader *r)
{
	while (r->at < r->end) {
		switch (*r->at) {
		case '\n':
			r->line++;
			r->line_start = r->at + 1;
			break;
		case ' ':
		case '\t':
		case '\r':
			break;
		default:
			return;
		}
		r->at++;
	}
}

static inline bool
next_is(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static int
new_node(struct reader *r, struct json **out)
{
	if (r->nodes >= JSON_NODES_MAX)
		return refuse_limit(r, "too many values");
	r->nodes++;
	*out = arena_alloc(r->arena, sizeof(**out));
	return 0;
}

/* Four hex digits at p. */
static bool
take_hex4(const char *p, const char *end, uint32_t *out)
{
	uint8_t two[2];

	if (end - p < 4 || !hex_decode(slice_mem(p, 4), two, sizeof(two)))
		return false;
	*out = (uint32_t)two[0] << 8 | two[1];
	return true;
}

/* r->at stands behind "\u". Refuses NUL and lone surrogates. */
static int
read_unicode(struct reader *r, char **to)
{
	uint32_t c, low;

	if (!take_hex4(r->at, r->end, &c))
		return refuse(r, "expected four hex digits after \\u");
	if (c == 0)
		return refuse(r, "U+0000 is not allowed");
	if (c >= 0xdc00 && c <= 0xdfff)
		return refuse(r, "low surrogate without a high one");
	if (c >= 0xd800 && c <= 0xdbff) {
		const char *p = r->at + 4;

		if (r->end - p < 6 || p[0] != '\\' || p[1] != 'u' ||
		    !take_hex4(p + 2, r->end, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return refuse(r, "high surrogate without a low one");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		r->at += 6;
	}
	r->at += 4;
	*to += utf8_put(c, *to);
	return 0;
}

/* r->at stands on the backslash. */
static int
read_escape(struct reader *r, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (r->end - r->at < 2)
		return refuse(r, "string without end");
	if (r->at[1] == 'u') {
		r->at += 2;
		return read_unicode(r, to);
	}
	found = memchr(from, r->at[1], sizeof(from) - 1);
	if (found == NULL)
		return refuse(r, "no such escape");
	*(*to)++ = into[found - from];
	r->at += 2;
	return 0;
}

/* Copies well-formed characters above U+007F. */
static int
read_multi(struct reader *r, char **to)
{
	while (r->at < r->end && (unsigned char)*r->at >= 0x80) {
		size_t n =
		    utf8_span(slice_mem(r->at, (size_t)(r->end - r->at)));

		if (n == 0)
			return refuse(r, "ill-formed UTF-8");
		if (*to != r->at)
			memmove(*to, r->at, n);
		*to += n;
		r->at += n;
	}
	return 0;
}

/* r->at stands behind the opening quote. */
static int
read_string(struct reader *r, struct slice *out)
{
	char *start = r->at, *to;

	r->at += json_plain_span(r->at, (size_t)(r->end - r->at));
	to = r->at;
	for (;;) {
		int rc;

		if (r->at == r->end)
			return refuse(r, "string without end");
		if (*r->at == '"')
			break;
		if (*r->at == '\\')
			rc = read_escape(r, &to);
		else if ((unsigned char)*r->at >= 0x80)
			rc = read_multi(r, &to);
		else
			rc = refuse(r, "control character in a string");
		if (rc != 0)
			return -1;
		if (to == r->at)
			to = r->at +=
			    json_plain_span(r->at, (size_t)(r->end - r->at));
		else
			r->at = json_scan_copy(r->at, r->end, &to);
	}
	*out = slice_mem(start, (size_t)(to - start));
	r->at++;
	return 0;
}

static bool
skip_digits(struct reader *r)
{
	const char *start = r->at;

	while (r->at < r->end && ascii_is_digit(*r->at))
		r->at++;
	return r->at > start;
}

static int
read_number(struct reader *r, struct json *v)
{
	const char *start = r->at;

	v->type = JSON_NUMBER;
	next_is(r, '-');
	if (!next_is(r, '0') && !skip_digits(r))
		return refuse(r, "expected a digit");
	if (next_is(r, '.') && !skip_digits(r))
		return refuse(r, "expected a digit after the point");
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		if (!next_is(r, '+'))
			next_is(r, '-');
		if (!skip_digits(r))
			return refuse(r, "expected a digit in the exponent");
	}
	v->text = slice_mem(start, (size_t)(r->at - start));
	return 0;
}

static int
read_word(struct reader *r, struct json *v)
{
	static const struct {
		struct slice word;
		enum json_type type;
	} words[] = {
		{ { "true", 4 }, JSON_TRUE },
		{ { "false", 5 }, JSON_FALSE },
		{ { "null", 4 }, JSON_NULL },
	};
	struct slice rest = slice_mem(r->at, (size_t)(r->end - r->at));

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_starts(rest, words[i].word)) {
			v->type = words[i].type;
			r->at += words[i].word.len;
			return 0;
		}
	}
	return refuse(r, "expected a value");
}

/*
 * Looks whether the rest of an array is integers 0..255 and nothing else.
 * Returns where it ends, behind the bracket, or NULL.
 */
static const char *
look_octets(const char *p, const char *end, uint32_t *count)
{
	*count = 0;
	for (;;) {
		unsigned int value = 0, digits = 0;

		while (p < end && (*p == ' ' || *p == '\n' || *p == '\r'))
			p++;
		for (; p < end && ascii_is_digit(*p) && digits < 4; p++) {
			if (digits > 0 && value == 0)
				return NULL; /* 00, 01: no JSON number */
			value = value * 10 + (unsigned int)(*p - '0');
			digits++;
		}
		if (digits == 0 || value > 255 || *count == UINT32_MAX)
			return NULL;
		(*count)++;
		while (p < end && (*p == ' ' || *p == '\n' || *p == '\r'))
			p++;
		if (p == end || (*p != ',' && *p != ']'))
			return NULL;
		if (*p++ == ']')
			return p;
	}
}

static void
pack_octets(struct reader *r, const char *array_end, struct json *v)
{
	char *start = r->at, *to = start;

	while (r->at < array_end) {
		unsigned int value = 0;

		skip_white(r);
		while (ascii_is_digit(*r->at))
			value = value * 10 + (unsigned int)(*r->at++ - '0');
		skip_white(r);
		r->at++; /* the comma or the bracket */
		*to++ = (char)(unsigned char)value;
	}
	v->type = JSON_OCTETS;
	v->text = slice_mem(start, (size_t)(to - start));
}

static int
read_array(struct reader *r, struct json *v)
{
	struct json **link = &v->first;
	const char *array_end;
	uint32_t count;

	v->type = JSON_ARRAY;
	skip_white(r);
	if (next_is(r, ']'))
		return 0;
	if (r->at < r->end && ascii_is_digit(*r->at)) {
		array_end = look_octets(r->at, r->end, &count);
		if (array_end != NULL && count >= OCTETS_LEAST) {
			pack_octets(r, array_end, v);
			return 0;
		}
	}
	do {
		skip_white(r);
		if (new_node(r, link) != 0 || read_value(r, *link) != 0)
			return -1;
		link = &(*link)->next;
		v->count++;
		skip_white(r);
	} while (next_is(r, ','));
	if (!next_is(r, ']'))
		return refuse(r, "expected ',' or ']'");
	return 0;
}

static int
refuse_twice(struct reader *r, struct slice name)
{
	struct slice shown = utf8_cut(name, 80);

	refuse(r, "");
	if (r->err != NULL)
		error_set(r->err, ERR_SYNTAX,
		    "line %zu, column %zu: the object that ends here names "
		    "'%.*s' twice",
		    r->line, (size_t)(r->at - r->line_start), SLICE_FMT(shown));
	return -1;
}

/* Open addressing, at most half full; seeded, so nobody can make it slow. */
static bool
find_twice(const struct json *v, struct slice *name)
{
	const struct json **slot;
	size_t mask = 1;
	bool found = false;

	while (mask < (size_t)v->count * 2)
		mask *= 2;
	slot = xcalloc(mask, sizeof(*slot));
	mask--;
	json_each(m, v)
	{
		size_t i = (size_t)hash_bytes(m->name.ptr, m->name.len) & mask;

		while (slot[i] != NULL && !slice_eq(slot[i]->name, m->name))
			i = (i + 1) & mask;
		if (slot[i] != NULL) {
			*name = m->name;
			found = true;
			break;
		}
		slot[i] = m;
	}
	free(slot);
	return found;
}

static int
check_names(struct reader *r, const struct json *v)
{
	struct slice name;

	if (v->count > FEW_MEMBERS)
		return find_twice(v, &name) ? refuse_twice(r, name) : 0;
	json_each(a,
	    v) for (const struct json *b = a->next; b != NULL;
		    b = b->next) if (slice_eq(a->name,
					 b->name)) return refuse_twice(r,
	    a->name);
	return 0;
}

static int
read_object(struct reader *r, struct json *v)
{
	struct json **link = &v->first;

	v->type = JSON_OBJECT;
	skip_white(r);
	if (next_is(r, '}'))
		return 0;
	do {
		skip_white(r);
		if (!next_is(r, '"'))
			return refuse(r, "expected a member name in quotes");
		if (new_node(r, link) != 0 ||
		    read_string(r, &(*link)->name) != 0)
			return -1;
		skip_white(r);
		if (!next_is(r, ':'))
			return refuse(r, "expected ':'");
		skip_white(r);
		if (read_value(r, *link) != 0)
			return -1;
		link = &(*link)->next;
		v->count++;
		skip_white(r);
	} while (next_is(r, ','));
	if (!next_is(r, '}'))
		return refuse(r, "expected ',' or '}'");
	return check_names(r, v);
}

static int
read_nested(struct reader *r, struct json *v, bool is_object)
{
	int rc;

	if (r->depth == JSON_DEPTH_MAX)
		return refuse_limit(r, "nested too deep");
	r->depth++;
	r->at++;
	rc = is_object ? read_object(r, v) : read_array(r, v);
	r->depth--;
	return rc;
}

static int
read_value(struct reader *r, struct json *v)
{
	if (r->at == r->end)
		return refuse(r, "the text ends before the value");
	switch (*r->at) {
	case '{':
		return read_nested(r, v, true);
	case '[':
		return read_nested(r, v, false);
	case '"':
		r->at++;
		v->type = JSON_STRING;
		return read_string(r, &v->text);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return read_number(r, v);
	default:
		return read_word(r, v);
	}
}

int
json_parse(struct arena *arena, char *text, size_t len, const struct json **out,
    struct error *err)
{
	struct reader r = {
		.at = text,
		.end = text + len,
		.line_start = text,
		.line = 1,
		.arena = arena,
		.err = err,
	};
	struct json *root;

	skip_white(&r);
	if (r.at == r.end)
		return refuse(&r, "no JSON text");
	if (new_node(&r, &root) != 0 || read_value(&r, root) != 0)
		return -1;
	skip_white(&r);
	if (r.at != r.end)
		return refuse(&r, "something follows the JSON text");
	*out = root;
	return 0;
}

const struct json *
json_get(const struct json *obj, const char *name)
{
	struct slice wanted = slice_of(name);

	if (obj == NULL || obj->type != JSON_OBJECT)
		return NULL;
	json_each(m, obj) if (slice_eq(m->name, wanted)) return m;
	return NULL;
}

struct slice
json_get_text(const struct json *obj, const char *name)
{
	const struct json *v = json_get(obj, name);

	if (v == NULL || v->type != JSON_STRING)
		return (struct slice){ NULL, 0 };
	return v->text;
}

bool
json_to_i64(const struct json *v, int64_t *out)
{
	return v != NULL && v->type == JSON_NUMBER &&
	    slice_to_i64(v->text, out);
}

const char *
json_type_name(enum json_type type)
{
	switch (type) {
	case JSON_NULL:
		return "null";
	case JSON_FALSE:
	case JSON_TRUE:
		return "boolean";
	case JSON_NUMBER:
		return "number";
	case JSON_STRING:
		return "string";
	case JSON_ARRAY:
	case JSON_OCTETS:
		return "array";
	case JSON_OBJECT:
		return "object";
	}
	return "unknown";
}

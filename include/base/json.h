/*
 * base/json.h - strict JSON (RFC 8259) read and written.
 *
 * The reader works on one contiguous buffer, checks UTF-8, decodes strings in
 * place, refuses duplicate member names, trailing octets, NUL characters
 * (U+0000), lone surrogates, more than JSON_DEPTH_MAX levels or JSON_NODES_MAX
 * values, and gives a tree whose nodes live in an arena and whose texts point
 * into the buffer. Why our own: contrib/notes/0001-own-json-reader.md.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define JSON_DEPTH_MAX 32
/* Values in one text; 64 octets of arena each. */
#define JSON_NODES_MAX 250000

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
	/*
	 * An array of 16 or more integers that are all 0..255, as some clients
	 * send attachments: text holds one octet for each, first is NULL.
	 */
	JSON_OCTETS,
};

struct json {
	enum json_type type;
	uint32_t count;	    /* elements or members */
	struct slice text;  /* string: decoded; number: as written; octets */
	struct slice name;  /* member name when inside an object, decoded */
	struct json *first; /* first element or member, or NULL */
	struct json *next;  /* next one of the same parent, or NULL */
};

/*
 * text: borrowed and CHANGED (strings are decoded in place), also on failure;
 * it must outlive the tree. Returns 0, or -1 with ERR_SYNTAX (or ERR_LIMIT) and
 * a text that names the line and column (in octets): "line 3, column 17:
 * expected ',' or
 * '}'".
 */
int json_parse(struct arena *arena, char *text, size_t len,
    const struct json **out, struct error *err) MUST_CHECK;

/* The member of that name, or NULL (also when obj is NULL or no object). */
const struct json *json_get(const struct json *obj, const char *name);
/* The string value of that member; NULL slice when absent or no string. */
struct slice json_get_text(const struct json *obj, const char *name);
/* An integer without fraction or exponent that fits. */
bool json_to_i64(const struct json *v, int64_t *out);
const char *json_type_name(enum json_type type);

#define json_each(item, parent)                                                \
	for (const struct json *item = (parent)->first; item != NULL;          \
	     item = item->next)

/*
 * The writer: appends to a strbuf and puts the commas itself.
 *
 *   json_begin_object(&w, NULL);
 *   json_text(&w, "id", id);
 *   json_end(&w);
 *
 * name is NULL inside arrays and at the top level.
 */
struct json_writer {
	struct strbuf *out; /* borrowed */
	unsigned int depth;
	uint8_t closer[JSON_DEPTH_MAX + 1];
	bool has_item[JSON_DEPTH_MAX + 1];
};

void json_writer_init(struct json_writer *w, struct strbuf *out);
void json_begin_object(struct json_writer *w, const char *name);
void json_begin_array(struct json_writer *w, const char *name);
void json_end(struct json_writer *w);
void json_text(struct json_writer *w, const char *name, struct slice value);
void json_cstr(struct json_writer *w, const char *name, const char *value);
/* A NULL pointer in value writes null. */
void json_text_or_null(struct json_writer *w, const char *name,
    struct slice value);
void json_int(struct json_writer *w, const char *name, int64_t value);
void json_bool(struct json_writer *w, const char *name, bool value);
/* Hidden: jansson, the oracle of the tests, has a function of this name, and
 * the library must not find ours. */
void json_null(struct json_writer *w, const char *name)
    __attribute__((visibility("hidden")));
/* raw must itself be one valid JSON value. */
void json_raw(struct json_writer *w, const char *name, struct slice raw);
/* A member whose name comes from data. */
void json_text_named(struct json_writer *w, struct slice name,
    struct slice value);
/* Appends "..." with escapes; ill-formed UTF-8 becomes U+FFFD. */
void json_quote(struct strbuf *out, struct slice text);

#endif

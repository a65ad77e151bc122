/*
 * The JSON reader against jansson: the same verdict, and what our writer
 * makes of our tree means to jansson what the input means.
 *
 * fuzz-rooms: base
 * fuzz-packages: libcrypto jansson
 * fuzz-sources: oracle_json.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "fuzz.h"
#include "oracle_json.h"

static void
write_octets(struct json_writer *w, const char *name, const struct json *v)
{
	invariant(v->first == NULL && v->text.len >= 16);
	json_begin_array(w, name);
	for (size_t i = 0; i < v->text.len; i++)
		json_int(w, NULL, (unsigned char)v->text.ptr[i]);
	json_end(w);
}

static void write_value(struct json_writer *w, const char *name,
    const struct json *v);

static void
write_items(struct json_writer *w, const struct json *v, struct arena *arena)
{
	uint32_t count = 0;

	json_each(item, v)
	{
		/* A decoded name holds no NUL, so a C string says it all. */
		const char *name = v->type == JSON_OBJECT
		    ? arena_dup(arena, item->name)
		    : NULL;

		write_value(w, name, item);
		count++;
	}
	invariant(count == v->count);
	json_end(w);
}

static void
write_value(struct json_writer *w, const char *name, const struct json *v)
{
	struct arena names = ARENA_INIT;

	switch (v->type) {
	case JSON_NULL:
		json_null(w, name);
		break;
	case JSON_FALSE:
	case JSON_TRUE:
		json_bool(w, name, v->type == JSON_TRUE);
		break;
	case JSON_NUMBER:
		json_raw(w, name, v->text);
		break;
	case JSON_STRING:
		json_text(w, name, v->text);
		break;
	case JSON_OCTETS:
		write_octets(w, name, v);
		break;
	case JSON_ARRAY:
		json_begin_array(w, name);
		write_items(w, v, &names);
		break;
	case JSON_OBJECT:
		json_begin_object(w, name);
		write_items(w, v, &names);
		break;
	}
	arena_fini(&names);
}

static void
check_good(const char *text, size_t size, const struct json *root)
{
	enum oracle_verdict verdict = oracle_json_check(text, size);
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	invariant(verdict != ORACLE_BAD && memchr(text, 0, size) == NULL);
	json_writer_init(&w, &out);
	write_value(&w, NULL, root);
	if (verdict == ORACLE_GOOD)
		invariant(oracle_json_same(text, size, out.ptr, out.len));
	strbuf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size > 0 ? (const char *)data : "";
	struct arena arena = ARENA_INIT;
	struct error err = { 0 };
	const struct json *root;
	char *copy = malloc(size > 0 ? size : 1);

	invariant(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	if (json_parse(&arena, copy, size, &root, &err) == 0)
		check_good(text, size, root);
	else if (err.kind != ERR_LIMIT && memchr(text, 0, size) == NULL)
		/* jansson loses a NUL octet that follows a number. */
		invariant(oracle_json_check(text, size) != ORACLE_GOOD);
	arena_fini(&arena);
	free(copy);
	return 0;
}

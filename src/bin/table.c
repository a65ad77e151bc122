#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "bin/table.h"

struct cell {
	enum { CELL_TEXT, CELL_NUMBER, CELL_NONE } kind;
	char *text;
	int64_t number; /* of JSON */
};

struct table {
	const char *const *columns;
	const char **json_columns;
	size_t width; /* columns */
	struct cell *cell;
	size_t count; /* cells */
};

struct table *
table_new(const char *const *columns)
{
	struct table *t = xmalloc(sizeof(*t));

	t->columns = columns;
	while (columns[t->width] != NULL)
		t->width++;
	t->json_columns = xcalloc(t->width, sizeof(*t->json_columns));
	for (size_t i = 0; i < t->width; i++)
		t->json_columns[i] = columns[i];
	return t;
}

void
table_json_name(struct table *t, const char *column, const char *name)
{
	size_t i = 0;

	while (i < t->width && strcmp(t->columns[i], column) != 0)
		i++;
	invariant(i < t->width);
	t->json_columns[i] = name;
}

void
table_free(struct table **tp)
{
	struct table *t = *tp;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->cell[i].text);
	free(t->cell);
	free(t->json_columns);
	free(t);
	*tp = NULL;
}

/* text is taken. */
void
table_add(struct table *t, struct slice text)
{
	t->cell = xrealloc(t->cell, (t->count + 1) * sizeof(*t->cell));
	t->cell[t->count++] =
	    (struct cell){ .kind = CELL_TEXT, .text = slice_dup(text) };
}

void
table_add_text(struct table *t, const char *text)
{
	table_add(t, slice_of(text));
}

void
table_add_int(struct table *t, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	table_add_measure(t, text, value);
}

void
table_add_measure(struct table *t, const char *text, int64_t value)
{
	table_add_text(t, text);
	t->cell[t->count - 1].kind = CELL_NUMBER;
	t->cell[t->count - 1].number = value;
}

void
table_add_none(struct table *t)
{
	table_add_text(t, "-");
	t->cell[t->count - 1].kind = CELL_NONE;
}

void
table_add_some(struct table *t, struct slice text)
{
	if (text.len > 0)
		table_add(t, text);
	else
		table_add_none(t);
}

void
table_add_time(struct table *t, int64_t ms)
{
	char text[CLOCK_ISO_LEN];

	if (ms == 0) {
		table_add_none(t);
		return;
	}
	clock_format_iso(ms, text);
	table_add_text(t, text);
}

size_t
table_rows(const struct table *t)
{
	return t->count / t->width;
}

/* What a terminal would obey, and what is no UTF-8, becomes '?': addresses and
 * names come from outside. JSON has its own way to say them. */
static void
make_printable(char *text)
{
	struct slice left = slice_of(text);
	char *out = text;

	while (left.len > 0) {
		const char *start = left.ptr;
		uint32_t ch = utf8_take(&left);
		size_t n = (size_t)(left.ptr - start);

		if (ch < 0x20 || (ch >= 0x7f && ch < 0xa0) ||
		    (ch == 0xfffd && n == 1)) {
			*out++ = '?';
			continue;
		}
		memmove(out, start, n);
		out += n;
	}
	*out = '\0';
}

static int
column_width(const struct table *t, size_t column)
{
	size_t width = slice_of(t->columns[column]).len;

	for (size_t i = column; i < t->count; i += t->width)
		width = MAX(width, slice_of(t->cell[i].text).len);
	return (int)MIN(width, 200);
}

static void
print_text(const struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		make_printable(t->cell[i].text);
	for (size_t i = 0; i < t->width; i++)
		printf("%-*s%s", i + 1 < t->width ? column_width(t, i) : 0,
		    t->columns[i], i + 1 < t->width ? "  " : "\n");
	for (size_t i = 0; i < t->count; i++) {
		bool last = i % t->width == t->width - 1;

		printf("%-*s%s", last ? 0 : column_width(t, i % t->width),
		    t->cell[i].text, last ? "\n" : "  ");
	}
}

static void
write_cell(struct json_writer *w, const char *name, const struct cell *cell)
{
	switch (cell->kind) {
	case CELL_TEXT:
		json_cstr(w, name, cell->text);
		break;
	case CELL_NUMBER:
		json_int(w, name, cell->number);
		break;
	case CELL_NONE:
		json_null(w, name);
		break;
	}
}

static void
write_row(struct json_writer *w, const struct table *t, size_t row)
{
	json_begin_object(w, NULL);
	for (size_t i = 0; i < t->width; i++)
		write_cell(w, t->json_columns[i], &t->cell[row * t->width + i]);
	json_end(w);
}

void
table_print_object(const struct table *t)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	write_row(&w, t, 0);
	puts(strbuf_text(&out));
	strbuf_fini(&out);
}

static void
print_json(const struct table *t)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_array(&w, NULL);
	for (size_t row = 0; row < table_rows(t); row++)
		write_row(&w, t, row);
	json_end(&w);
	puts(strbuf_text(&out));
	strbuf_fini(&out);
}

void
table_print(const struct table *t, bool json, const char *empty)
{
	if (json)
		print_json(t);
	else if (table_rows(t) == 0)
		puts(empty);
	else
		print_text(t);
}

/*
 * bin/table.h - rows for people, aligned, or for programs, as JSON. To people
 * control characters are shown as '?', so that no stored text moves a cursor.
 */
#ifndef BIN_TABLE_H
#define BIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct table;

/* columns: names, ends with NULL; borrowed. JSON uses them as they are. */
struct table *table_new(const char *const *columns);
/* What JSON calls a column of the table. Both names are borrowed. */
void table_json_name(struct table *t, const char *column, const char *name);
void table_free(struct table **t);
/* The next cell of the next row; rows fill up by themselves. */
void table_add(struct table *t, struct slice text);
void table_add_text(struct table *t, const char *text);
void table_add_int(struct table *t, int64_t value);
/* text for people, value (its unit is in the column's JSON name) in JSON. */
void table_add_measure(struct table *t, const char *text, int64_t value);
void table_add_none(struct table *t); /* "-", and null in JSON */
/* None when it is empty. */
void table_add_some(struct table *t, struct slice text);
/* Milliseconds since 1970; 0 is none. */
void table_add_time(struct table *t, int64_t ms);
/* As JSON: its first row alone, as one object. */
void table_print_object(const struct table *t);
size_t table_rows(const struct table *t);
/* empty: what to say when there are no rows (not in JSON). */
void table_print(const struct table *t, bool json, const char *empty);

#endif

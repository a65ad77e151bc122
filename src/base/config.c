#include "base/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/encode.h"
#include "base/mem.h"
#include "config_priv.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define KEY_MAX_BYTES SLICE_DISTANCE_MAX

static const struct config_row *
find_row(const struct config_row *rows, size_t n, struct slice key)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_text(key, rows[i].key))
			return &rows[i];
	return NULL;
}

static int
refuse_key(const struct config_row *rows, size_t n, struct slice key,
    const char *help, struct error *err)
{
	struct slice shown = slice_first(key, KEY_MAX_BYTES);
	size_t best = SIZE_MAX;
	const char *near = NULL;

	for (size_t i = 0; i < n; i++) {
		struct slice known = slice_of(rows[i].key);
		size_t d = slice_distance(shown, known);

		if (d < best) {
			best = d;
			near = rows[i].key;
		}
	}
	if (near != NULL && best <= 2 + key.len / 8)
		return error_set(err, ERR_CONFIG,
		    "unknown key '%.*s' (did you mean %s?)", SLICE_FMT(shown),
		    near);
	return error_set(err, ERR_CONFIG, "unknown key '%.*s'%s%s%s",
	    SLICE_FMT(shown), help != NULL ? " (" : "",
	    help != NULL ? help : "", help != NULL ? ")" : "");
}

/* A value in quotes, \" and \\ inside; only a comment may follow. */
static int
take_quoted(struct slice in, struct strbuf *out, struct error *err)
{
	while (in.len > 0 && *in.ptr != '"') {
		if (*in.ptr == '\\') {
			in = slice_from(in, 1);
			if (in.len == 0 || (*in.ptr != '"' && *in.ptr != '\\'))
				return error_set(err, ERR_CONFIG,
				    "only \\\" and \\\\ are known in quotes");
		}
		strbuf_add_char(out, *in.ptr);
		in = slice_from(in, 1);
	}
	if (!slice_take_char(&in, '"'))
		return error_set(err, ERR_CONFIG, "quote without end");
	in = slice_trim(in);
	if (in.len > 0 && *in.ptr != '#')
		return error_set(err, ERR_CONFIG,
		    "something follows the closing quote");
	return 0;
}

/* Up to a '#' that follows a blank. */
static void
take_bare(struct slice in, struct strbuf *out)
{
	size_t end = 0;

	while (end < in.len &&
	    (in.ptr[end] != '#' ||
		(end > 0 && in.ptr[end - 1] != ' ' && in.ptr[end - 1] != '\t')))
		end++;
	strbuf_add_slice(out, slice_trim(slice_first(in, end)));
}

struct parse {
	const struct config_row *rows;
	size_t n;
	void *settings;
	struct config_report *report;
};

static int
set_value(struct parse *p, const struct config_row *row, struct slice line,
    struct error *err)
{
	struct strbuf value = STRBUF_INIT;
	int rc = 0;

	if (slice_take_char(&line, '"'))
		rc = take_quoted(line, &value, err);
	else
		take_bare(line, &value);
	if (rc == 0)
		rc = config_value_set(row, slice_of(strbuf_text(&value)),
		    p->settings, err);
	strbuf_fini(&value);
	return rc;
}

static int
set_line(struct parse *p, unsigned int number, struct slice line,
    struct error *err)
{
	const struct config_row *row;
	struct config_place *place;
	struct slice key = slice_trim(slice_take_until(&line, '='));

	row = find_row(p->rows, p->n, key);
	if (row == NULL)
		return refuse_key(p->rows, p->n, key, p->report->help, err);
	place = &p->report->place[row - p->rows];
	if (place->line != 0)
		return error_set(err, ERR_CONFIG,
		    "%s was already set in line %u", row->key, place->line);
	place->line = number;
	if (set_value(p, row, slice_trim(line), err) == 0)
		return 0;
	place->refused = true;
	return -1;
}

static int
check_line(struct slice line, struct error *err)
{
	if (!utf8_is_valid(line))
		return error_set(err, ERR_CONFIG, "not UTF-8");
	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.ptr[i] < ' ' && line.ptr[i] != '\t')
			return error_set(err, ERR_CONFIG, "control character");
	return 0;
}

static int
parse_line(struct parse *p, unsigned int number, struct slice line,
    struct error *err)
{
	if (check_line(line, err) != 0)
		return -1;
	line = slice_trim(line);
	if (line.len == 0 || *line.ptr == '#')
		return 0;
	if (!slice_has_char(line, '='))
		return error_set(err, ERR_CONFIG, "expected 'key = value'");
	return set_line(p, number, line, err);
}

/* A default that its own row refuses is our mistake. */
static void
set_defaults(const struct config_row *rows, size_t n, void *settings)
{
	for (size_t i = 0; i < n; i++) {
		struct error err = { 0 };

		if (rows[i].fallback != NULL &&
		    config_value_set(&rows[i], slice_of(rows[i].fallback),
			settings, &err) != 0)
			die("default of %s: %s", rows[i].key, err.text);
	}
}

void
config_report_add(struct config_report *r, unsigned int line,
    const struct error *why)
{
	struct error err = { .kind = why->kind, .sys = why->sys };
	char text[sizeof(why->text) + 100];

	r->count++;
	if (line > 0)
		snprintf(text, sizeof(text), "%s:%u: %s", r->name, line,
		    why->text);
	else
		snprintf(text, sizeof(text), "%s: %s", r->name, why->text);
	if (r->first.kind == ERR_NONE) {
		error_set(&err, why->kind, "%s", text);
		r->first = err;
	}
	if (r->mistake == NULL || r->count > CONFIG_MISTAKES_MAX + 1)
		return;
	if (r->count > CONFIG_MISTAKES_MAX)
		snprintf(text, sizeof(text),
		    "%s: there are more mistakes: mend these first", r->name);
	r->mistake(r->ctx, text);
}

void
config_refuse(const struct config_row *rows, size_t n,
    struct config_report *report, const char *key, const char *other,
    const char *why)
{
	const struct config_row *row = find_row(rows, n, slice_of(key));
	const struct config_row *second = find_row(rows, n, slice_of(other));
	struct config_place a, b;
	struct error err = { 0 };

	invariant(row != NULL && second != NULL);
	a = report->place[row - rows];
	b = report->place[second - rows];
	if (a.refused || b.refused)
		return;
	error_set(&err, ERR_CONFIG, "%s", why);
	config_report_add(report, a.line > 0 ? a.line : b.line, &err);
}

int
config_parse_part(const struct config_row *rows, size_t n, struct slice text,
    unsigned int first_line, void *settings, struct config_report *report)
{
	struct parse p = { rows, n, settings, report };
	unsigned int number = first_line - 1;
	size_t before = report->count;
	struct slice line;

	report->place = xcalloc(n, sizeof(*report->place));
	set_defaults(rows, n, settings);
	while (slice_take_line(&text, &line)) {
		struct error err = { 0 };

		number++;
		if (parse_line(&p, number, line, &err) != 0)
			config_report_add(report, number, &err);
	}
	return report->count == before ? 0 : -1;
}

int
config_report_end(struct config_report *report, struct error *err)
{
	config_report_fini(report);
	if (report->count == 0)
		return 0;
	if (report->count == 1 || report->mistake != NULL) {
		*err = report->first;
		return -1;
	}
	return error_set(err, report->first.kind,
	    "%s (one of %zu mistakes: 'verpost check' lists them)",
	    report->first.text, report->count);
}

void
config_report_fini(struct config_report *report)
{
	free(report->place);
	report->place = NULL;
}

int
config_parse(const struct config_row *rows, size_t n, struct slice text,
    void *settings, struct config_report *report)
{
	return config_parse_part(rows, n, text, 1, settings, report);
}

int
config_read_file(const char *path, struct strbuf *text, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t got = 1;
	int rc = 0;

	if (fd < 0)
		return error_sys(err, "cannot open it");
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, ERR_CONFIG, "not a regular file");
	}
	while (got > 0 && text->len <= FILE_MAX_BYTES) {
		char part[4096];

		got = read(fd, part, sizeof(part));
		if (got > 0)
			strbuf_add(text, part, (size_t)got);
	}
	if (got < 0)
		rc = error_sys(err, "cannot read it");
	else if (text->len > FILE_MAX_BYTES)
		rc = error_set(err, ERR_CONFIG, "too large");
	close(fd);
	return rc;
}

int
config_load(const struct config_row *rows, size_t n, const char *path,
    void *settings, struct config_report *report)
{
	struct strbuf text = STRBUF_INIT;
	struct error err = { 0 };
	int rc = config_read_file(path, &text, &err);

	if (rc == 0)
		rc = config_parse(rows, n, strbuf_slice(&text), settings,
		    report);
	else
		config_report_add(report, 0, &err);
	strbuf_fini(&text);
	return rc;
}

void
config_fini(const struct config_row *rows, size_t n, void *settings)
{
	for (size_t i = 0; i < n; i++) {
		char **text = (void *)((char *)settings + rows[i].offset);

		if (rows[i].type != CONFIG_TEXT)
			continue;
		free(*text);
		*text = NULL;
	}
}

void
config_print(const struct config_row *rows, size_t n, const void *settings,
    struct strbuf *out)
{
	for (size_t i = 0; i < n; i++) {
		strbuf_add_text(out, rows[i].key);
		strbuf_add_text(out, " = ");
		config_value_print(&rows[i], settings, out);
		strbuf_add_char(out, '\n');
	}
}

/* As comment lines of at most 78 octets. */
static void
wrap(struct slice text, struct strbuf *out)
{
	size_t column = 0;

	while (text.len > 0) {
		struct slice word = slice_take_until(&text, ' ');

		if (word.len == 0)
			continue;
		if (column > 0 && column + 1 + word.len > 78) {
			strbuf_add_char(out, '\n');
			column = 0;
		}
		strbuf_add_text(out, column == 0 ? "# " : " ");
		strbuf_add_slice(out, word);
		column += word.len + (column == 0 ? 2 : 1);
	}
	if (column > 0)
		strbuf_add_char(out, '\n');
}

static void
document_bounds(const struct config_row *row, struct strbuf *out)
{
	struct strbuf text = STRBUF_INIT;

	if (row->type == CONFIG_CHOICE) {
		strbuf_add_text(&text, "One of:");
		for (size_t i = 0; row->choices[i] != NULL; i++)
			strbuf_add_fmt(&text, " %s", row->choices[i]);
	} else if (row->type == CONFIG_BOOL) {
		strbuf_add_text(&text, "yes or no");
	} else if (row->type != CONFIG_TEXT && row->largest != 0) {
		config_range_print(row, &text);
	}
	wrap(strbuf_slice(&text), out);
	strbuf_fini(&text);
}

void
config_document(const struct config_row *rows, size_t n, struct strbuf *out)
{
	for (size_t i = 0; i < n; i++) {
		const char *fallback = rows[i].fallback;

		if (i > 0)
			strbuf_add_char(out, '\n');
		wrap(slice_of(rows[i].help), out);
		document_bounds(&rows[i], out);
		strbuf_add_fmt(out, "#%s =%s%s\n", rows[i].key,
		    fallback != NULL && *fallback != '\0' ? " " : "",
		    fallback != NULL ? fallback : "");
	}
}

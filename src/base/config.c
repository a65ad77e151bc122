#include "base/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/encode.h"
#include "base/mem.h"
#include "config_priv.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define KEY_MAX_BYTES 64

static const struct config_row *
find_row(const struct config_row *rows, size_t n, struct slice key)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_text(key, rows[i].key))
			return &rows[i];
	return NULL;
}

/* Levenshtein distance; both at most KEY_MAX_BYTES long. */
static size_t
distance(struct slice a, struct slice b)
{
	size_t row[KEY_MAX_BYTES + 1];

	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t same = corner +
			    (ascii_lower(a.ptr[i - 1]) != b.ptr[j - 1]);

			corner = row[j];
			row[j] = MIN(MIN(row[j], row[j - 1]) + 1, same);
		}
	}
	return row[b.len];
}

static int
refuse_key(const struct config_row *rows, size_t n, struct slice key,
    struct error *err)
{
	struct slice shown = slice_first(key, KEY_MAX_BYTES);
	size_t best = SIZE_MAX;
	const char *near = NULL;

	for (size_t i = 0; i < n; i++) {
		struct slice known = slice_of(rows[i].key);
		size_t d;

		invariant(known.len <= KEY_MAX_BYTES);
		d = distance(shown, known);
		if (d < best) {
			best = d;
			near = rows[i].key;
		}
	}
	if (near != NULL && best <= 2 + key.len / 8)
		return error_set(err, ERR_CONFIG,
		    "unknown key '%.*s' (did you mean %s?)", SLICE_FMT(shown),
		    near);
	return error_set(err, ERR_CONFIG, "unknown key '%.*s'",
	    SLICE_FMT(shown));
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
	unsigned int *seen; /* line of each row, 0 = not there */
};

static int
set_line(struct parse *p, unsigned int number, struct slice line,
    struct error *err)
{
	const struct config_row *row;
	struct strbuf value = STRBUF_INIT;
	struct slice key = slice_trim(slice_take_until(&line, '='));
	int rc = 0;

	line = slice_trim(line);
	row = find_row(p->rows, p->n, key);
	if (row == NULL)
		return refuse_key(p->rows, p->n, key, err);
	if (p->seen[row - p->rows] != 0)
		return error_set(err, ERR_CONFIG,
		    "%s was already set in line %u", row->key,
		    p->seen[row - p->rows]);
	p->seen[row - p->rows] = number;
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

int
config_parse_part(const struct config_row *rows, size_t n, struct slice text,
    const char *name, unsigned int first_line, void *settings,
    struct error *err)
{
	struct parse p = { rows, n, settings, xcalloc(n, sizeof(*p.seen)) };
	unsigned int number = first_line - 1;
	struct slice line;
	int rc = 0;

	set_defaults(rows, n, settings);
	while (rc == 0 && slice_take_line(&text, &line)) {
		number++;
		rc = parse_line(&p, number, line, err);
	}
	free(p.seen);
	if (rc != 0) {
		config_fini(rows, n, settings);
		if (err != NULL) {
			struct error why = *err;

			error_set(err, ERR_CONFIG, "%s:%u: %s", name, number,
			    why.text);
		}
	}
	return rc;
}

int
config_parse(const struct config_row *rows, size_t n, struct slice text,
    const char *name, void *settings, struct error *err)
{
	return config_parse_part(rows, n, text, name, 1, settings, err);
}

int
config_read_file(const char *path, struct strbuf *text, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t got = 1;
	int rc = 0;

	if (fd < 0)
		return error_sys(err, "cannot open %s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, ERR_CONFIG, "%s is not a regular file",
		    path);
	}
	while (got > 0 && text->len <= FILE_MAX_BYTES) {
		char part[4096];

		got = read(fd, part, sizeof(part));
		if (got > 0)
			strbuf_add(text, part, (size_t)got);
	}
	if (got < 0)
		rc = error_sys(err, "cannot read %s", path);
	else if (text->len > FILE_MAX_BYTES)
		rc = error_set(err, ERR_CONFIG, "%s is too large", path);
	close(fd);
	return rc;
}

int
config_load(const struct config_row *rows, size_t n, const char *path,
    void *settings, struct error *err)
{
	struct strbuf text = STRBUF_INIT;
	int rc = config_read_file(path, &text, err);

	if (rc == 0)
		rc = config_parse(rows, n, strbuf_slice(&text), path, settings,
		    err);
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

#include "config_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define VALUE_SHOWN_BYTES 60

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* The largest first, so that printing takes the first that divides. */
static const struct unit durations[] = {
	{ "d", 24ULL * 3600 * 1000 },
	{ "h", 3600ULL * 1000 },
	{ "m", 60ULL * 1000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

static const struct unit sizes[] = {
	{ "G", 1ULL << 30 },
	{ "M", 1ULL << 20 },
	{ "k", 1ULL << 10 },
	{ "", 1 },
};

static const struct {
	const char *word;
	bool value;
} switches[] = {
	{ "yes", true },
	{ "true", true },
	{ "on", true },
	{ "no", false },
	{ "false", false },
	{ "off", false },
};

static const struct unit *
units_of(enum config_type type, size_t *n)
{
	static const struct unit plain[] = { { "", 1 } };

	switch (type) {
	case CONFIG_DURATION:
		*n = ARRAY_LEN(durations);
		return durations;
	case CONFIG_SIZE:
		*n = ARRAY_LEN(sizes);
		return sizes;
	case CONFIG_TEXT:
	case CONFIG_BOOL:
	case CONFIG_UINT:
	case CONFIG_CHOICE:
		break;
	}
	*n = 1;
	return plain;
}

static void
number_print(enum config_type type, uint64_t value, struct strbuf *out)
{
	size_t n;
	const struct unit *u = units_of(type, &n);
	const struct unit *last = u + n - 1;

	while (value != 0 && u < last && value % u->factor != 0)
		u++;
	if (value == 0)
		u = last;
	strbuf_add_u64(out, value / u->factor);
	strbuf_add_text(out, u->suffix);
}

static bool
number_read(enum config_type type, struct slice text, uint64_t *out)
{
	size_t n, digits = 0;
	const struct unit *u = units_of(type, &n);
	uint64_t value;
	struct slice suffix;

	while (digits < text.len && ascii_is_digit(text.ptr[digits]))
		digits++;
	suffix = slice_from(text, digits);
	if (!slice_to_u64(slice_first(text, digits), &value))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (slice_eq_nocase(suffix, slice_of(u[i].suffix)))
			return !__builtin_mul_overflow(value, u[i].factor, out);
	}
	return false;
}

bool
config_duration_read(struct slice text, uint64_t *ms)
{
	return number_read(CONFIG_DURATION, text, ms);
}

void
config_range_print(const struct config_row *row, struct strbuf *out)
{
	if (row->largest == 0)
		return;
	number_print(row->type, row->smallest, out);
	strbuf_add_text(out, " .. ");
	number_print(row->type, row->largest, out);
}

static int
refuse_number(const struct config_row *row, const char *expected,
    struct error *err)
{
	struct strbuf range = STRBUF_INIT;

	config_range_print(row, &range);
	error_set(err, ERR_CONFIG, "%s must be %s%s%s", row->key, expected,
	    range.len > 0 ? ", " : "", strbuf_text(&range));
	strbuf_fini(&range);
	return -1;
}

static int
set_number(const struct config_row *row, struct slice value, uint64_t *to,
    struct error *err)
{
	const char *expected = "a number";
	uint64_t number;

	if (row->type == CONFIG_SIZE)
		expected = "a size like 64k, 40M or 2G";
	else if (row->type == CONFIG_DURATION)
		expected = "a time with its unit, like 250ms, 30s, 5m or 72h";
	if (!number_read(row->type, value, &number) ||
	    (row->largest != 0 &&
		(number < row->smallest || number > row->largest)))
		return refuse_number(row, expected, err);
	*to = number;
	return 0;
}

static int
set_bool(const struct config_row *row, struct slice value, bool *to,
    struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
		if (slice_eq_nocase(value, slice_of(switches[i].word))) {
			*to = switches[i].value;
			return 0;
		}
	}
	return error_set(err, ERR_CONFIG, "%s must be yes or no", row->key);
}

static int
set_choice(const struct config_row *row, struct slice value, int *to,
    struct error *err)
{
	struct strbuf all = STRBUF_INIT;

	for (int i = 0; row->choices[i] != NULL; i++) {
		if (slice_eq_text(value, row->choices[i])) {
			*to = i;
			strbuf_fini(&all);
			return 0;
		}
		if (i > 0)
			strbuf_add_text(&all, ", ");
		strbuf_add_text(&all, row->choices[i]);
	}
	error_set(err, ERR_CONFIG, "%s must be one of: %s", row->key,
	    strbuf_text(&all));
	strbuf_fini(&all);
	return -1;
}

static int
set_text(const struct config_row *row, struct slice value, char **to,
    struct error *err)
{
	char *text = slice_dup(value);

	if (row->form != NULL && !row->form->accepts(text)) {
		free(text);
		return error_set(err, ERR_CONFIG, "%s must be %s, not '%.*s'",
		    row->key, row->form->wants,
		    SLICE_FMT(slice_first(value, VALUE_SHOWN_BYTES)));
	}
	free(*to);
	*to = text;
	return 0;
}

int
config_value_set(const struct config_row *row, struct slice value,
    void *settings, struct error *err)
{
	void *field = (char *)settings + row->offset;

	switch (row->type) {
	case CONFIG_TEXT:
		return set_text(row, value, field, err);
	case CONFIG_BOOL:
		return set_bool(row, value, field, err);
	case CONFIG_UINT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		return set_number(row, value, field, err);
	case CONFIG_CHOICE:
		return set_choice(row, value, field, err);
	}
	return error_set(err, ERR_CONFIG, "%s has no type", row->key);
}

/* Quotes what the parser would not give back as it is. */
static void
text_print(struct slice text, struct strbuf *out)
{
	bool plain = text.len > 0 && slice_trim(text).len == text.len &&
	    !slice_has_char(text, '"') && !slice_has_char(text, '#');

	if (plain) {
		strbuf_add_slice(out, text);
		return;
	}
	strbuf_add_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			strbuf_add_char(out, '\\');
		strbuf_add_char(out, text.ptr[i]);
	}
	strbuf_add_char(out, '"');
}

void
config_value_print(const struct config_row *row, const void *settings,
    struct strbuf *out)
{
	const void *field = (const char *)settings + row->offset;
	char *const *text = field;

	switch (row->type) {
	case CONFIG_TEXT:
		text_print(slice_of(*text != NULL ? *text : ""), out);
		break;
	case CONFIG_BOOL:
		strbuf_add_text(out, *(const bool *)field ? "yes" : "no");
		break;
	case CONFIG_UINT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		number_print(row->type, *(const uint64_t *)field, out);
		break;
	case CONFIG_CHOICE:
		strbuf_add_text(out, row->choices[*(const int *)field]);
		break;
	}
}

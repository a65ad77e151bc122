#include "base/slice.h"

#include "base/mem.h"

bool
slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
slice_eq_text(struct slice a, const char *text)
{
	return slice_eq(a, slice_of(text));
}

bool
slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

bool
slice_starts_nocase(struct slice s, struct slice prefix)
{
	return slice_eq_nocase(slice_first(s, prefix.len), prefix);
}

bool
slice_starts(struct slice s, struct slice prefix)
{
	return slice_eq(slice_first(s, prefix.len), prefix);
}

bool
slice_ends_nocase(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len &&
	    slice_eq_nocase(slice_from(s, s.len - suffix.len), suffix);
}

size_t
slice_distance(struct slice a, struct slice b)
{
	size_t row[SLICE_DISTANCE_MAX + 1];

	a = slice_first(a, SLICE_DISTANCE_MAX);
	b = slice_first(b, SLICE_DISTANCE_MAX);
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t same = corner +
			    (ascii_lower(a.ptr[i - 1]) !=
				ascii_lower(b.ptr[j - 1]));

			corner = row[j];
			row[j] = MIN(MIN(row[j], row[j - 1]) + 1, same);
		}
	}
	return row[b.len];
}

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = MIN(a.len, b.len);
	int c = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;

	if (c != 0)
		return c;
	return a.len < b.len ? -1 : a.len > b.len;
}

size_t
slice_find_char(struct slice s, char c)
{
	const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

	return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

size_t
slice_find(struct slice s, struct slice needle)
{
	const char *at = NULL;

	if (needle.len == 0)
		return 0;
	if (s.len > 0)
		at = memmem(s.ptr, s.len, needle.ptr, needle.len);
	return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

bool
slice_has_char(struct slice s, char c)
{
	return slice_find_char(s, c) < s.len;
}

static struct slice
trim(struct slice s, bool lines_too)
{
	while (s.len > 0 &&
	    (*s.ptr == ' ' || *s.ptr == '\t' ||
		(lines_too && (*s.ptr == '\r' || *s.ptr == '\n'))))
		s = slice_from(s, 1);
	while (s.len > 0) {
		char c = s.ptr[s.len - 1];

		if (c != ' ' && c != '\t' &&
		    !(lines_too && (c == '\r' || c == '\n')))
			break;
		s.len--;
	}
	return s;
}

struct slice
slice_trim(struct slice s)
{
	return trim(s, false);
}

struct slice
slice_trim_lines(struct slice s)
{
	return trim(s, true);
}

bool
slice_take_char(struct slice *s, char c)
{
	if (s->len == 0 || *s->ptr != c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

bool
slice_take_uint(struct slice *s, size_t max_digits, uint16_t *out)
{
	unsigned int value = 0;
	size_t n = 0;

	while (n < s->len && ascii_is_digit(s->ptr[n])) {
		value = value * 10 + (unsigned int)(s->ptr[n] - '0');
		n++;
		if (n > max_digits || value > UINT16_MAX)
			return false;
	}
	if (n == 0)
		return false;
	*out = (uint16_t)value;
	*s = slice_from(*s, n);
	return true;
}

struct slice
slice_take_until(struct slice *s, char c)
{
	size_t at = slice_find_char(*s, c);
	struct slice head = slice_first(*s, at);

	*s = slice_from(*s, at + 1);
	return head;
}

bool
slice_take_line(struct slice *s, struct slice *line)
{
	if (s->len == 0)
		return false;
	*line = slice_take_until(s, '\n');
	if (line->len > 0 && line->ptr[line->len - 1] == '\r')
		line->len--;
	return true;
}

bool
slice_to_u64(struct slice s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit(s.ptr[i]) ||
		    __builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'),
			&value))
			return false;
	}
	*out = value;
	return true;
}

bool
slice_to_i64(struct slice s, int64_t *out)
{
	bool negative = slice_take_char(&s, '-');
	uint64_t value;

	if (!slice_to_u64(s, &value) || value > (uint64_t)INT64_MAX + negative)
		return false;
	/* In two steps: the smallest number has no positive twin. */
	*out =
	    negative && value > 0 ? -(int64_t)(value - 1) - 1 : (int64_t)value;
	return true;
}

char *
slice_dup(struct slice s)
{
	return xmemdup(s.ptr, s.len);
}

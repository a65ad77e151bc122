/*
 * A line is built in a fixed buffer, so that logging works without memory,
 * and leaves by one write(2), so that the lines of several processes do not
 * mix (LINE_MAX_BYTES is below PIPE_BUF). What does not fit is cut and marked.
 *
 * The level, the role and the sink are the one exception to "nothing global":
 * every line of the process goes the same way, and log_at_() must be able to
 * skip a debug line without a context in hand.
 */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"

#define LINE_MAX_BYTES 4000
#define VALUE_MAX_BYTES 1000 /* of one field, before escaping */
#define PARENTS_MAX 8

struct line {
	size_t len;
	bool cut;
	char text[LINE_MAX_BYTES + 1]; /* room for the LF */
};

static struct {
	char role[24];
	enum log_level level;
	void (*sink)(void *ctx, enum log_level, struct slice line);
	void *sink_ctx;
} root = { "verpost", LOG_LEVEL_INFO, NULL, NULL };

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void
log_setup(const char *role, enum log_level level)
{
	snprintf(root.role, sizeof(root.role), "%s", role);
	root.level = level;
}

void
log_set_level(enum log_level level)
{
	root.level = level;
}

enum log_level
log_level(void)
{
	return root.level;
}

bool
log_level_parse(struct slice text, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (slice_eq_text(text, level_names[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void
log_set_sink(void (*fn)(void *ctx, enum log_level, struct slice line),
    void *ctx)
{
	root.sink = fn;
	root.sink_ctx = ctx;
}

/* Appends all of it or nothing: an escape is never split. */
static void
put(struct line *l, const char *ptr, size_t len)
{
	if (l->cut || len > LINE_MAX_BYTES - l->len) {
		l->cut = true;
		return;
	}
	memcpy(l->text + l->len, ptr, len);
	l->len += len;
}

static void
put_text(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

/* Octets that stand bare: nothing that could end or forge a field. */
static bool
is_bare(char c)
{
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && c != '"' &&
	    c != '\\' && c != '=';
}

static void
put_escaped(struct line *l, char c)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char u = (unsigned char)c;
	char esc[4] = { '\\', 'x', hex[u >> 4], hex[u & 15] };

	switch (c) {
	case '"':
		put(l, "\\\"", 2);
		break;
	case '\\':
		put(l, "\\\\", 2);
		break;
	case '\n':
		put(l, "\\n", 2);
		break;
	case '\r':
		put(l, "\\r", 2);
		break;
	case '\t':
		put(l, "\\t", 2);
		break;
	default:
		if (u < ' ' || u >= 0x7f)
			put(l, esc, sizeof(esc));
		else
			put(l, &c, 1);
	}
}

static void
put_value(struct line *l, struct slice s)
{
	struct slice shown = slice_first(s, VALUE_MAX_BYTES);
	bool bare = shown.len > 0;

	for (size_t i = 0; bare && i < shown.len; i++)
		bare = is_bare(shown.ptr[i]);
	if (bare) {
		put(l, shown.ptr, shown.len);
	} else {
		put(l, "\"", 1);
		for (size_t i = 0; i < shown.len; i++)
			put_escaped(l, shown.ptr[i]);
		put(l, "\"", 1);
	}
	if (shown.len < s.len)
		put(l, "...", 3);
}

static void
put_field(struct line *l, const struct log_field *f)
{
	char digits[24];

	if (f->key == NULL)
		return;
	put(l, " ", 1);
	put_text(l, f->key);
	put(l, "=", 1);
	switch (f->kind) {
	case LOG_F_TEXT:
		put_value(l, slice_of(f->text != NULL ? f->text : ""));
		break;
	case LOG_F_SLICE:
		put_value(l, f->slice);
		break;
	case LOG_F_UINT:
		snprintf(digits, sizeof(digits), "%llu",
		    (unsigned long long)f->u);
		put_text(l, digits);
		break;
	case LOG_F_INT:
		snprintf(digits, sizeof(digits), "%lld", (long long)f->i);
		put_text(l, digits);
		break;
	}
}

/* The outermost context first. */
static void
put_context(struct line *l, const struct log_ctx *ctx)
{
	const struct log_ctx *chain[PARENTS_MAX];
	size_t n = 0;

	while (ctx != NULL && n < PARENTS_MAX) {
		chain[n++] = ctx;
		ctx = ctx->parent;
	}
	while (n > 0) {
		n--;
		for (size_t i = 0; i < ARRAY_LEN(chain[n]->field); i++)
			put_field(l, &chain[n]->field[i]);
	}
}

static void
write_out(const char *ptr, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, ptr, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nowhere left to complain */
		ptr += n;
		len -= (size_t)n;
	}
}

void
log_write(enum log_level level, const struct log_ctx *ctx, const char *event,
    size_t n, const struct log_field *fields)
{
	char time[CLOCK_ISO_LEN];
	int saved_errno = errno;
	struct line l;

	l.len = 0;
	l.cut = false;
	clock_format_iso(clock_now_ms(), time);
	put_text(&l, time);
	put(&l, " ", 1);
	put_text(&l, level_names[level]);
	put(&l, " ", 1);
	put_text(&l, root.role);
	put(&l, " ", 1);
	put_text(&l, event);
	put_context(&l, ctx);
	for (size_t i = 0; i < n; i++)
		put_field(&l, &fields[i]);
	if (l.cut) {
		l.len = MIN(l.len, LINE_MAX_BYTES - 4);
		memcpy(l.text + l.len, " ...", 4);
		l.len += 4;
	}
	if (root.sink != NULL) {
		root.sink(root.sink_ctx, level, slice_mem(l.text, l.len));
	} else {
		l.text[l.len] = '\n';
		write_out(l.text, l.len + 1);
	}
	errno = saved_errno;
}

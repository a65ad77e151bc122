#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void
strbuf_init(struct strbuf *b, size_t max_bytes)
{
	*b = (struct strbuf)STRBUF_INIT;
	if (max_bytes != 0)
		b->max = max_bytes;
}

void
strbuf_fini(struct strbuf *b)
{
	free(b->ptr);
	strbuf_init(b, b->max);
}

void
strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->ptr != NULL)
		b->ptr[0] = '\0';
}

bool
strbuf_reserve(struct strbuf *b, size_t more)
{
	size_t want, cap;

	if (b->overflow || more > b->max - b->len) {
		b->overflow = true;
		return false;
	}
	want = b->len + more + 1;
	if (want <= b->cap)
		return true;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < want)
		cap += cap / 2;
	b->ptr = xrealloc(b->ptr, cap);
	b->cap = cap;
	b->ptr[b->len] = '\0';
	return true;
}

void
strbuf_add(struct strbuf *b, const void *ptr, size_t len)
{
	if (!strbuf_reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->ptr + b->len, ptr, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

void
strbuf_add_slice(struct strbuf *b, struct slice s)
{
	strbuf_add(b, s.ptr, s.len);
}

void
strbuf_add_text(struct strbuf *b, const char *text)
{
	strbuf_add(b, text, strlen(text));
}

void
strbuf_add_char(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void
strbuf_add_vfmt(struct strbuf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0 || !strbuf_reserve(b, (size_t)n))
		return;
	vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void
strbuf_add_fmt(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_add_vfmt(b, fmt, ap);
	va_end(ap);
}

void
strbuf_add_u64(struct strbuf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	strbuf_add(b, digits + at, sizeof(digits) - at);
}

void
strbuf_truncate(struct strbuf *b, size_t len)
{
	invariant(len <= b->len);
	b->len = len;
	if (b->ptr != NULL)
		b->ptr[len] = '\0';
}

void
strbuf_drop(struct strbuf *b, size_t n)
{
	invariant(n <= b->len);
	if (n == 0)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n + 1);
	b->len -= n;
}

const char *
strbuf_text(const struct strbuf *b)
{
	return b->ptr != NULL ? b->ptr : "";
}

char *
strbuf_take(struct strbuf *b)
{
	char *text = b->ptr != NULL ? b->ptr : xstrdup("");

	strbuf_init(b, b->max);
	return text;
}

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

NORETURN static void
out_of_memory(size_t size)
{
	fprintf(stderr, "verpost: out of memory (%zu octets wanted)\n", size);
	abort();
}

void *
xmalloc(size_t size)
{
	void *ptr = calloc(1, size > 0 ? size : 1);

	if (ptr == NULL)
		out_of_memory(size);
	return ptr;
}

void *
xcalloc(size_t n, size_t size)
{
	void *ptr = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

	if (ptr == NULL)
		out_of_memory(n);
	return ptr;
}

void *
xrealloc(void *ptr, size_t size)
{
	void *grown = realloc(ptr, size > 0 ? size : 1);

	if (grown == NULL)
		out_of_memory(size);
	return grown;
}

void *
xmemdup(const void *ptr, size_t len)
{
	char *copy;

	if (len == SIZE_MAX)
		out_of_memory(len);
	copy = malloc(len + 1);
	if (copy == NULL)
		out_of_memory(len);
	if (len > 0)
		memcpy(copy, ptr, len);
	copy[len] = '\0';
	return copy;
}

char *
xstrdup(const char *text)
{
	return xmemdup(text, strlen(text));
}

char *
xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0 || text == NULL)
		out_of_memory(0);
	return text;
}

void
mem_wipe_free(void *ptr, size_t len)
{
	if (ptr == NULL)
		return;
	explicit_bzero(ptr, len);
	free(ptr);
}

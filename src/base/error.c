#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Marks a text that did not fit. */
static void
mark_cut(char *text, size_t size, int wanted)
{
	if (wanted >= 0 && (size_t)wanted >= size)
		memcpy(text + size - 4, "...", 4);
}

PRINTF_LIKE(4, 0)
static void
set_text(struct error *err, enum err_kind kind, int sys, const char *fmt,
    va_list ap)
{
	int n;

	err->kind = kind;
	err->sys = sys;
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	mark_cut(err->text, sizeof(err->text), n);
}

int
error_set(struct error *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (err != NULL) {
		va_start(ap, fmt);
		set_text(err, kind, 0, fmt, ap);
		va_end(ap);
	}
	return -1;
}

int
error_sys(struct error *err, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;

	if (err != NULL) {
		size_t len;
		int n;

		va_start(ap, fmt);
		set_text(err, ERR_SYS, sys, fmt, ap);
		va_end(ap);
		len = strlen(err->text);
		n = snprintf(err->text + len, sizeof(err->text) - len, ": %s",
		    strerror(sys));
		if (n >= 0)
			mark_cut(err->text, sizeof(err->text), (int)len + n);
	}
	return -1;
}

int
error_add(struct error *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t len;
	int n;

	if (err == NULL)
		return -1;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	mark_cut(err->text, sizeof(err->text), n);
	len = strlen(err->text);
	n = snprintf(err->text + len, sizeof(err->text) - len, ": %s", old);
	if (n >= 0)
		mark_cut(err->text, sizeof(err->text), (int)len + n);
	return -1;
}

const char *
error_kind_name(enum err_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return "none";
	case ERR_SYNTAX:
		return "syntax";
	case ERR_LIMIT:
		return "limit";
	case ERR_NOTFOUND:
		return "notfound";
	case ERR_DENIED:
		return "denied";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_NET:
		return "net";
	case ERR_DNS:
		return "dns";
	case ERR_TLS:
		return "tls";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_STORE:
		return "store";
	case ERR_SYS:
		return "sys";
	case ERR_CRYPTO:
		return "crypto";
	case ERR_CONFIG:
		return "config";
	case ERR_UNAVAIL:
		return "unavail";
	}
	return "unknown";
}

void
die_say(const char *fmt, va_list ap)
{
	fputs("verpost: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	die_say(fmt, ap);
	va_end(ap);
	exit(1);
}

void
invariant_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "verpost: invariant broken: %s (%s:%d)\n", what, file,
	    line);
	abort();
}

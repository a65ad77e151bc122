/* base/error.h - what went wrong: a kind for code, a text for people. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>

#include "base/attr.h"

enum err_kind {
	ERR_NONE = 0,
	ERR_SYNTAX,   /* foreign bytes are not of the expected form */
	ERR_LIMIT,    /* too large, too many, too deep */
	ERR_NOTFOUND, /* the thing named does not exist */
	ERR_DENIED,   /* not allowed */
	ERR_CONFLICT, /* clashes with what is already there */
	ERR_NET,      /* connect, read, write, reset */
	ERR_DNS,      /* name resolution failed, may work later */
	ERR_TLS,      /* handshake or certificate */
	ERR_TIMEOUT,  /* a deadline passed */
	ERR_STORE,    /* Postgres or Redis refused or is away */
	ERR_SYS,      /* a system call failed, see sys */
	ERR_CRYPTO,   /* a key, signature or seal is bad */
	ERR_CONFIG,   /* the configuration is wrong */
	ERR_UNAVAIL,  /* shutting down, overloaded: ask again later */
};

struct error {
	enum err_kind kind;
	int sys; /* errno, or 0 */
	char text[240];
};

/*
 * Sets *err and returns -1, so that "return error_set(...)" reads well.
 * err may be NULL: the failure is then only in the return value.
 * A text too long for the struct is cut and ends in "...".
 */
int error_set(struct error *err, enum err_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The same with errno: keeps it in sys and appends ": <strerror>". */
int error_sys(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts "<context>: " in front of the text. Returns -1. */
int error_add(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A short lower-case word for a kind, for logs: "syntax", "net", ... */
const char *error_kind_name(enum err_kind kind);

/*
 * Prints "verpost: <message>" to standard error and exits with status 1.
 * Only for start-up and for one-shot commands.
 */
NORETURN void die(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Only prints, for who exits with another status. */
void die_say(const char *fmt, va_list ap) PRINTF_LIKE(1, 0);

#endif

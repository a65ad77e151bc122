/*
 * bin/session.h - what one-shot commands share: settings, a connection to
 * Postgres, the keys, and waiting for the answer of an asynchronous function.
 *
 *   session_open(&s, args, SESSION_KEYS);
 *   store_x_add(s.pg, ..., session_done, &s);
 *   session_wait(&s, "adding x");
 *
 * Every failure ends the command with a message that says what, to what, and
 * what to do.
 */
#ifndef BIN_SESSION_H
#define BIN_SESSION_H

#include <stdbool.h>

#include "base/crypto.h"
#include "base/error.h"
#include "bin/command.h"
#include "proc/settings.h"
#include "store/pg.h"

struct loop;
struct shaping;

#define SESSION_KEYS 1U /* load the key file */

struct session {
	struct settings settings;
	struct keyring keyring;
	struct loop *loop;
	struct pg *pg;
	struct shaping *shaping; /* session_shaping */
	bool done;
	struct error err;
};

/* Postgres cannot be reached, for that reason: what to do. Dies. */
NORETURN void session_no_postgres(const struct args *a,
    const struct error *err);
void session_open(struct session *s, const struct args *a, unsigned int needs);
void session_close(struct session *s);
/* Turns the loop until session_end was called; dies if it was with an error
 * or if nothing comes within 30 s. doing: "adding domain example.com". */
void session_wait(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same, but returns the error (kind ERR_NONE: none) instead of dying. */
struct error session_try(struct session *s);
/* To be called last in a callback; err NULL: done. */
void session_end(struct session *s, const struct error *err);
/* The limits and providers of shaping_file; dies when it cannot be read. */
const struct shaping *session_shaping(struct session *s);
/* A store_done for a session. */
void session_done(void *ctx, const struct error *err);

/* The account named by --account, or the only one there is. */
int session_account(struct session *s, const struct args *a);
int session_account_named(struct session *s, const char *name_or_id);
/* Its name, owned by the caller; "#7" when it is gone. */
char *session_account_name(struct session *s, int number);

#endif

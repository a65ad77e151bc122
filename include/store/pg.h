/*
 * store/pg.h - one connection to PostgreSQL: asynchronous, pipelined, binary.
 *
 * A unit of work is a struct pg_tx: one or more prepared statements that go
 * out together and end in one sync, which makes them one implicit transaction.
 * Many may be in flight; the server works them off in order.
 *
 *   struct pg_tx *tx = pg_tx_new(pg);
 *
 *   pg_tx_stmt(tx, &find_by_name);
 *   pg_tx_text(tx, name);
 *   pg_tx_send(tx, found, ctx);
 *
 * The connection comes back by itself, with back-off. While it is being made,
 * units of work wait for it; between two tries they fail at once, so that a
 * front door can answer 503. What was in flight when it broke fails with
 * ERR_STORE, and whether it was committed is then unknown: statements are
 * written so that they can be repeated.
 */
#ifndef STORE_PG_H
#define STORE_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "model/id.h"

struct loop;
struct pg;
struct pg_tx;

struct pg_options {
	/*
	 * libpq's form. host must be a socket directory; a TCP server is named
	 * by hostaddr, because a name would block the loop.
	 */
	const char *conninfo;
	const char *name; /* application_name; NULL: "verpost" */
	/*
	 * For sessions that run the batch statements of accept, claim and
	 * outcome: nested loops over indexes only, and generic plans. Without
	 * it a plan made on an empty table reads all of it when it has grown
	 * (measured: 100-570 us a message).
	 */
	bool batch_plans;
	int64_t deadline_ms; /* per unit of work; 0: 30 s */
};

struct pg_ops {
	void (*up)(void *ctx);
	/* Called once per loss, after all units of work have failed. */
	void (*down)(void *ctx, const struct error *err);
};

/* Starts to connect. Texts are copied; ops (may be NULL) is borrowed. */
struct pg *pg_new(struct loop *l, const struct pg_options *options,
    const struct pg_ops *ops, void *ctx);
/* Closes; what is in flight is forgotten and never calls back. */
void pg_free(struct pg **pg);
bool pg_is_up(const struct pg *pg);
/* Why the last attempt to connect failed, while the next one is awaited; NULL
 * when it is up or being tried. */
const struct error *pg_failure(const struct pg *pg);
/* Refuses a host name: it would be looked up with the loop standing still. */
int pg_conninfo_check(const char *conninfo, struct error *err) MUST_CHECK;
/* Units of work sent and not yet answered. */
size_t pg_pending(const struct pg *pg);
struct loop *pg_loop(const struct pg *pg);

/*
 * Turns the loop until *done or the time is over (ERR_TIMEOUT): one-shot
 * commands use the asynchronous functions this way. Never inside a callback.
 */
int pg_run_until(struct loop *l, const bool *done, int64_t timeout_ms,
    struct error *err) MUST_CHECK;
/* Turns the loop until connected. */
int pg_wait_up(struct pg *pg, int64_t timeout_ms, struct error *err) MUST_CHECK;

/* Building. ------------------------------------------------------------- */

/*
 * A statement: constant, prepared on first use per connection. The types of
 * parameters are taken from casts in the text ("$1::uuid[]").
 */
struct pg_stmt {
	const char *name;
	const char *sql;
};

struct pg_tx *pg_tx_new(struct pg *pg);
/* Memory that lives as long as the unit of work; zeroed. */
void *pg_tx_mem(struct pg_tx *tx, size_t size);
/* Begins the next statement; the parameters that follow are its own. */
void pg_tx_stmt(struct pg_tx *tx, const struct pg_stmt *stmt);

enum pg_type {
	PG_BOOL = 16,
	PG_BYTEA = 17,
	PG_INT8 = 20,
	PG_INT2 = 21,
	PG_INT4 = 23,
	PG_TEXT = 25,
	PG_TIME = 1184, /* timestamptz, as milliseconds since 1970; 0: NULL */
	PG_UUID = 2950,
};

/* One parameter, or between array and end one element. Values are copied. */
void pg_tx_bool(struct pg_tx *tx, bool value);
void pg_tx_int2(struct pg_tx *tx, int value);
void pg_tx_int4(struct pg_tx *tx, int32_t value);
void pg_tx_int8(struct pg_tx *tx, int64_t value);
void pg_tx_time(struct pg_tx *tx, int64_t ms); /* 0: NULL */
void pg_tx_id(struct pg_tx *tx, struct id value);
void pg_tx_id_or_null(struct pg_tx *tx, struct id value);      /* zero: NULL */
void pg_tx_text(struct pg_tx *tx, struct slice value);	       /* never NULL */
void pg_tx_text_or_null(struct pg_tx *tx, struct slice value); /* by ptr */
void pg_tx_bytea(struct pg_tx *tx, struct slice value);	       /* never NULL */
void pg_tx_null(struct pg_tx *tx);
void pg_tx_array(struct pg_tx *tx, enum pg_type element);
void pg_tx_array_end(struct pg_tx *tx);

/* Running. --------------------------------------------------------------- */

struct pg_reply;
/*
 * Exactly one of reply and err is set; reply is borrowed for the call. err:
 * ERR_STORE: away, lost, or the server failed; ERR_TIMEOUT: the deadline;
 * ERR_CONFLICT: a constraint was hurt (SQLSTATE 23...); ERR_SYNTAX: the
 * server refused a value (22..., 54...). See pg_sqlstate_is.
 */
typedef void pg_done(void *ctx, const struct pg_reply *reply,
    const struct error *err);

/* Takes tx. done may be NULL. The handle stays valid until done is called. */
void pg_tx_send(struct pg_tx *tx, pg_done *done, void *ctx);
/*
 * done is never called; the work may be done all the same. Also frees a unit
 * that was not sent. Accepts a pointer to NULL.
 */
void pg_tx_cancel(struct pg_tx **tx);
/* Whether the error came from the server with this SQLSTATE, all five
 * characters or its beginning. (It is kept in err->sys, below zero.) */
bool pg_sqlstate_is(const struct error *err, const char *state);
/* Whether the values are to blame: the same unit fails again, a part of it may
 * not. */
static inline bool
pg_is_refusal(const struct error *err)
{
	return err->kind == ERR_CONFLICT || err->kind == ERR_SYNTAX;
}

/* Reading: rows of the n-th statement. ------------------------------------ */

struct pg_row {
	const struct pg_reply *reply;
	size_t stmt, n;
};

size_t pg_rows(const struct pg_reply *reply, size_t stmt);
/* Rows that INSERT, UPDATE or DELETE touched. */
size_t pg_affected(const struct pg_reply *reply, size_t stmt);
struct pg_row pg_row(const struct pg_reply *reply, size_t stmt, size_t n);

/* NULL reads as 0, false, the zero id, or a slice with ptr NULL. */
bool pg_is_null(struct pg_row row, int col);
bool pg_get_bool(struct pg_row row, int col);
int pg_get_int2(struct pg_row row, int col);
int32_t pg_get_int4(struct pg_row row, int col);
int64_t pg_get_int8(struct pg_row row, int col);
int64_t pg_get_time(struct pg_row row, int col); /* ms since 1970 */
struct id pg_get_id(struct pg_row row, int col);
struct slice pg_get_text(struct pg_row row, int col); /* text or bytea */

/* Common endings of table functions. --------------------------------------- */

/* Done, or not. ERR_NOTFOUND: no such row. */
typedef void store_done(void *ctx, const struct error *err);

#endif

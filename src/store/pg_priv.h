/* pg_priv.h - what the three files of the connection share. */
#ifndef STORE_PG_PRIV_H
#define STORE_PG_PRIV_H

#include <libpq-fe.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/strbuf.h"
#include "net/loop.h"
#include "store/pg.h"

#define PG_TX_MAGIC 0x70677478

/* Years 1 to 9999, so that a wild value cannot overflow, whoever wrote it. */
#define PG_TIME_LEAST_MS INT64_C(-62135596800000)
#define PG_TIME_MOST_MS INT64_C(253402300799999)
/* PostgreSQL counts from 2000. */
#define PG_EPOCH_MS (INT64_C(946684800) * 1000)

struct pg_param {
	size_t offset; /* into data */
	int len;
	bool is_null;
};

struct pg_tx_stmt {
	const struct pg_stmt *stmt;
	size_t first_param, param_count;
};

enum pg_tx_state {
	PG_TX_BUILDING,
	PG_TX_QUEUED, /* waits for the connection, or to be failed */
	PG_TX_FLYING, /* on the wire */
};

struct pg_reply {
	struct pg_tx *tx;
};

struct pg_tx {
	unsigned int magic;
	struct list node;
	struct pg *pg;
	enum pg_tx_state state;
	struct arena arena;

	/* Building: growing arrays, and the octets of all parameters. */
	struct strbuf data;
	struct pg_param *param;
	size_t param_count, param_cap;
	struct pg_tx_stmt *stmt;
	size_t stmt_count, stmt_cap;
	bool in_array;
	enum pg_type element;
	size_t array_at; /* offset of the array's header */
	uint32_t array_count;
	bool array_has_null;

	/* Running. */
	pg_done *done; /* NULL: nobody waits (any more) */
	void *ctx;
	int64_t deadline_ms; /* clock_mono_ms() */
	PGresult **result;   /* one per statement */
	size_t result_count;
	struct error err; /* the first failure; kind ERR_NONE: none */
	struct pg_reply reply;
};

enum pg_state {
	PG_CONNECTING,
	PG_UP,
	PG_WAITING,
	PG_CLOSED,
};

struct pg_flight {
	struct list node;
	struct pg_tx *tx; /* or a preparation of: */
	const struct pg_stmt *stmt;
	int64_t deadline_ms;
};

struct pg {
	struct loop *loop;
	char *conninfo, *name;
	bool batch_plans;
	int64_t deadline_ms, silent_max_ms;
	const struct pg_ops *ops;
	void *ctx;

	enum pg_state state;
	PGconn *conn;
	struct watch *watch;
	int watched_fd;
	struct timer *timer; /* connect, back-off, or the head's deadline */
	int64_t backoff_ms;
	struct error last; /* why it is not up */

	struct list queued;  /* units that wait for the connection */
	struct list flights; /* on the wire */
	struct list failing; /* units that are to be told */
	struct loop_call fail_call;
	bool must_tell_down;
	size_t pending;

	/* Statements known to this connection. */
	const struct pg_stmt **prepared;
	size_t prepared_count, prepared_cap;
};

/* pg.c: life and connection. */
/* The connection is over: all that was sent fails, and it is made again. */
void pg_lose(struct pg *pg, const struct error *err);
/* The unit is told from the loop that it has failed. */
void pg_fail_later(struct pg *pg, struct pg_tx *tx, const struct error *err);
void pg_watch(struct pg *pg, bool want_read, bool want_write);
/* The timer for the head of the flights. */
void pg_arm_deadline(struct pg *pg);

/* pg_wire.c */
void pg_put_on_wire(struct pg *pg, struct pg_tx *tx);
/* Takes what has arrived; may end with the connection lost or closed. */
void pg_read_results(struct pg *pg);
/* False when the connection is lost; the caller lets it go. */
bool pg_flush(struct pg *pg);
void pg_set_conn_error(struct error *err, const PGconn *conn);

/* pg_tx.c */
/*
 * Within its own callback: empties the unit, which can then be built and sent
 * once more. The handle that its owner has stays valid, so that two questions
 * in a row look like one.
 */
void pg_tx_restart(struct pg_tx *tx);
/* Frees the unit and its results. */
void pg_tx_destroy(struct pg_tx *tx);
/* Puts a sealed unit on its way: to the wire, a queue, or failure. */
void pg_submit(struct pg *pg, struct pg_tx *tx);
/* A unit that was submitted goes without being told. */
void pg_forget(struct pg *pg);

#endif

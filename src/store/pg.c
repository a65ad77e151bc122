#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "pg_priv.h"

/*
 * The connection.
 *
 *   CONNECTING --ok--> UP --lost, deadline--> WAITING --timer--> CONNECTING
 *       \--failed, 10 s------------------------^
 *
 * Units sent while CONNECTING wait in "queued"; while WAITING they fail at
 * once. On the wire stand "flights", in the order of their syncs: a unit of
 * work, or the preparation of one statement. A preparation has a sync of its
 * own, so that a failing unit cannot take a statement with it that later units
 * count on.
 *
 * The server answers in order, so the head of the flights has the earliest
 * deadline and one timer serves all. A unit that misses its deadline takes the
 * connection down: nobody can say what the server is doing.
 *
 * Units that fail go through the list "failing" and are told from the loop,
 * one by one: no callback runs inside a caller's call, and each may send more
 * work or free the connection.
 */

#define CONNECT_MS 10000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define DEADLINE_MS 30000

enum state {
	STATE_CONNECTING,
	STATE_UP,
	STATE_WAITING,
	STATE_CLOSED,
};

struct flight {
	struct list node;
	struct pg_tx *tx; /* or a preparation of: */
	const struct pg_stmt *stmt;
	int64_t deadline_ms;
};

struct pg {
	struct loop *loop;
	char *conninfo, *name;
	bool batch_plans;
	int64_t deadline_ms;
	const struct pg_ops *ops;
	void *ctx;

	enum state state;
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

static const struct log_ctx pg_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "postgres" } } } };

static void start_connect(struct pg *pg);
static void on_timer(void *ctx);
static void on_ready(void *ctx, bool readable, bool writable);

/* Errors. ------------------------------------------------------------------ */

static int
pack_sqlstate(const char *state)
{
	int packed = 0;

	for (size_t i = 0; i < 5; i++) {
		char c = state[i];

		if (ascii_is_digit(c))
			packed = packed * 36 + (c - '0');
		else if (c >= 'A' && c <= 'Z')
			packed = packed * 36 + (c - 'A' + 10);
		else
			return 0;
	}
	return -packed;
}

bool
pg_sqlstate_is(const struct error *err, const char *state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char text[6] = "";
	int packed = -err->sys;

	if (packed <= 0)
		return false;
	for (size_t i = 5; i-- > 0; packed /= 36)
		text[i] = digits[packed % 36];
	return strncmp(text, state, strlen(state)) == 0;
}

/* Our kind for the server's: see pg_done. */
static enum err_kind
kind_of(const char *state, const char *constraint)
{
	/* 23514 without a constraint: a day that has no partition. */
	if (strcmp(state, "23514") == 0 && constraint == NULL)
		return ERR_STORE;
	if (strncmp(state, "23", 2) == 0)
		return ERR_CONFLICT;
	if (strncmp(state, "22", 2) == 0 || strncmp(state, "54", 2) == 0)
		return ERR_SYNTAX;
	if (strcmp(state, "57014") == 0)
		return ERR_TIMEOUT;
	return ERR_STORE;
}

/* The primary message only: details quote values, which may be secret. */
static void
set_server_error(struct error *err, const PGresult *res, const char *stmt)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *constraint =
	    PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);

	if (state == NULL)
		state = "";
	error_set(err, kind_of(state, constraint), "postgres: %s: %s", stmt,
	    text != NULL ? text : PQresultErrorMessage(res));
	if (strlen(state) == 5)
		err->sys = pack_sqlstate(state);
}

static void
set_conn_error(struct error *err, const PGconn *conn)
{
	struct slice text = slice_of(PQerrorMessage(conn));
	struct slice line = slice_trim_lines(text);

	error_set(err, ERR_STORE, "postgres: %.*s",
	    SLICE_FMT(slice_first(line, slice_find_char(line, '\n'))));
}

/* Failing units. -------------------------------------------------------------
 */

static void tell_next(void *ctx);

void
pg_forget(struct pg *pg)
{
	pg->pending--;
}

static void
fail_later(struct pg *pg, struct pg_tx *tx, const struct error *err)
{
	if (tx->err.kind == ERR_NONE)
		tx->err = *err;
	tx->state = PG_TX_QUEUED;
	list_remove(&tx->node);
	list_append(&pg->failing, &tx->node);
	loop_call_schedule(pg->loop, &pg->fail_call, tell_next, pg);
}

/* Takes one off and tells; then "down" when that is due; then is done. */
static void
tell_next(void *ctx)
{
	struct pg *pg = ctx;
	struct list *node = list_pop(&pg->failing);

	if (node != NULL) {
		struct pg_tx *tx = list_entry(node, struct pg_tx, node);
		pg_done *done = tx->done;
		struct error err = tx->err;
		void *done_ctx = tx->ctx;

		loop_call_schedule(pg->loop, &pg->fail_call, tell_next, pg);
		pg->pending--;
		tx->state = PG_TX_FLYING; /* a cancel from within is harmless */
		if (done != NULL)
			done(done_ctx, NULL, &err);
		pg_tx_destroy(tx);
		return;
	}
	if (pg->must_tell_down) {
		struct error err = pg->last;

		pg->must_tell_down = false;
		if (pg->ops != NULL && pg->ops->down != NULL)
			pg->ops->down(pg->ctx, &err);
	}
}

/* Ending a connection. ---------------------------------------------------- */

static void
hang_up(struct pg *pg)
{
	watch_free(&pg->watch);
	timer_cancel(pg->timer);
	if (pg->conn != NULL)
		PQfinish(pg->conn);
	pg->conn = NULL;
	pg->prepared_count = 0;
}

/* A unit whose owner has left ends here; others are to be told. */
static void
end_flight(struct pg *pg, struct flight *f, const struct error *err)
{
	struct pg_tx *tx = f->tx;

	list_remove(&f->node);
	free(f);
	if (tx == NULL)
		return;
	if (tx->done == NULL) {
		pg->pending--;
		pg_tx_destroy(tx);
	} else {
		fail_later(pg, tx, err);
	}
}

static int64_t
next_backoff(struct pg *pg)
{
	int64_t wait = pg->backoff_ms;

	pg->backoff_ms = MIN(wait * 2, BACKOFF_MOST_MS);
	/* Spread, so that the processes of a node do not come all at once. */
	return wait / 2 + (int64_t)(crypto_random_u64() % (uint64_t)wait);
}

static void
lose(struct pg *pg, const struct error *err)
{
	bool was_up = pg->state == STATE_UP;
	int64_t wait_ms = next_backoff(pg);

	hang_up(pg);
	pg->state = STATE_WAITING;
	pg->last = *err;
	log_warn(&pg_log, was_up ? "pg.lost" : "pg.connect_failed",
	    log_err(err), log_int("retry_ms", wait_ms));
	list_each_safe (node, &pg->flights)
		end_flight(pg, list_entry(node, struct flight, node), err);
	list_each_safe (node, &pg->queued)
		fail_later(pg, list_entry(node, struct pg_tx, node), err);
	if (was_up) {
		pg->must_tell_down = true;
		loop_call_schedule(pg->loop, &pg->fail_call, tell_next, pg);
	}
	timer_set(pg->timer, wait_ms);
}

/* Sending. -------------------------------------------------------------------
 */

static bool
is_prepared(const struct pg *pg, const struct pg_stmt *stmt)
{
	for (size_t i = 0; i < pg->prepared_count; i++)
		if (pg->prepared[i] == stmt)
			return true;
	return false;
}

static struct flight *
add_flight(struct pg *pg, struct pg_tx *tx, const struct pg_stmt *stmt)
{
	struct flight *f = xmalloc(sizeof(*f));

	f->tx = tx;
	f->stmt = stmt;
	f->deadline_ms =
	    tx != NULL ? tx->deadline_ms : clock_mono_ms() + pg->deadline_ms;
	list_append(&pg->flights, &f->node);
	return f;
}

static bool
prepare(struct pg *pg, const struct pg_stmt *stmt)
{
	if (is_prepared(pg, stmt))
		return true;
	if (PQsendPrepare(pg->conn, stmt->name, stmt->sql, 0, NULL) != 1 ||
	    PQpipelineSync(pg->conn) != 1)
		return false;
	add_flight(pg, NULL, stmt);
	if (pg->prepared_count == pg->prepared_cap) {
		pg->prepared_cap =
		    pg->prepared_cap > 0 ? pg->prepared_cap * 2 : 16;
		pg->prepared = xrealloc(pg->prepared,
		    pg->prepared_cap * sizeof(*pg->prepared));
	}
	pg->prepared[pg->prepared_count++] = stmt;
	return true;
}

static bool
send_stmt(struct pg *pg, const struct pg_tx *tx, const struct pg_tx_stmt *s,
    const char **value, int *len, int *format)
{
	for (size_t i = 0; i < s->param_count; i++) {
		const struct pg_param *p = &tx->param[s->first_param + i];

		value[i] = p->is_null ? NULL : tx->data.ptr + p->offset;
		len[i] = p->len;
		format[i] = 1;
	}
	return PQsendQueryPrepared(pg->conn, s->stmt->name, (int)s->param_count,
		   value, len, format, 1) == 1;
}

/* To the wire; the octets go to libpq's buffer and are flushed as they fit. */
static bool
write_tx(struct pg *pg, struct pg_tx *tx)
{
	size_t n = MAX(tx->param_count, (size_t)1);
	const char **value = xcalloc(n, sizeof(*value));
	int *len = xcalloc(n, sizeof(*len));
	int *format = xcalloc(n, sizeof(*format));
	bool ok = true;

	/* An empty first parameter must not be a NULL pointer. */
	strbuf_reserve(&tx->data, 1);
	for (size_t i = 0; ok && i < tx->stmt_count; i++)
		ok = prepare(pg, tx->stmt[i].stmt);
	for (size_t i = 0; ok && i < tx->stmt_count; i++)
		ok = send_stmt(pg, tx, &tx->stmt[i], value, len, format);
	ok = ok && PQpipelineSync(pg->conn) == 1;
	free(value);
	free(len);
	free(format);
	/* Sent: the parameters are in libpq's hands. */
	strbuf_fini(&tx->data);
	return ok;
}

static void
arm_deadline(struct pg *pg)
{
	struct list *node = list_first(&pg->flights);

	if (node == NULL)
		timer_cancel(pg->timer);
	else
		timer_set(pg->timer,
		    list_entry(node, struct flight, node)->deadline_ms -
			clock_mono_ms());
}

static void
watch_now(struct pg *pg, bool want_read, bool want_write)
{
	int fd = PQsocket(pg->conn);

	if (pg->watch == NULL || fd != pg->watched_fd) {
		watch_free(&pg->watch);
		pg->watch = watch_new(pg->loop, fd, on_ready, pg);
		pg->watched_fd = fd;
	}
	watch_set(pg->watch, want_read, want_write);
}

/* False when the connection is lost; the caller lets it go. */
static bool
flush(struct pg *pg)
{
	int rc = PQflush(pg->conn);

	if (rc < 0)
		return false;
	watch_now(pg, true, rc > 0);
	return true;
}

static void
put_on_wire(struct pg *pg, struct pg_tx *tx)
{
	bool was_idle = list_is_empty(&pg->flights);
	struct error err = { 0 };

	list_remove(&tx->node);
	tx->state = PG_TX_FLYING;
	if (write_tx(pg, tx)) {
		add_flight(pg, tx, NULL);
		if (was_idle)
			arm_deadline(pg);
		if (flush(pg))
			return;
	} else {
		add_flight(pg, tx, NULL);
	}
	set_conn_error(&err, pg->conn);
	lose(pg, &err);
}

void
pg_submit(struct pg *pg, struct pg_tx *tx)
{
	invariant(pg->state != STATE_CLOSED);
	pg->pending++;
	tx->result_count = tx->stmt_count;
	tx->deadline_ms = clock_mono_ms() + pg->deadline_ms;
	tx->state = PG_TX_QUEUED;
	if (tx->err.kind != ERR_NONE)
		fail_later(pg, tx, &tx->err);
	else if (pg->state == STATE_UP)
		put_on_wire(pg, tx);
	else if (pg->state == STATE_CONNECTING)
		list_append(&pg->queued, &tx->node);
	else
		fail_later(pg, tx, &pg->last);
}

/* Reading. -------------------------------------------------------------------
 */

/* f has its sync: it is done, and told. False: pg is closed. */
static bool
complete(struct pg *pg, struct flight *f)
{
	struct pg_tx *tx = f->tx;
	bool failed;

	list_remove(&f->node);
	free(f);
	arm_deadline(pg);
	if (tx == NULL)
		return true;
	pg->pending--;
	failed = tx->err.kind != ERR_NONE;
	for (size_t i = 0; !failed && i < tx->result_count; i++)
		if (tx->result[i] == NULL) {
			failed = true;
			error_set(&tx->err, ERR_STORE,
			    "postgres: a result is missing");
		}
	if (tx->done != NULL) {
		pg_done *done = tx->done;

		tx->done = NULL;
		done(tx->ctx, failed ? NULL : &tx->reply,
		    failed ? &tx->err : NULL);
	}
	/* Else it was restarted and sent again. */
	if (tx->state == PG_TX_FLYING && tx->done == NULL)
		pg_tx_destroy(tx);
	return pg->state == STATE_UP;
}

static void
forget_prepared(struct pg *pg, const struct pg_stmt *stmt)
{
	for (size_t i = 0; i < pg->prepared_count; i++)
		if (pg->prepared[i] == stmt)
			pg->prepared[i] = pg->prepared[--pg->prepared_count];
}

static void
keep_result(struct pg_tx *tx, PGresult *res)
{
	for (size_t i = 0; i < tx->result_count; i++)
		if (tx->result[i] == NULL) {
			tx->result[i] = res;
			return;
		}
	PQclear(res);
}

static const char *
failed_stmt(const struct flight *f)
{
	if (f->tx == NULL)
		return f->stmt->name;
	for (size_t i = 0; i < f->tx->result_count; i++)
		if (f->tx->result[i] == NULL)
			return f->tx->stmt[i].stmt->name;
	return "commit";
}

/* The units that count on a statement which the server refused say why. */
static void
blame_prepare(struct pg *pg, const struct flight *f, const struct error *err)
{
	forget_prepared(pg, f->stmt);
	list_each (node, &pg->flights) {
		struct pg_tx *tx = list_entry(node, struct flight, node)->tx;

		for (size_t i = 0; tx != NULL && i < tx->stmt_count; i++)
			if (tx->stmt[i].stmt == f->stmt &&
			    tx->err.kind == ERR_NONE)
				tx->err = *err;
	}
}

static void
take_result(struct pg *pg, struct flight *f, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	struct error err = { 0 };

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
		if (f->tx != NULL)
			keep_result(f->tx, res);
		else
			PQclear(res);
		return;
	}
	if (status != PGRES_PIPELINE_ABORTED) {
		set_server_error(&err, res, failed_stmt(f));
		if (f->tx == NULL)
			blame_prepare(pg, f, &err);
		else if (f->tx->err.kind == ERR_NONE)
			f->tx->err = err;
	}
	PQclear(res);
}

/*
 * Takes what has arrived. PQgetResult gives NULL between statements; two in a
 * row while something is awaited would be a mistake in the count of results.
 */
static void
read_results(struct pg *pg)
{
	int nulls = 0;
	struct error err = { 0 };

	while (pg->state == STATE_UP && !list_is_empty(&pg->flights) &&
	    !PQisBusy(pg->conn)) {
		struct flight *f =
		    list_entry(list_first(&pg->flights), struct flight, node);
		PGresult *res = PQgetResult(pg->conn);

		if (res == NULL) {
			if (++nulls < 3)
				continue;
			error_set(&err, ERR_STORE,
			    "postgres: lost track of the pipeline");
			lose(pg, &err);
			return;
		}
		nulls = 0;
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			if (!complete(pg, f))
				return;
		} else {
			take_result(pg, f, res);
		}
	}
}

static void
on_up(struct pg *pg)
{
	const struct pg_ops *ops = pg->ops;

	if (PQsetnonblocking(pg->conn, 1) != 0 ||
	    PQenterPipelineMode(pg->conn) != 1) {
		struct error err = { 0 };

		set_conn_error(&err, pg->conn);
		lose(pg, &err);
		return;
	}
	pg->state = STATE_UP;
	pg->backoff_ms = BACKOFF_FIRST_MS;
	timer_cancel(pg->timer);
	watch_now(pg, true, false);
	log_debug(&pg_log, "pg.up");
	/* In their order; one that breaks the connection fails the rest. */
	while (pg->state == STATE_UP && !list_is_empty(&pg->queued))
		put_on_wire(pg,
		    list_entry(list_first(&pg->queued), struct pg_tx, node));
	if (pg->state == STATE_UP && ops != NULL && ops->up != NULL)
		ops->up(pg->ctx);
}

static void
poll_connect(struct pg *pg)
{
	struct error err = { 0 };

	switch (PQconnectPoll(pg->conn)) {
	case PGRES_POLLING_READING:
		watch_now(pg, true, false);
		return;
	case PGRES_POLLING_WRITING:
		watch_now(pg, false, true);
		return;
	case PGRES_POLLING_OK:
		on_up(pg);
		return;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	set_conn_error(&err, pg->conn);
	lose(pg, &err);
}

static void
on_ready(void *ctx, bool readable, bool writable)
{
	struct pg *pg = ctx;
	struct error err = { 0 };

	(void)writable;
	if (pg->state == STATE_CONNECTING) {
		poll_connect(pg);
		return;
	}
	if (pg->state != STATE_UP)
		return;
	if (readable && PQconsumeInput(pg->conn) != 1) {
		/* A last word of the server may have arrived with the end. */
		read_results(pg);
		if (pg->state != STATE_UP)
			return;
		set_conn_error(&err, pg->conn);
		lose(pg, &err);
		return;
	}
	if (readable)
		read_results(pg);
	if (pg->state == STATE_UP && !flush(pg)) {
		set_conn_error(&err, pg->conn);
		lose(pg, &err);
	}
}

/* Connecting. ------------------------------------------------------------- */

/*
 * Session settings. JIT: switched-off plan types cost 1e10 in the planner's
 * books, which would have every statement compiled. Generic plans: bounds are
 * parameters, so partitions are pruned when the plan starts.
 */
#define OPTIONS_ALL "-c jit=off -c client_min_messages=warning"
#define OPTIONS_BATCH                                                          \
	" -c plan_cache_mode=force_generic_plan -c enable_hashjoin=off"        \
	" -c enable_mergejoin=off -c enable_seqscan=off"                       \
	" -c enable_bitmapscan=off -c enable_material=off"

/* A host name would be looked up with the loop standing still. */
static bool
names_a_host(const char *conninfo, char **own_options)
{
	PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
	const char *host = NULL, *hostaddr = NULL;

	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "host") == 0)
			host = o->val;
		else if (strcmp(o->keyword, "hostaddr") == 0)
			hostaddr = o->val;
		else if (strcmp(o->keyword, "options") == 0 && o->val != NULL)
			*own_options = xstrdup(o->val);
	}
	bool named = hostaddr == NULL && host != NULL && host[0] != '\0' &&
	    host[0] != '/' && host[0] != '@';

	PQconninfoFree(all);
	return named;
}

/* What the server says without being asked, which libpq would print. */
static void
on_notice(void *ctx, const char *text)
{
	(void)ctx;
	log_debug(&pg_log, "pg.notice",
	    log_slice("text", slice_trim_lines(slice_of(text))));
}

static void
start_connect(struct pg *pg)
{
	char *own = NULL, *options;
	struct error err = { 0 };

	pg->state = STATE_CONNECTING;
	if (names_a_host(pg->conninfo, &own)) {
		free(own);
		error_set(&err, ERR_CONFIG,
		    "postgres: name the server by "
		    "hostaddr=<address> or by host=/socket/directory");
		lose(pg, &err);
		return;
	}
	options = xasprintf("%s%s -c statement_timeout=%lld %s", OPTIONS_ALL,
	    pg->batch_plans ? OPTIONS_BATCH : "", (long long)pg->deadline_ms,
	    own != NULL ? own : "");
	const char *const keys[] = { "dbname", "options", "application_name",
		"client_encoding", "gssencmode", NULL };
	const char *const values[] = { pg->conninfo, options, pg->name, "UTF8",
		"disable", NULL };

	pg->conn = PQconnectStartParams(keys, values, 1);
	free(options);
	free(own);
	timer_set(pg->timer, CONNECT_MS);
	if (pg->conn != NULL)
		PQsetNoticeProcessor(pg->conn, on_notice, NULL);
	if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
		if (pg->conn != NULL)
			set_conn_error(&err, pg->conn);
		else
			error_set(&err, ERR_STORE, "postgres: no memory");
		lose(pg, &err);
		return;
	}
	/* As PQconnectStart wants it: as if PQconnectPoll had said WRITING. */
	watch_now(pg, false, true);
}

static void
on_timer(void *ctx)
{
	struct pg *pg = ctx;
	struct error err = { 0 };
	struct list *head = list_first(&pg->flights);

	switch (pg->state) {
	case STATE_WAITING:
		/* First everybody hears of the loss. */
		if (list_is_empty(&pg->failing) && !pg->must_tell_down)
			start_connect(pg);
		else
			timer_set(pg->timer, 1);
		return;
	case STATE_CONNECTING:
		error_set(&err, ERR_TIMEOUT,
		    "postgres: connecting took longer "
		    "than %d s",
		    CONNECT_MS / 1000);
		lose(pg, &err);
		return;
	case STATE_UP:
		/* The clock of timers is coarse. */
		if (head == NULL ||
		    list_entry(head, struct flight, node)->deadline_ms >
			clock_mono_ms()) {
			arm_deadline(pg);
			return;
		}
		error_set(&err, ERR_TIMEOUT,
		    "postgres: no answer within %lld ms",
		    (long long)pg->deadline_ms);
		lose(pg, &err);
		return;
	case STATE_CLOSED:
		return;
	}
}

struct pg *
pg_new(struct loop *l, const struct pg_options *options,
    const struct pg_ops *ops, void *ctx)
{
	struct pg *pg = xmalloc(sizeof(*pg));

	pg->loop = l;
	pg->conninfo = xstrdup(options->conninfo);
	pg->name = xstrdup(options->name != NULL ? options->name : "verpost");
	pg->batch_plans = options->batch_plans;
	pg->deadline_ms =
	    options->deadline_ms > 0 ? options->deadline_ms : DEADLINE_MS;
	pg->ops = ops;
	pg->ctx = ctx;
	list_init(&pg->queued);
	list_init(&pg->flights);
	list_init(&pg->failing);
	pg->backoff_ms = BACKOFF_FIRST_MS;
	pg->timer = timer_new(l, on_timer, pg);
	start_connect(pg);
	return pg;
}

static void
destroy(void *ctx)
{
	struct pg *pg = ctx;

	free(pg->prepared);
	free(pg->conninfo);
	free(pg->name);
	free(pg);
}

static void
destroy_all(struct list *txs)
{
	struct list *node;

	while ((node = list_pop(txs)) != NULL)
		pg_tx_destroy(list_entry(node, struct pg_tx, node));
}

void
pg_free(struct pg **pgp)
{
	struct pg *pg = *pgp;
	struct list *node;

	if (pg == NULL)
		return;
	*pgp = NULL;
	hang_up(pg);
	pg->state = STATE_CLOSED;
	timer_free(&pg->timer);
	loop_call_cancel(&pg->fail_call);
	while ((node = list_pop(&pg->flights)) != NULL) {
		struct flight *f = list_entry(node, struct flight, node);

		if (f->tx != NULL)
			pg_tx_destroy(f->tx);
		free(f);
	}
	destroy_all(&pg->queued);
	destroy_all(&pg->failing);
	loop_defer(pg->loop, destroy, pg);
}

bool
pg_is_up(const struct pg *pg)
{
	return pg->state == STATE_UP;
}

size_t
pg_pending(const struct pg *pg)
{
	return pg->pending;
}

struct loop *
pg_loop(const struct pg *pg)
{
	return pg->loop;
}

/* One-shot commands. ------------------------------------------------------- */

int
pg_run_until(struct loop *l, const bool *done, int64_t timeout_ms,
    struct error *err)
{
	int64_t end_ms = clock_mono_ms() + timeout_ms;

	while (!*done) {
		int64_t left_ms = end_ms - clock_mono_ms();

		if (left_ms <= 0)
			return error_set(err, ERR_TIMEOUT,
			    "no answer within %lld ms", (long long)timeout_ms);
		loop_turn(l, (int)MIN(left_ms, 1000));
	}
	return 0;
}

int
pg_wait_up(struct pg *pg, int64_t timeout_ms, struct error *err)
{
	int64_t end_ms = clock_mono_ms() + timeout_ms;

	while (pg->state != STATE_UP) {
		int64_t left_ms = end_ms - clock_mono_ms();

		if (left_ms <= 0) {
			if (pg->last.kind == ERR_NONE)
				return error_set(err, ERR_TIMEOUT,
				    "postgres: no connection within %lld ms",
				    (long long)timeout_ms);
			*err = pg->last;
			return -1;
		}
		loop_turn(pg->loop, (int)MIN(left_ms, 1000));
	}
	return 0;
}

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop.h"
#include "pg_priv.h"

/*
 * The wire: units of work out, results in. On it stand "flights", in the order
 * of their syncs: a unit of work, or the preparation of one statement. A
 * preparation has a sync of its own, so that a failing unit cannot take a
 * statement with it that later units count on.
 *
 * The server answers in order, so the head of the flights has the earliest
 * deadline and one timer serves all.
 */

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

void
pg_set_conn_error(struct error *err, const PGconn *conn)
{
	struct slice text = slice_of(PQerrorMessage(conn));
	struct slice line = slice_trim_lines(text);

	error_set(err, ERR_STORE, "postgres: %.*s",
	    SLICE_FMT(slice_first(line, slice_find_char(line, '\n'))));
}

/* Sending. ---------------------------------------------------------------- */

static bool
is_prepared(const struct pg *pg, const struct pg_stmt *stmt)
{
	for (size_t i = 0; i < pg->prepared_count; i++)
		if (pg->prepared[i] == stmt)
			return true;
	return false;
}

static struct pg_flight *
add_flight(struct pg *pg, struct pg_tx *tx, const struct pg_stmt *stmt)
{
	struct pg_flight *f = xmalloc(sizeof(*f));

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

void
pg_arm_deadline(struct pg *pg)
{
	struct list *node = list_first(&pg->flights);

	if (node == NULL)
		timer_cancel(pg->timer);
	else
		timer_set(pg->timer,
		    list_entry(node, struct pg_flight, node)->deadline_ms -
			clock_mono_ms());
}

/* False when the connection is lost; the caller lets it go. */
bool
pg_flush(struct pg *pg)
{
	int rc = PQflush(pg->conn);

	if (rc < 0)
		return false;
	pg_watch(pg, true, rc > 0);
	return true;
}

void
pg_put_on_wire(struct pg *pg, struct pg_tx *tx)
{
	bool was_idle = list_is_empty(&pg->flights);
	struct error err = { 0 };

	list_remove(&tx->node);
	tx->state = PG_TX_FLYING;
	if (write_tx(pg, tx)) {
		add_flight(pg, tx, NULL);
		if (was_idle)
			pg_arm_deadline(pg);
		if (pg_flush(pg))
			return;
	} else {
		add_flight(pg, tx, NULL);
	}
	pg_set_conn_error(&err, pg->conn);
	pg_lose(pg, &err);
}

void
pg_submit(struct pg *pg, struct pg_tx *tx)
{
	invariant(pg->state != PG_CLOSED);
	pg->pending++;
	tx->result_count = tx->stmt_count;
	tx->deadline_ms = clock_mono_ms() + pg->deadline_ms;
	tx->state = PG_TX_QUEUED;
	if (tx->err.kind != ERR_NONE)
		pg_fail_later(pg, tx, &tx->err);
	else if (pg->state == PG_UP)
		pg_put_on_wire(pg, tx);
	else if (pg->state == PG_CONNECTING)
		list_append(&pg->queued, &tx->node);
	else
		pg_fail_later(pg, tx, &pg->last);
}

/* Reading. ---------------------------------------------------------------- */

/* f has its sync: it is done, and told. False: pg is closed. */
static bool
complete(struct pg *pg, struct pg_flight *f)
{
	struct pg_tx *tx = f->tx;
	bool failed;

	list_remove(&f->node);
	free(f);
	pg_arm_deadline(pg);
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
	return pg->state == PG_UP;
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
failed_stmt(const struct pg_flight *f)
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
blame_prepare(struct pg *pg, const struct pg_flight *f, const struct error *err)
{
	forget_prepared(pg, f->stmt);
	list_each (node, &pg->flights) {
		struct pg_tx *tx = list_entry(node, struct pg_flight, node)->tx;

		for (size_t i = 0; tx != NULL && i < tx->stmt_count; i++)
			if (tx->stmt[i].stmt == f->stmt &&
			    tx->err.kind == ERR_NONE)
				tx->err = *err;
	}
}

static void
take_result(struct pg *pg, struct pg_flight *f, PGresult *res)
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
void
pg_read_results(struct pg *pg)
{
	int nulls = 0;
	struct error err = { 0 };

	while (pg->state == PG_UP && !list_is_empty(&pg->flights) &&
	    !PQisBusy(pg->conn)) {
		struct pg_flight *f = list_entry(list_first(&pg->flights),
		    struct pg_flight, node);
		PGresult *res = PQgetResult(pg->conn);

		if (res == NULL) {
			if (++nulls < 3)
				continue;
			error_set(&err, ERR_STORE,
			    "postgres: lost track of the pipeline");
			pg_lose(pg, &err);
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

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
 * once; else they go to the wire (pg_wire.c). A unit that misses its deadline
 * takes the connection down: nobody can say what the server is doing.
 *
 * Units that fail go through the list "failing" and are told from the loop,
 * one by one: no callback runs inside a caller's call, and each may send more
 * work or free the connection.
 */

#define CONNECT_MS 10000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define DEADLINE_MS 30000

static const struct log_ctx pg_log = { NULL,
	{ { "part", LOG_F_TEXT, { .text = "postgres" } } } };

static void start_connect(struct pg *pg);
static void on_timer(void *ctx);
static void on_ready(void *ctx, bool readable, bool writable);

/* Failing units. ---------------------------------------------------------- */

static void tell_next(void *ctx);

void
pg_forget(struct pg *pg)
{
	pg->pending--;
}

void
pg_fail_later(struct pg *pg, struct pg_tx *tx, const struct error *err)
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
end_flight(struct pg *pg, struct pg_flight *f, const struct error *err)
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
		pg_fail_later(pg, tx, err);
	}
}

static int64_t
next_backoff(struct pg *pg)
{
	int64_t wait = pg->backoff_ms;

	pg->backoff_ms = MIN(wait * 2, clock_patience_ms(BACKOFF_MOST_MS));
	/* Spread, so that the processes of a node do not come all at once. */
	return wait / 2 + (int64_t)(crypto_random_u64() % (uint64_t)wait);
}

void
pg_lose(struct pg *pg, const struct error *err)
{
	bool was_up = pg->state == PG_UP;
	int64_t wait_ms = next_backoff(pg);

	hang_up(pg);
	pg->state = PG_WAITING;
	pg->last = *err;
	log_warn(&pg_log, was_up ? "pg.lost" : "pg.connect_failed",
	    log_err(err), log_int("retry_ms", wait_ms));
	list_each_safe (node, &pg->flights)
		end_flight(pg, list_entry(node, struct pg_flight, node), err);
	list_each_safe (node, &pg->queued)
		pg_fail_later(pg, list_entry(node, struct pg_tx, node), err);
	if (was_up) {
		pg->must_tell_down = true;
		loop_call_schedule(pg->loop, &pg->fail_call, tell_next, pg);
	}
	timer_set(pg->timer, wait_ms);
}

/* Connecting. ------------------------------------------------------------ */

void
pg_watch(struct pg *pg, bool want_read, bool want_write)
{
	int fd = PQsocket(pg->conn);

	if (pg->watch == NULL || fd != pg->watched_fd) {
		watch_free(&pg->watch);
		pg->watch = watch_new(pg->loop, fd, on_ready, pg);
		pg->watched_fd = fd;
	}
	watch_set(pg->watch, want_read, want_write);
}

static void
on_up(struct pg *pg)
{
	const struct pg_ops *ops = pg->ops;

	if (PQsetnonblocking(pg->conn, 1) != 0 ||
	    PQenterPipelineMode(pg->conn) != 1) {
		struct error err = { 0 };

		pg_set_conn_error(&err, pg->conn);
		pg_lose(pg, &err);
		return;
	}
	pg->state = PG_UP;
	pg->backoff_ms = BACKOFF_FIRST_MS;
	timer_cancel(pg->timer);
	pg_watch(pg, true, false);
	log_debug(&pg_log, "pg.up");
	/* In their order; one that breaks the connection fails the rest. */
	while (pg->state == PG_UP && !list_is_empty(&pg->queued))
		pg_put_on_wire(pg,
		    list_entry(list_first(&pg->queued), struct pg_tx, node));
	if (pg->state == PG_UP && ops != NULL && ops->up != NULL)
		ops->up(pg->ctx);
}

static void
poll_connect(struct pg *pg)
{
	struct error err = { 0 };

	switch (PQconnectPoll(pg->conn)) {
	case PGRES_POLLING_READING:
		pg_watch(pg, true, false);
		return;
	case PGRES_POLLING_WRITING:
		pg_watch(pg, false, true);
		return;
	case PGRES_POLLING_OK:
		on_up(pg);
		return;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	pg_set_conn_error(&err, pg->conn);
	pg_lose(pg, &err);
}

static void
on_ready(void *ctx, bool readable, bool writable)
{
	struct pg *pg = ctx;
	struct error err = { 0 };

	(void)writable;
	if (pg->state == PG_CONNECTING) {
		poll_connect(pg);
		return;
	}
	if (pg->state != PG_UP)
		return;
	if (readable && PQconsumeInput(pg->conn) != 1) {
		/* A last word of the server may have arrived with the end. */
		pg_read_results(pg);
		if (pg->state != PG_UP)
			return;
		pg_set_conn_error(&err, pg->conn);
		pg_lose(pg, &err);
		return;
	}
	if (readable)
		pg_read_results(pg);
	if (pg->state == PG_UP && !pg_flush(pg)) {
		pg_set_conn_error(&err, pg->conn);
		pg_lose(pg, &err);
	}
}

/* Connecting. ------------------------------------------------------------- */

/*
 * Session settings. JIT: switched-off plan types cost 1e10 in the planner's
 * books, which would have every statement compiled. Generic plans: bounds are
 * parameters, so partitions are pruned when the plan starts. Keep-alives: a
 * node that is cut off holds no lock for longer than half a minute.
 */
#define OPTIONS_ALL                                                            \
	"-c jit=off -c client_min_messages=warning"                            \
	" -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"              \
	" -c tcp_keepalives_count=3"
#define OPTIONS_BATCH                                                          \
	" -c plan_cache_mode=force_generic_plan -c enable_hashjoin=off"        \
	" -c enable_mergejoin=off -c enable_seqscan=off"                       \
	" -c enable_bitmapscan=off -c enable_material=off"

/* A copy of what it says of that keyword, or NULL. */
static char *
conninfo_value(const char *conninfo, const char *keyword)
{
	PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
	char *value = NULL;

	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0 && o->val != NULL)
			value = xstrdup(o->val);
	PQconninfoFree(all);
	return value;
}

int
pg_conninfo_check(const char *conninfo, struct error *err)
{
	char *host = conninfo_value(conninfo, "host");
	char *hostaddr = conninfo_value(conninfo, "hostaddr");
	bool named = hostaddr == NULL && host != NULL && host[0] != '\0' &&
	    host[0] != '/' && host[0] != '@';

	free(host);
	free(hostaddr);
	if (!named)
		return 0;
	return error_set(err, ERR_CONFIG,
	    "postgres: host names are not looked up: name the server by "
	    "hostaddr=ADDRESS or by host=/socket/directory");
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
	char *own, *options;
	struct error err = { 0 };

	pg->state = PG_CONNECTING;
	if (pg_conninfo_check(pg->conninfo, &err) != 0) {
		pg_lose(pg, &err);
		return;
	}
	own = conninfo_value(pg->conninfo, "options");
	options = xasprintf("%s%s -c statement_timeout=%lld -c "
			    "idle_session_timeout=%lld %s",
	    OPTIONS_ALL, pg->batch_plans ? OPTIONS_BATCH : "",
	    (long long)pg->deadline_ms, (long long)pg->silent_max_ms,
	    own != NULL ? own : "");
	const char *const keys[] = { "dbname", "options", "application_name",
		"client_encoding", "gssencmode", NULL };
	const char *const values[] = { pg->conninfo, options, pg->name, "UTF8",
		"disable", NULL };

	pg->conn = PQconnectStartParams(keys, values, 1);
	free(options);
	free(own);
	timer_set(pg->timer, clock_patience_ms(CONNECT_MS));
	if (pg->conn != NULL)
		PQsetNoticeProcessor(pg->conn, on_notice, NULL);
	if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
		if (pg->conn != NULL)
			pg_set_conn_error(&err, pg->conn);
		else
			error_set(&err, ERR_STORE, "postgres: no memory");
		pg_lose(pg, &err);
		return;
	}
	/* As PQconnectStart wants it: as if PQconnectPoll had said WRITING. */
	pg_watch(pg, false, true);
}

static void
on_timer(void *ctx)
{
	struct pg *pg = ctx;
	struct error err = { 0 };
	struct list *head = list_first(&pg->flights);

	switch (pg->state) {
	case PG_WAITING:
		/* First everybody hears of the loss. */
		if (list_is_empty(&pg->failing) && !pg->must_tell_down)
			start_connect(pg);
		else
			timer_set(pg->timer, 1);
		return;
	case PG_CONNECTING:
		error_set(&err, ERR_TIMEOUT,
		    "postgres: connecting took longer "
		    "than %d s",
		    CONNECT_MS / 1000);
		pg_lose(pg, &err);
		return;
	case PG_UP:
		/* The clock of timers is coarse. */
		if (head == NULL ||
		    list_entry(head, struct pg_flight, node)->deadline_ms >
			clock_mono_ms()) {
			pg_arm_deadline(pg);
			return;
		}
		error_set(&err, ERR_TIMEOUT,
		    "postgres: no answer within %lld ms",
		    (long long)pg->deadline_ms);
		pg_lose(pg, &err);
		return;
	case PG_CLOSED:
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
	pg->deadline_ms = options->deadline_ms > 0
	    ? options->deadline_ms
	    : clock_patience_ms(DEADLINE_MS);
	pg->silent_max_ms = options->silent_max_ms;
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
	pg->state = PG_CLOSED;
	timer_free(&pg->timer);
	loop_call_cancel(&pg->fail_call);
	while ((node = list_pop(&pg->flights)) != NULL) {
		struct pg_flight *f = list_entry(node, struct pg_flight, node);

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
	return pg->state == PG_UP;
}

const struct error *
pg_failure(const struct pg *pg)
{
	return pg->state == PG_WAITING && pg->last.kind != ERR_NONE ? &pg->last
								    : NULL;
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

	while (pg->state != PG_UP) {
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

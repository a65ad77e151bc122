#include "store/migrate.h"

#include <libpq-fe.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/mem.h"
#include "store/partitions.h"
#include "store/pg.h"

/*
 * Each file is one transaction with the row that records it. The advisory lock
 * is of the session: two commands at once, on whatever node, go one after the
 * other, and the second finds nothing to do.
 */

#define LOCK "6217430"

extern const size_t migrations_count;
extern const char *const migrations_names[];
extern const char *const migrations_data[];
extern const size_t migrations_lens[];

struct migration *
migrate_files(size_t *count)
{
	struct migration *files = xcalloc(migrations_count, sizeof(*files));

	for (size_t i = 0; i < migrations_count; i++)
		files[i] = (struct migration){ migrations_names[i],
			slice_mem(migrations_data[i], migrations_lens[i]) };
	*count = migrations_count;
	return files;
}

/* The first line says it; the rest quotes the statement. */
static int
fail(PGconn *conn, const char *what, struct error *err)
{
	struct slice text = slice_trim_lines(slice_of(PQerrorMessage(conn)));

	text = slice_first(text, slice_find_char(text, '\n'));
	return error_set(err, ERR_STORE, "%s: %.*s", what, SLICE_FMT(text));
}

static int
run(PGconn *conn, const char *sql, const char *what, struct error *err)
{
	PGresult *res = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(res);

	PQclear(res);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		return fail(conn, what, err);
	return 0;
}

static PGconn *
open_conn(const char *conninfo, struct error *err)
{
	const char *const keys[] = { "dbname", "application_name",
		"client_encoding", NULL };
	const char *const values[] = { conninfo, "verpost migrate", "UTF8",
		NULL };
	PGconn *conn;

	if (pg_conninfo_check(conninfo, err) != 0)
		return NULL;
	conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(conn) == CONNECTION_OK &&
	    run(conn, "SET client_min_messages = warning", "postgres", err) ==
		0)
		return conn;
	fail(conn, "postgres", err);
	PQfinish(conn);
	return NULL;
}

static void
checksum(const struct migration *file, struct strbuf *hex)
{
	uint8_t sum[SHA256_LEN];

	crypto_sha256(file->sql, sum);
	hex_encode(hex, slice_mem(sum, sizeof(sum)));
}

/*
 * Counts how many of the files are applied. They must be the first ones, in
 * order, unchanged, and there must be no others.
 */
static int
compare(PGconn *conn, const struct migration *files, size_t count,
    size_t *applied, struct error *err)
{
	PGresult *res =
	    PQexec(conn, "SELECT name, checksum FROM migrations ORDER BY name");
	int rc = 0;

	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		PQclear(res);
		return fail(conn, "reading migrations", err);
	}
	*applied = (size_t)PQntuples(res);
	if (*applied > count)
		rc = error_set(err, ERR_CONFIG,
		    "the database is newer than this program: it has had %s",
		    PQgetvalue(res, (int)count, 0));
	for (size_t i = 0; rc == 0 && i < *applied; i++) {
		struct strbuf hex = STRBUF_INIT;

		checksum(&files[i], &hex);
		if (strcmp(PQgetvalue(res, (int)i, 0), files[i].name) != 0)
			rc = error_set(err, ERR_CONFIG,
			    "the database has had %s where this program has "
			    "%s",
			    PQgetvalue(res, (int)i, 0), files[i].name);
		else if (strcmp(PQgetvalue(res, (int)i, 1),
			     strbuf_text(&hex)) != 0)
			rc = error_set(err, ERR_CONFIG,
			    "%s has changed since it was applied: an applied "
			    "migration must stay as it is, write a new one",
			    files[i].name);
		strbuf_fini(&hex);
	}
	PQclear(res);
	return rc;
}

static int
record(PGconn *conn, const struct migration *file, int64_t now_ms,
    struct error *err)
{
	struct strbuf hex = STRBUF_INIT, ms = STRBUF_INIT;
	PGresult *res;
	ExecStatusType status;

	checksum(file, &hex);
	strbuf_add_fmt(&ms, "%lld", (long long)now_ms);
	const char *const values[] = { file->name, strbuf_text(&hex),
		strbuf_text(&ms) };

	res = PQexecParams(conn,
	    "INSERT INTO migrations (name, checksum, applied_at) VALUES "
	    "($1, $2, to_timestamp($3::bigint / 1000.0))",
	    3, NULL, values, NULL, NULL, 0);
	status = PQresultStatus(res);
	PQclear(res);
	strbuf_fini(&hex);
	strbuf_fini(&ms);
	if (status != PGRES_COMMAND_OK)
		return fail(conn, "recording the migration", err);
	return 0;
}

static int
apply(PGconn *conn, const struct migration *file, int64_t now_ms,
    struct error *err)
{
	char *sql = slice_dup(file->sql);
	int rc = run(conn, "BEGIN", "begin", err);

	if (rc == 0)
		rc = run(conn, sql, file->name, err);
	if (rc == 0)
		rc = record(conn, file, now_ms, err);
	if (rc == 0)
		rc = run(conn, "COMMIT", file->name, err);
	else
		PQclear(PQexec(conn, "ROLLBACK"));
	free(sql);
	return rc;
}

static int
make_days(PGconn *conn, int64_t now_ms, struct error *err)
{
	long long today = now_ms / CLOCK_DAY_MS;
	char *sql = xasprintf("SELECT make_partitions(%lld, %lld)", today - 1,
	    today + STORE_DAYS_AHEAD);
	int rc = run(conn, sql, "making partitions", err);

	free(sql);
	return rc;
}

static int
run_locked(PGconn *conn, const struct migration *files, size_t count,
    int64_t now_ms, void (*applied)(void *ctx, const char *name), void *ctx,
    struct error *err)
{
	size_t done = 0;

	if (run(conn, "SELECT pg_advisory_lock(" LOCK ")", "lock", err) != 0 ||
	    run(conn,
		"CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, "
		"checksum text NOT NULL, applied_at timestamptz NOT NULL)",
		"migrations", err) != 0 ||
	    compare(conn, files, count, &done, err) != 0)
		return -1;
	for (size_t i = done; i < count; i++) {
		if (apply(conn, &files[i], now_ms, err) != 0)
			return -1;
		if (applied != NULL)
			applied(ctx, files[i].name);
	}
	return make_days(conn, now_ms, err);
}

int
migrate_run_files(const char *conninfo, const struct migration *files,
    size_t count, int64_t now_ms, void (*applied)(void *ctx, const char *name),
    void *ctx, struct error *err)
{
	PGconn *conn = open_conn(conninfo, err);
	int rc;

	if (conn == NULL)
		return -1;
	rc = run_locked(conn, files, count, now_ms, applied, ctx, err);
	PQfinish(conn);
	return rc;
}

int
migrate_run(const char *conninfo, int64_t now_ms,
    void (*applied)(void *ctx, const char *name), void *ctx, struct error *err)
{
	size_t count;
	struct migration *files = migrate_files(&count);
	int rc = migrate_run_files(conninfo, files, count, now_ms, applied, ctx,
	    err);

	free(files);
	return rc;
}

int
migrate_pending(const char *conninfo, size_t *pending, struct error *err)
{
	PGconn *conn = open_conn(conninfo, err);
	size_t count, done = 0;
	struct migration *files;
	PGresult *res;
	bool has_table;
	int rc = 0;

	if (conn == NULL)
		return -1;
	files = migrate_files(&count);
	res = PQexec(conn, "SELECT to_regclass('migrations') IS NOT NULL");
	has_table = PQresultStatus(res) == PGRES_TUPLES_OK &&
	    PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	if (has_table)
		rc = compare(conn, files, count, &done, err);
	if (rc == 0)
		*pending = count - done;
	free(files);
	PQfinish(conn);
	return rc;
}

/*
 * servers.h - private PostgreSQL and Redis for a test program written in C,
 * by way of tests/servers. Included by one file per program, after test.h.
 */
#ifndef SERVERS_H
#define SERVERS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/loop.h"
#include "store/migrate.h"
#include "store/pg.h"

static struct {
	char dir[64];
	char conninfo[128];
	char redis[128];
	char script[512];
	struct loop *loop;
} servers;

/* Runs tests/servers; its exit status. Output, when wanted, is one line each
 * into conninfo and redis. */
static inline int
servers_run(const char *command, bool is_start)
{
	char line[768];
	FILE *out;
	int status;

	snprintf(line, sizeof(line), "sh '%s' %s '%s' %d", servers.script,
	    command, servers.dir, (int)getpid());
	out = popen(line, "r"); // NOLINT(cert-env33-c): our own script
	if (out == NULL)
		return 1;
	if (is_start &&
	    (fgets(servers.conninfo, sizeof(servers.conninfo), out) == NULL ||
		fgets(servers.redis, sizeof(servers.redis), out) == NULL))
		servers.conninfo[0] = '\0';
	servers.conninfo[strcspn(servers.conninfo, "\n")] = '\0';
	servers.redis[strcspn(servers.redis, "\n")] = '\0';
	status = pclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static inline void
servers_stop(void)
{
	char line[128];

	if (servers.dir[0] == '\0')
		return;
	servers_run("stop", false);
	snprintf(line, sizeof(line), "rm -rf '%s'", servers.dir);
	if (system(line) != 0) // NOLINT(cert-env33-c): our own directory
		fprintf(stderr, "left behind: %s\n", servers.dir);
}

/* Those that run already in a directory: for many short runs. */
static inline void
servers_join(const char *dir)
{
	snprintf(servers.dir, sizeof(servers.dir), "%s", dir);
	snprintf(servers.conninfo, sizeof(servers.conninfo),
	    "host=%s user=verpost dbname=verpost", dir);
	snprintf(servers.redis, sizeof(servers.redis), "unix:%s/redis.sock",
	    dir);
	servers.loop = loop_new();
}

static inline void
servers_dropped_(void *ctx, const struct pg_reply *reply,
    const struct error *err)
{
	(void)reply;
	if (err != NULL)
		fprintf(stderr, "%s\n", err->text);
	*(bool *)ctx = true;
}

/* Tables as new, whatever was there. */
static inline void
servers_reset(void)
{
	static const struct pg_stmt drop = { "reset_drop",
		"DROP SCHEMA IF EXISTS public CASCADE" };
	static const struct pg_stmt make = { "reset_make",
		"CREATE SCHEMA public" };
	struct pg_options options = { .conninfo = servers.conninfo };
	struct pg *pg = pg_new(servers.loop, &options, NULL, NULL);
	struct pg_tx *tx = pg_tx_new(pg);
	struct error err = { 0 };
	bool done = false;

	pg_tx_stmt(tx, &drop);
	pg_tx_stmt(tx, &make);
	pg_tx_send(tx, servers_dropped_, &done);
	if (pg_run_until(servers.loop, &done, 30000, &err) != 0 ||
	    migrate_run(servers.conninfo, clock_now_ms(), NULL, NULL, &err) !=
		0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	pg_free(&pg);
}

/* Ends the program with 77 when a server is not installed. */
static inline void
servers_start(bool migrate)
{
	const char *src = getenv("srcdir");
	const char *running = getenv("VERPOST_TEST_SERVERS");
	struct error err = { 0 };
	int status;

	if (running != NULL) {
		servers_join(running);
		if (migrate)
			servers_reset();
		return;
	}
	snprintf(servers.script, sizeof(servers.script), "%s/tests/servers",
	    src != NULL ? src : ".");
	snprintf(servers.dir, sizeof(servers.dir), "/tmp/vpt.XXXXXX");
	if (mkdtemp(servers.dir) == NULL) {
		perror("mkdtemp");
		exit(1);
	}
	atexit(servers_stop);
	status = servers_run("start", true);
	if (status != 0)
		exit(status);
	servers.loop = loop_new();
	if (migrate &&
	    migrate_run(servers.conninfo, clock_now_ms(), NULL, NULL, &err) !=
		0) {
		fprintf(stderr, "migrate: %s\n", err.text);
		exit(1);
	}
}

/* Connected, with the settings of the batch sessions. */
static inline struct pg *
servers_pg(void)
{
	struct pg_options options = { .conninfo = servers.conninfo,
		.batch_plans = true };
	struct pg *pg = pg_new(servers.loop, &options, NULL, NULL);
	struct error err = { 0 };

	if (pg_wait_up(pg, 10000, &err) != 0)
		fail_msg("%s", err.text);
	return pg;
}

static inline void
servers_until(const bool *done)
{
	struct error err = { 0 };

	if (pg_run_until(servers.loop, done, 30000, &err) != 0)
		fail_msg("%s", err.text);
}

/* What a store_done left. */
struct outcome_seen {
	bool done;
	struct error err;
};

static inline void
servers_done(void *ctx, const struct error *err)
{
	struct outcome_seen *seen = ctx;

	seen->done = true;
	seen->err = err != NULL ? *err : (struct error){ 0 };
}

/* Waits, and wants it to have gone well. */
static inline void
servers_ok(struct outcome_seen *seen)
{
	servers_until(&seen->done);
	if (seen->err.kind != ERR_NONE)
		fail_msg("%s", seen->err.text);
	*seen = (struct outcome_seen){ 0 };
}

/* One number out of SQL: for looking behind the modules. */
struct number_seen {
	bool done;
	int64_t value;
};

static inline void
servers_number_(void *ctx, const struct pg_reply *reply,
    const struct error *err)
{
	struct number_seen *seen = ctx;

	if (err != NULL)
		fail_msg("%s", err->text);
	seen->done = true;
	seen->value =
	    pg_rows(reply, 0) > 0 ? pg_get_int8(pg_row(reply, 0, 0), 0) : -1;
}

/* sql: a constant text; gives one int8. */
static inline int64_t
servers_number(struct pg *pg, const struct pg_stmt *stmt)
{
	struct number_seen seen = { 0 };
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, stmt);
	pg_tx_send(tx, servers_number_, &seen);
	servers_until(&seen.done);
	return seen.value;
}

/* A statement's name has at most 63 octets: a number will do. */
#define SERVERS_STR(x) SERVERS_STR_(x)
#define SERVERS_STR_(x) #x
#define SQL_NUMBER(pg, sql)                                                    \
	__extension__({                                                        \
		static const struct pg_stmt stmt_ = {                          \
			"at_" SERVERS_STR(__COUNTER__), sql                    \
		};                                                             \
		servers_number(pg, &stmt_);                                    \
	})

/* Domain 1, which mail is accepted from; of an account that nothing is about.
 */
static inline void
servers_domain(struct pg *pg)
{
	SQL_NUMBER(pg,
	    "WITH a AS (INSERT INTO accounts (number, id, name, created_at) "
	    "OVERRIDING SYSTEM VALUE VALUES (1000, gen_random_uuid(), "
	    "'sender', now()) ON CONFLICT DO NOTHING) "
	    "INSERT INTO domains (number, id, account, name, "
	    "return_path_host, created_at) OVERRIDING SYSTEM VALUE VALUES "
	    "(1, gen_random_uuid(), 1000, 'sender.test', "
	    "'send.sender.test', now()) ON CONFLICT DO NOTHING");
}

#define SERVERS_MAIN(migrate, ...)                                             \
	int main(void)                                                         \
	{                                                                      \
		struct CMUnitTest tests[] = { __VA_ARGS__ };                   \
		int failed;                                                    \
                                                                               \
		servers_start(migrate);                                        \
		test_watch_(tests, ARRAY_LEN(tests));                          \
		failed = cmocka_run_group_tests(tests, NULL, NULL);            \
		loop_free(&servers.loop);                                      \
		return failed;                                                 \
	}

#endif

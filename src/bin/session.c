#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bin/session.h"
#include "net/loop.h"
#include "queue/shaping.h"
#include "store/accounts.h"

#define WAIT_MS 30000
#define CONNECT_MS 10000

NORETURN void
session_no_postgres(const struct args *a, const struct error *err)
{
	struct slice text = slice_of(err->text);

	/* libpq goes on with advice of its own. */
	text = slice_first(text, slice_find_char(text, '\n'));
	if (err->kind == ERR_CONFIG)
		die("%.*s in %s", SLICE_FMT(text), a->config);
	if (slice_find(text, SLICE("authentication failed")) < text.len ||
	    slice_find(text, SLICE("role \"")) < text.len)
		die("%.*s: run this as the user that Postgres knows ('sudo -u "
		    "verpost verpost ...'), or set 'postgres' in %s",
		    SLICE_FMT(text), a->config);
	die("%.*s: is it running, and is 'postgres' in %s right?",
	    SLICE_FMT(text), a->config);
}

/* The first failure is the answer: a person is waiting. */
static void
wait_up(struct session *s, const struct args *a)
{
	int64_t end_ms = clock_mono_ms() + CONNECT_MS;
	struct error late = { 0 };

	while (!pg_is_up(s->pg) && pg_failure(s->pg) == NULL &&
	    clock_mono_ms() < end_ms)
		loop_turn(s->loop, 100);
	if (pg_is_up(s->pg))
		return;
	if (pg_failure(s->pg) != NULL)
		session_no_postgres(a, pg_failure(s->pg));
	error_set(&late, ERR_TIMEOUT, "postgres: no connection within %d s",
	    CONNECT_MS / 1000);
	session_no_postgres(a, &late);
}

void
session_open(struct session *s, const struct args *a, unsigned int needs)
{
	struct error err = { 0 };
	struct pg_options options = { .name = "verpost command" };

	*s = (struct session){ 0 };
	log_setup("command", LOG_LEVEL_ERROR);
	if (settings_load(&s->settings, a->config, NULL, NULL, &err) != 0)
		die("%s%s", err.text,
		    a->config_given ? "" : "; -c names another file");
	if ((needs & SESSION_KEYS) != 0 &&
	    keyring_load(&s->keyring, s->settings.key_file, &err) != 0)
		die("%s", err.text);
	s->loop = loop_new();
	options.conninfo = s->settings.postgres;
	s->pg = pg_new(s->loop, &options, NULL, NULL);
	wait_up(s, a);
}

const struct shaping *
session_shaping(struct session *s)
{
	struct error err = { 0 };

	if (s->shaping == NULL &&
	    shaping_load(s->settings.shaping_file, NULL, NULL, &s->shaping,
		&err) != 0)
		die("%s", err.text);
	return s->shaping;
}

void
session_close(struct session *s)
{
	shaping_free(&s->shaping);
	pg_free(&s->pg);
	loop_free(&s->loop);
	keyring_wipe(&s->keyring);
	settings_fini(&s->settings);
}

/* An undefined table, column or function (PostgreSQL, Appendix A). */
static bool
lacks_tables(const struct error *err)
{
	return pg_sqlstate_is(err, "42P01") || pg_sqlstate_is(err, "42703") ||
	    pg_sqlstate_is(err, "42883");
}

struct error
session_try(struct session *s)
{
	struct error err = { 0 };

	if (pg_run_until(s->loop, &s->done, WAIT_MS, &err) == 0)
		err = s->err;
	if (lacks_tables(&err))
		error_set(&err, ERR_STORE,
		    "the tables in Postgres are missing, or older than this "
		    "program: run 'verpost migrate'");
	if (pg_sqlstate_is(&err, "25006"))
		error_set(&err, ERR_STORE,
		    "this Postgres takes no changes: it is a copy of another, "
		    "or the user that 'postgres' names may only read");
	if (pg_sqlstate_is(&err, "42501"))
		error_set(&err, ERR_STORE,
		    "the user that 'postgres' in the settings names may not do "
		    "this: use the one that owns the tables");
	s->done = false;
	s->err = (struct error){ 0 };
	return err;
}

void
session_wait(struct session *s, const char *fmt, ...)
{
	struct error err = session_try(s);
	char doing[200];
	va_list ap;

	if (err.kind == ERR_NONE)
		return;
	va_start(ap, fmt);
	vsnprintf(doing, sizeof(doing), fmt, ap);
	va_end(ap);
	die("%s: %s", doing, err.text);
}

void
session_end(struct session *s, const struct error *err)
{
	s->done = true;
	if (err != NULL)
		s->err = *err;
}

void
session_done(void *ctx, const struct error *err)
{
	session_end(ctx, err);
}

/* ---- Accounts ------------------------------------------------------------ */

struct account_pick {
	struct session *s;
	int number; /* asked for by number; or found */
	size_t count;
	char *name;
};

static void
got_account(void *ctx, const struct store_account *account, size_t count,
    const struct error *err)
{
	struct account_pick *pick = ctx;

	pick->count = count;
	if (err == NULL && count == 1)
		pick->number = account[0].number;
	session_end(pick->s, err);
}

int
session_account_named(struct session *s, const char *name_or_id)
{
	struct account_pick pick = { .s = s };
	struct error err;

	store_account_find(s->pg, slice_of(name_or_id), got_account, &pick);
	err = session_try(s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no account '%s': 'verpost account list' lists "
		    "them",
		    name_or_id);
	if (err.kind != ERR_NONE)
		die("looking for account '%s': %s", name_or_id, err.text);
	if (pick.count != 1)
		die("'%s' is the name of one account and the id of another",
		    name_or_id);
	return pick.number;
}

int
session_account(struct session *s, const struct args *a)
{
	const char *name = args_flag(a, "account");
	struct account_pick pick = { .s = s };

	if (name != NULL)
		return session_account_named(s, name);
	store_account_list(s->pg, got_account, &pick);
	session_wait(s, "looking for the account");
	if (pick.count == 0)
		die("there is no account yet: 'verpost account add NAME' "
		    "makes one");
	if (pick.count > 1)
		die("there are %zu accounts: say which one with --account",
		    pick.count);
	return pick.number;
}

static void
got_name(void *ctx, const struct store_account *account, size_t count,
    const struct error *err)
{
	struct account_pick *pick = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		if (account[i].number == pick->number)
			pick->name = slice_dup(account[i].name);
	session_end(pick->s, err);
}

char *
session_account_name(struct session *s, int number)
{
	struct account_pick pick = { .s = s, .number = number };

	store_account_list(s->pg, got_name, &pick);
	session_wait(s, "listing accounts");
	return pick.name != NULL ? pick.name : xasprintf("#%d", number);
}

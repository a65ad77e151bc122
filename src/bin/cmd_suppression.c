/* verpost suppression list|add|remove */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "bin/session.h"
#include "bin/table.h"
#include "mail/address.h"
#include "model/id.h"
#include "store/suppressions.h"

#define PAGE 100

struct suppression_call {
	struct session s;
	struct table *table;
	struct id last;
	bool has_more;
	size_t count;
};

static const struct flag account_flags[] = {
	{ "account", "NAME",
	    "of which account; needed when there are several" },
	{ NULL, NULL, NULL },
};

static const struct flag add_flags[] = {
	{ "account", "NAME",
	    "of which account; needed when there are several" },
	{ "reason", "TEXT", "note to keep with it" },
	{ NULL, NULL, NULL },
};

static const struct flag list_flags[] = {
	{ "account", "NAME",
	    "of which account; needed when there are several" },
	{ "origin", "KIND", "only bounce, complaint or manual" },
	{ "limit", "N", "at most that many; default 1000" },
	{ NULL, NULL, NULL },
};

/* The form by which suppressions are compared. Dies. */
static void
parse_address(const char *text, struct strbuf *key)
{
	struct arena arena = ARENA_INIT;
	struct mail_address address;
	struct error err = { 0 };

	if (mail_address_parse(&arena, slice_of(text), &address, &err) != 0)
		args_die("'%s' is no address: %s", text, err.text);
	mail_address_add_key(key, &address);
	arena_fini(&arena);
}

static void
got_rows(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	struct suppression_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		call->last = row[i].id;
		if (call->table == NULL)
			continue;
		table_add(call->table, row[i].address);
		table_add(call->table, row[i].origin);
		table_add_time(call->table, row[i].created_at_ms);
		table_add_time(call->table, row[i].expires_at_ms);
		table_add(call->table, row[i].reason);
	}
	call->count += count;
	call->has_more = has_more;
	session_end(&call->s, err);
}

static int
run_add(const struct args *a)
{
	struct suppression_call call = { 0 };
	struct strbuf key = STRBUF_INIT;
	const char *reason = args_flag(a, "reason");
	int64_t now_ms = clock_now_ms();
	struct store_suppression row = {
		.id = id_new(now_ms),
		.scope = -1,
		.origin = SLICE("manual"),
		.reason = slice_of(reason != NULL ? reason : ""),
		.created_at_ms = now_ms,
	};

	parse_address(a->operand[0], &key);
	row.address = strbuf_slice(&key);
	session_open(&call.s, a, 0);
	row.account = session_account(&call.s, a);
	store_suppression_add(call.s.pg, &row, got_rows, &call);
	session_wait(&call.s, "suppressing %s", a->operand[0]);
	if (!a->json)
		printf("%s gets no more mail.\n", strbuf_text(&key));
	strbuf_fini(&key);
	session_close(&call.s);
	return 0;
}

const struct command command_suppression_add = {
	.name = "suppression add",
	.operands = "ADDRESS",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "send no more mail to an address",
	.flags = add_flags,
	.run = run_add,
};

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "address", "origin",
		"created_at", "expires_at", "reason", NULL };
	struct suppression_call call = { .table = table_new(columns) };
	const char *origin = args_flag(a, "origin");
	size_t limit = (size_t)args_number(a, "limit", 1, 1000000, 1000);
	int account;

	if (origin != NULL && strcmp(origin, "bounce") != 0 &&
	    strcmp(origin, "complaint") != 0 && strcmp(origin, "manual") != 0)
		args_die("--origin must be bounce, complaint or manual, not "
			 "'%s'",
		    origin);
	session_open(&call.s, a, 0);
	account = session_account(&call.s, a);
	do {
		store_suppression_list(call.s.pg, account,
		    origin != NULL ? slice_of(origin) : SLICE(""),
		    MIN(limit - call.count, PAGE), call.last,
		    (struct id){ { 0 } }, clock_now_ms(), got_rows, &call);
		session_wait(&call.s, "listing suppressions");
	} while (call.has_more && call.count < limit);
	table_print(call.table, a->json, "Nobody is suppressed.");
	table_free(&call.table);
	session_close(&call.s);
	return 0;
}

const struct command command_suppression_list = {
	.name = "suppression list",
	.operands = "",
	.summary = "list addresses that get no mail, newest first",
	.flags = list_flags,
	.run = run_list,
};

static int
run_remove(const struct args *a)
{
	struct suppression_call call = { 0 };
	struct strbuf key = STRBUF_INIT;
	struct error err;

	parse_address(a->operand[0], &key);
	session_open(&call.s, a, 0);
	store_suppression_remove(call.s.pg, session_account(&call.s, a),
	    strbuf_slice(&key), (struct id){ { 0 } }, got_rows, &call);
	err = session_try(&call.s);
	if (err.kind == ERR_NOTFOUND ||
	    (err.kind == ERR_NONE && call.count == 0))
		die("%s is not suppressed", strbuf_text(&key));
	if (err.kind != ERR_NONE)
		die("removing the suppression of %s: %s", strbuf_text(&key),
		    err.text);
	if (!a->json)
		printf("%s may get mail again.\n", strbuf_text(&key));
	strbuf_fini(&key);
	session_close(&call.s);
	return 0;
}

const struct command command_suppression_remove = {
	.name = "suppression remove",
	.operands = "ADDRESS",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "let an address have mail again",
	.flags = account_flags,
	.run = run_remove,
};

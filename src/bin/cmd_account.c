/* verpost account add|list|set|remove */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "store/accounts.h"

struct account_call {
	struct session s;
	struct table *table;
	int number;
	struct id id;
};

static const struct flag no_flags[] = { { NULL, NULL, NULL } };

static void
got_one(void *ctx, const struct store_account *account, size_t count,
    const struct error *err)
{
	struct account_call *call = ctx;

	if (err == NULL && count > 0) {
		call->number = account[0].number;
		call->id = account[0].id;
	}
	session_end(&call->s, err);
}

static void
print_added(struct id id, struct slice name)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "id", id_text(id).s);
	json_text(&w, "name", name);
	json_end(&w);
	puts(strbuf_text(&out));
	strbuf_fini(&out);
}

static int
run_add(const struct args *a)
{
	struct account_call call = { 0 };
	struct slice name = slice_trim(slice_of(a->operand[0]));
	int64_t now_ms = clock_now_ms();
	struct error err;

	if (!args_name_is_good(name, 100))
		die("an account's name has 1 to 100 octets of UTF-8 and no "
		    "control characters");
	session_open(&call.s, a, 0);
	store_account_add(call.s.pg, id_new(now_ms), name, now_ms, got_one,
	    &call);
	err = session_try(&call.s);
	if (err.kind == ERR_CONFLICT)
		die("there is already an account named '%s'", a->operand[0]);
	if (err.kind != ERR_NONE)
		die("adding account '%s': %s", a->operand[0], err.text);
	if (a->json)
		print_added(call.id, name);
	else
		printf("Account %.*s added. Next: 'verpost source add ADDRESS "
		       "--helo NAME', if there is none\nyet, and then "
		       "'verpost domain add DOMAIN'.\n",
		    SLICE_FMT(name));
	session_close(&call.s);
	return 0;
}

const struct command command_account_add = {
	.name = "account add",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "add an account: who owns domains, keys and mail",
	.flags = no_flags,
	.run = run_add,
};

static void
got_all(void *ctx, const struct store_account *account, size_t count,
    const struct error *err)
{
	struct account_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		table_add(call->table, account[i].name);
		table_add_text(call->table, id_text(account[i].id).s);
		table_add_int(call->table, account[i].suppressed_answer);
		table_add_time(call->table, account[i].created_at_ms);
	}
	session_end(&call->s, err);
}

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "name", "id",
		"suppressed_answer", "created_at", NULL };
	struct account_call call = { .table = table_new(columns) };

	session_open(&call.s, a, 0);
	store_account_list(call.s.pg, got_all, &call);
	session_wait(&call.s, "listing accounts");
	table_print(call.table, a->json,
	    "No account yet: verpost account add NAME");
	table_free(&call.table);
	session_close(&call.s);
	return 0;
}

const struct command command_account_list = {
	.name = "account list",
	.operands = "",
	.summary = "list accounts",
	.flags = no_flags,
	.run = run_list,
};

static const struct flag set_flags[] = {
	{ "suppressed-answer", "CODE",
	    "of the API when all recipients are suppressed: 422, or 200 as "
	    "Resend's" },
	{ NULL, NULL, NULL },
};

static int
run_set(const struct args *a)
{
	struct account_call call = { 0 };
	int answer = (int)args_number(a, "suppressed-answer", 200, 422, 0);

	if (answer != 200 && answer != 422)
		die("say what to set: --suppressed-answer 200, or 422");
	session_open(&call.s, a, 0);
	store_account_find(call.s.pg, slice_of(a->operand[0]), got_one, &call);
	session_wait(&call.s, "looking for account '%s'", a->operand[0]);
	store_account_set_answer(call.s.pg, call.number, answer, session_done,
	    &call.s);
	session_wait(&call.s, "changing account '%s'", a->operand[0]);
	if (!a->json)
		printf("Account %s changed. A running httpd knows it within "
		       "seconds.\n",
		    a->operand[0]);
	session_close(&call.s);
	return 0;
}

const struct command command_account_set = {
	.name = "account set",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "change how the API answers an account",
	.flags = set_flags,
	.run = run_set,
};

static int
run_remove(const struct args *a)
{
	struct account_call call = { 0 };

	session_open(&call.s, a, 0);
	store_account_find(call.s.pg, slice_of(a->operand[0]), got_one, &call);
	session_wait(&call.s, "looking for account '%s'", a->operand[0]);
	store_account_remove(call.s.pg, call.number, session_done, &call.s);
	session_wait(&call.s, "removing account '%s'", a->operand[0]);
	if (!a->json)
		printf("Account %s removed with its domains, keys, webhooks "
		       "and suppressions; its mail stays until it is old.\n",
		    a->operand[0]);
	session_close(&call.s);
	return 0;
}

const struct command command_account_remove = {
	.name = "account remove",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "remove an account with its domains, keys and webhooks",
	.flags = no_flags,
	.run = run_remove,
};

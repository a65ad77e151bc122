/* verpost account add|list|set|remove */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "bin/senders.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "store/accounts.h"
#include "store/removals.h"

struct account_call {
	struct session s;
	struct table *table;
	int number;
	struct id id;
	struct store_account_holdings held;
	int64_t waiting;
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
		args_die(
		    "an account's name has 1 to 100 octets of UTF-8 and no "
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
		table_add_int(call->table, 1 << account[i].weight_log2);
		for (int s = 0; s < STORE_STREAMS; s++)
			table_add(call->table, account[i].pool[s]);
		table_add_int(call->table, account[i].suppressed_answer);
		table_add_time(call->table, account[i].created_at_ms);
	}
	session_end(&call->s, err);
}

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "name", "id", "weight",
		"transactional_pool", "broadcast_pool", "suppressed_answer",
		"created_at", NULL };
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
	{ "weight", "N",
	    "share beside other accounts when much waits: 1, 2, 4, ... 128" },
	{ "transactional-pool", "POOL",
	    "addresses that single mails leave by (see verpost source add)" },
	{ "broadcast-pool", "POOL",
	    "addresses that mail with \"stream\": \"broadcast\" leaves by" },
	{ "suppressed-answer", "CODE",
	    "of the API when all recipients are suppressed: 422, or 200 as "
	    "Resend's" },
	{ NULL, NULL, NULL },
};

/* -1: not given. */
static int
weight_log2(const struct args *a)
{
	long weight = args_number(a, "weight", 1, 128, 0);

	for (int log2 = 0; log2 <= 7; log2++)
		if (weight == 1L << log2)
			return log2;
	if (weight != 0)
		args_die("--weight %ld: must be 1, 2, 4, 8, 16, 32, 64 or 128",
		    weight);
	return -1;
}

static void
set_pool(struct account_call *call, const struct args *a, const char *flag,
    enum store_stream stream)
{
	const char *pool = args_flag(a, flag);

	if (pool == NULL)
		return;
	store_account_set_pool(call->s.pg, call->number, stream, slice_of(pool),
	    session_done, &call->s);
	session_wait(&call->s, "--%s %s", flag, pool);
}

static int
run_set(const struct args *a)
{
	struct account_call call = { 0 };
	struct store_account_change change = { .weight_log2 = weight_log2(a) };

	if (args_flag(a, "suppressed-answer") != NULL)
		change.suppressed_answer =
		    (int)args_number(a, "suppressed-answer", 200, 422, 0);
	if (change.suppressed_answer != 0 && change.suppressed_answer != 200 &&
	    change.suppressed_answer != 422)
		args_die("--suppressed-answer: must be 200 or 422");
	if (change.suppressed_answer == 0 && change.weight_log2 < 0 &&
	    args_flag(a, "transactional-pool") == NULL &&
	    args_flag(a, "broadcast-pool") == NULL)
		args_die("nothing to set: see verpost account set --help");
	session_open(&call.s, a, 0);
	store_account_find(call.s.pg, slice_of(a->operand[0]), got_one, &call);
	session_wait(&call.s, "looking for account '%s'", a->operand[0]);
	store_account_set(call.s.pg, call.number, &change, session_done,
	    &call.s);
	session_wait(&call.s, "changing account '%s'", a->operand[0]);
	set_pool(&call, a, "transactional-pool", STORE_TRANSACTIONAL);
	set_pool(&call, a, "broadcast-pool", STORE_BROADCAST);
	if (!a->json)
		printf("Account %s changed. A running httpd knows it within "
		       "seconds.\n",
		    a->operand[0]);
	fflush(stdout);
	if (args_flag(a, "transactional-pool") != NULL ||
	    args_flag(a, "broadcast-pool") != NULL)
		senders_warn_spf(&call.s, NULL, call.number);
	session_close(&call.s);
	return 0;
}

const struct command command_account_set = {
	.name = "account set",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "change an account's share, pools and answers",
	.flags = set_flags,
	.run = run_set,
};

static void
got_holdings(void *ctx, const struct store_account_holdings *held, size_t count,
    const struct error *err)
{
	struct account_call *call = ctx;

	if (err == NULL && count == 1)
		call->held = held[0];
	session_end(&call->s, err);
}

/* Nobody gets these back. */
NORETURN static void
refuse_without_yes(struct account_call *call, const char *name)
{
	store_account_count(call->s.pg, call->number, got_holdings, call);
	session_wait(&call->s, "counting what account '%s' has", name);
	die("with account '%s' go its domains and their DKIM keys (%lld), API "
	    "keys (%lld), webhooks (%lld) and suppressions (%lld), for good: "
	    "say --yes to remove it",
	    name, (long long)call->held.domains, (long long)call->held.keys,
	    (long long)call->held.webhooks, (long long)call->held.suppressions);
}

static void
got_removed(void *ctx, int64_t waiting, const struct error *err)
{
	struct account_call *call = ctx;

	call->waiting = waiting;
	session_end(&call->s, err);
}

static const struct flag remove_flags[] = {
	{ "yes", NULL, "do it; without, it only says what would go" },
	{ NULL, NULL, NULL },
};

static int
run_remove(const struct args *a)
{
	struct account_call call = { 0 };

	session_open(&call.s, a, 0);
	store_account_find(call.s.pg, slice_of(a->operand[0]), got_one, &call);
	session_wait(&call.s, "looking for account '%s'", a->operand[0]);
	if (args_flag(a, "yes") == NULL)
		refuse_without_yes(&call, a->operand[0]);
	store_account_remove(call.s.pg, call.number, got_removed, &call);
	session_wait(&call.s, "removing account '%s'", a->operand[0]);
	if (call.waiting > 0)
		die("account '%s' stays: its mail waits for %lld%s recipients. "
		    "End it with 'verpost queue cancel account %s', or let it "
		    "be sent; then remove the account",
		    a->operand[0], (long long)call.waiting,
		    call.waiting >= STORE_WAITING_MOST ? " or more" : "",
		    a->operand[0]);
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
	.help = "It is refused while mail of the account waits: 'verpost queue "
		"cancel account NAME'\nends that.",
	.flags = remove_flags,
	.run = run_remove,
};

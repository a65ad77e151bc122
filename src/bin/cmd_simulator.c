/* verpost simulator list|show */
#include <stdio.h>

#include "base/encode.h"
#include "base/error.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "model/token.h"
#include "store/simulator.h"

struct simulator_call {
	struct session s;
	struct table *table;
};

static void
got_all(void *ctx, const struct store_simulator_mail *mail, size_t count,
    const struct error *err)
{
	struct simulator_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		table_add_time(call->table, id_time_ms(mail[i].id));
		table_add_text(call->table, id_text(mail[i].id).s);
		table_add(call->table, mail[i].rcpt_to);
		table_add(call->table, mail[i].outcome);
		table_add_int(call->table, (int64_t)mail[i].raw_bytes);
		table_add(call->table, mail[i].mail_from);
	}
	session_end(&call->s, err);
}

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "at", "id", "to", "outcome",
		"octets", "return_path", NULL };
	struct simulator_call call = { .table = table_new(columns) };
	long limit = args_number(a, "limit", 1, 10000, 50);

	session_open(&call.s, a, 0);
	store_simulator_list(call.s.pg, (size_t)limit, got_all, &call);
	session_wait(&call.s, "listing what the simulator took");
	table_print(call.table, a->json, "The simulator has taken no mail.");
	table_free(&call.table);
	session_close(&call.s);
	return 0;
}

static const struct flag list_flags[] = {
	{ "limit", "N", "at most that many; default 50" },
	{ NULL, NULL, NULL },
};

const struct command command_simulator_list = {
	.name = "simulator list",
	.operands = "",
	.summary = "list mail that the simulator took, newest first",
	.flags = list_flags,
	.run = run_list,
};

/* ---- show ---------------------------------------------------------------- */

#define SHOW_MAX 100

struct show_call {
	struct session s;
	struct id id;	/* asked for */
	struct id mail; /* of the simulator, found by the return path */
	size_t count;
	struct table *table; /* all that belong to it */
};

static void
got_one(void *ctx, const struct store_simulator_mail *mail, size_t count,
    const struct error *err)
{
	struct show_call *call = ctx;

	if (err == NULL && count == 1)
		fwrite(mail[0].raw.ptr, 1, mail[0].raw.len, stdout);
	session_end(&call->s, err);
}

/* Whether a return path is of that recipient, or of any of that email. */
static bool
is_of(struct slice mail_from, struct id id)
{
	struct id recipient;

	if (!token_peek(slice_take_until(&mail_from, '@'), &recipient))
		return false;
	if (id_recipient_number(id) == 0)
		recipient = id_email_of(recipient);
	return id_cmp(recipient, id) == 0;
}

static void
got_candidates(void *ctx, const struct store_simulator_mail *mail, size_t count,
    const struct error *err)
{
	struct show_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		if (!is_of(mail[i].mail_from, call->id))
			continue;
		call->count++;
		call->mail = mail[i].id;
		table_add_text(call->table, id_text(mail[i].id).s);
		table_add(call->table, mail[i].rcpt_to);
		table_add(call->table, mail[i].outcome);
	}
	session_end(&call->s, err);
}

/*
 * Every recipient has a return path of its own, and its id is in there: the
 * first 24 letters hold 120 bits, which all recipients of an email share.
 */
static void
find_by_return_path(struct show_call *call, const char *asked)
{
	static const char *const columns[] = { "id", "to", "outcome", NULL };
	char local[2 + BASE32_LEN(sizeof(call->id.b)) + 1] = "b-";

	base32_encode(call->id.b, sizeof(call->id.b), local + 2);
	call->table = table_new(columns);
	store_simulator_find_from(call->s.pg, id_floor(id_time_ms(call->id)),
	    slice_mem(local, 2 + 24), SHOW_MAX, got_candidates, call);
	session_wait(&call->s, "looking for mail of %s", asked);
	if (call->count == 0)
		die("the simulator has no mail %s, and none of an email or "
		    "recipient with that id: 'verpost simulator list' shows "
		    "what it took",
		    asked);
	if (call->count > 1) {
		table_print(call->table, false, "");
		die("there are %zu mails of %s: give the id of one of them",
		    call->count, asked);
	}
	table_free(&call->table);
}

static int
run_show(const struct args *a)
{
	const char *asked = a->operand[0];
	struct show_call call = { 0 };
	struct error err;

	if (!id_parse(slice_of(asked), &call.id))
		args_die("'%s' is no id: 'verpost simulator list' shows them",
		    asked);
	session_open(&call.s, a, 0);
	store_simulator_find(call.s.pg, call.id, got_one, &call);
	err = session_try(&call.s);
	if (err.kind == ERR_NOTFOUND) {
		find_by_return_path(&call, asked);
		store_simulator_find(call.s.pg, call.mail, got_one, &call);
		session_wait(&call.s, "reading mail %s", id_text(call.mail).s);
	} else if (err.kind != ERR_NONE) {
		die("looking for mail %s: %s", asked, err.text);
	}
	session_close(&call.s);
	return 0;
}

const struct command command_simulator_show = {
	.name = "simulator show",
	.operands = "ID",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "print a mail that the simulator took, as it came",
	.help = "ID is that of 'verpost simulator list', or the id of an email "
		"or of one of its\nrecipients. Of several mails with that id "
		"it prints a list, and fails.",
	.run = run_show,
};

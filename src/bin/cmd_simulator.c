/* verpost simulator list|show */
#include <stdio.h>

#include "base/error.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
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

static void
got_one(void *ctx, const struct store_simulator_mail *mail, size_t count,
    const struct error *err)
{
	struct simulator_call *call = ctx;

	if (err == NULL && count == 1)
		fwrite(mail[0].raw.ptr, 1, mail[0].raw.len, stdout);
	session_end(&call->s, err);
}

static int
run_show(const struct args *a)
{
	struct simulator_call call = { 0 };
	struct id id;

	if (!id_parse(slice_of(a->operand[0]), &id))
		die("'%s' is no id: 'verpost simulator list' shows them",
		    a->operand[0]);
	session_open(&call.s, a, 0);
	store_simulator_find(call.s.pg, id, got_one, &call);
	session_wait(&call.s, "looking for mail %s", a->operand[0]);
	session_close(&call.s);
	return 0;
}

const struct command command_simulator_show = {
	.name = "simulator show",
	.operands = "ID",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "print a mail that the simulator took, as it came",
	.run = run_show,
};

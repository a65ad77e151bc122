/* verpost key add|list|remove */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "bin/provision.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "store/domains.h"
#include "store/keys.h"

struct key_call {
	struct session s;
	struct table *table;
	int domain;
};

static const struct flag add_flags[] = {
	{ "account", "NAME", "whose key; needed when there are several" },
	{ "sending", NULL, "may do nothing but send" },
	{ "domain", "DOMAIN", "may send from this domain only" },
	{ NULL, NULL, NULL },
};

static const struct flag account_flags[] = {
	{ "account", "NAME", "whose keys; needed when there are several" },
	{ NULL, NULL, NULL },
};

static void
got_domain(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct key_call *call = ctx;

	if (err == NULL && count == 1)
		call->domain = domain[0].number;
	session_end(&call->s, err);
}

static int
run_add(const struct args *a)
{
	struct key_call call = { 0 };
	const char *domain = args_flag(a, "domain");
	struct provision_key key = {
		.name = a->count > 0 ? a->operand[0] : "key",
		.sending_only = args_flag(a, "sending") != NULL,
	};
	char text[PROVISION_KEY_LEN + 1];

	if (!args_name_is_good(slice_of(key.name), 50))
		args_die("the name of a key has 1 to 50 octets of UTF-8 and no "
			 "control characters");
	session_open(&call.s, a, 0);
	key.account = session_account(&call.s, a);
	if (domain != NULL) {
		store_domain_find_name(call.s.pg, key.account, slice_of(domain),
		    got_domain, &call);
		session_wait(&call.s, "looking for domain '%s'", domain);
		key.domain = call.domain;
	}
	provision_key(&call.s, &key, text);
	if (a->json)
		printf("{\"key\":\"%s\"}\n", text);
	else
		printf("%s\n\nThis is the only time it is shown: the database "
		       "holds a hash.\n",
		    text);
	explicit_bzero(text, sizeof(text));
	session_close(&call.s);
	return 0;
}

const struct command command_key_add = {
	.name = "key add",
	.operands = "[NAME]",
	.operands_max = 1,
	.summary = "make an API key and print it, once",
	.flags = add_flags,
	.run = run_add,
};

static void
got_all(void *ctx, const struct store_key *key, size_t count,
    const struct error *err)
{
	struct key_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		table_add_text(call->table, id_text(key[i].id).s);
		table_add(call->table, key[i].name);
		table_add(call->table, key[i].prefix);
		table_add_text(call->table,
		    key[i].sending_only ? "sending_access" : "full_access");
		table_add_time(call->table, key[i].created_at_ms);
		table_add_time(call->table, key[i].last_used_at_ms);
	}
	session_end(&call->s, err);
}

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "id", "name", "key",
		"permission", "created_at", "last_used_at", NULL };
	struct key_call call = { .table = table_new(columns) };

	session_open(&call.s, a, 0);
	store_key_list(call.s.pg, session_account(&call.s, a), got_all, &call);
	session_wait(&call.s, "listing keys");
	table_print(call.table, a->json, "No key yet: verpost key add NAME");
	table_free(&call.table);
	session_close(&call.s);
	return 0;
}

const struct command command_key_list = {
	.name = "key list",
	.operands = "",
	.summary = "list API keys",
	.flags = account_flags,
	.run = run_list,
};

static int
run_remove(const struct args *a)
{
	struct session s;
	struct error err;
	struct id id;

	if (!id_parse(slice_of(a->operand[0]), &id))
		args_die("'%s' is no id: 'verpost key list' shows them",
		    a->operand[0]);
	session_open(&s, a, 0);
	store_key_remove(s.pg, session_account(&s, a), id, session_done, &s);
	err = session_try(&s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no key %s in this account", a->operand[0]);
	if (err.kind != ERR_NONE)
		die("removing key %s: %s", a->operand[0], err.text);
	if (!a->json)
		printf("Key removed; processes that have just used it forget "
		       "it within seconds.\n");
	session_close(&s);
	return 0;
}

const struct command command_key_remove = {
	.name = "key remove",
	.operands = "ID",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "remove an API key",
	.flags = account_flags,
	.run = run_remove,
};

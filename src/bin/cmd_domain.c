/* verpost domain add|list|show|remove; verify is in cmd_verify.c */
#include <stdio.h>

#include "base/error.h"
#include "bin/domain.h"
#include "bin/provision.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "store/domains.h"

struct domain_call {
	struct session s;
	struct table *table;
};

static const struct flag add_flags[] = {
	{ "account", "NAME", "whose domain; needed when there are several" },
	{ "selector", "LABEL", "of the DKIM key; default " PROVISION_SELECTOR },
	{ "return-path", "LABEL",
	    "host for bounces; default " PROVISION_RETURN_LABEL },
	{ "unchecked", NULL,
	    "count it as verified without DNS: never in mode live" },
	{ NULL, NULL, NULL },
};

static const struct flag account_flags[] = {
	{ "account", "NAME", "only this account's" },
	{ NULL, NULL, NULL },
};

static void
print_added(const struct session *s, const struct provision_domain *d)
{
	printf("Domain %s added. ", d->name);
	if (d->verified)
		printf("It counts as verified. In mode live it will need these "
		       "records:\n\n");
	else if (s->settings.mode == MODE_SIMULATOR)
		printf("Mode simulator asks DNS nothing: let it send with\n\n"
		       "  verpost domain verify %s --unchecked\n\n"
		       "In mode live it will need these records:\n\n",
		    d->name);
	else
		printf("Publish these records, then run 'verpost domain verify "
		       "%s'.\n\n",
		    d->name);
}

NORETURN static void
die_of_owner(struct session *s, const char *name)
{
	struct domain_view view;

	domain_view_load(&view, s, name);
	die("domain '%s' is there already, of account '%s': 'verpost domain "
	    "show %s' shows it",
	    name, session_account_name(s, view.account), name);
}

static int
run_add(const struct args *a)
{
	struct session s;
	struct error err = { 0 };
	struct domain_view view;
	struct provision_domain d = {
		.name = a->operand[0],
		.selector = args_flag(a, "selector"),
		.label = args_flag(a, "return-path"),
		.verified = args_flag(a, "unchecked") != NULL,
	};

	session_open(&s, a, SESSION_KEYS);
	if (d.verified && s.settings.mode == MODE_LIVE)
		die("mode is live: publish the records, then 'verpost domain "
		    "verify %s'",
		    d.name);
	d.account = session_account(&s, a);
	if (provision_domain(&s, &d, &err) != 0) {
		if (err.kind == ERR_CONFLICT)
			die_of_owner(&s, d.name);
		die("adding domain '%s': %s", d.name, err.text);
	}
	domain_view_load(&view, &s, d.name);
	if (!a->json)
		print_added(&s, &d);
	domain_view_print(&view, a->json);
	domain_view_fini(&view);
	session_close(&s);
	return 0;
}

const struct command command_domain_add = {
	.name = "domain add",
	.operands = "DOMAIN",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "add a domain to send from, with a DKIM key",
	.flags = add_flags,
	.run = run_add,
};

static void
got_all(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct domain_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		table_add(call->table, domain[i].name);
		table_add(call->table, domain[i].status);
		table_add(call->table, domain[i].return_path_host);
		table_add_time(call->table, domain[i].checked_at_ms);
		table_add_text(call->table, id_text(domain[i].id).s);
	}
	session_end(&call->s, err);
}

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "domain", "status",
		"return_path", "checked_at", "id", NULL };
	struct domain_call call = { .table = table_new(columns) };
	int account = 0;

	session_open(&call.s, a, 0);
	if (args_flag(a, "account") != NULL)
		account = session_account(&call.s, a);
	store_domain_list(call.s.pg, account, got_all, &call);
	session_wait(&call.s, "listing domains");
	table_print(call.table, a->json,
	    "No domain yet: verpost domain add DOMAIN");
	table_free(&call.table);
	session_close(&call.s);
	return 0;
}

const struct command command_domain_list = {
	.name = "domain list",
	.operands = "",
	.summary = "list domains and whether they are verified",
	.flags = account_flags,
	.run = run_list,
};

static int
run_show(const struct args *a)
{
	struct session s;
	struct domain_view view;

	session_open(&s, a, 0);
	domain_view_load(&view, &s, a->operand[0]);
	domain_view_print(&view, a->json);
	domain_view_fini(&view);
	session_close(&s);
	return 0;
}

const struct command command_domain_show = {
	.name = "domain show",
	.operands = "DOMAIN",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "print the DNS records that a domain needs",
	.run = run_show,
};

static int
run_remove(const struct args *a)
{
	struct session s;
	struct domain_view view;

	session_open(&s, a, 0);
	domain_view_load(&view, &s, a->operand[0]);
	store_domain_remove(s.pg, view.account, view.id, session_done, &s);
	session_wait(&s, "removing domain '%s'", a->operand[0]);
	if (!a->json)
		printf("Domain %s removed with its DKIM key.\n", a->operand[0]);
	domain_view_fini(&view);
	session_close(&s);
	return 0;
}

const struct command command_domain_remove = {
	.name = "domain remove",
	.operands = "DOMAIN",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "remove a domain with its DKIM key",
	.run = run_remove,
};

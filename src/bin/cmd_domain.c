/* verpost domain add|list|show|remove; verify is in cmd_verify.c */
#include <stdio.h>

#include "base/error.h"
#include "bin/domain.h"
#include "bin/provision.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "store/domains.h"
#include "store/removals.h"

struct domain_call {
	struct session s;
	struct table *table;
	struct store_domain_holdings held;
	int64_t waiting;
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

static void
got_holdings(void *ctx, const struct store_domain_holdings *held, size_t count,
    const struct error *err)
{
	struct domain_call *call = ctx;

	if (err == NULL && count == 1)
		call->held = held[0];
	session_end(&call->s, err);
}

/* Nobody gets these back. */
NORETURN static void
refuse_without_yes(struct domain_call *call, int number, const char *name)
{
	store_domain_count(call->s.pg, number, got_holdings, call);
	session_wait(&call->s, "counting what domain '%s' has", name);
	die("with domain '%s' go its DKIM keys (%lld) and the API keys that "
	    "send for it alone (%lld), for good: say --yes to remove it",
	    name, (long long)call->held.dkim_keys,
	    (long long)call->held.api_keys);
}

/* Cancels go by the domain of recipients, not by that of the sender. */
NORETURN static void
refuse_while_waiting(struct domain_call *call, int account, const char *name)
{
	die("domain '%s' stays: mail from it waits for %lld%s recipients. Let "
	    "it be sent, or end all mail of its account with 'verpost queue "
	    "cancel account %s'; then remove the domain",
	    name, (long long)call->waiting,
	    call->waiting >= STORE_WAITING_MOST ? " or more" : "",
	    session_account_name(&call->s, account));
}

static void
got_removed(void *ctx, int64_t waiting, const struct error *err)
{
	struct domain_call *call = ctx;

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
	struct domain_call call = { 0 };
	struct domain_view view;

	session_open(&call.s, a, 0);
	domain_view_load(&view, &call.s, a->operand[0]);
	if (args_flag(a, "yes") == NULL)
		refuse_without_yes(&call, view.number, a->operand[0]);
	store_domain_remove(call.s.pg, view.account, view.number, got_removed,
	    &call);
	session_wait(&call.s, "removing domain '%s'", a->operand[0]);
	if (call.waiting > 0)
		refuse_while_waiting(&call, view.account, a->operand[0]);
	if (!a->json)
		printf("Domain %s removed with its DKIM keys.\n",
		    a->operand[0]);
	domain_view_fini(&view);
	session_close(&call.s);
	return 0;
}

const struct command command_domain_remove = {
	.name = "domain remove",
	.operands = "DOMAIN",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "remove a domain with its DKIM keys",
	.help = "It is refused while mail from the domain waits.",
	.flags = remove_flags,
	.run = run_remove,
};

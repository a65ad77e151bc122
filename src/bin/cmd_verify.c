/* verpost domain verify: asks DNS for the records of a domain. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "bin/domain.h"
#include "bin/provision.h"
#include "bin/session.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "store/domains.h"

#define ASK_MS 30000

struct verify_call {
	struct session s;
	struct domain_view view;
	struct strbuf servers; /* who is asked, for people */
	size_t open;	       /* questions without an answer */
	bool done;
};

struct verify_question {
	struct verify_call *call;
	struct dnscheck *check;
};

static void
answered(void *ctx, const struct dns_answer *answer)
{
	struct verify_question *q = ctx;
	struct verify_call *call = q->call;

	dnscheck_judge(&call->view.arena, &call->view.d, q->check, answer);
	if (--call->open == 0)
		call->done = true;
}

static void
ask(struct verify_call *call)
{
	const char *servers = call->s.settings.dns_servers;
	struct resolver_options options = {
		.servers = servers[0] != '\0' ? servers : NULL,
	};
	struct verify_question question[DNSCHECK_COUNT];
	struct error err = { 0 };
	struct resolver *resolver = resolver_new(call->s.loop, &options, &err);

	if (resolver == NULL)
		die("%s", err.text);
	resolver_add_servers(resolver, &call->servers);
	call->open = DNSCHECK_COUNT;
	for (size_t i = 0; i < DNSCHECK_COUNT; i++) {
		struct dnscheck *c = &call->view.check[i];

		question[i] = (struct verify_question){ call, c };
		(void)resolver_ask(resolver, slice_of(c->name), c->type,
		    answered, &question[i]);
	}
	if (pg_run_until(call->s.loop, &call->done, ASK_MS, &err) != 0)
		die("asking DNS: %s", err.text);
	resolver_free(&resolver);
}

static void
print_check(const struct dnscheck *c)
{
	const char *mark = c->state == DNSCHECK_OK ? "ok"
	    : c->state == DNSCHECK_FAILED	   ? "unknown"
	    : !c->required			   ? "advice"
	    : c->state == DNSCHECK_PARTLY	   ? "warning"
						   : "BAD";

	printf("%-7s %s: %s\n        %s %s\n", mark, c->record,
	    dnscheck_state_name(c->state), c->name,
	    dnscheck_type_name(c->type));
	if (c->state != DNSCHECK_OK)
		printf("        expected: %s\n", c->value);
	if (c->found[0] != '\0')
		printf("        found:    %s\n", c->found);
	if (c->advice[0] != '\0')
		printf("        do:       %s\n", c->advice);
}

/* What became of its status: nobody should have to compare. */
static void
print_end(const struct verify_call *call, const char *status)
{
	const struct domain_view *v = &call->view;
	bool may = strcmp(status, "verified") == 0;
	bool might = slice_eq_text(v->status, "verified");

	printf("\n%.*s ", SLICE_FMT(v->d.name));
	if (dnscheck_status(v->check, might) == NULL)
		printf("stays %s: %s gave no answer to some questions\n",
		    status, strbuf_text(&call->servers));
	else if (may && dnscheck_all_ok(v->check))
		printf("is verified%s\n",
		    might ? "" : ": it may send within seconds");
	else if (may)
		printf("stays verified: it sends, but mail from an address "
		       "that its SPF lacks may be refused\n");
	else if (might)
		printf("was verified, and now is %s: nothing is accepted from "
		       "it until what is BAD is mended\nand this is run "
		       "again\n",
		    status);
	else
		printf("is %s: it may not send\n", status);
}

static void
print(const struct verify_call *call, const char *status, bool json)
{
	const struct domain_view *v = &call->view;
	struct strbuf out = STRBUF_INIT;

	if (json) {
		dnscheck_json(v->check, &out);
		printf("{\"name\":\"%.*s\",\"status\":\"%s\",\"records\":%s}\n",
		    SLICE_FMT(v->d.name), status, strbuf_text(&out));
	} else {
		for (size_t i = 0; i < DNSCHECK_COUNT; i++)
			print_check(&v->check[i]);
		print_end(call, status);
	}
	strbuf_fini(&out);
}

/* For the simulator; serve refuses mode live with such a domain. */
static int
take_as_verified(struct verify_call *call, const struct args *a)
{
	if (call->s.settings.mode == MODE_LIVE)
		die("mode is live: publish the records that 'verpost domain "
		    "show %s' prints, then verify it without --unchecked",
		    a->operand[0]);
	domain_view_load(&call->view, &call->s, a->operand[0]);
	provision_unchecked(&call->s, call->view.number);
	if (a->json)
		printf("{\"name\":\"%.*s\",\"status\":\"verified\"}\n",
		    SLICE_FMT(call->view.d.name));
	else
		printf("%.*s counts as verified, without a look at DNS. A "
		       "running httpd knows it within seconds.\n",
		    SLICE_FMT(call->view.d.name));
	domain_view_fini(&call->view);
	session_close(&call->s);
	return 0;
}

static const struct flag flags[] = {
	{ "unchecked", NULL,
	    "count it as verified without DNS: never in mode live" },
	{ NULL, NULL, NULL },
};

static int
run(const struct args *a)
{
	struct verify_call call = { .servers = STRBUF_INIT };
	struct strbuf json = STRBUF_INIT;
	const char *status;
	char before[40];
	bool all_ok;

	session_open(&call.s, a, 0);
	if (args_flag(a, "unchecked") != NULL)
		return take_as_verified(&call, a);
	if (call.s.settings.mode == MODE_SIMULATOR)
		die("mode is simulator, which asks DNS nothing: 'verpost "
		    "domain verify %s --unchecked' lets it send all the same",
		    a->operand[0]);
	domain_view_load(&call.view, &call.s, a->operand[0]);
	if (call.view.d.mx_host == NULL)
		die("%s", call.view.check[DNSCHECK_RETURN_PATH].advice);
	if (call.view.d.source_count == 0)
		die("%s", call.view.check[DNSCHECK_SPF].advice);
	ask(&call);
	if (dnscheck_none_answered(call.view.check))
		die("nothing could be looked up, and %.*s stays %.*s: %s gave "
		    "no answer: is it running, and is 'dns_servers' in %s "
		    "right?",
		    SLICE_FMT(call.view.d.name), SLICE_FMT(call.view.status),
		    strbuf_text(&call.servers), a->config);
	status = dnscheck_status(call.view.check,
	    slice_eq_text(call.view.status, "verified"));
	if (status != NULL) {
		dnscheck_json(call.view.check, &json);
		store_domain_set_checks(call.s.pg, call.view.number,
		    slice_of(status), strbuf_slice(&json), clock_now_ms(),
		    session_done, &call.s);
		session_wait(&call.s, "recording what was found");
		strbuf_fini(&json);
	} else {
		snprintf(before, sizeof(before), "%.*s",
		    SLICE_FMT(call.view.status));
		status = before;
	}
	print(&call, status, a->json);
	all_ok = dnscheck_all_ok(call.view.check);
	domain_view_fini(&call.view);
	strbuf_fini(&call.servers);
	session_close(&call.s);
	return all_ok ? 0 : 1;
}

const struct command command_domain_verify = {
	.name = "domain verify",
	.operands = "DOMAIN",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "look whether the DNS records of a domain are right",
	.help =
	    "Only a verified domain may send. This sets the status by what is "
	    "found: a verified\ndomain whose DKIM key, return path or SPF "
	    "record is gone is not verified any more.\nOne whose SPF lacks "
	    "some of the addresses it is sent from stays verified. When DNS\n"
	    "gives no answer it stays what it was. Exits 0 when every record "
	    "is right.",
	.flags = flags,
	.run = run,
};

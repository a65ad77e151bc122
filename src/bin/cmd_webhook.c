/* verpost webhook add|list|remove */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "model/status.h"
#include "net/fetch.h"
#include "store/webhooks.h"

struct webhook_call {
	struct session s;
	struct table *table;
};

static const struct flag add_flags[] = {
	{ "account", "NAME", "whose events; needed when there are several" },
	{ "events", "LIST", "kinds between commas (see above); default all" },
	{ NULL, NULL, NULL },
};

static const struct flag account_flags[] = {
	{ "account", "NAME", "whose endpoints; needed when there are several" },
	{ NULL, NULL, NULL },
};

static uint32_t
all_events(void)
{
	uint32_t bits = 0;

	for (int k = 1; k < EVENT_KIND_COUNT; k++)
		if (event_webhook_type((enum event_kind)k) != NULL)
			bits |= 1U << k;
	return bits;
}

NORETURN static void
refuse_event(struct slice one)
{
	struct strbuf all = STRBUF_INIT;

	for (int k = 1; k < EVENT_KIND_COUNT; k++) {
		const char *type = event_webhook_type((enum event_kind)k);

		if (type != NULL)
			strbuf_add_fmt(&all, " %s", type);
	}
	die("--events: '%.*s' is no kind of event, or is there twice; there "
	    "are:%s",
	    SLICE_FMT(one), strbuf_text(&all));
}

/* "email.sent,email.bounced" */
static uint32_t
parse_events(const char *list)
{
	struct slice rest = slice_of(list);
	uint32_t bits = 0;

	if (list == NULL)
		return all_events();
	while (rest.len > 0) {
		struct slice one = slice_trim(slice_take_until(&rest, ','));
		uint32_t before = bits;

		for (int k = 1; k < EVENT_KIND_COUNT; k++) {
			const char *type =
			    event_webhook_type((enum event_kind)k);

			if (type != NULL && slice_eq_text(one, type))
				bits |= 1U << k;
		}
		if (bits == before)
			refuse_event(one);
	}
	if (bits == 0)
		die("--events names none");
	return bits;
}

static void
make_secret(struct strbuf *out)
{
	uint8_t random[24];

	crypto_random(random, sizeof(random));
	strbuf_add_text(out, "whsec_");
	base64_encode(out, slice_mem(random, sizeof(random)), 0);
	explicit_bzero(random, sizeof(random));
}

static void
seal_secret(const struct session *s, struct id id, const struct strbuf *secret,
    struct strbuf *sealed)
{
	struct strbuf where = STRBUF_INIT;

	strbuf_add_fmt(&where, "webhooks.secret:%s", id_text(id).s);
	crypto_seal(&s->keyring, strbuf_slice(&where), strbuf_slice(secret),
	    sealed);
	strbuf_fini(&where);
}

/* As hooks will see it. Dies. */
static void
check_url(const struct session *s, struct slice url)
{
	struct net_guard guard = { 0 };
	struct error err = { 0 };

	if (net_guard_parse(slice_of(s->settings.webhook_private), &guard,
		&err) != 0)
		die("webhook_private: %s", err.text);
	if (fetch_url_check(url, &guard, &err) < 0)
		die("'%.*s' %s", SLICE_FMT(url), err.text);
	net_guard_fini(&guard);
}

static int
run_add(const struct args *a)
{
	struct session s;
	struct strbuf secret = STRBUF_INIT, sealed = STRBUF_INIT;
	int64_t now_ms = clock_now_ms();
	struct store_webhook hook = {
		.id = id_new(now_ms),
		.url = slice_of(a->operand[0]),
		.events = parse_events(args_flag(a, "events")),
		.enabled = true,
		.created_at_ms = now_ms,
	};

	session_open(&s, a, SESSION_KEYS);
	check_url(&s, hook.url);
	hook.account = session_account(&s, a);
	make_secret(&secret);
	seal_secret(&s, hook.id, &secret, &sealed);
	hook.secret = strbuf_slice(&sealed);
	store_webhook_add(s.pg, &hook, session_done, &s);
	session_wait(&s, "adding webhook %s", a->operand[0]);
	if (a->json)
		printf("{\"id\":\"%s\",\"signing_secret\":\"%s\"}\n",
		    id_text(hook.id).s, strbuf_text(&secret));
	else
		printf("Webhook %s added. Requests are signed (Standard "
		       "Webhooks) with\n\n%s\n",
		    id_text(hook.id).s, strbuf_text(&secret));
	explicit_bzero(secret.ptr, secret.cap);
	strbuf_fini(&secret);
	strbuf_fini(&sealed);
	session_close(&s);
	return 0;
}

const struct command command_webhook_add = {
	.name = "webhook add",
	.operands = "URL",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "send events of an account to an endpoint",
	.help = "Kinds of events that are sent: email.sent, email.delivered,\n"
		"email.delivery_delayed, email.bounced, email.failed, "
		"email.suppressed,\nemail.canceled. Taken, but not sent by "
		"this version: "
		"email.scheduled, email.complained,\nemail.opened, "
		"email.clicked.",
	.flags = add_flags,
	.run = run_add,
};

static void
add_events(struct table *t, uint32_t bits)
{
	struct strbuf text = STRBUF_INIT;

	if ((bits & all_events()) == all_events())
		strbuf_add_text(&text, "all");
	for (int k = 1; text.len != 3 && k < EVENT_KIND_COUNT; k++) {
		const char *type = event_webhook_type((enum event_kind)k);

		if (type == NULL || (bits & (1U << k)) == 0)
			continue;
		if (text.len > 0)
			strbuf_add_char(&text, ',');
		strbuf_add_text(&text, type);
	}
	table_add_text(t, strbuf_text(&text));
	strbuf_fini(&text);
}

static void
got_all(void *ctx, const struct store_webhook *hook, size_t count,
    const struct error *err)
{
	struct webhook_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		table_add_text(call->table, id_text(hook[i].id).s);
		table_add(call->table, hook[i].url);
		table_add_text(call->table,
		    hook[i].enabled ? "enabled" : "disabled");
		add_events(call->table, hook[i].events);
	}
	session_end(&call->s, err);
}

static int
run_list(const struct args *a)
{
	static const char *const columns[] = { "id", "url", "state", "events",
		NULL };
	struct webhook_call call = { .table = table_new(columns) };

	session_open(&call.s, a, 0);
	store_webhook_list(call.s.pg, session_account(&call.s, a), got_all,
	    &call);
	session_wait(&call.s, "listing webhooks");
	table_print(call.table, a->json,
	    "No webhook yet: verpost webhook add URL");
	table_free(&call.table);
	session_close(&call.s);
	return 0;
}

const struct command command_webhook_list = {
	.name = "webhook list",
	.operands = "",
	.summary = "list endpoints that get events",
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
		die("'%s' is no id: 'verpost webhook list' shows them",
		    a->operand[0]);
	session_open(&s, a, 0);
	store_webhook_remove(s.pg, session_account(&s, a), id, session_done,
	    &s);
	err = session_try(&s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no webhook %s in this account", a->operand[0]);
	if (err.kind != ERR_NONE)
		die("removing webhook %s: %s", a->operand[0], err.text);
	if (!a->json)
		printf("Webhook removed; what was owed to it is dropped.\n");
	session_close(&s);
	return 0;
}

const struct command command_webhook_remove = {
	.name = "webhook remove",
	.operands = "ID",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "send no more events to an endpoint",
	.flags = account_flags,
	.run = run_remove,
};

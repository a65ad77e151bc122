/* verpost queue hold|release|cancel */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/mem.h"
#include "bin/rulelist.h"
#include "bin/session.h"
#include "mail/address.h"
#include "model/id.h"
#include "net/addr.h"
#include "net/loop.h"
#include "queue/queue.h"
#include "queue/unpark.h"
#include "store/rules.h"
#include "store/sources.h"

#define FOR_MOST_MS ((uint64_t)365 * 86400 * 1000)
#define REDIS_MS 3000
#define UNPARK_MS 60000

#define SCOPES                                                                 \
	"SCOPE is one of\n"                                                    \
	"  domain   VALUE is the domain of recipients, without subdomains\n"   \
	"  account  VALUE is the name of an account\n"                         \
	"  tag      VALUE is the name of a tag, or name=value\n"

static const struct flag hold_flags[] = {
	{ "account", "NAME", "only mail of this account" },
	{ "reason", "TEXT", "what is shown as the reason, by the API, too" },
	{ "for", "TIME", "until then, such as 2h; default: until released" },
	{ NULL, NULL, NULL },
};

static const struct flag release_flags[] = {
	{ "account", "NAME", "the hold that was made with this --account" },
	{ NULL, NULL, NULL },
};

static const struct flag cancel_flags[] = {
	{ "account", "NAME", "only mail of this account" },
	{ "reason", "TEXT", "what is shown as the reason, by the API, too" },
	{ NULL, NULL, NULL },
};

/* ---- What it is about ---------------------------------------------------- */

static struct slice
read_domain(struct arena *arena, const char *text)
{
	struct slice domain;
	struct error err = { 0 };

	if (mail_domain_parse(arena, slice_of(text), 1, &domain, &err) != 0)
		die("'%s' is no domain: %s", text, err.text);
	return domain;
}

static struct slice
read_source(struct arena *arena, const char *text)
{
	struct net_addr addr;
	char ip[NET_ADDR_TEXT];
	struct error err = { 0 };

	if (net_addr_parse(slice_of(text), 0, &addr, &err) != 0)
		die("%s", err.text);
	net_addr_format(&addr, ip);
	return arena_slice(arena, slice_of(ip));
}

static bool
is_tag_text(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) && s.ptr[i] != '_' &&
		    s.ptr[i] != '-')
			return false;
	return s.len > 0;
}

/* A rule that no mail can match is a typing error: nothing would be held. */
static void
check_tag(struct slice tag)
{
	struct slice value = tag, name = slice_take_until(&value, '=');

	if (!is_tag_text(name) ||
	    (slice_has_char(tag, '=') && !is_tag_text(value)))
		die("no mail can have the tag '%.*s': give its name, or "
		    "name=value, of ASCII letters, digits, '_' and '-'",
		    SLICE_FMT(tag));
}

/* SCOPE and VALUE, without what needs the database. */
static void
read_target(const struct args *a, struct arena *arena, struct store_rule *rule)
{
	const char *value = a->operand[1];

	if (!store_rule_scope_parse(slice_of(a->operand[0]), &rule->scope))
		die("'%s' is no scope: domain, account, tag or source",
		    a->operand[0]);
	switch (rule->scope) {
	case RULE_DOMAIN:
		rule->value = read_domain(arena, value);
		break;
	case RULE_ACCOUNT:
	case RULE_TAG:
		rule->value = slice_of(value);
		break;
	case RULE_SOURCE:
		rule->value = read_source(arena, value);
		break;
	}
	if (args_flag(a, "account") != NULL && rule->scope != RULE_DOMAIN &&
	    rule->scope != RULE_TAG)
		die("--account goes with a domain or a tag only");
}

static void
find_account(struct session *s, const struct args *a, struct store_rule *rule)
{
	const char *name = rule->scope == RULE_ACCOUNT
	    ? a->operand[1]
	    : args_flag(a, "account");

	if (name != NULL)
		rule->account = session_account_named(s, name);
}

static int64_t
read_end(const struct args *a, int64_t now_ms)
{
	const char *text = args_flag(a, "for");
	uint64_t ms;

	if (text == NULL)
		return 0;
	if (!config_duration_read(slice_of(text), &ms) || ms < 1000 ||
	    ms > FOR_MOST_MS)
		die("--for must be a time from 1s to 365d, such as 2h, not "
		    "'%s'",
		    text);
	return now_ms + (int64_t)ms;
}

/* ---- hold, cancel -------------------------------------------------------- */

struct source_search {
	struct session *s;
	struct slice address;
	bool is_there;
};

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct source_search *search = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		if (slice_eq(source[i].address, search->address))
			search->is_there = true;
	session_end(search->s, err);
}

/* No reason to refuse it: it may be added later. */
static void
warn_unless_source(struct session *s, const struct store_rule *rule)
{
	struct source_search search = { .s = s, .address = rule->value };

	if (rule->scope != RULE_SOURCE)
		return;
	store_source_list(s->pg, slice_of(NULL), got_sources, &search);
	session_wait(s, "listing sources");
	if (!search.is_there)
		fprintf(stderr,
		    "warning: there is no source %.*s yet; 'verpost source "
		    "list' lists them\n",
		    SLICE_FMT(rule->value));
}

static void
add(const struct args *a, enum store_rule_kind kind)
{
	struct session s;
	struct arena arena = ARENA_INIT;
	int64_t now_ms = clock_now_ms();
	const char *reason = args_flag(a, "reason");
	struct store_rule rule = {
		.id = id_new(now_ms),
		.kind = kind,
		.reason = slice_of(reason != NULL ? reason : ""),
		.issued_at_ms = now_ms,
		.expires_at_ms = read_end(a, now_ms),
	};

	read_target(a, &arena, &rule);
	if (rule.scope == RULE_TAG)
		check_tag(rule.value);
	if (kind == RULE_CANCEL && rule.scope == RULE_SOURCE)
		die("mail is bound to no source before it is sent: cancel by "
		    "domain, account or tag");
	session_open(&s, a, 0);
	find_account(&s, a, &rule);
	store_rule_add(s.pg, &rule, session_done, &s);
	session_wait(&s, "writing the rule");
	warn_unless_source(&s, &rule);
	if (a->json)
		rulelist_print(&s, &arena, &rule);
	session_close(&s);
	arena_fini(&arena);
}

static int
run_hold(const struct args *a)
{
	const char *account = args_flag(a, "account");

	add(a, RULE_HOLD);
	if (!a->json)
		printf("On hold: %s %s. 'verpost queue release %s %s%s%s' ends "
		       "it.\n",
		    a->operand[0], a->operand[1], a->operand[0], a->operand[1],
		    account != NULL ? " --account " : "",
		    account != NULL ? account : "");
	return 0;
}

const struct command command_queue_hold = {
	.name = "queue hold",
	.operands = "SCOPE VALUE",
	.operands_min = 2,
	.operands_max = 2,
	.summary = "send nothing of a kind until it is released",
	.help = SCOPES
	"  source   VALUE is an address to send from: other sources of its\n"
	"           pool send instead, and if there is none, mail waits\n"
	"\nFrom the end of this command on nothing is sent against the "
	"hold; what is being\nsent at this moment goes out. Mail is "
	"accepted as always, and waits. Its max age\ngoes on. Holding "
	"again changes the reason and the time.",
	.flags = hold_flags,
	.run = run_hold,
};

static int
run_cancel(const struct args *a)
{
	add(a, RULE_CANCEL);
	if (!a->json)
		printf("Canceled: what was accepted until now for %s %s and "
		       "is not being sent.\n",
		    a->operand[0], a->operand[1]);
	return 0;
}

const struct command command_queue_cancel = {
	.name = "queue cancel",
	.operands = "SCOPE VALUE",
	.operands_min = 2,
	.operands_max = 2,
	.summary = "end all queued mail of a kind without sending it",
	.help = SCOPES
	"\nIt covers what was accepted until now; later mail is sent. It "
	"cannot be taken back.\nThe recipients become canceled as they "
	"are come across; a status that is asked for\nsays so at once. "
	"What is being sent at this moment goes out.",
	.flags = cancel_flags,
	.run = run_cancel,
};

/* ---- release ------------------------------------------------------------- */

/* One step of it; false: it came to no end. */
static bool
give_back(struct session *s, size_t *count)
{
	struct queue *q =
	    queue_new(s->loop, s->settings.redis, NULL, 0, NULL, NULL);
	struct unpark *u = unpark_new(s->pg, q, session_shaping(s));
	int64_t start_ms = clock_mono_ms();
	struct unpark_counts got;

	while (!queue_is_connected(q) && clock_mono_ms() - start_ms < REDIS_MS)
		loop_turn(s->loop, 50);
	unpark_step(u);
	while (unpark_is_busy(u) && clock_mono_ms() - start_ms < UNPARK_MS)
		loop_turn(s->loop, 50);
	got = unpark_counts(u);
	unpark_free(&u);
	queue_free(&q);
	*count = got.given_back;
	return got.steps > 0 && got.failures == 0;
}

static void
say_released(const struct args *a, const struct store_rule *rule, size_t count)
{
	printf("Released: %s %s; ", a->operand[0], a->operand[1]);
	if (rule->scope == RULE_SOURCE)
		printf("a running mta sends from it again within seconds.\n");
	else if (count == 0) /* the keeper may have been first */
		printf("what waited for it goes on.\n");
	else
		printf("%zu %s for a hold %s on.\n", count,
		    count == 1 ? "recipient that waited"
			       : "recipients that waited",
		    count == 1 ? "goes" : "go");
}

static int
run_release(const struct args *a)
{
	struct session s;
	struct arena arena = ARENA_INIT;
	struct store_rule rule = { 0 };
	struct error err;
	size_t count;
	bool is_given_back;

	read_target(a, &arena, &rule);
	session_open(&s, a, 0);
	find_account(&s, a, &rule);
	rule = rulelist_read(&s, &arena, &rule);
	store_rule_release(s.pg, rule.scope, rule.value, rule.account,
	    session_done, &s);
	err = session_try(&s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no hold of %s %s%s; 'verpost queue rules' lists "
		    "them",
		    a->operand[0], a->operand[1],
		    rule.account == 0 && rule.scope != RULE_SOURCE
			? " for all accounts"
			: "");
	if (err.kind != ERR_NONE)
		die("releasing %s %s: %s", a->operand[0], a->operand[1],
		    err.text);
	is_given_back = give_back(&s, &count);
	if (!is_given_back)
		fprintf(stderr,
		    "The hold is over; what waited for it goes on when Redis "
		    "answers the keeper.\n");
	else if (!a->json)
		say_released(a, &rule, count);
	if (a->json)
		rulelist_print_released(&s, &rule,
		    is_given_back ? (int64_t)count : -1);
	session_close(&s);
	arena_fini(&arena);
	return 0;
}

const struct command command_queue_release = {
	.name = "queue release",
	.operands = "SCOPE VALUE",
	.operands_min = 2,
	.operands_max = 2,
	.summary = "end a hold",
	.help = "SCOPE and VALUE as they were given to 'verpost queue hold'.",
	.flags = release_flags,
	.run = run_release,
};

/* verpost source add|list|set|remove */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "bin/poolwhy.h"
#include "bin/senders.h"
#include "bin/session.h"
#include "bin/table.h"
#include "mail/address.h"
#include "model/id.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/loop.h"
#include "store/sources.h"
#include "store/workers.h"

/* Some beats of an mta. */
#define GIVE_UP_MS 20000
#define ASK_AGAIN_MS 500
#define POOL_NAME_MAX 100

static const struct flag add_flags[] = {
	{ "helo", "NAME", "name in EHLO: what the PTR record of ADDRESS says" },
	{ "pool", "NAME", "pool it joins; default 'default'" },
	{ "daily", "N", "mails in a UTC day at most; default: no limit" },
	{ "weight", "N", "share within the pool, 1 to 1000; default 1" },
	{ "node", "NAME", "only this node may send from it" },
	{ NULL, NULL, NULL },
};

/* ptr NULL: it is not given. */
static struct slice
read_pool(const struct args *a)
{
	struct slice pool = slice_of(args_flag(a, "pool"));

	if (pool.ptr != NULL && !args_name_is_good(pool, POOL_NAME_MAX))
		args_die("the name of a pool has 1 to %d octets of UTF-8 and "
			 "no control characters",
		    POOL_NAME_MAX);
	return pool;
}

static int
daily_limit(const struct args *a, int unless_given)
{
	const char *text = args_flag(a, "daily");

	if (text != NULL && strcmp(text, "none") == 0)
		return 0;
	return (int)args_number(a, "daily", 1, 1000000000, unless_given);
}

/* No reason to refuse it: another node may be meant. */
static void
warn_unless_here(const struct net_addr *addr, const char *text,
    const struct args *a, const char *this_node)
{
	const char *node = args_flag(a, "node");
	struct error err = { 0 };

	if ((node != NULL && strcmp(node, this_node) != 0) ||
	    net_is_here(addr, &err))
		return;
	fprintf(stderr,
	    "warning: %s is not an address of this machine (%s): nothing is "
	    "sent from it\nunless another node has it. 'ip address' lists "
	    "those of this machine.\n",
	    text, strerror(err.sys));
}

struct node_call {
	struct session *s;
	const char *name;
	bool runs;
};

static void
got_workers(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct node_call *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		call->runs =
		    call->runs || slice_eq_text(worker[i].node, call->name);
	session_end(call->s, err);
}

/* It may be started later: no reason to refuse it. */
static void
warn_unless_node(struct session *s, const char *name)
{
	struct node_call call = { .s = s, .name = name };

	if (name == NULL || strcmp(name, "none") == 0 ||
	    strcmp(name, s->settings.node) == 0)
		return;
	store_worker_list(s->pg, got_workers, &call);
	session_wait(s, "listing the processes of all nodes");
	if (!call.runs)
		fprintf(stderr,
		    "warning: no node named '%s' runs: nothing is sent from it "
		    "until one does.\nThis one is '%s' (setting node).\n",
		    name, s->settings.node);
}

static const char *const columns[] = { "address", "helo", "pool", "weight",
	"daily", "node", "state", "on_this_machine", NULL };

struct source_list {
	struct session *s;
	struct slice only; /* id or address; ptr NULL: all */
	struct table *table;
};

static const char *
state_name(const struct store_source *source)
{
	if (!source->enabled)
		return source->owner != 0 ? "leaving" : "disabled";
	return source->owner != 0 ? "in use" : "free";
}

static bool
is_here(const struct store_source *source)
{
	struct net_addr addr;
	struct error err = { 0 };

	return net_addr_parse(source->address, 0, &addr, &err) == 0 &&
	    net_is_here(&addr, &err);
}

static void
add_source(struct table *t, const struct store_source *source)
{
	table_add(t, source->address);
	table_add(t, source->helo);
	table_add(t, source->pool_name);
	table_add_int(t, source->weight);
	if (source->daily_limit > 0)
		table_add_int(t, source->daily_limit);
	else
		table_add_none(t);
	table_add_some(t, source->node);
	table_add_text(t, state_name(source));
	table_add_text(t, is_here(source) ? "yes" : "no");
}

static bool
is_wanted(const struct source_list *call, const struct store_source *source)
{
	return call->only.ptr == NULL ||
	    senders_is(call->only, source->id, source->address);
}

static void
got_all(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct source_list *call = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		if (is_wanted(call, &source[i]))
			add_source(call->table, &source[i]);
	session_end(call->s, err);
}

/* What was changed, as 'verpost source list' lists it. */
static void
print_changed(struct session *s, const char *id_or_address)
{
	struct source_list call = { .s = s,
		.only = slice_of(id_or_address),
		.table = table_new(columns) };

	store_source_list(s->pg, slice_of(NULL), got_all, &call);
	session_wait(s, "listing sources");
	if (table_rows(call.table) == 0)
		die("source %s was removed meanwhile", id_or_address);
	table_print_object(call.table);
	table_free(&call.table);
}

static int
run_add(const struct args *a)
{
	struct session s;
	struct arena arena = ARENA_INIT;
	const char *helo = args_flag(a, "helo");
	struct slice pool = read_pool(a);
	int64_t now_ms = clock_now_ms();
	struct store_source source = {
		.id = id_new(now_ms),
		.pool_name = pool.ptr != NULL ? pool : SLICE("default"),
		.weight = (int)args_number(a, "weight", 1, 1000, 1),
		.daily_limit = daily_limit(a, 0),
		.node = slice_of(args_flag(a, "node")),
		.created_at_ms = now_ms,
	};
	struct net_addr addr;
	char text[NET_ADDR_TEXT];
	struct error err = { 0 };

	if (net_addr_parse(slice_of(a->operand[0]), 0, &addr, &err) != 0)
		args_die("%s", err.text);
	if (helo == NULL)
		args_die("--helo is missing: the name that the PTR record of "
			 "%s says",
		    a->operand[0]);
	if (mail_domain_parse(&arena, slice_of(helo), 1, &source.helo, &err) !=
	    0)
		args_die("--helo %s: %s", helo, err.text);
	net_addr_format(&addr, text);
	source.address = slice_of(text);
	session_open(&s, a, 0);
	store_source_add(s.pg, &source, session_done, &s);
	err = session_try(&s);
	if (err.kind == ERR_CONFLICT)
		die("address %s is a source already", text);
	if (err.kind != ERR_NONE)
		die("adding source %s: %s", text, err.text);
	warn_unless_here(&addr, text, a, s.settings.node);
	if (a->json)
		print_changed(&s, text);
	else
		printf("Source %s added. A running mta takes it within "
		       "seconds.\n",
		    text);
	fflush(stdout);
	warn_unless_node(&s, args_flag(a, "node"));
	senders_warn_spf(&s, text, 0);
	session_close(&s);
	arena_fini(&arena);
	return 0;
}

const struct command command_source_add = {
	.name = "source add",
	.operands = "ADDRESS",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "add an IP address to send from",
	.help = "The address must be configured on the machine that sends "
		"from it.",
	.flags = add_flags,
	.run = run_add,
};

static int
run_list(const struct args *a)
{
	struct session s;
	struct source_list call = { .s = &s, .table = table_new(columns) };

	session_open(&s, a, 0);
	store_source_list(s.pg, slice_of(NULL), got_all, &call);
	session_wait(&s, "listing sources");
	table_print(call.table, a->json,
	    "No source yet: verpost source add ADDRESS --helo NAME");
	table_free(&call.table);
	session_close(&s);
	return 0;
}

const struct command command_source_list = {
	.name = "source list",
	.operands = "",
	.summary = "list the addresses to send from",
	.run = run_list,
};

static struct error
try_remove(struct session *s, const struct args *a)
{
	store_source_remove(s->pg, slice_of(a->operand[0]), session_done, s);
	return session_try(s);
}

/* A running mta is told by the first try, and looks at it with each beat. */
static struct error
wait_given_up(struct session *s, const struct args *a)
{
	int64_t end_ms = clock_mono_ms() + GIVE_UP_MS;
	struct error err;

	if (!a->json)
		printf("A running mta sends from %s, and gives it up within "
		       "seconds.\n",
		    a->operand[0]);
	fflush(stdout);
	do {
		loop_turn(s->loop, ASK_AGAIN_MS);
		err = try_remove(s, a);
	} while (err.kind == ERR_CONFLICT && clock_mono_ms() < end_ms);
	return err;
}

static const struct flag set_flags[] = {
	{ "daily", "N", "mails in a UTC day at most; 'none': no limit" },
	{ "weight", "N", "share within the pool, 1 to 1000" },
	{ "pool", "NAME", "pool it belongs to from now on" },
	{ "node", "NAME", "only this node may send from it; 'none': any" },
	{ NULL, NULL, NULL },
};

static int
run_set(const struct args *a)
{
	struct session s;
	struct error err;
	struct poolwhy before = { 0 };
	struct store_source_change change = {
		.weight = (int)args_number(a, "weight", 1, 1000, 0),
		.daily_limit = daily_limit(a, -1),
		.pool_name = read_pool(a),
		.node = slice_of(args_flag(a, "node")),
	};

	if (slice_eq_text(change.node, "none"))
		change.node = SLICE("");
	if (change.weight == 0 && change.daily_limit == -1 &&
	    change.pool_name.ptr == NULL && change.node.ptr == NULL)
		args_die("nothing to set: say --daily, --weight, --pool or "
			 "--node");
	session_open(&s, a, 0);
	poolwhy_read(&before, &s);
	store_source_set(s.pg, slice_of(a->operand[0]), &change, session_done,
	    &s);
	err = session_try(&s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no source %s", a->operand[0]);
	if (err.kind != ERR_NONE)
		die("changing source %s: %s", a->operand[0], err.text);
	if (a->json)
		print_changed(&s, a->operand[0]);
	else
		printf("Source %s changed. A running mta takes it within "
		       "seconds.\n",
		    a->operand[0]);
	fflush(stdout);
	poolwhy_warn_emptied(&before);
	warn_unless_node(&s, args_flag(a, "node"));
	if (change.pool_name.ptr != NULL)
		senders_warn_spf(&s, a->operand[0], 0);
	poolwhy_fini(&before);
	session_close(&s);
	return 0;
}

const struct command command_source_set = {
	.name = "source set",
	.operands = "ADDRESS",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "change the limit, share, pool or node of an address",
	.help = "The daily limit holds for all mail from the address; what is "
		"beyond it waits for\nanother address of the pool, or for the "
		"next day. Mail that the simulator takes is\nnot counted. "
		"On the day on which an address gets a limit for the first "
		"time,\nwhat has gone before is not counted either.",
	.flags = set_flags,
	.run = run_set,
};

static void
print_removed(const char *id_or_address)
{
	static const char *const removed[] = { "removed", NULL };
	struct table *table = table_new(removed);

	table_add_text(table, id_or_address);
	table_print_object(table);
	table_free(&table);
}

static int
run_remove(const struct args *a)
{
	struct session s;
	struct error err;
	struct poolwhy before = { 0 };

	session_open(&s, a, 0);
	poolwhy_read(&before, &s);
	err = try_remove(&s, a);
	if (err.kind == ERR_CONFLICT)
		err = wait_given_up(&s, a);
	if (err.kind == ERR_NOTFOUND)
		die("there is no source %s", a->operand[0]);
	if (err.kind == ERR_CONFLICT)
		die("%s is disabled, but its mta has mail under way from it: "
		    "run this again in some minutes",
		    a->operand[0]);
	if (err.kind != ERR_NONE)
		die("removing source %s: %s", a->operand[0], err.text);
	if (a->json)
		print_removed(a->operand[0]);
	else
		printf("Source %s removed.\n", a->operand[0]);
	poolwhy_warn_emptied(&before);
	poolwhy_fini(&before);
	session_close(&s);
	return 0;
}

const struct command command_source_remove = {
	.name = "source remove",
	.operands = "ADDRESS",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "remove an address to send from",
	.help = "What it has sent today still counts against its daily limits "
		"when it is added\nagain.",
	.run = run_remove,
};

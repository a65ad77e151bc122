/* verpost queue rules, and one rule in the same words. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "bin/rulelist.h"
#include "bin/session.h"
#include "bin/table.h"

#define RULE_COLUMNS                                                           \
	"kind", "scope", "value", "account", "issued_at", "until", "id",       \
	    "reason"

struct rule_list {
	struct session *s;
	struct arena *arena;
	size_t count;
	const struct store_rule *rule;
};

static void
got_rules(void *ctx, const struct store_rule *rule, size_t count,
    int generation, const struct error *err)
{
	struct rule_list *list = ctx;

	(void)generation;
	list->rule = store_rules_copy(list->arena, rule, count);
	list->count = count;
	session_end(list->s, err);
}

static struct rule_list
read_rules(struct session *s, struct arena *arena)
{
	struct rule_list list = { .s = s, .arena = arena };

	store_rule_list(s->pg, clock_now_ms(), got_rules, &list);
	session_wait(s, "listing the rules");
	return list;
}

struct store_rule
rulelist_read(struct session *s, struct arena *arena,
    const struct store_rule *like)
{
	struct rule_list list = read_rules(s, arena);

	for (size_t i = 0; i < list.count; i++) {
		const struct store_rule *r = &list.rule[i];

		if (r->kind == like->kind && r->scope == like->scope &&
		    slice_eq(r->value, like->value) &&
		    r->account == like->account &&
		    (r->kind == RULE_HOLD || id_cmp(r->id, like->id) == 0))
			return *r;
	}
	return *like; /* somebody else has released it */
}

static void
add_rule(struct session *s, struct table *t, const struct store_rule *r)
{
	char *account =
	    r->account != 0 ? session_account_name(s, r->account) : NULL;

	table_add_text(t, store_rule_kind_name(r->kind));
	table_add_text(t, store_rule_scope_name(r->scope));
	table_add(t, r->value);
	table_add_some(t, slice_of(account));
	table_add_time(t, r->issued_at_ms);
	table_add_time(t, r->expires_at_ms);
	if (id_is_zero(r->id))
		table_add_none(t);
	else
		table_add_text(t, id_text(r->id).s);
	table_add(t, r->reason);
	free(account);
}

void
rulelist_print(struct session *s, struct arena *arena,
    const struct store_rule *written)
{
	static const char *const columns[] = { RULE_COLUMNS, NULL };
	struct table *table = table_new(columns);
	struct store_rule rule = rulelist_read(s, arena, written);

	add_rule(s, table, &rule);
	table_print_object(table);
	table_free(&table);
}

void
rulelist_print_released(struct session *s, const struct store_rule *rule,
    int64_t given_back)
{
	static const char *const columns[] = { RULE_COLUMNS, "given_back",
		NULL };
	struct table *table = table_new(columns);

	add_rule(s, table, rule);
	if (given_back >= 0)
		table_add_int(table, given_back);
	else
		table_add_none(table);
	table_print_object(table);
	table_free(&table);
}

static int
run_rules(const struct args *a)
{
	static const char *const columns[] = { RULE_COLUMNS, NULL };
	struct session s;
	struct arena arena = ARENA_INIT;
	struct table *table = table_new(columns);
	struct rule_list list;

	session_open(&s, a, 0);
	list = read_rules(&s, &arena);
	for (size_t i = 0; i < list.count; i++)
		add_rule(&s, table, &list.rule[i]);
	table_print(table, a->json, "Nothing is on hold or being canceled.");
	table_free(&table);
	session_close(&s);
	arena_fini(&arena);
	return 0;
}

const struct command command_queue_rules = {
	.name = "queue rules",
	.operands = "",
	.summary = "list what is on hold, and what is being canceled",
	.help = "A cancel stays in the list for ten minutes, and as long as "
		"any mail waits that is\nolder than it, also mail that it does "
		"not concern.",
	.run = run_rules,
};

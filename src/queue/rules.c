#include "queue/rules.h"

#include "base/arena.h"
#include "mail/content.h"

/* The tags of an email, decoded when first asked for. */
struct tags {
	struct arena arena;
	struct slice head;
	bool is_read;
	struct mail_content content;
};

/* A record that cannot be read has no tags; whoever sends it finds out. */
static void
tags_read(struct tags *t)
{
	struct error err;

	t->is_read = true;
	if (mail_content_decode(&t->arena, t->head, &t->content, &err) != 0)
		t->content.tag_count = 0;
}

static bool
has_tag(struct tags *t, struct slice wanted)
{
	struct slice value = wanted, name = slice_take_until(&value, '=');
	bool any_value = !slice_has_char(wanted, '=');

	if (!t->is_read)
		tags_read(t);
	for (size_t i = 0; i < t->content.tag_count; i++)
		if (slice_eq(t->content.tag[i].name, name) &&
		    (any_value || slice_eq(t->content.tag[i].value, value)))
			return true;
	return false;
}

static bool
in_force(const struct store_rule *r, int64_t now_ms)
{
	return r->expires_at_ms == 0 || r->expires_at_ms > now_ms;
}

static struct slice
domain_of(struct slice address)
{
	/* A quoted local part may have an @ of its own: the last one counts. */
	for (size_t i = address.len; i-- > 0;)
		if (address.ptr[i] == '@')
			return slice_from(address, i + 1);
	return SLICE("");
}

static bool
applies(const struct store_rule *r, const struct rules_subject *what,
    struct tags *tags)
{
	if (r->account != 0 && r->account != what->account)
		return false;
	if (r->kind == RULE_CANCEL && what->accepted_at_ms >= r->issued_at_ms)
		return false;
	switch (r->scope) {
	case RULE_ACCOUNT:
		return true;
	case RULE_DOMAIN:
		return slice_eq_nocase(r->value, domain_of(what->address));
	case RULE_TAG:
		return has_tag(tags, r->value);
	case RULE_SOURCE:
		return false;
	}
	return false;
}

const struct store_rule *
rules_find(const struct store_rule *rules, size_t n,
    const struct rules_subject *what, int64_t now_ms)
{
	struct tags tags = { .arena = ARENA_INIT, .head = what->head };
	const struct store_rule *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct store_rule *r = &rules[i];

		if (!in_force(r, now_ms) ||
		    (found != NULL && r->kind == RULE_HOLD) ||
		    !applies(r, what, &tags))
			continue;
		found = r;
		if (r->kind == RULE_CANCEL)
			break;
	}
	arena_fini(&tags.arena);
	return found;
}

struct rules_found
rules_find_all(struct arena *arena, const struct store_rule *rules, size_t n,
    const struct rules_subject *what, int64_t now_ms)
{
	struct rules_found found = { rules_find(rules, n, what, now_ms), 0,
		NULL };
	struct tags tags = { .arena = ARENA_INIT, .head = what->head };

	if (found.first == NULL || found.first->kind != RULE_HOLD)
		return found;
	found.hold = arena_calloc(arena, n, sizeof(struct store_rule *));
	for (size_t i = 0; i < n; i++)
		if (rules[i].kind == RULE_HOLD && in_force(&rules[i], now_ms) &&
		    applies(&rules[i], what, &tags))
			found.hold[found.hold_count++] = &rules[i];
	arena_fini(&tags.arena);
	return found;
}

bool
rules_hold_source(const struct store_rule *rules, size_t n,
    struct slice address, int64_t now_ms)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].scope == RULE_SOURCE &&
		    in_force(&rules[i], now_ms) &&
		    slice_eq(rules[i].value, address))
			return true;
	return false;
}

bool
rules_want_heads(const struct store_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].scope == RULE_TAG)
			return true;
	return false;
}

#include "outcome/waiting.h"

#include "base/clock.h"
#include "outcome/event_data.h"
#include "outcome/verdict.h"

enum status
waiting_status(const struct store_recipient *r, const struct store_rule *rule)
{
	if (r->finished_at_ms == 0 && !r->is_claimed && rule != NULL &&
	    rule->kind == RULE_CANCEL)
		return STATUS_CANCELED;
	return r->status;
}

struct canceled
canceled_by_rule(const struct store_rule *rule)
{
	struct canceled c = { .by_operator = true };

	if (rule == NULL)
		return c;
	c.rule = rule->id;
	c.scope = slice_of(store_rule_scope_name(rule->scope));
	c.value = rule->value;
	c.reason = rule->reason;
	c.at_ms = id_time_ms(rule->id);
	return c;
}

bool
waiting_canceled(struct arena *arena, const struct store_recipient *r,
    const struct store_rule *rule, struct canceled *out)
{
	if (waiting_status(r, rule) != STATUS_CANCELED)
		return false;
	if (r->status != STATUS_CANCELED) {
		*out = canceled_by_rule(rule);
		return true;
	}
	canceled_read(event_data_parse(arena, r->end_data), r->finished_at_ms,
	    out);
	return true;
}

void
waiting_add_holds(struct strbuf *out, const struct store_rule *const *hold,
    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		strbuf_add_fmt(out, "%s %s %.*s", i == 0 ? "on hold:" : ",",
		    store_rule_scope_name(hold[i]->scope),
		    SLICE_FMT(hold[i]->value));
		if (hold[i]->reason.len > 0)
			strbuf_add_fmt(out, " (%.*s)",
			    SLICE_FMT(hold[i]->reason));
	}
}

/* "451 4.7.1 greylisted, said mx1.example.com[192.0.2.1]:25" */
static void
add_reply(struct strbuf *out, const struct store_recipient *r)
{
	if (r->last.code != 0)
		strbuf_add_fmt(out, ": %d", r->last.code);
	else
		strbuf_add_char(out, ':');
	if (r->last.status.len > 0)
		strbuf_add_fmt(out, " %.*s", SLICE_FMT(r->last.status));
	if (r->last.reply.len > 0)
		strbuf_add_fmt(out, " %.*s", SLICE_FMT(r->last.reply));
	if (r->last.mx.len > 0)
		strbuf_add_fmt(out, ", %s %.*s",
		    r->last.code != 0 ? "said" : "at", SLICE_FMT(r->last.mx));
}

static void
add_retry(struct strbuf *out, const struct store_recipient *r)
{
	char when[CLOCK_ISO_LEN];

	clock_format_iso(r->retry_at_ms, when);
	strbuf_add_fmt(out, "next attempt at %s", when);
	if (r->last.n > 0 && r->last.outcome == VERDICT_UNKNOWN)
		strbuf_add_text(out, ", although the host may have taken it");
	if (r->last.n > 0)
		add_reply(out, r);
}

/* The lane's reason alone would hide that its host has refused it before. */
static void
add_turn(struct strbuf *out, const struct store_recipient *r,
    struct slice lane_why)
{
	strbuf_add_slice(out,
	    lane_why.len > 0 ? lane_why : SLICE("waits for its turn"));
	if (r->last.n > 0) {
		strbuf_add_text(out, "; last time");
		add_reply(out, r);
	}
}

static void
add_sending(struct strbuf *out, const struct store_recipient *r)
{
	strbuf_add_text(out, "being sent");
	if (r->claim_source.len > 0)
		strbuf_add_fmt(out, " from %.*s", SLICE_FMT(r->claim_source));
}

bool
waiting_because(struct strbuf *out, const struct store_recipient *r,
    const struct rules_found *found, struct slice lane_why, int64_t now_ms)
{
	if (status_is_final(waiting_status(r, found->first)))
		return false;
	if (r->is_claimed)
		add_sending(out, r);
	else if (found->hold_count > 0)
		waiting_add_holds(out, found->hold, found->hold_count);
	else if (r->retry_at_ms > now_ms)
		add_retry(out, r);
	else
		add_turn(out, r, lane_why);
	return true;
}

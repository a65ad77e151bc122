/*
 * The operator's holds and cancels, and the sender's: issued by the product's
 * statements, looked at by its lists (queue/rules.h), ended by its unpark. What
 * a rule is about is written down here a second time.
 */
#include "tests/integration/model/world.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "mail/content.h"
#include "outcome/cancel.h"
#include "queue/rules.h"
#include "queue/unpark.h"
#include "store/redis.h"

/* What a mail has that rules are about. ------------------------------------ */

static struct strbuf heads[TAGS];

struct slice
head_of(const struct mail *m)
{
	struct strbuf *head = &heads[m->tag];
	char value[4];
	struct mail_field tags[] = { { SLICE("other"), SLICE("t0") },
		{ SLICE("kind"), SLICE("") } };
	struct mail_content content = { .tag_count = 2, .tag = tags };

	if (head->len == 0) {
		strbuf_init(head, 0);
		snprintf(value, sizeof(value), "t%zu", m->tag);
		tags[1].value = slice_of(value);
		mail_content_encode(&content, head);
	}
	return strbuf_slice(head);
}

void
rules_forget(void)
{
	for (size_t i = 0; i < TAGS; i++)
		strbuf_fini(&heads[i]);
}

static int
account_of(const struct mail *m)
{
	return (int)m->flow / 2;
}

static bool
covers(const struct rule *r, const struct mail *m)
{
	if (r->account != 0 && r->account != account_of(m))
		return false;
	if (r->kind == RULE_CANCEL && id_time_ms(m->id) >= r->issued_at_ms)
		return false;
	switch (r->scope) {
	case RULE_ACCOUNT:
		return true;
	case RULE_DOMAIN:
		return m->domain == r->value;
	case RULE_TAG:
		return r->value == TAGS || m->tag == r->value;
	case RULE_SOURCE:
		break;
	}
	return false;
}

static bool
is_in_force(const struct rule *r, int64_t now_ms)
{
	return r->is_on && (r->expires_at_ms == 0 || r->expires_at_ms > now_ms);
}

/* Commands. --------------------------------------------------------------- */

static struct slice
value_of(const struct rule *r, char *out, size_t size)
{
	if (r->scope == RULE_DOMAIN)
		snprintf(out, size, "d%zu.example.org", r->value);
	else if (r->scope == RULE_ACCOUNT)
		snprintf(out, size, "account %d", r->account);
	else if (r->value == TAGS)
		snprintf(out, size, "kind");
	else
		snprintf(out, size, "kind=t%zu", r->value);
	return slice_of(out);
}

static struct rule
any_rule(struct world *w, enum store_rule_kind kind)
{
	struct rule r = { .kind = kind,
		.scope = (enum store_rule_scope)world_below(w, 3),
		.issued_at_ms = world_now() };

	if (r.scope == RULE_ACCOUNT ||
	    world_percent(w, kind == RULE_CANCEL ? 90 : 40))
		r.account = 1 + (int)world_below(w, FLOWS / 2);
	if (r.scope == RULE_DOMAIN)
		r.value = world_below(w, DOMAINS);
	else if (r.scope == RULE_TAG)
		r.value =
		    world_below(w, world_percent(w, 30) ? TAGS + 1 : TAGS);
	if (kind == RULE_HOLD && world_percent(w, 25))
		r.expires_at_ms =
		    world_now() + MINUTE_MS * (int64_t)world_below(w, 40);
	return r;
}

/* A hold that is there already is changed. */
static struct rule *
place_of(struct world *w, const struct rule *r)
{
	for (size_t i = 0; i < w->rule_count; i++) {
		const struct rule *o = &w->rule[i];

		if (r->kind == RULE_HOLD && o->kind == RULE_HOLD &&
		    o->scope == r->scope && o->value == r->value &&
		    o->account == r->account)
			return &w->rule[i];
	}
	return w->rule_count < RULES ? &w->rule[w->rule_count++] : NULL;
}

struct rule *
rule_start(struct world *w, enum store_rule_kind kind, struct call *call)
{
	struct rule r = any_rule(w, kind), *place = place_of(w, &r);
	char value[40];

	if (place == NULL)
		return NULL;
	w->counts.rules++;
	*place = r;
	store_rule_add(w->pg,
	    &(struct store_rule){ .id = id_new(r.issued_at_ms),
		.kind = kind,
		.scope = r.scope,
		.value = value_of(&r, value, sizeof(value)),
		.account = r.account,
		.issued_at_ms = r.issued_at_ms,
		.expires_at_ms = r.expires_at_ms },
	    call_done, call);
	return place;
}

static void
issue(struct world *w, enum store_rule_kind kind)
{
	struct call call = { 0 };
	struct rule *r = rule_start(w, kind, &call);

	if (r == NULL)
		return;
	call_wait(w, &call);
	r->is_on = true;
}

void
rule_hold(struct world *w)
{
	issue(w, RULE_HOLD);
}

void
rule_cancel(struct world *w)
{
	issue(w, RULE_CANCEL);
}

void
rules_unpark(struct world *w)
{
	unpark_step(w->unpark);
	while (unpark_is_busy(w->unpark)) {
		world_settle(w, w->pg);
		redis_settle(w);
	}
}

static void
on_released(void *ctx, const struct error *err)
{
	/* It may have expired, and been removed. */
	call_done(ctx, err != NULL && err->kind == ERR_NOTFOUND ? NULL : err);
}

static void
release(struct world *w, struct rule *r)
{
	struct call call = { 0 };
	char value[40];

	store_rule_release(w->pg, r->scope, value_of(r, value, sizeof(value)),
	    r->account, on_released, &call);
	r->is_on = false; /* from now on, at the latest */
	w->counts.released++;
	call_wait(w, &call);
}

void
rule_release(struct world *w)
{
	struct rule *on[RULES];
	size_t n = 0;

	for (size_t i = 0; i < w->rule_count; i++)
		if (w->rule[i].is_on && w->rule[i].kind == RULE_HOLD)
			on[n++] = &w->rule[i];
	if (n == 0)
		return;
	release(w, on[world_below(w, n)]);
	if (!world_fault(w, 20)) /* else the command was killed */
		rules_unpark(w);
}

void
rules_release_all(struct world *w)
{
	for (size_t i = 0; i < w->rule_count; i++)
		if (w->rule[i].is_on && w->rule[i].kind == RULE_HOLD)
			release(w, &w->rule[i]);
}

void
rules_trim(struct world *w)
{
	struct call call = { 0 };

	store_rule_trim(w->pg, world_now(), call_done, &call);
	call_wait(w, &call);
}

/* The sender wants it back. ------------------------------------------------ */

struct recalling {
	struct call call;
	struct world *w;
};

static void
on_recalled(void *ctx, const struct store_cancel_result *r,
    const struct error *err)
{
	struct recalling *c = ctx;

	call_done(&c->call, err);
	for (size_t i = 0; err == NULL && i < r->now_count; i++) {
		struct mail *m = world_mail(c->w, r->now[i].id);

		assert_non_null(m);
		m->is_recalled = true;
		c->w->counts.canceled++;
	}
}

/* At the same time as q claims, or q NULL. */
void
api_cancel(struct world *w, struct process *q)
{
	struct recalling c = { .w = w };
	struct mail *m, *mails[MAILS];
	size_t n = 0;

	if (w->mail_count == 0)
		return;
	m = &w->mail[world_below(w, w->mail_count)];
	for (size_t i = 0; i < w->mail_count; i++)
		if (id_cmp(id_email_of(w->mail[i].id), id_email_of(m->id)) == 0)
			mails[n++] = &w->mail[i];
	outcome_cancel_start(w->pg, world_fault(w, 10) ? NULL : w->queue,
	    account_of(m), id_email_of(m->id), on_recalled, &c);
	if (q != NULL)
		process_claim(w, q, NULL);
	call_wait(w, &c.call);
	observe(w, mails, n, 0);
}

/* What must hold. --------------------------------------------------------- */

void
check_rules(struct world *w, const struct mail *m, int64_t now_ms)
{
	for (size_t i = 0; i < w->rule_count; i++) {
		const struct rule *r = &w->rule[i];

		if (is_in_force(r, now_ms) && covers(r, m))
			world_violates(w, "4 nothing against a rule",
			    "a claim to send was given for what is %s by %s",
			    r->kind == RULE_HOLD ? "held" : "canceled",
			    store_rule_scope_name(r->scope));
	}
}

void
check_canceled(struct world *w, const struct mail *m)
{
	bool is_wanted = m->is_recalled;

	if (m->status != STATUS_CANCELED)
		return;
	for (size_t i = 0; i < w->rule_count; i++)
		is_wanted |=
		    w->rule[i].kind == RULE_CANCEL && covers(&w->rule[i], m);
	if (!is_wanted)
		world_violates(w, "4 canceled is what a cancel is about",
		    "nobody canceled it");
	if (m->taken > m->unknown)
		world_violates(w, "3 nothing canceled was sent",
		    "it was taken %u times", m->taken);
}

static void
on_counted(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	call_counted(ctx, err == NULL ? (size_t)redis_reply_int(reply) : 0,
	    err);
}

void
check_released(struct world *w)
{
	for (size_t i = 0; i < LANES; i++) {
		struct call call = { 0 };
		char key[40];
		struct slice argv[] = { SLICE("ZCARD"), SLICE("") };

		snprintf(key, sizeof(key), "q:{p%d.%s}:p", lanes[i].pool,
		    lanes[i].name);
		argv[1] = slice_of(key);
		redis_command(w->raw, argv, 2, on_counted, &call);
		call_wait(w, &call);
		if (call.count > 0)
			world_violates(w, "4 what is released flows",
			    "%zu are parked in %s", call.count, lanes[i].name);
	}
}

bool
rules_hold_any(const struct world *w)
{
	for (size_t i = 0; i < w->rule_count; i++)
		if (w->rule[i].kind == RULE_HOLD &&
		    is_in_force(&w->rule[i], world_now()))
			return true;
	return false;
}

void
check_aged(struct world *w, int64_t for_ms)
{
	for (size_t i = 0; i < w->mail_count; i++) {
		const struct mail *m = &w->mail[i];

		if (!m->is_final && m->expires_at_ms < world_now() - for_ms)
			world_violates(w, "4 max age goes on",
			    "past it for %lld min",
			    (long long)((world_now() - m->expires_at_ms) /
				MINUTE_MS));
	}
}

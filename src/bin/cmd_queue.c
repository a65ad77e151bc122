/* verpost queue [--by ...]: what waits, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "bin/backlog.h"
#include "bin/daylimits.h"
#include "bin/session.h"
#include "bin/table.h"
#include "outcome/waiting.h"
#include "queue/shaping.h"
#include "store/backlog.h"
#include "store/rules.h"

#define ROWS_DEFAULT 50
#define ROWS_MOST 1000

static const struct flag flags[] = {
	{ "by", "WHAT",
	    "provider (default), lane, domain, account, site, source, limit" },
	{ "limit", "N", "at most that many rows, the largest; default 50" },
	{ NULL, NULL, NULL },
};

struct listing {
	struct session s;
	enum store_backlog_by by;
	int64_t now_ms;
	struct table *table;
	struct lane_depths depths;
	struct arena arena;
	size_t rule_count;
	struct store_rule *rule;
	char **rule_account; /* the name of each one's account, or NULL */
};

/* ---- What is on hold ----------------------------------------------------- */

/* Of a group that has more holds they are only counted. */
#define HOLDS_NAMED 3

static bool
is_tag_hold(const struct store_rule *r)
{
	return r->kind == RULE_HOLD && r->scope == RULE_TAG;
}

/* Whether mail of the group may be held by the i-th rule, by its tag. */
static bool
may_hold(const struct listing *l, size_t i, const struct store_backlog *row)
{
	return is_tag_hold(&l->rule[i]) &&
	    (l->by != BACKLOG_ACCOUNT || l->rule_account[i] == NULL ||
		slice_eq_text(row->name, l->rule_account[i]));
}

static bool
has_tag_hold(const struct listing *l, const struct store_backlog *row)
{
	for (size_t i = 0; i < l->rule_count; i++)
		if (may_hold(l, i, row))
			return true;
	return false;
}

/* Of what tags hold only the lanes know something, once it is parked. */
static int64_t
held(const struct store_backlog *row, const struct lane_depth *d)
{
	return d != NULL ? MAX(row->held, (int64_t)d->parked) : row->held;
}

static void
add_held(const struct listing *l, const struct store_backlog *row,
    const struct lane_depth *d)
{
	int64_t n = held(row, d);

	if (d == NULL && n < row->waiting && has_tag_hold(l, row))
		table_add_none(l->table);
	else
		table_add_int(l->table, n);
}

static int
by_number(const void *key, const void *rule)
{
	int number = *(const int *)key;
	int its = ((const struct store_rule *)rule)->number;

	return number < its ? -1 : number > its;
}

/* One that was released since its number was written is passed over. */
static void
mark(const struct listing *l, bool *marks, int number)
{
	const struct store_rule *r = bsearch(&number, l->rule, l->rule_count,
	    sizeof(*l->rule), by_number);

	if (r != NULL && r->kind == RULE_HOLD)
		marks[r - l->rule] = true;
}

/* Those marked, oldest first; some: so many of more are held; 0: all. */
static void
add_marked(const struct listing *l, struct strbuf *text, const bool *marks,
    int64_t some)
{
	const struct store_rule **hold =
	    xcalloc(l->rule_count + 1, sizeof(struct store_rule *));
	size_t n = 0;

	for (size_t i = 0; i < l->rule_count; i++)
		if (marks[i])
			hold[n++] = &l->rule[i];
	if (n > 0 && some > 0)
		strbuf_add_fmt(text, "%lld ", (long long)some);
	if (n > HOLDS_NAMED)
		strbuf_add_fmt(text,
		    "on hold: %zu holds, see 'verpost queue rules'", n);
	else
		waiting_add_holds(text, hold, n);
	free(hold);
}

/* "on hold: domain example.com (their wish)", of some only "3 on hold: ..." */
static void
add_holds(const struct listing *l, struct strbuf *text,
    const struct store_backlog *row, const struct lane_depth *d)
{
	bool *marks = xcalloc(l->rule_count + 1, sizeof(*marks));
	struct slice left = row->holds;
	int64_t number;

	while (left.len > 0)
		if (slice_to_i64(slice_take_until(&left, ' '), &number))
			mark(l, marks, (int)number);
	for (size_t i = 0; d != NULL && i < d->hold_count; i++)
		mark(l, marks, d->hold[i]);
	add_marked(l, text, marks,
	    held(row, d) < row->waiting ? held(row, d) : 0);
	free(marks);
}

/* Of the others, when nobody has looked at their tags. */
static void
add_tag_holds(const struct listing *l, struct strbuf *text,
    const struct store_backlog *row)
{
	bool *marks = xcalloc(l->rule_count + 1, sizeof(*marks));

	for (size_t i = 0; i < l->rule_count; i++)
		marks[i] = may_hold(l, i, row);
	strbuf_add_text(text,
	    strbuf_slice(text).len > 0 ? "; perhaps " : "perhaps ");
	add_marked(l, text, marks, 0);
	free(marks);
}

/* Why the others wait, as far as the lanes tell. */
static void
add_lane_why(struct strbuf *text, const struct store_backlog *row,
    const struct lane_depth *d)
{
	/* What is due for a hold stands there, too, until it is parked. */
	int64_t unparked = MAX(row->held - (int64_t)d->parked, 0);
	const char *why = d->why;

	if (why[0] == '\0' && (int64_t)d->later > row->later + unparked)
		why = "sites take no more at the moment";
	if (why[0] != '\0' && strbuf_slice(text).len > 0)
		strbuf_add_text(text, "; ");
	if (d->why_lanes > 0 && d->why_lanes < d->lanes)
		strbuf_add_fmt(text, "%.*s: ", SLICE_FMT(d->why_lane));
	strbuf_add_text(text, why);
}

/* Of a group over many lanes: of the largest of them that tells something. */
static void
add_lanes_why(const struct listing *l, struct strbuf *text,
    const struct store_backlog *row)
{
	struct slice left = row->lanes;

	while (left.len > 0) {
		const struct lane_depth *d =
		    lane_depths_find(&l->depths, slice_take_until(&left, ' '));

		if (d == NULL || d->why[0] == '\0')
			continue;
		strbuf_add_fmt(text, "%s%.*s: %s",
		    strbuf_slice(text).len > 0 ? "; " : "", SLICE_FMT(d->name),
		    d->why);
		return;
	}
}

static void
add_reason(const struct listing *l, const struct store_backlog *row,
    const struct lane_depth *d)
{
	struct strbuf text = STRBUF_INIT;

	add_holds(l, &text, row, d);
	if (d != NULL && held(row, d) < row->waiting)
		add_lane_why(&text, row, d);
	if (d == NULL && held(row, d) < row->waiting) {
		add_lanes_why(l, &text, row);
		if (has_tag_hold(l, row))
			add_tag_holds(l, &text, row);
	}
	table_add_some(l->table, strbuf_slice(&text));
	strbuf_fini(&text);
}

/* ---- Rows ---------------------------------------------------------------- */

/* "3h12m": two units are enough. */
static void
table_add_age(struct table *t, int64_t ms)
{
	static const struct {
		int64_t ms;
		char unit;
	} units[] = { { 86400000, 'd' }, { 3600000, 'h' }, { 60000, 'm' },
		{ 1000, 's' } };
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		int64_t n = ms / units[i].ms, left = ms % units[i].ms;

		if (n == 0 && i + 1 < ARRAY_LEN(units))
			continue;
		if (i + 1 < ARRAY_LEN(units))
			snprintf(text, sizeof(text), "%lld%c%lld%c",
			    (long long)n, units[i].unit,
			    (long long)(left / units[i + 1].ms),
			    units[i + 1].unit);
		else
			snprintf(text, sizeof(text), "%llds", (long long)n);
		break;
	}
	table_add_measure(t, text, ms / 1000);
}

static void
add_reply(struct table *t, int code, struct slice reply, struct slice mx)
{
	struct strbuf text = STRBUF_INIT;

	if (code != 0)
		strbuf_add_fmt(&text, "%d ", code);
	strbuf_add_slice(&text, reply);
	if (mx.len > 0)
		strbuf_add_fmt(&text, " (%.*s)", SLICE_FMT(mx));
	table_add_some(t, strbuf_slice(&text));
	strbuf_fini(&text);
}

/* In Redis, of the lanes of the group; "-" where lanes do not tell. */
static void
add_depth(struct table *t, const struct lane_depth *d)
{
	if (d == NULL) {
		table_add_none(t);
		table_add_none(t);
		return;
	}
	table_add_int(t, (int64_t)d->ready);
	table_add_int(t, (int64_t)d->held);
}

/* What the limits of a provider let one source send. */
static void
add_ceiling(struct listing *l, struct slice name)
{
	const struct shaping *shaping = session_shaping(&l->s);
	int provider = l->by == BACKLOG_PROVIDER
	    ? shaping_provider_find(shaping, name)
	    : -1;
	struct config_rate rate = { 0 };
	uint64_t per_hour;
	char text[48];

	if (provider >= 0)
		rate = shaping_limits_of(shaping, provider, NULL, 0)
			   .provider_mail_rate;
	if (rate.count == 0) {
		table_add_none(l->table);
		return;
	}
	per_hour = rate.count * 3600000 / rate.per_ms;
	snprintf(text, sizeof(text), "%llu/h a source",
	    (unsigned long long)per_hour);
	table_add_measure(l->table, text, (int64_t)per_hour);
}

/* Or they are of accounts or domains, which have mail in many lanes. */
static bool
is_of_lanes(enum store_backlog_by by)
{
	return by == BACKLOG_PROVIDER || by == BACKLOG_LANE;
}

static void
got_backlog(void *ctx, const struct store_backlog *row, size_t count,
    const struct error *err)
{
	struct listing *l = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		const struct lane_depth *d = is_of_lanes(l->by)
		    ? lane_depths_find(&l->depths, row[i].name)
		    : NULL;

		table_add(l->table, row[i].name);
		table_add_int(l->table, row[i].waiting);
		table_add_int(l->table,
		    d != NULL ? (int64_t)d->later : row[i].later);
		add_depth(l->table, d);
		add_held(l, &row[i], d);
		table_add_age(l->table, MAX(l->now_ms - row[i].oldest_ms, 0));
		add_ceiling(l, row[i].name);
		add_reason(l, &row[i], d);
		add_reply(l->table, row[i].code, row[i].reply, row[i].mx);
	}
	session_end(&l->s, err);
}

static void
got_rules(void *ctx, const struct store_rule *rule, size_t count,
    int generation, const struct error *err)
{
	struct listing *l = ctx;

	(void)generation;
	l->rule = store_rules_copy(&l->arena, rule, count);
	l->rule_count = count;
	session_end(&l->s, err);
}

/* The tag of one account holds nothing of another. */
static void
name_accounts(struct listing *l)
{
	l->rule_account = xcalloc(l->rule_count + 1, sizeof(char *));
	for (size_t i = 0; i < l->rule_count; i++)
		if (is_tag_hold(&l->rule[i]) && l->rule[i].account != 0)
			l->rule_account[i] =
			    session_account_name(&l->s, l->rule[i].account);
}

static void
free_accounts(struct listing *l)
{
	for (size_t i = 0; i < l->rule_count; i++)
		free(l->rule_account[i]);
	free(l->rule_account);
}

/* ---- The commands -------------------------------------------------------- */

static int
list_groups(const struct args *a, enum store_backlog_by by, size_t limit)
{
	static const char *const columns[] = { "name", "waiting", "later",
		"ready", "in_hand", "on_hold", "oldest", "ceiling",
		"delayed_because", "last_reply", NULL };
	struct listing l = { .by = by,
		.now_ms = clock_now_ms(),
		.table = table_new(columns) };

	table_json_name(l.table, "oldest", "oldest_age_s");
	table_json_name(l.table, "ceiling", "ceiling_per_source_per_hour");
	session_open(&l.s, a, 0);
	store_rule_list(l.s.pg, l.now_ms, got_rules, &l);
	session_wait(&l.s, "listing the rules");
	name_accounts(&l);
	lane_depths_read(&l.depths, &l.s, by == BACKLOG_PROVIDER);
	store_backlog_list(l.s.pg, by, l.now_ms, limit, got_backlog, &l);
	session_wait(&l.s, "counting what waits");
	table_print(l.table, a->json, "Nothing waits.");
	table_free(&l.table);
	lane_depths_fini(&l.depths);
	session_close(&l.s);
	free_accounts(&l);
	arena_fini(&l.arena);
	return 0;
}

static int
run_list(const struct args *a)
{
	static const char *const names[] = { [BACKLOG_PROVIDER] = "provider",
		[BACKLOG_LANE] = "lane",
		[BACKLOG_ACCOUNT] = "account",
		[BACKLOG_DOMAIN] = "domain" };
	const char *by = args_flag(a, "by");
	size_t limit =
	    (size_t)args_number(a, "limit", 1, ROWS_MOST, ROWS_DEFAULT);

	if (by == NULL)
		by = "provider";
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(by, names[i]) == 0)
			return list_groups(a, (enum store_backlog_by)i, limit);
	if (strcmp(by, "site") == 0)
		return destinations_list(a, true, limit);
	if (strcmp(by, "source") == 0)
		return destinations_list(a, false, limit);
	if (strcmp(by, "limit") == 0)
		return daylimits_list(a, limit);
	args_die("--by must be provider, lane, domain, account, site, source "
		 "or "
		 "limit, not '%s'",
	    by);
}

const struct command command_queue = {
	.name = "queue",
	.operands = "",
	.summary = "show what waits, and why",
	.help =
	    "waiting   recipients that are not finished; what was canceled "
	    "counts until it is\n          come across, within minutes\n"
	    "later     of them: the next attempt, or the turn of its site, is "
	    "in the future\n"
	    "ready     jobs that a process could take now\n"
	    "in_hand   jobs that processes have taken\n"
	    "on_hold   kept by 'verpost queue hold'; by domain and account "
	    "\"-\" when mail\n          of a tag that is on hold may be among "
	    "it\n"
	    "\nMail of a domain or an account is in many lanes (pool/lane): of "
	    "these the largest\nthat waits for a limit tells why. By lane and "
	    "provider on_hold counts what a tag holds\nonce a process has come "
	    "across it. last_reply is that to the newest mail of those that\n"
	    "were tried.\n"
	    "\nBy site and by source it shows what the running processes "
	    "have in hand at the\nmoment: what waits in them, is being sent, "
	    "and over how many connections. rate is\nhow many mails a second "
	    "leave, once there has been a backlog to show it; ceiling\nis what "
	    "the limits allow.\n"
	    "\nBy limit it shows what of each daily limit is used, of a source "
	    "and of a source\nwith a provider, the fullest first. Days are "
	    "those of UTC. A process takes from a\nlimit ahead of need, up to "
	    "a two-hundredth of it: that counts as used.\n"
	    "\n'verpost queue show ID' tells all about one email.",
	.flags = flags,
	.run = run_list,
};

/* verpost queue show: all that is known about one email. */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "bin/backlog.h"
#include "bin/poolwhy.h"
#include "bin/session.h"
#include "bin/table.h"
#include "model/id.h"
#include "model/token.h"
#include "outcome/bounced.h"
#include "outcome/classify.h"
#include "outcome/verdict.h"
#include "outcome/waiting.h"
#include "queue/queue.h"
#include "smtp/client.h"
#include "store/attempts.h"
#include "store/backlog.h"
#include "store/emails.h"

#define ATTEMPTS_MOST 1000

static const struct flag flags[] = {
	{ "transcript", NULL, "show what was said in each attempt, too" },
	{ NULL, NULL, NULL },
};

struct show {
	struct session s;
	struct arena arena;
	int64_t now_ms;
	struct id email, only; /* only: one recipient, or zero: all */
	size_t rule_count;
	struct store_rule *rule;
	struct store_email found; /* with copies of what is shown */
	struct store_recipient *recipient;
	struct table *attempts;
	bool with_transcripts, json;
	struct strbuf transcripts;
	struct strbuf *other;	 /* where to say what others were told */
	int lane_pool;		 /* of the lane asked for last */
	char why[DEPTH_WHY_MAX]; /* what that lane says */
	struct poolwhy pools;
};

static bool
is_shown(const struct show *w, struct id recipient)
{
	return id_is_zero(w->only) || id_cmp(w->only, recipient) == 0;
}

/* ---- Reading ------------------------------------------------------------- */

static void
got_rules(void *ctx, const struct store_rule *rule, size_t count,
    int generation, const struct error *err)
{
	struct show *w = ctx;

	(void)generation;
	w->rule = store_rules_copy(&w->arena, rule, count);
	w->rule_count = count;
	session_end(&w->s, err);
}

static void
keep_recipient(struct show *w, size_t i, const struct store_recipient *r)
{
	struct store_recipient *mine = &w->recipient[i];

	*mine = *r;
	mine->address = arena_slice(&w->arena, r->address);
	mine->reason = arena_slice(&w->arena, r->reason);
	mine->end_data = arena_slice(&w->arena, r->end_data);
	mine->lane = arena_slice(&w->arena, r->lane);
	mine->claim_source = arena_slice(&w->arena, r->claim_source);
	mine->last.status = arena_slice(&w->arena, r->last.status);
	mine->last.reply = arena_slice(&w->arena, r->last.reply);
	mine->last.mx = arena_slice(&w->arena, r->last.mx);
	mine->last.tls = arena_slice(&w->arena, r->last.tls);
}

static void
got_email(void *ctx, const struct store_email *email, size_t count,
    bool has_more, const struct error *err)
{
	struct show *w = ctx;

	(void)count;
	(void)has_more;
	if (err == NULL) {
		w->found = *email;
		w->found.head = arena_slice(&w->arena, email->head);
		w->recipient = arena_calloc(&w->arena, email->count + 1,
		    sizeof(*w->recipient));
		for (size_t i = 0; i < email->count; i++)
			keep_recipient(w, i, &email->recipient[i]);
	}
	session_end(&w->s, err);
}

static void
add_transcript(struct show *w, const struct store_attempt *a)
{
	struct slice text = a->transcript, line;

	if (!w->with_transcripts || w->json || text.len == 0)
		return;
	strbuf_add_fmt(&w->transcripts, "\nRecipient %u, attempt %d:\n",
	    id_recipient_number(a->recipient), a->n);
	while (slice_take_line(&text, &line))
		strbuf_add_fmt(&w->transcripts, "  %.*s\n", SLICE_FMT(line));
	if (text.len > 0)
		strbuf_add_fmt(&w->transcripts, "  %.*s\n", SLICE_FMT(text));
}

static void
got_attempts(void *ctx, const struct store_attempt *a, size_t count,
    const struct error *err)
{
	struct show *w = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		const char *class = delay_class_name_of(a[i].class);

		add_transcript(w, &a[i]);
		table_add_int(w->attempts,
		    (int64_t)id_recipient_number(a[i].recipient));
		table_add_int(w->attempts, a[i].n);
		table_add_time(w->attempts, a[i].claimed_at_ms);
		table_add_time(w->attempts, a[i].finished_at_ms);
		table_add_text(w->attempts,
		    a[i].outcome == 0
			? "open"
			: verdict_name((enum verdict)a[i].outcome));
		table_add_some(w->attempts, slice_of(class));
		if (a[i].code != 0)
			table_add_int(w->attempts, a[i].code);
		else
			table_add_none(w->attempts);
		table_add_some(w->attempts, a[i].status);
		table_add_some(w->attempts, a[i].reply);
		table_add_some(w->attempts, a[i].source_address);
		table_add_some(w->attempts, a[i].mx);
		table_add_some(w->attempts, a[i].tls);
		if (w->with_transcripts && w->json)
			table_add_some(w->attempts, a[i].transcript);
	}
	session_end(&w->s, err);
}

/* ---- Why ----------------------------------------------------------------- */

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	struct show *w = ctx;

	w->why[0] = '\0';
	if (err == NULL && state->why.len > 0)
		depth_why_text(state->why,
		    poolwhy_owners(&w->pools, w->lane_pool), w->why,
		    sizeof(w->why));
	session_end(&w->s, NULL);
}

/* "; another of its domain: 451 later, said mx.example.net[...], at ..." */
static void
got_last(void *ctx, const struct store_last_reply *row, size_t count,
    const struct error *err)
{
	struct show *w = ctx;
	char when[CLOCK_ISO_LEN];

	for (size_t i = 0; err == NULL && i < count; i++) {
		strbuf_add_text(w->other, "; another of its domain: ");
		if (row[i].code != 0)
			strbuf_add_fmt(w->other, "%d ", row[i].code);
		strbuf_add_slice(w->other, row[i].reply);
		if (row[i].mx.len > 0)
			strbuf_add_fmt(w->other, ", %s %.*s",
			    row[i].code != 0 ? "said" : "at",
			    SLICE_FMT(row[i].mx));
		clock_format_iso(row[i].at_ms, when);
		strbuf_add_fmt(w->other, ", at %s", when);
	}
	session_end(&w->s, err);
}

/*
 * Mail to a host that refuses everybody goes back without an attempt of its
 * own; what the host says stands with the few that were tried.
 */
static void
add_others(struct show *w, struct strbuf *why, const struct store_recipient *r)
{
	w->other = why;
	store_backlog_last(w->s.pg, r->address, got_last, w);
	session_wait(&w->s, "looking what was said to others");
}

/* What its lane says, into w->why. */
static void
ask_lane(struct show *w, struct queue *q, const struct store_recipient *r)
{
	struct queue_lane lane = { .pool = r->pool };

	w->why[0] = '\0';
	if (q == NULL || r->lane.len >= sizeof(lane.name))
		return;
	snprintf(lane.name, sizeof(lane.name), "%.*s", SLICE_FMT(r->lane));
	w->lane_pool = r->pool;
	queue_state(q, &lane, on_state, w);
	session_wait(&w->s, "asking Redis for lane %s", lane.name);
}

/* "dns: the recipient's domain does not exist" */
static void
add_failure(struct strbuf *out, const struct store_recipient *r)
{
	if (r->status == STATUS_SUPPRESSED)
		strbuf_add_text(out, "the address is suppressed: ");
	strbuf_add_slice(out, r->reason);
	if (r->status == STATUS_FAILED && r->last.n > 0 &&
	    r->last.reply.len > 0)
		strbuf_add_fmt(out, ": %.*s", SLICE_FMT(r->last.reply));
}

/* Why it was given up, what came back, or who canceled it and when. */
static void
add_end(struct show *w, struct strbuf *out, const struct store_recipient *r,
    const struct store_rule *rule)
{
	struct canceled c;
	struct bounced b;
	char when[CLOCK_ISO_LEN];

	if (bounced_read(&w->arena, r, &b)) {
		bounced_add_text(out, &b);
		return;
	}
	if (!waiting_canceled(&w->arena, r, rule, &c)) {
		add_failure(out, r);
		return;
	}
	canceled_add_text(out, &c);
	if (!id_is_zero(c.rule))
		strbuf_add_fmt(out, ", rule %s", id_text(c.rule).s);
	clock_format_iso(c.at_ms, when);
	strbuf_add_fmt(out, ", at %s", when);
}

static void
add_recipient(struct show *w, struct table *t, struct queue *q,
    const struct store_recipient *r)
{
	struct rules_subject what = {
		.account = w->found.account,
		.address = r->address,
		.head = w->found.head,
		.accepted_at_ms = id_time_ms(r->id),
	};
	struct rules_found found =
	    rules_find_all(&w->arena, w->rule, w->rule_count, &what, w->now_ms);
	struct strbuf why = STRBUF_INIT;
	struct slice idle = poolwhy_of(&w->pools, r->pool);

	if (r->finished_at_ms == 0)
		ask_lane(w, q, r);
	if (!waiting_because(&why, r, &found,
		idle.len > 0 ? idle : slice_of(w->why), w->now_ms))
		add_end(w, &why, r, found.first);
	else if (r->last.n == 0 && !r->is_claimed && found.hold_count == 0)
		add_others(w, &why, r);
	table_add_int(t, (int64_t)id_recipient_number(r->id));
	table_add(t, r->address);
	table_add_text(t, status_name(waiting_status(r, found.first)));
	table_add_int(t, r->attempts);
	table_add(t, r->lane);
	table_add_time(t, r->expires_at_ms);
	table_add_some(t, strbuf_slice(&why));
	strbuf_fini(&why);
}

static void
read_all(struct show *w, const char *operand)
{
	struct error err;

	store_rule_list(w->s.pg, w->now_ms, got_rules, w);
	session_wait(&w->s, "listing the rules");
	store_email_find(w->s.pg, 0, w->email, got_email, w);
	err = session_try(&w->s);
	if (err.kind == ERR_NOTFOUND)
		die("there is no email %s; it may be older than the retention",
		    operand);
	if (err.kind != ERR_NONE)
		die("looking for email %s: %s", operand, err.text);
	store_attempt_list(w->s.pg, 0, id_is_zero(w->only) ? w->email : w->only,
	    ATTEMPTS_MOST, got_attempts, w);
	session_wait(&w->s, "listing the attempts");
}

/* In JSON one object with both tables. */
static void
print(const struct show *w, const struct table *recipients, bool json)
{
	if (json)
		printf("{\"id\":\"%s\",\"recipients\":", id_text(w->email).s);
	table_print(recipients, json, "It has no recipient.");
	printf(json ? ",\"attempts\":" : "\n");
	table_print(w->attempts, json, "Nobody has tried yet.");
	if (json)
		printf("}\n");
	else
		fputs(strbuf_text(&w->transcripts), stdout);
}

/* An id as it is printed anywhere, or in what is made of it: a Message-ID, a
 * return path. */
static bool
read_id(struct slice text, struct id *out)
{
	struct slice local;

	text = slice_trim(text);
	if (text.len >= 2 && text.ptr[0] == '<' &&
	    text.ptr[text.len - 1] == '>')
		text = slice_mem(text.ptr + 1, text.len - 2);
	local = slice_take_until(&text, '@');
	return id_parse(local, out) || token_peek(local, out);
}

static int
run_show(const struct args *a)
{
	static const char *const recipient_columns[] = { "recipient", "address",
		"status", "attempts", "lane", "expires_at", "why", NULL };
	bool with_transcripts = args_flag(a, "transcript") != NULL;
	const char *const attempt_columns[] = { "recipient", "attempt",
		"claimed_at", "finished_at", "outcome", "class", "code",
		"status", "reply", "source", "mx", "tls",
		with_transcripts && a->json ? "transcript" : NULL, NULL };
	struct show w = { .now_ms = clock_now_ms(),
		.with_transcripts = with_transcripts,
		.json = a->json,
		.transcripts = STRBUF_INIT,
		.attempts = table_new(attempt_columns) };
	struct table *recipients = table_new(recipient_columns);
	struct queue *q;
	struct id id;

	if (!read_id(slice_of(a->operand[0]), &id))
		die("'%s' is no id of an email or a recipient, nor a "
		    "Message-ID or a return path with one; a Message-ID that "
		    "the sender has set is not looked for",
		    a->operand[0]);
	w.email = id_email_of(id);
	if (id_recipient_number(id) != 0)
		w.only = id;
	session_open(&w.s, a, 0);
	read_all(&w, a->operand[0]);
	poolwhy_read(&w.pools, &w.s);
	q = backlog_queue_open(&w.s);
	for (size_t i = 0; i < w.found.count; i++)
		if (is_shown(&w, w.recipient[i].id))
			add_recipient(&w, recipients, q, &w.recipient[i]);
	if (!id_is_zero(w.only) && table_rows(recipients) == 0)
		die("email %s has no recipient %u", id_text(w.email).s,
		    id_recipient_number(w.only));
	print(&w, recipients, a->json);
	table_free(&recipients);
	table_free(&w.attempts);
	strbuf_fini(&w.transcripts);
	queue_free(&q);
	poolwhy_fini(&w.pools);
	session_close(&w.s);
	arena_fini(&w.arena);
	return 0;
}

const struct command command_queue_show = {
	.name = "queue show",
	.operands = "ID",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "tell all about one email, and why it waits",
	.help =
	    "ID is that of an email or of one of its recipients, as a UUID or "
	    "as gm_...; it\nmay stand in a Message-ID (<gm_...@domain>) or a "
	    "return path (b-...@host).",
	.flags = flags,
	.run = run_show,
};

/*
 * api/emails_read.c - GET /emails/{id} and GET /emails, in the shape of
 * reference A.4. Beyond it, the single email has "recipients": the status of
 * each with its reason, the last reply, and why it is not finished. Holds and
 * cancels are applied to both, so that the answer is right before anybody has
 * come across the mail: the rules are read first, then the mail.
 */
#include "api_priv.h"

#include "base/clock.h"
#include "mail/content.h"
#include "model/status.h"
#include "outcome/bounced.h"
#include "outcome/verdict.h"
#include "outcome/waiting.h"
#include "queue/depth.h"
#include "store/emails.h"

static void
address_add(struct json_writer *w, const char *name,
    const struct mail_address *a)
{
	struct strbuf text = STRBUF_INIT;

	if (a->domain.len == 0) {
		json_null(w, name);
		return;
	}
	if (a->display.len > 0) {
		strbuf_add_slice(&text, a->display);
		strbuf_add_text(&text, " <");
	}
	mail_address_add_addr(&text, a);
	if (a->display.len > 0)
		strbuf_add_char(&text, '>');
	json_text(w, name, strbuf_slice(&text));
	strbuf_fini(&text);
}

/* null when there is none, as Resend answers. */
static void
addresses_add(struct json_writer *w, const char *name,
    const struct mail_address *a, size_t count)
{
	if (count == 0) {
		json_null(w, name);
		return;
	}
	json_begin_array(w, name);
	for (size_t i = 0; i < count; i++)
		address_add(w, NULL, &a[i]);
	json_end(w);
}

/*
 * The content, which goes before the rest when it gets old: then the head. A
 * record that cannot be read hides neither the other emails of a list nor what
 * became of this one: what stands in it is null, and the log has why.
 */
static void
content_read(struct arena *arena, const struct store_email *e,
    struct mail_content *out)
{
	struct error err = { 0 };

	if (mail_content_decode(arena,
		e->content.ptr != NULL ? e->content : e->head, out, &err) == 0)
		return;
	log_error(NULL, "email.unreadable", log_text("email", id_text(e->id).s),
	    log_err(&err));
	*out = (struct mail_content){ 0 };
}

/* It ends in the domain that the email came from, which may be gone since. */
static void
message_id_add(struct json_writer *w, const struct store_email *e,
    const struct mail_content *c)
{
	struct strbuf text = STRBUF_INIT;

	if (e->message_id.ptr == NULL && c->from.domain.len == 0) {
		json_null(w, "message_id");
		return;
	}
	id_add_message_id(&text, e->message_id, e->id, c->from.domain);
	json_text(w, "message_id", strbuf_slice(&text));
	strbuf_fini(&text);
}

/* What the list and the single email both have. */
static void
summary_add(struct json_writer *w, const struct store_email *e,
    const struct mail_content *c, unsigned int bits)
{
	api_id(w, "id", e->id);
	message_id_add(w, e, c);
	address_add(w, "from", &c->from);
	addresses_add(w, "to", c->to, c->to_count);
	addresses_add(w, "cc", c->cc, c->cc_count);
	addresses_add(w, "bcc", c->bcc, c->bcc_count);
	addresses_add(w, "reply_to", c->reply_to, c->reply_to_count);
	json_text_or_null(w, "subject", c->subject);
	api_time(w, "created_at", e->created_at_ms);
	json_null(w, "scheduled_at");
	json_cstr(w, "last_event", status_fold(bits));
}

/* ---- The rules ----------------------------------------------------------- */

struct reading {
	const char *what;		/* "Email" */
	void (*go)(struct api_call *c); /* once the rules are there */
	struct id id;			/* of the one */
	struct api_page page;		/* of the list */
	struct arena *arena;
	int64_t now_ms;
	size_t rule_count;
	struct store_rule *rule;
	const struct depth *depth; /* or NULL */
};

static void
got_rules(void *ctx, const struct store_rule *rule, size_t count,
    int generation, const struct error *err)
{
	struct api_call *c = ctx;
	struct reading *g = c->own;

	(void)generation;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, g->what, err);
		return;
	}
	g->rule = store_rules_copy(c->arena, rule, count);
	g->rule_count = count;
	g->go(c);
}

static void
read_rules(struct api_call *c, struct reading *g)
{
	g->arena = c->arena;
	g->now_ms = clock_now_ms();
	g->depth = c->h->depth;
	c->own = g;
	c->tx = store_rule_list(c->h->side, g->now_ms, got_rules, c);
}

static struct rules_subject
subject_of(const struct store_email *e, const struct store_recipient *r)
{
	return (struct rules_subject){
		.account = e->account,
		.address = r->address,
		.head = e->head,
		.accepted_at_ms = id_time_ms(r->id),
	};
}

static const struct store_rule *
rule_of(const struct reading *g, const struct store_email *e,
    const struct store_recipient *r)
{
	struct rules_subject what = subject_of(e, r);

	return rules_find(g->rule, g->rule_count, &what, g->now_ms);
}

/* What the list and the single email tell of all recipients together. */
static unsigned int
status_bits(const struct reading *g, const struct store_email *e)
{
	unsigned int bits = 0;

	for (size_t i = 0; i < e->count; i++)
		bits |= status_event_bit(waiting_status(&e->recipient[i],
		    rule_of(g, e, &e->recipient[i])));
	return bits;
}

/* ---- One ----------------------------------------------------------------- */

static void
last_attempt_add(struct json_writer *w, const struct store_recipient *r)
{
	const char *class;

	if (r->last.n == 0) {
		json_null(w, "last_attempt");
		return;
	}
	json_begin_object(w, "last_attempt");
	json_int(w, "number", r->last.n);
	json_int(w, "code", r->last.code);
	json_text_or_null(w, "status", r->last.status);
	json_text_or_null(w, "reply", r->last.reply);
	class = delay_class_name_of(r->last.class);
	json_text_or_null(w, "class",
	    class != NULL ? slice_of(class) : (struct slice){ NULL, 0 });
	json_text_or_null(w, "mx", r->last.mx);
	json_text_or_null(w, "tls", r->last.tls);
	api_time(w, "finished_at", r->last.finished_at_ms);
	json_end(w);
}

/* The far end may have taken it: the last transmission had no answer, and
 * nothing that came later has settled it. */
static bool
outcome_is_unknown(const struct store_recipient *r)
{
	return (r->status == STATUS_FAILED &&
		   slice_eq_text(r->reason, FAIL_OUTCOME_UNKNOWN)) ||
	    ((r->status == STATUS_DEFERRED || r->status == STATUS_FAILED) &&
		r->last.outcome == VERDICT_UNKNOWN);
}

static void
waiting_add(struct json_writer *w, const struct reading *g,
    const struct store_recipient *r, const struct rules_found *found)
{
	struct strbuf text = STRBUF_INIT;
	const char *why = "";

	if (r->pool_is_idle)
		why = "no address of its pool sends at the moment";
	else if (g->depth != NULL)
		why = depth_why(g->depth, r->pool, r->lane);
	if (waiting_because(&text, r, found, slice_of(why), g->now_ms))
		json_text(w, "delayed_because", strbuf_slice(&text));
	else
		json_null(w, "delayed_because");
	strbuf_fini(&text);
}

/* null when it is not. */
static void
canceled_add(struct json_writer *w, const struct reading *g,
    const struct store_recipient *r, const struct store_rule *rule)
{
	struct canceled c;

	if (!waiting_canceled(g->arena, r, rule, &c)) {
		json_null(w, "canceled");
		return;
	}
	json_begin_object(w, "canceled");
	canceled_write(w, &c);
	api_time(w, "at", c.at_ms);
	json_end(w);
}

/* null when it has not bounced. */
static void
bounce_add(struct json_writer *w, const struct reading *g,
    const struct store_recipient *r)
{
	struct bounced b;

	if (!bounced_read(g->arena, r, &b)) {
		json_null(w, "bounce");
		return;
	}
	json_begin_object(w, "bounce");
	api_time(w, "at", b.at_ms);
	json_bool(w, "reported_later", b.by_dsn);
	json_int(w, "code", b.code);
	json_text_or_null(w, "status", b.status);
	json_text_or_null(w, "message", b.text);
	json_text_or_null(w, "mx", b.mx);
	json_end(w);
}

static void
recipient_add(struct json_writer *w, const struct reading *g,
    const struct store_email *e, const struct store_recipient *r)
{
	static const char *const fields[] = { "to", "cc", "bcc" };
	struct rules_subject what = subject_of(e, r);
	struct rules_found found =
	    rules_find_all(g->arena, g->rule, g->rule_count, &what, g->now_ms);

	json_begin_object(w, NULL);
	api_id(w, "id", r->id);
	json_text(w, "address", r->address);
	json_cstr(w, "field",
	    fields[r->field >= 0 && r->field < 3 ? r->field : 0]);
	json_cstr(w, "status", status_name(waiting_status(r, found.first)));
	json_text_or_null(w, "reason", r->reason);
	bounce_add(w, g, r);
	json_bool(w, "outcome_unknown", outcome_is_unknown(r));
	json_int(w, "attempts", r->attempts);
	api_time(w, "retry_at", r->retry_at_ms);
	api_time(w, "expires_at", r->expires_at_ms);
	api_time(w, "finished_at", r->finished_at_ms);
	canceled_add(w, g, r, found.first);
	waiting_add(w, g, r, &found);
	last_attempt_add(w, r);
	json_end(w);
}

static void
tags_add(struct json_writer *w, const struct mail_content *c)
{
	if (c->tag_count == 0)
		return;
	json_begin_array(w, "tags");
	for (size_t i = 0; i < c->tag_count; i++) {
		json_begin_object(w, NULL);
		json_text(w, "name", c->tag[i].name);
		json_text(w, "value", c->tag[i].value);
		json_end(w);
	}
	json_end(w);
}

static void
email_write(struct strbuf *out, const struct reading *g,
    const struct store_email *e, const struct mail_content *c)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "object", "email");
	summary_add(&w, e, c, status_bits(g, e));
	json_text_or_null(&w, "html", c->html);
	json_text_or_null(&w, "text", c->text);
	tags_add(&w, c);
	json_cstr(&w, "delivery",
	    c->exactly_once ? "exactly_once" : "at_least_once");
	json_cstr(&w, "stream", c->broadcast ? "broadcast" : "transactional");
	json_begin_array(&w, "recipients");
	for (size_t i = 0; i < e->count; i++)
		recipient_add(&w, g, e, &e->recipient[i]);
	json_end(&w);
	json_end(&w);
}

static void
found(void *ctx, const struct store_email *email, size_t count, bool has_more,
    const struct error *err)
{
	struct api_call *c = ctx;
	struct mail_content content;
	struct strbuf out = STRBUF_INIT;

	(void)count;
	(void)has_more;
	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, "Email", err);
		return;
	}
	content_read(c->arena, email, &content);
	email_write(&out, c->own, email, &content);
	api_answer(c, 200, &out);
}

static void
find(struct api_call *c)
{
	const struct reading *g = c->own;

	c->tx =
	    store_email_find(c->h->side, c->account.number, g->id, found, c);
}

static void
get_go(struct api_call *c)
{
	struct reading *g = arena_alloc(c->arena, sizeof(*g));

	g->what = "Email";
	g->go = find;
	if (api_param_id(c, 0, &g->id))
		read_rules(c, g);
}

void
api_email_get(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, get_go);
}

/* ---- The list ------------------------------------------------------------ */

static void
listed(void *ctx, const struct store_email *email, size_t count, bool has_more,
    const struct error *err)
{
	struct api_call *c = ctx;
	const struct reading *g = c->own;
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	c->tx = NULL;
	if (err != NULL) {
		api_answer_err(c, g->what, err);
		return;
	}
	api_list_begin(&w, &out, has_more);
	for (size_t i = 0; i < count; i++) {
		struct mail_content content;

		content_read(c->arena, &email[i], &content);
		json_begin_object(&w, NULL);
		summary_add(&w, &email[i], &content,
		    email[i].count > 0 ? status_bits(g, &email[i])
				       : email[i].status_bits);
		json_end(&w);
	}
	api_list_end(&w);
	api_answer(c, 200, &out);
}

/* Whether a status can be another than what stands in the database. */
static bool
may_be_canceled(const struct reading *g, int account)
{
	for (size_t i = 0; i < g->rule_count; i++)
		if (g->rule[i].kind == RULE_CANCEL &&
		    (g->rule[i].account == 0 || g->rule[i].account == account))
			return true;
	return false;
}

/* Recipients are only asked for while there is a cancel, which is seldom. */
static void
list(struct api_call *c)
{
	const struct reading *g = c->own;

	c->tx = store_email_list(c->h->side, c->account.number, g->page.limit,
	    g->page.after, g->page.before,
	    may_be_canceled(g, c->account.number), listed, c);
}

static void
list_go(struct api_call *c)
{
	struct reading *g = arena_alloc(c->arena, sizeof(*g));

	g->what = "Emails";
	g->go = list;
	if (api_page_read(c, &g->page))
		read_rules(c, g);
}

void
api_email_list(struct http_request *r, void *ctx)
{
	api_open(ctx, r, false, list_go);
}

/*
 * A batch of rows at a time:
 *
 *   claim -> look up the recipients -> parse one after the other -> outcome
 *         -> mark the row
 *
 * Rows are marked after their outcome was committed. Whatever breaks in
 * between, the claim runs out and the row comes again; outcomes may be
 * repeated, so nothing is counted twice.
 *
 * The parser may die of a mail. Then that one is given to it once more, and
 * after the second time it is marked as unreadable; the others of the batch
 * wait until the parser is back. Nothing is claimed while the parser is away,
 * so being away costs no row one of its tries.
 */
#include "bounce/match.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "bounce/report.h"
#include "net/loop.h"
#include "outcome/outcome.h"
#include "store/jobs.h"
#include "store/returns.h"

#include "parser_link.h"

#define POLL_DEFAULT_MS 5000
#define LEASE_MS 120000
#define BATCH_MAX 16
#define LOSSES_MAX 2 /* of the parser, by one mail */
#define TRIES_MAX                                                              \
	10 /* claims of one row; its processes died or lost Postgres */

struct bounce {
	struct loop *loop;
	struct pg *pg;
	struct outcome_writer *writer;
	struct parser_link *link;
	int64_t poll_ms;
	struct timer *poll;
	struct loop_call look;
	struct pg_tx *tx;	   /* claim or look-up under way */
	struct list items;	   /* all in hand */
	struct list waiting;	   /* for the parser */
	struct item *current;	   /* at the parser */
	bool again;		   /* there may be more rows */
	struct timer *drain_timer; /* NULL until draining */
	void (*drained)(void *ctx);
	void *drained_ctx;
};

/* A row in hand. */
struct item {
	struct list node;    /* in items */
	struct list waiting; /* in waiting */
	struct bounce *bounce;
	struct pg_tx *tx; /* its marking */
	struct id id, recipient;
	struct slice raw; /* heap */
	struct arena arena;
	int account;
	struct slice address_key; /* in the arena */
	unsigned int losses;
	const char *kind; /* to be stored */
	struct slice detail;
};

static void pump(struct bounce *b);
static void look(void *ctx);

/* ---- the end of a row ---- */

static void
tell_drained(struct bounce *b)
{
	void (*drained)(void *ctx) = b->drained;

	if (drained == NULL || b->tx != NULL || !list_is_empty(&b->items))
		return;
	b->drained = NULL;
	timer_cancel(b->drain_timer);
	drained(b->drained_ctx);
}

static void
item_free(struct item *it)
{
	union {
		const char *in;
		char *out;
	} raw = { .in = it->raw.ptr };

	list_remove(&it->node);
	list_remove(&it->waiting);
	if (it->tx != NULL)
		pg_tx_cancel(&it->tx);
	free(raw.out);
	arena_fini(&it->arena);
	free(it);
}

/* After a step that may have been the last of its batch. */
static void
step_done(struct bounce *b)
{
	if (b->tx == NULL && list_is_empty(&b->items) && b->again)
		loop_call_schedule(b->loop, &b->look, look, b);
	tell_drained(b);
}

static void
on_marked(void *ctx, const struct error *err)
{
	struct item *it = ctx;
	struct bounce *b = it->bounce;

	it->tx = NULL;
	if (err != NULL)
		log_warn(NULL, "bounce.mark",
		    log_text("return", id_text(it->id).s), log_err(err));
	item_free(it);
	step_done(b);
}

static void
mark(struct item *it)
{
	struct store_return_result result = {
		.id = it->id,
		.kind = slice_of(it->kind),
		.detail = it->detail,
	};

	it->tx = store_return_finish(it->bounce->pg, clock_now_ms(), &result, 1,
	    on_marked, it);
}

/* Nothing follows from it. */
static void
mark_none(struct item *it, struct slice why)
{
	it->kind = bounce_kind_name(BOUNCE_NONE);
	it->detail = why;
	log_info(NULL, "bounce.none", log_text("return", id_text(it->id).s),
	    log_text("recipient", id_text(it->recipient).s),
	    log_slice("why", why));
	mark(it);
}

/* ---- what a report says ---- */

static void
on_outcome(void *ctx, const struct error *err)
{
	struct item *it = ctx;

	if (err == NULL) {
		mark(it);
		return;
	}
	log_error(NULL, "bounce.outcome", log_text("return", id_text(it->id).s),
	    log_err(err));
	mark_none(it, arena_slice(&it->arena, slice_of(err->text)));
}

static enum bounce_kind
kind_of(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:
		return BOUNCE_FAILED;
	case DSN_DELAYED:
		return BOUNCE_DELAYED;
	case DSN_DELIVERED:
	case DSN_RELAYED:
	case DSN_EXPANDED:
		return BOUNCE_DELIVERED;
	}
	return BOUNCE_NONE;
}

static void
log_report(const struct item *it, const struct bounce_report *report,
    const struct dsn_recipient *r)
{
	char status[MAIL_STATUS_TEXT];

	mail_status_format(r->status, status);
	log_info(NULL, "bounce.read", log_text("return", id_text(it->id).s),
	    log_text("recipient", id_text(it->recipient).s),
	    log_text("kind", it->kind), log_text("status", status),
	    log_uint("code", r->reply_code),
	    log_slice("about", r->final_recipient),
	    log_slice("mta", report->dsn.reporting_mta),
	    log_slice("text", r->diagnostic),
	    log_slice("subject", report->subject));
}

/* The row's recipient is who it is about, whatever addresses r has. */
static void
follow(struct item *it, const struct bounce_report *report,
    const struct dsn_recipient *r)
{
	static const enum outcome_dsn_says says[] = {
		[BOUNCE_FAILED] = OUTCOME_DSN_FAILED,
		[BOUNCE_DELAYED] = OUTCOME_DSN_DELAYED,
		[BOUNCE_DELIVERED] = OUTCOME_DSN_DELIVERED,
	};
	enum bounce_kind kind = kind_of(r->action);
	struct outcome_dsn dsn = {
		.recipient = it->recipient,
		.account = it->account,
		.address_key = it->address_key,
		.at_ms = clock_now_ms(),
		.says = says[kind],
		.status = r->status,
		.code = r->reply_code,
		.diagnostic = r->diagnostic,
		.reporting_mta = report->dsn.reporting_mta,
	};

	it->kind = bounce_kind_name(kind);
	it->detail = r->diagnostic;
	log_report(it, report, r);
	if (kind != BOUNCE_NONE)
		outcome_dsn(it->bounce->writer, &dsn, on_outcome, it);
	else
		mark(it);
}

static void
on_answered(void *ctx, struct slice answer)
{
	struct bounce *b = ctx;
	struct item *it = b->current;
	struct bounce_report *report = arena_alloc(&it->arena, sizeof(*report));
	const struct dsn_recipient *r;
	struct error err;

	b->current = NULL;
	if (bounce_report_decode(&it->arena, answer, report, &err) != 0) {
		mark_none(it, arena_slice(&it->arena, slice_of(err.text)));
	} else {
		r = bounce_report_pick(report, it->address_key);
		if (report->kind == BOUNCE_NONE || r == NULL)
			mark_none(it, report->detail);
		else
			follow(it, report, r);
	}
	pump(b);
}

/* ---- the parser ---- */

static void
pump(struct bounce *b)
{
	struct list *node;

	if (b->current != NULL || !parser_link_is_ready(b->link))
		return;
	node = list_pop(&b->waiting);
	if (node == NULL)
		return;
	b->current = list_entry(node, struct item, waiting);
	parser_link_send(b->link, b->current->raw);
}

static void
on_ready(void *ctx)
{
	struct bounce *b = ctx;

	pump(b);
	look(b);
}

static void
on_lost(void *ctx)
{
	struct bounce *b = ctx;
	struct item *it = b->current;

	b->current = NULL;
	if (it == NULL)
		return;
	if (++it->losses < LOSSES_MAX) {
		list_prepend(&b->waiting, &it->waiting);
		return;
	}
	log_error(NULL, "bounce.poison", log_text("return", id_text(it->id).s));
	mark_none(it, SLICE("parser failed"));
}

static const struct parser_link_ops link_ops = {
	.ready = on_ready,
	.answered = on_answered,
	.lost = on_lost,
};

/* ---- taking rows ---- */

static void
learn(struct item *it, const struct store_job *job)
{
	char *key = arena_dup(&it->arena, job->address);

	for (size_t i = 0; i < job->address.len; i++)
		key[i] = ascii_lower(key[i]);
	it->address_key = slice_mem(key, job->address.len);
	it->account = job->email->account;
	list_append(&it->bounce->waiting, &it->waiting);
}

static const struct store_job *
find_job(const struct store_job *job, size_t count, struct id id)
{
	for (size_t i = 0; i < count; i++)
		if (id_cmp(job[i].id, id) == 0)
			return &job[i];
	return NULL;
}

/* Whether it has already gone its way. */
static bool
is_settled(const struct item *it)
{
	return it->kind != NULL;
}

static void
on_jobs(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct bounce *b = ctx;

	b->tx = NULL;
	if (err != NULL) {
		log_warn(NULL, "bounce.recipients", log_err(err));
		b->again = false; /* the poll tries again */
	}
	list_each_safe (node, &b->items) {
		struct item *it = list_entry(node, struct item, node);
		const struct store_job *found;

		if (is_settled(it))
			continue;
		if (err != NULL) {
			item_free(it); /* the claim runs out */
			continue;
		}
		found = find_job(job, count, it->recipient);
		if (found != NULL)
			learn(it, found);
		else
			mark_none(it, SLICE("the recipient is gone"));
	}
	pump(b);
	step_done(b);
}

static void
item_new(struct bounce *b, const struct store_return *row)
{
	struct item *it = xmalloc(sizeof(*it));

	it->bounce = b;
	it->id = row->id;
	it->recipient = row->recipient;
	it->raw = slice_mem(slice_dup(row->raw), row->raw.len);
	list_append(&b->items, &it->node);
	if (id_is_zero(row->recipient))
		mark_none(it, SLICE("not sent to a token"));
	else if (row->tries > TRIES_MAX)
		mark_none(it, SLICE("given up after many tries"));
}

static void
on_claimed(void *ctx, const struct store_return *row, size_t count,
    const struct error *err)
{
	struct bounce *b = ctx;
	struct id ids[BATCH_MAX];
	size_t n = 0;

	b->tx = NULL;
	if (err != NULL) {
		log_warn(NULL, "bounce.claim", log_err(err));
		b->again = false; /* the poll tries again */
	}
	for (size_t i = 0; err == NULL && i < count && i < BATCH_MAX; i++) {
		item_new(b, &row[i]);
		if (!id_is_zero(row[i].recipient) && row[i].tries <= TRIES_MAX)
			ids[n++] = row[i].recipient;
	}
	if (err == NULL && count == BATCH_MAX)
		b->again = true;
	if (n > 0)
		b->tx = store_jobs_read(b->pg, ids, n, on_jobs, b);
	step_done(b);
}

static void
look(void *ctx)
{
	struct bounce *b = ctx;

	/* Asked again at the end of the batch, or when the parser is back. */
	b->again = true;
	if (b->drain_timer != NULL || b->tx != NULL ||
	    !list_is_empty(&b->items) || !parser_link_is_ready(b->link))
		return;
	b->again = false;
	b->tx = store_return_claim(b->pg, clock_now_ms(), LEASE_MS, BATCH_MAX,
	    on_claimed, b);
}

static void
on_poll(void *ctx)
{
	struct bounce *b = ctx;

	timer_set(b->poll, b->poll_ms);
	look(b);
}

/* ---- the owner's side ---- */

struct bounce *
bounce_new(const struct bounce_options *opt)
{
	struct bounce *b = xmalloc(sizeof(*b));

	b->loop = opt->loop;
	b->pg = opt->pg;
	b->poll_ms = opt->poll_ms != 0 ? opt->poll_ms : POLL_DEFAULT_MS;
	list_init(&b->items);
	list_init(&b->waiting);
	b->writer = outcome_writer_new(opt->loop, opt->pg);
	b->link = parser_link_new(opt->loop, &opt->parser, &link_ops, b);
	b->poll = timer_new(opt->loop, on_poll, b);
	timer_set(b->poll, b->poll_ms);
	return b;
}

void
bounce_kick(struct bounce *b)
{
	loop_call_schedule(b->loop, &b->look, look, b);
}

static void
on_drain_timeout(void *ctx)
{
	struct bounce *b = ctx;
	void (*drained)(void *ctx) = b->drained;

	if (drained == NULL)
		return;
	b->drained = NULL;
	drained(b->drained_ctx);
}

void
bounce_drain(struct bounce *b, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	b->drained = done;
	b->drained_ctx = ctx;
	timer_cancel(b->poll);
	loop_call_cancel(&b->look);
	if (b->drain_timer == NULL)
		b->drain_timer = timer_new(b->loop, on_drain_timeout, b);
	/* done never comes before we return. */
	timer_set(b->drain_timer,
	    b->tx != NULL || !list_is_empty(&b->items) ? timeout_ms : 0);
}

void
bounce_free(struct bounce **bp)
{
	struct bounce *b = *bp;

	if (b == NULL)
		return;
	outcome_writer_free(&b->writer);
	if (b->tx != NULL)
		pg_tx_cancel(&b->tx);
	list_each_safe (node, &b->items)
		item_free(list_entry(node, struct item, node));
	parser_link_free(&b->link);
	timer_free(&b->poll);
	timer_free(&b->drain_timer);
	loop_call_cancel(&b->look);
	free(b);
	*bp = NULL;
}

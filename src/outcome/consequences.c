/*
 * What follows from what happened: the status it raises the recipient to, the
 * events, whether the address is suppressed.
 *
 *   delivered  DELIVERED    delivered, which says sent, too
 *   deferred   DEFERRED     delivery_delayed (one per attempt)
 *   unknown    DEFERRED     the same, with outcome_unknown
 *     exactly once  FAILED  failed: outcome_unknown
 *   bounced    BOUNCED      bounced; suppression for a bad address
 *   failed     FAILED       failed, with the reason
 *   DSN failed BOUNCED      bounced; suppression for a bad address
 *   DSN delayed -           delivery_delayed (once for all of them)
 *   DSN delivered DELIVERED delivered: news after an unknown outcome
 */
#include "outcome/outcome_priv.h"

#include "base/mem.h"
#include "outcome/event_data.h"
#include "store/attempts.h"

#define BOUNCE_SUPPRESSION_MS ((int64_t)90 * 24 * 3600 * 1000)
/* The dedupe number of what a DSN says, apart from attempts (1, 2, ...). */
#define DEDUPE_DSN 10000

static struct record *
record_new(struct id recipient, int account)
{
	struct record *r = xmalloc(sizeof(*r));

	list_init(&r->node);
	r->row.id = recipient;
	r->row.account = account;
	return r;
}

void
record_free(struct record *r)
{
	arena_fini(&r->arena);
	free(r);
}

/* A copy; nothing stays nothing, and so NULL in the row. */
static struct slice
keep(struct record *r, struct slice s)
{
	return s.len > 0 ? arena_slice(&r->arena, s)
			 : (struct slice){ NULL, 0 };
}

static void
add_event(struct record *r, enum event_kind kind, int dedupe,
    const struct event_data *data)
{
	struct strbuf text = STRBUF_INIT;
	struct store_outcome_event *e;

	invariant(r->row.event_count < ARRAY_LEN(r->row.event));
	e = &r->row.event[r->row.event_count++];
	e->kind = kind;
	e->dedupe = dedupe;
	if (data == NULL)
		return;
	event_data_write(&text, data);
	e->data = arena_slice(&r->arena, strbuf_slice(&text));
	strbuf_fini(&text);
}

static void
suppress(struct record *r, struct slice key, struct slice why, int64_t at_ms)
{
	if (key.len == 0)
		return;
	r->row.suppress.key = keep(r, key);
	r->row.suppress.origin = SLICE("bounce");
	r->row.suppress.reason = keep(r, why);
	r->row.suppress.expires_at_ms = at_ms + BOUNCE_SUPPRESSION_MS;
}

static void
fill_attempt(struct record *r, const struct outcome_attempt *a)
{
	struct store_outcome *row = &r->row;
	char status[MAIL_STATUS_TEXT];

	row->n = (int)a->n;
	row->worker = a->worker;
	row->only_open = a->only_open;
	row->claimed_at_ms = a->claimed_at_ms;
	row->outcome = (int)a->verdict.verdict;
	row->stage = (int)a->stage;
	row->code = (int)a->code;
	row->class = (int)a->why.class;
	mail_status_format(a->status, status);
	row->status = keep(r, slice_of(status));
	row->reply = keep(r, a->text);
	row->mx = keep(r, a->mx);
	row->tls = keep(r, a->tls);
	row->transcript = keep(r, a->transcript);
}

static void
finish_as(struct record *r, enum status status)
{
	r->row.raise_to = status;
	r->row.finish = true;
}

static void
deliver(struct record *r, const struct event_data *data)
{
	finish_as(r, STATUS_DELIVERED);
	add_event(r, EVENT_DELIVERED, 0, data);
}

static void
bounce(struct record *r, const struct event_data *data)
{
	finish_as(r, STATUS_BOUNCED);
	add_event(r, EVENT_BOUNCED, 0, data);
}

static void
fail(struct record *r, const char *reason, struct event_data *data)
{
	finish_as(r, STATUS_FAILED);
	r->row.reason = keep(r, slice_of(reason));
	data->reason = reason;
	add_event(r, EVENT_FAILED, 0, data);
}

static void
defer(struct record *r, const struct outcome_attempt *a,
    struct event_data *data)
{
	r->row.raise_to = STATUS_DEFERRED;
	r->row.retry_at_ms = a->retry_at_ms;
	data->retry_at_ms = a->retry_at_ms;
	add_event(r, EVENT_DELIVERY_DELAYED, (int)a->n, data);
}

struct record *
record_of_attempt(const struct outcome_attempt *a)
{
	struct record *r = record_new(a->recipient, a->account);
	struct event_data data = {
		.code = a->code,
		.status = a->status,
		.text = a->text,
		.mx = a->mx,
		.attempt = a->n,
	};

	fill_attempt(r, a);
	switch (a->verdict.verdict) {
	case VERDICT_DELIVERED:
		deliver(r, &data);
		break;
	case VERDICT_UNKNOWN:
		data.outcome_unknown = true;
		if (a->exactly_once)
			fail(r, FAIL_OUTCOME_UNKNOWN, &data);
		else
			defer(r, a, &data);
		break;
	case VERDICT_NEXT_HOST:
	case VERDICT_DEFERRED:
		data.class = delay_class_name_of((int)a->why.class);
		defer(r, a, &data);
		break;
	case VERDICT_BOUNCED:
		bounce(r, &data);
		if (a->verdict.suppress)
			suppress(r, a->address_key, a->text, a->at_ms);
		break;
	case VERDICT_FAILED:
		fail(r, a->verdict.reason, &data);
		break;
	}
	return r;
}

struct record *
record_of_dsn(const struct outcome_dsn *d)
{
	struct record *r = record_new(d->recipient, d->account);
	struct event_data data = {
		.code = d->code,
		.status = d->status,
		.text = d->diagnostic,
		.mx = d->reporting_mta,
		.dsn = true,
	};

	switch (d->says) {
	case OUTCOME_DSN_DELAYED:
		add_event(r, EVENT_DELIVERY_DELAYED, DEDUPE_DSN, &data);
		break;
	case OUTCOME_DSN_DELIVERED:
		deliver(r, &data);
		break;
	case OUTCOME_DSN_FAILED:
		bounce(r, &data);
		if (verdict_status_suppresses(d->status))
			suppress(r, d->address_key, d->diagnostic, d->at_ms);
		break;
	}
	return r;
}

static enum event_kind
event_of_end(enum status status)
{
	if (status == STATUS_CANCELED)
		return EVENT_CANCELED;
	if (status == STATUS_SUPPRESSED)
		return EVENT_SUPPRESSED;
	invariant(status == STATUS_FAILED);
	return EVENT_FAILED;
}

struct record *
record_of_end(const struct outcome_end *e)
{
	struct record *r = record_new(e->recipient, e->account);
	struct event_data data = { .text = e->text,
		.reason = e->reason,
		.canceled = e->canceled };

	r->row.n = (int)e->n;
	r->row.worker = e->worker;
	r->row.outcome = STORE_NOT_TRIED;
	finish_as(r, e->status);
	r->row.reason = keep(r, slice_of(e->reason));
	add_event(r, event_of_end(e->status), 0, &data);
	return r;
}

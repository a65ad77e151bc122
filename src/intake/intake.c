/*
 * intake/intake.c - the way of one message:
 *
 *   submit: bounds, idempotency key, fields  ──no──> late answer
 *     └> domain (cache) ──no──> late answer
 *          └> encode ─> [large.c: content in slices] ─> commit.c
 *                └> committed: answer; a replay may need one look first
 *
 * Whatever happens, the item ends in intake_item_finish, which tells the owner
 * as its last act.
 */
#include "intake_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "queue/member.h"
#include "store/emails.h"

#define KEY_LIFE_MS (24 * 3600 * 1000LL)

/* ---- Life of the intake -------------------------------------------------- */

static void
fill_limits(struct intake_limits *l)
{
	static const struct intake_limits fallback = {
		.recipients_max = 50,
		.message_bytes_max = 40U << 20,
		.batch_items_max = 256,
		.batch_bytes_max = 8U << 20,
		.pending_items_max = 20000,
		.pending_bytes_max = 256U << 20,
		.large_bytes = 1U << 20,
		.commit_gap_ms = 6,
		.max_age_ms = 72 * 3600 * 1000LL,
		.cache_ttl_ms = 2000,
	};

#define FILL(field)                                                            \
	if (l->field == 0)                                                     \
	l->field = fallback.field
	FILL(recipients_max);
	FILL(message_bytes_max);
	FILL(batch_items_max);
	FILL(batch_bytes_max);
	FILL(pending_items_max);
	FILL(pending_bytes_max);
	FILL(large_bytes);
	FILL(commit_gap_ms);
	FILL(max_age_ms);
	FILL(cache_ttl_ms);
#undef FILL
	l->recipients_max = MIN(l->recipients_max, (size_t)ID_RECIPIENTS_MAX);
}

struct intake *
intake_new(const struct intake_options *opt)
{
	struct intake *in = xmalloc(sizeof(*in));

	in->magic = INTAKE_MAGIC;
	in->loop = opt->loop;
	in->pg = opt->pg;
	in->side = opt->pg_side != NULL ? opt->pg_side : opt->pg;
	in->queue = opt->queue;
	in->shaping = opt->shaping;
	in->recent = opt->recent;
	in->recent_writer = opt->recent_writer;
	in->limits = opt->limits;
	fill_limits(&in->limits);
	in->pressure.max = in->limits.queue_max;
	in->busy = hash_new();
	list_init(&in->items);
	intake_keys_init(in);
	intake_domains_init(in);
	intake_commit_init(in);
	return in;
}

static void
item_free(struct intake_item *item)
{
	list_remove(&item->in_all);
	list_remove(&item->in_commit);
	cache_cancel(&item->domain_wait);
	pg_tx_cancel(&item->tx);
	loop_call_cancel(&item->late);
	strbuf_fini(&item->content);
	strbuf_fini(&item->head);
	arena_fini(&item->arena);
	item->magic = 0;
	free(item);
}

void
intake_free(struct intake **in)
{
	struct list *node;

	if (*in == NULL)
		return;
	OBJ_CHECK(*in, INTAKE_MAGIC);
	intake_commit_fini(*in);
	while ((node = list_first(&(*in)->items)) != NULL)
		item_free(list_entry(node, struct intake_item, in_all));
	intake_keys_fini(*in);
	cache_free(&(*in)->domains);
	hash_free(&(*in)->busy);
	timer_free(&(*in)->drain_timer);
	loop_call_cancel(&(*in)->drained);
	(*in)->magic = 0;
	free(*in);
	*in = NULL;
}

void
intake_queue_asked(struct intake *in)
{
	pressure_asked(&in->pressure);
}

void
intake_queue_counted(struct intake *in, size_t jobs)
{
	pressure_counted(&in->pressure, jobs, loop_mono_ms(in->loop));
}

const struct intake_limits *
intake_limits(const struct intake *in)
{
	return &in->limits;
}

size_t
intake_pending(const struct intake *in)
{
	return in->item_count;
}

static void
drain_over(void *ctx)
{
	struct intake *in = ctx;
	void (*done)(void *) = in->drain_done;

	OBJ_CHECK(in, INTAKE_MAGIC);
	timer_cancel(in->drain_timer);
	loop_call_cancel(&in->drained);
	in->drain_done = NULL;
	if (done != NULL)
		done(in->drain_ctx);
}

void
intake_drain(struct intake *in, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx)
{
	in->draining = true;
	in->drain_done = done;
	in->drain_ctx = ctx;
	if (in->drain_timer == NULL)
		in->drain_timer = timer_new(in->loop, drain_over, in);
	timer_set(in->drain_timer, timeout_ms);
	if (in->item_count == 0)
		loop_call_schedule(in->loop, &in->drained, drain_over, in);
}

/* ---- The end of an item -------------------------------------------------- */

static void
result_fill(struct intake_item *item, struct intake_result *r)
{
	const struct store_accept_item *s = &item->store;
	struct intake_recipient *list = NULL;

	r->answer = item->answer;
	r->replayed = item->replayed;
	r->all_suppressed = item->all_suppressed;
	/* A batch may have failed as a whole after items of it had a result. */
	if (r->answer.kind != ANSWER_OK && r->answer.kind != ANSWER_SUPPRESSED)
		return;
	if (s->result == STORE_ACCEPT_REPLAY)
		r->email = s->replay;
	if (s->result != STORE_ACCEPT_OK)
		return;
	r->email = s->email;
	list = arena_calloc(&item->arena, s->count, sizeof(*list));
	for (size_t i = 0; i < s->count; i++) {
		list[i].address = s->recipient[i].address;
		list[i].suppressed = s->recipient[i].suppressed;
	}
	r->recipient = list;
	r->recipient_count = s->count;
}

void
intake_item_finish(struct intake_item *item)
{
	struct intake *in = item->in;
	struct intake_result result = { 0 };

	OBJ_CHECK(item, ITEM_MAGIC);
	result_fill(item, &result);
	list_remove(&item->in_all);
	in->item_count--;
	in->item_bytes -= item->charged_bytes;
	pressure_left(&in->pressure, item->entering);
	if (item->busy_key.ptr != NULL)
		(void)hash_remove(in->busy, item->busy_key);
	if (in->item_count == 0 && in->drain_done != NULL)
		loop_call_schedule(in->loop, &in->drained, drain_over, in);
	item->done(item->ctx, &result);
	item_free(item);
}

static void
answer_late(void *ctx)
{
	intake_item_finish(ctx);
}

/* The answer stands in the item; the owner hears of it on the next turn. */
static void
item_refuse(struct intake_item *item)
{
	loop_call_schedule(item->in->loop, &item->late, answer_late, item);
}

/* ---- After the commit ---------------------------------------------------- */

static void
answer_suppressed(struct intake_item *item)
{
	item->all_suppressed = true;
	if (item->request->account->suppressed_answer == 200)
		return;
	(void)answer_set(&item->answer, ANSWER_SUPPRESSED,
	    "Nothing will be sent: every recipient is on the suppression list "
	    "of this account. Look at /suppressions/{address} for the reason");
}

/* A repeated request gets the answer of the first: were all suppressed? */
static void
replay_looked(void *ctx, const struct store_event *event, size_t count,
    const struct error *err)
{
	struct intake_item *item = ctx;
	bool any_sent = false;

	OBJ_CHECK(item, ITEM_MAGIC);
	item->tx = NULL;
	for (size_t i = 0; i < count; i++)
		if (event[i].kind != EVENT_SUPPRESSED)
			any_sent = true;
	/* Without the look it is still the same id, and it is committed. */
	if (err == NULL && count > 0 && !any_sent)
		answer_suppressed(item);
	intake_item_finish(item);
}

static void
answer_no_domain(struct intake_item *item)
{
	struct answer_quote name =
	    answer_quote(item->request->content->from.domain);

	(void)answer_set(&item->answer, ANSWER_DOMAIN,
	    "from: the domain %s is not one of this account: add it with "
	    "verpost domain add and verify it",
	    name.s);
}

static void
answer_refused(struct intake_item *item)
{
	const struct error *err = &item->store.refused;

	log_error(&item->in->log, "intake.refused_by_database",
	    log_uint("account", (uint64_t)item->store.account), log_err(err));
	if (err->kind == ERR_STORE || err->kind == ERR_TIMEOUT) {
		(void)answer_set(&item->answer, ANSWER_UNAVAILABLE,
		    "The database could not store the message: send it again "
		    "in a few seconds");
		item->answer.retry_after_s = 5;
		return;
	}
	(void)answer_set(&item->answer, ANSWER_INTERNAL,
	    "The database refused the message: the operator finds the reason "
	    "in the log (intake.refused_by_database)");
}

void
intake_item_committed(struct intake_item *item)
{
	const struct store_accept_item *s = &item->store;
	size_t suppressed = 0;

	switch (s->result) {
	case STORE_ACCEPT_OK:
		for (size_t i = 0; i < s->count; i++)
			suppressed += s->recipient[i].suppressed;
		pressure_added(&item->in->pressure, s->count - suppressed);
		if (suppressed == s->count)
			answer_suppressed(item);
		break;
	case STORE_ACCEPT_REPLAY:
		item->replayed = true;
		intake_large_undo(item);
		item->tx = store_event_list(item->in->side, s->replay,
		    replay_looked, item);
		return;
	case STORE_ACCEPT_MISMATCH:
		intake_large_undo(item);
		(void)answer_set(&item->answer, ANSWER_IDEMPOTENT_CLASH,
		    "Idempotency-Key: was used within the last 24 hours for "
		    "another request body: use a new key for a new message");
		break;
	case STORE_ACCEPT_NO_DOMAIN:
		intake_large_undo(item);
		answer_no_domain(item);
		break;
	case STORE_ACCEPT_REFUSED:
	case STORE_ACCEPT_NONE:
		intake_large_undo(item);
		answer_refused(item);
		break;
	}
	intake_item_finish(item);
}

/* ---- Before the commit --------------------------------------------------- */

static void
fill_recipients(struct intake_item *item)
{
	const struct intake_request *q = item->request;
	struct store_accept_item *s = &item->store;
	int pool = q->account->stream[q->stream].pool;
	uint8_t flags =
	    (uint8_t)(MIN(q->account->stream[q->stream].weight_log2, 15U)
		<< QUEUE_WEIGHT_SHIFT);

	if (q->stream == STORE_TRANSACTIONAL)
		flags |= QUEUE_TRANSACTIONAL;
	if (q->content->exactly_once)
		flags |= QUEUE_EXACTLY_ONCE;
	s->count = item->rcpt_count;
	s->recipient =
	    arena_calloc(&item->arena, s->count, sizeof(s->recipient[0]));
	item->lane =
	    arena_calloc(&item->arena, s->count, sizeof(item->lane[0]));
	for (size_t i = 0; i < s->count; i++) {
		const struct check_rcpt *r = &item->rcpt[i];

		queue_lane_of_domain(item->in->shaping, pool, r->domain,
		    &item->lane[i]);
		s->recipient[i] = (struct store_accept_recipient){
			.address = r->address,
			.key = r->key,
			.field = (int)r->field,
			.pool = pool,
			.lane = slice_of(item->lane[i].name),
			.flags = flags,
		};
	}
}

/* The sender's own Message-ID, without its brackets; ptr NULL: none. */
static struct slice
own_message_id(const struct mail_content *c)
{
	for (size_t i = 0; i < c->header_count; i++) {
		struct slice id = slice_trim(c->header[i].value);

		if (!slice_eq_nocase(c->header[i].name, SLICE("Message-ID")))
			continue;
		if (slice_take_char(&id, '<') && id.len > 0)
			id.len--;
		return id;
	}
	return (struct slice){ NULL, 0 };
}

static void
fill_store_item(struct intake_item *item, int domain)
{
	const struct intake_request *q = item->request;
	struct store_accept_item *s = &item->store;
	struct mail_content head = *q->content;
	int64_t now_ms = clock_now_ms();

	s->email = id_new_email(now_ms);
	s->account = q->account->number;
	s->domain = domain;
	s->stream = (int)q->stream;
	s->message_id = own_message_id(q->content);
	s->expires_at_ms = now_ms + item->in->limits.max_age_ms;
	if (q->idempotency_key.ptr != NULL) {
		s->endpoint = q->endpoint;
		s->key = q->idempotency_key;
		memcpy(s->body_hash, q->body_hash, sizeof(s->body_hash));
		s->key_expires_at_ms = now_ms + KEY_LIFE_MS;
	}
	head.html = head.text = (struct slice){ NULL, 0 };
	head.attachment_count = 0;
	mail_content_encode(&head, &item->head);
	s->head = strbuf_slice(&item->head);
	s->content = q->record;
	if (s->content.ptr == NULL) {
		mail_content_encode(q->content, &item->content);
		s->content = strbuf_slice(&item->content);
	}
	s->content_bytes = s->content.len;
	fill_recipients(item);
}

static void
domain_known(void *ctx, const void *value, const struct error *err)
{
	struct intake_item *item = ctx;
	const struct intake_domain *d = value;
	const struct intake_account *account = item->request->account;
	struct answer_quote name =
	    answer_quote(item->request->content->from.domain);

	OBJ_CHECK(item, ITEM_MAGIC);
	if (err != NULL) {
		(void)answer_set(&item->answer, ANSWER_UNAVAILABLE,
		    "The database is away, so the domain of from could not be "
		    "checked: try again in a few seconds");
		item->answer.retry_after_s = 5;
	} else if (d == NULL) {
		answer_no_domain(item);
	} else if (account->domain != 0 && account->domain != d->number) {
		(void)answer_set(&item->answer, ANSWER_DOMAIN,
		    "from: this API key may not send for the domain %s",
		    name.s);
	} else if (!d->verified) {
		(void)answer_set(&item->answer, ANSWER_DOMAIN,
		    "from: the domain %s is not verified (it is %s): set its "
		    "DNS records, then run verpost domain verify %s, which is "
		    "known here within seconds",
		    name.s, d->status, name.s);
	} else {
		fill_store_item(item, d->number);
		if (item->store.content_bytes > item->in->limits.large_bytes)
			intake_large_start(item);
		else
			intake_commit_add(item);
		return;
	}
	item_refuse(item);
}

/* How large the content will be, before it is encoded. */
static size_t
content_bytes(const struct mail_content *c)
{
	size_t bytes = 1024 + c->html.len + c->text.len;

	for (size_t i = 0; i < c->attachment_count; i++)
		bytes += c->attachment[i].data.len;
	return bytes;
}

static int
check_room(struct intake_item *item, size_t bytes)
{
	struct intake *in = item->in;

	if (in->draining) {
		(void)answer_set(&item->answer, ANSWER_UNAVAILABLE,
		    "This server is being stopped: send the message again");
		item->answer.retry_after_s = 1;
		return -1;
	}
	if (in->item_count <= in->limits.pending_items_max &&
	    (in->item_bytes == 0 ||
		in->item_bytes + bytes <= in->limits.pending_bytes_max))
		return 0;
	(void)answer_set(&item->answer, ANSWER_UNAVAILABLE,
	    "%zu messages wait to be stored already: try again in a second",
	    in->item_count);
	item->answer.retry_after_s = 1;
	return -1;
}

static int
check_queue(struct intake_item *item)
{
	const struct intake_request *q = item->request;
	struct pressure *p = &item->in->pressure;
	bool transactional = q->stream == STORE_TRANSACTIONAL;

	if (pressure_has_room(p, item->rcpt_count, transactional)) {
		item->entering = item->rcpt_count;
		pressure_enter(p, item->entering);
		return 0;
	}
	(void)answer_set(&item->answer, ANSWER_RATE,
	    "The queue is full%s (%zu recipients wait, and queue_max is "
	    "%zu%s): "
	    "send the message again after the time in Retry-After",
	    transactional ? "" : " for broadcast mail", pressure_used(p),
	    p->max,
	    transactional ? ""
			  : ", whose last tenth is kept for transactional "
			    "mail");
	item->answer.retry_after_s = pressure_retry_after_s(p, transactional);
	return -1;
}

/* The same key twice at the same time: the second does not wait for the
 * first, as Resend's does not. (In another process it waits in Postgres.) */
static int
take_key(struct intake_item *item)
{
	const struct intake_request *q = item->request;
	struct slice key;

	if (q->idempotency_key.ptr == NULL)
		return 0;
	if (check_idempotency_key(q->idempotency_key, &item->answer) < 0)
		return -1;
	key = slice_of(arena_fmt(&item->arena, "%d %d %.*s", q->account->number,
	    q->endpoint, SLICE_FMT(q->idempotency_key)));
	if (hash_find(item->in->busy, key) != NULL)
		return answer_set(&item->answer, ANSWER_IDEMPOTENT_BUSY,
		    "Idempotency-Key: another request with this key is under "
		    "way: try again in a moment");
	(void)hash_put(item->in->busy, key, item);
	item->busy_key = key;
	return 0;
}

static int
item_check(struct intake_item *item)
{
	const struct intake_limits *l = &item->in->limits;
	struct check_limits limits = { l->recipients_max,
		l->message_bytes_max };
	size_t bytes = content_bytes(item->request->content);

	if (check_room(item, bytes) < 0)
		return -1;
	item->charged_bytes = bytes;
	item->in->item_bytes += bytes;
	if (take_key(item) < 0)
		return -1;
	if (check_content(&item->arena, item->request->content, &limits,
		&item->rcpt, &item->rcpt_count, &item->answer) < 0)
		return -1;
	return check_queue(item);
}

void
intake_submit(struct intake *in, const struct intake_request *request,
    intake_done *done, void *ctx)
{
	struct intake_item *item = xmalloc(sizeof(*item));

	OBJ_CHECK(in, INTAKE_MAGIC);
	item->magic = ITEM_MAGIC;
	item->in = in;
	item->request = request;
	item->done = done;
	item->ctx = ctx;
	arena_init(&item->arena);
	strbuf_init(&item->content, 0);
	strbuf_init(&item->head, 0);
	list_append(&in->items, &item->in_all);
	in->item_count++;
	if (item_check(item) < 0)
		item_refuse(item);
	else
		intake_domain_find(in, request->account->number,
		    request->content->from.domain, &item->domain_wait,
		    domain_known, item);
}

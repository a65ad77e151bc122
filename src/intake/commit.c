/*
 * intake/commit.c - the group commit.
 *
 *   idle ──add──> start (next turn) ──> under way ──done──> idle, or, when
 *     ^                                     │               something waits:
 *     └──gap over── waiting <──add──────────┘               start or gap
 *
 * One commit at a time: what comes meanwhile waits, and shares the next. Under
 * load a batch begins no sooner than commit_gap_ms after the one before began,
 * unless it is full: rows in small batches cost Postgres twice as much each.
 * Load is that the batch before had more than FEW_ITEMS: a client that posts
 * one message after the other, or a few of them, do not wait for anybody.
 */
#include "intake_priv.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "store/recent.h"

#define FEW_ITEMS 4

static void start(void *ctx);

static bool
is_full(const struct intake *in)
{
	const struct committer *c = &in->commit;

	return c->pending_count >= in->limits.batch_items_max ||
	    c->pending_bytes >= in->limits.batch_bytes_max;
}

static void
kick(struct intake *in)
{
	struct committer *c = &in->commit;
	int64_t rest_ms = c->last_items <= FEW_ITEMS ? 0
						     : c->last_start_ms +
		in->limits.commit_gap_ms - loop_mono_ms(in->loop);

	if (c->op != NULL || list_is_empty(&c->pending))
		return;
	if (rest_ms <= 0 || is_full(in)) {
		timer_cancel(c->gap);
		/* Next turn: what else this turn brings goes along. */
		loop_call_schedule(in->loop, &c->start, start, in);
	} else if (!timer_is_set(c->gap)) {
		timer_set(c->gap, rest_ms);
	}
}

void
intake_commit_init(struct intake *in)
{
	struct committer *c = &in->commit;

	list_init(&c->pending);
	list_init(&c->batch);
	c->gap = timer_new(in->loop, start, in);
	c->items = xcalloc(in->limits.batch_items_max, sizeof(c->items[0]));
}

void
intake_commit_fini(struct intake *in)
{
	struct committer *c = &in->commit;

	loop_call_cancel(&c->start);
	timer_free(&c->gap);
	store_accept_cancel(&c->op);
	free(c->items);
}

void
intake_commit_add(struct intake_item *item)
{
	struct committer *c = &item->in->commit;

	list_append(&c->pending, &item->in_commit);
	c->pending_count++;
	c->pending_bytes += item->store.content.len;
	kick(item->in);
}

static void
answer_of_error(struct intake_item *item, const struct error *err)
{
	/* It may have been lost between the commit and its answer. */
	(void)answer_set(&item->answer, ANSWER_UNAVAILABLE,
	    err->kind == ERR_TIMEOUT
		? "The database did not confirm the message in time: send it "
		  "again, with the same Idempotency-Key if it had one"
		: "The database is away and did not confirm the message: send "
		  "it again in a few seconds, with the same Idempotency-Key if "
		  "it had one");
	item->answer.retry_after_s = 5;
}

/* For those who send it in a moment: before they can know of it. */
static void
keep_contents(const struct intake *in)
{
	list_each (node, &in->commit.batch) {
		const struct intake_item *item =
		    list_entry(node, struct intake_item, in_commit);
		const struct store_accept_item *s = &item->store;

		/* Empty: large, and gone its own way. */
		if (s->result == STORE_ACCEPT_OK && s->content.len > 0)
			recent_put(in->recent, in->recent_writer, s->email,
			    s->content);
	}
}

static void
done(void *ctx, const struct error *err)
{
	struct intake *in = ctx;
	struct committer *c = &in->commit;
	struct list batch;
	struct list *node;

	OBJ_CHECK(in, INTAKE_MAGIC);
	c->op = NULL;
	if (err == NULL) {
		keep_contents(in);
		crash_point("commit-before-push");
		intake_push(in, &c->batch);
	} else {
		log_warn(&in->log, "intake.commit", log_err(err));
	}
	list_init(&batch);
	while ((node = list_pop(&c->batch)) != NULL)
		list_append(&batch, node);
	while ((node = list_pop(&batch)) != NULL) {
		struct intake_item *item =
		    list_entry(node, struct intake_item, in_commit);

		if (err != NULL) {
			answer_of_error(item, err);
			intake_item_finish(item);
		} else {
			intake_item_committed(item);
		}
	}
	kick(in);
}

/* A single item may be larger than the bound: it then goes alone. */
static size_t
take_batch(struct intake *in)
{
	struct committer *c = &in->commit;
	size_t n = 0, bytes = 0;

	while (!list_is_empty(&c->pending) && n < in->limits.batch_items_max) {
		struct intake_item *item = list_entry(list_first(&c->pending),
		    struct intake_item, in_commit);
		size_t more = item->store.content.len;

		if (n > 0 && bytes + more > in->limits.batch_bytes_max)
			break;
		list_remove(&item->in_commit);
		list_append(&c->batch, &item->in_commit);
		c->pending_count--;
		c->pending_bytes -= more;
		c->items[n++] = &item->store;
		bytes += more;
	}
	return n;
}

static void
start(void *ctx)
{
	struct intake *in = ctx;
	struct committer *c = &in->commit;

	OBJ_CHECK(in, INTAKE_MAGIC);
	if (c->op != NULL || list_is_empty(&c->pending))
		return;
	timer_cancel(c->gap);
	c->last_start_ms = loop_mono_ms(in->loop);
	c->last_items = take_batch(in);
	c->op = store_accept_start(in->pg, clock_now_ms(), c->items,
	    c->last_items, done, in);
}

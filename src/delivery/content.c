/*
 * The records of emails in this process: read beside the claim, shared by the
 * recipients of an email that are in hand, and held to one budget of octets.
 *
 * A job is leased and routed without its content. When it asks for a claim,
 * its content is looked for in what this node accepted a moment ago, and else
 * asked for in the same breath, so that both answers come together. What is
 * large, or finds the budget used up, is read once its job is claimed and there
 * is room; one at least, whatever its size. While such a job waits no other is
 * read beside its claim: what is small would always find room first.
 *
 * A read that failed leaves no content: jobs that wait for it end deferred,
 * and one that is claimed later reads again.
 */
#include "delivery/delivery_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/jobs.h"
#include "store/recent.h"

/* Records up to this size are read beside the claim. */
#define BESIDE_CLAIM_MAX ((size_t)256 * 1024)
#define BATCH_MAX 256

struct content_read {
	struct mta *mta;
	struct list node; /* mta->content_reads */
	struct pg_tx *tx;
	size_t n;
	struct content *content[BATCH_MAX];
};

static struct slice
key_of(const struct id *email)
{
	return slice_mem(email->b, sizeof(email->b));
}

static void contents_load(struct mta *m);

static void
on_room(void *ctx)
{
	contents_load(ctx);
}

static bool
has_room(const struct mta *m, size_t bytes)
{
	return m->content_bytes == 0 ||
	    m->content_bytes + bytes <= m->opt.in_hand_bytes_max;
}

static struct content *
content_new(struct job *j)
{
	struct mta *m = j->mta;
	struct content *c = xmalloc(sizeof(*c));

	c->mta = m;
	c->email = j->email;
	c->bytes = j->content_bytes;
	list_init(&c->waiting);
	strbuf_init(&c->text, 0);
	c->ptr = recent_get(m->opt.recent, c->email, c->bytes);
	m->content_bytes += c->bytes;
	hash_put(m->contents, key_of(&c->email), c);
	return c;
}

static void
content_unref(struct content *c)
{
	struct mta *m = c->mta;

	if (--c->refs > 0)
		return;
	m->content_bytes -= c->bytes;
	hash_remove(m->contents, key_of(&c->email));
	free(c->ptr);
	strbuf_fini(&c->text);
	free(c);
	if (!list_is_empty(&m->unread))
		loop_call_schedule(m->opt.loop, &m->content_call, on_room, m);
}

static void
attach(struct job *j, struct content *c)
{
	c->refs++;
	j->content = c;
}

void
job_drop_content(struct job *j)
{
	struct content *c = j->content;

	j->content = NULL;
	if (c != NULL)
		content_unref(c);
}

/* -- reading --------------------------------------------------------------- */

static void
read_free(struct content_read *r)
{
	pg_tx_cancel(&r->tx);
	list_remove(&r->node);
	free(r);
}

/* Jobs that were claimed before their content came. */
static void
tell_waiting(struct content *c, const char *why)
{
	struct list *node;

	while ((node = list_pop(&c->waiting)) != NULL) {
		struct job *j = list_entry(node, struct job, node);

		if (c->ptr != NULL)
			dest_claimed(j);
		else
			finish_local(j, VERDICT_DEFERRED, NULL, "4.3.0", why);
	}
}

static void
on_contents(void *ctx, struct store_content *got, size_t n,
    const struct error *err)
{
	struct content_read *r = ctx;

	r->tx = NULL;
	for (size_t i = 0; i < n; i++) {
		struct content *c = r->content[i];

		c->is_reading = false;
		c->ptr = err == NULL ? got[i].content : NULL;
		if (err == NULL)
			got[i].content = NULL;
		tell_waiting(c,
		    err != NULL ? err->text
				: "the content of the email is gone");
		content_unref(c);
	}
	read_free(r);
}

static struct content_read *
read_new(struct mta *m)
{
	struct content_read *r = xmalloc(sizeof(*r));

	r->mta = m;
	list_append(&m->content_reads, &r->node);
	return r;
}

static void
read_add(struct content_read *r, struct content *c)
{
	c->is_reading = true;
	c->refs++;
	r->content[r->n++] = c;
}

static void
read_send(struct content_read *r)
{
	struct store_content list[BATCH_MAX];

	if (r->n == 0) {
		read_free(r);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		list[i] = (struct store_content){ .email = r->content[i]->email,
			.bytes = r->content[i]->bytes };
	r->tx = store_contents_read(r->mta->opt.pg, list, r->n, on_contents, r);
}

static void
read_one(struct content *c)
{
	struct content_read *r = read_new(c->mta);

	read_add(r, c);
	read_send(r);
}

/* Whether its content is here or on its way. */
static bool
find_content(struct job *j)
{
	struct content *c = j->content;

	if (c == NULL) {
		c = hash_find(j->mta->contents, key_of(&j->email));
		if (c != NULL)
			attach(j, c);
	}
	return c != NULL && (c->ptr != NULL || c->is_reading);
}

void
contents_read(struct mta *m, struct list *jobs)
{
	struct content_read *r = read_new(m);

	list_each (node, jobs) {
		struct job *j = list_entry(node, struct job, node);

		if (j->end != JOB_END_NONE || find_content(j) ||
		    j->content_bytes > BESIDE_CLAIM_MAX || r->n == BATCH_MAX)
			continue;
		if (j->content == NULL) {
			if (!list_is_empty(&m->unread) ||
			    !has_room(m, j->content_bytes))
				continue;
			attach(j, content_new(j));
		}
		if (j->content->ptr == NULL)
			read_add(r, j->content);
	}
	read_send(r);
}

void
content_await(struct job *j)
{
	struct mta *m = j->mta;

	if (find_content(j) && j->content->ptr != NULL) {
		dest_claimed(j);
		return;
	}
	j->state = JOB_LOADING;
	if (j->content != NULL && j->content->is_reading) {
		list_append(&j->content->waiting, &j->node);
		return;
	}
	list_append(&m->unread, &j->node);
	contents_load(m);
}

static void
contents_load(struct mta *m)
{
	while (!m->draining && !list_is_empty(&m->unread)) {
		struct job *j =
		    list_entry(list_first(&m->unread), struct job, node);

		if (!find_content(j)) {
			if (j->content == NULL) {
				if (!has_room(m, j->content_bytes))
					return;
				attach(j, content_new(j));
			}
			if (j->content->ptr == NULL)
				read_one(j->content);
		}
		list_remove(&j->node);
		content_await(j);
	}
}

/* Their claims get old while they wait, and others take them for over. */
static void
end_late(struct list *jobs, int64_t now_ms)
{
	list_each_safe (node, jobs) {
		struct job *j = list_entry(node, struct job, node);

		if (j->expires_at_ms <= now_ms)
			job_expired(j);
		else if (now_ms - j->claimed_at_ms > CLAIM_OLD_MS)
			finish_aged(j);
	}
}

void
contents_tick(struct mta *m)
{
	int64_t now_ms = clock_now_ms();

	end_late(&m->unread, now_ms);
	/* Each read of the list holds its contents while it is under way. */
	list_each (node, &m->content_reads) {
		const struct content_read *r =
		    list_entry(node, struct content_read, node);

		for (size_t i = 0; i < r->n; i++)
			end_late(&r->content[i]->waiting, now_ms);
	}
}

/* -- life ------------------------------------------------------------------ */

void
contents_init(struct mta *m)
{
	m->contents = hash_new();
	list_init(&m->content_reads);
	list_init(&m->unread);
}

/* The jobs are gone; what is left is held by reads. */
void
contents_fini(struct mta *m)
{
	if (m->contents == NULL)
		return;
	list_each_safe (node, &m->content_reads) {
		struct content_read *r =
		    list_entry(node, struct content_read, node);

		for (size_t i = 0; i < r->n; i++)
			content_unref(r->content[i]);
		read_free(r);
	}
	loop_call_cancel(&m->content_call);
	hash_free(&m->contents);
}

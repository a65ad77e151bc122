/* What comes from outside: mail, suppressions, bounces. */
#include "tests/integration/model/world.h"

#include <stdio.h>

#include "store/accept.h"
#include "store/outcomes.h"
#include "store/suppressions.h"

/* Accepting. -------------------------------------------------------------- */

#define AT_ONCE 5 /* recipients of an email */

static struct mail *
new_mail(struct world *w, struct id email, unsigned int n,
    int64_t expires_at_ms)
{
	static const uint8_t flags[] = { 0x00, 0x20, 0x31, EXACTLY_ONCE };
	struct mail *m = &w->mail[w->mail_count++];

	*m = (struct mail){ .id = id_of_recipient(email, n),
		.flags = flags[world_below(w, ARRAY_LEN(flags))],
		.lane = world_below(w, LANES),
		.accepted_at_ms = world_now(),
		.expires_at_ms = expires_at_ms };
	m->domain = world_below(w, DOMAINS);
	snprintf(m->key, sizeof(m->key), "m%u-%zu@d%zu.example.org", w->round,
	    w->mail_count, m->domain);
	w->counts.recipients++;
	return m;
}

/* Any of the pushes may be lost, or made twice. */
static void
push(struct world *w, const struct mail *m)
{
	struct queue_job job = job_of(m, 0);
	unsigned int times = world_percent(w, 20) ? 0
	    : world_percent(w, 10)		  ? 2
						  : 1;

	while (times-- > 0) {
		struct call call = { 0 };

		queue_enqueue(w->queue, &lanes[m->lane], &job, 1, call_counted,
		    &call);
		call_wait(w, &call);
	}
}

void
accept_some(struct world *w)
{
	struct store_accept_recipient rcpt[AT_ONCE];
	size_t n = 1 + world_below(w, AT_ONCE),
	       flow = 2 + world_below(w, FLOWS), tag = world_below(w, TAGS);
	struct store_accept_item item = {
		.email = id_new_email(world_now()),
		.account = (int)flow / 2,
		.stream = (int)flow % 2,
		.domain = 1,
		.content = SLICE("content"),
		.expires_at_ms = world_now() +
		    MINUTE_MS * (world_percent(w, 15) ? 40 : 72 * 60),
		.count = n,
		.recipient = rcpt,
		.key = SLICE(""),
	};
	struct store_accept_item *items[] = { &item };
	struct mail *mails[AT_ONCE];
	struct call call = { 0 };

	if (w->mail_count + n > MAILS)
		return;
	for (size_t i = 0; i < n; i++) {
		mails[i] = new_mail(w, item.email, (unsigned int)i + 1,
		    item.expires_at_ms);
		mails[i]->flow = (uint32_t)flow;
		mails[i]->tag = tag;
		item.head = head_of(mails[i]); /* all have the same */
		rcpt[i] = (struct store_accept_recipient){
			.address = slice_of(mails[i]->key),
			.key = slice_of(mails[i]->key),
			.pool = lanes[mails[i]->lane].pool,
			.lane = slice_of(lanes[mails[i]->lane].name),
			.flags = mails[i]->flags,
		};
	}
	store_accept_start(w->pg, world_now(), items, 1, call_done, &call);
	call_wait(w, &call);
	assert_int_equal(item.result, STORE_ACCEPT_OK);
	observe(w, mails, n, 0);
	for (size_t i = 0; i < n; i++)
		push(w, mails[i]);
}

/* Facts. ----------------------------------------------------------------- */

static struct mail *
any_mail(struct world *w)
{
	return w->mail_count > 0 ? &w->mail[world_below(w, w->mail_count)]
				 : NULL;
}

static void
on_suppressed(void *ctx, const struct store_suppression *row, size_t count,
    bool has_more, const struct error *err)
{
	(void)row;
	(void)has_more;
	call_counted(ctx, count, err);
}

void
address_suppress(struct world *w)
{
	struct mail *m = any_mail(w);
	struct call call = { 0 };
	struct store_suppression s = { .id = id_new(world_now()),
		.scope = -1,
		.origin = SLICE("manual"),
		.created_at_ms = world_now() };

	if (m == NULL || m->is_suppressed)
		return;
	s.account = (int)m->flow / 2;
	s.address = slice_of(m->key);
	store_suppression_add(w->pg, &s, on_suppressed, &call);
	call_wait(w, &call);
	m->is_suppressed = true;
	w->counts.suppressed++;
}

/* Rather one that does not count as delivered yet. */
static struct mail *
any_taken(struct world *w)
{
	struct mail *found = NULL;

	for (size_t i = 0; i < 40 && w->mail_count > 0; i++) {
		struct mail *m = any_mail(w);

		if (m->taken > 0 && !m->has_dsn &&
		    (found == NULL || !m->is_final))
			found = m;
	}
	return found;
}

/* It was taken, and comes back: perhaps before our own outcome is written. */
void
dsn_arrive(struct world *w)
{
	struct mail *m = any_taken(w);
	struct call call = { 0 };
	struct store_outcome o = { .raise_to = STATUS_BOUNCED,
		.finish = true,
		.event_count = 1,
		.event = { { EVENT_BOUNCED, 0, { NULL, 0 } } } };

	if (m == NULL)
		return;
	o.id = m->id;
	o.account = (int)m->flow / 2;
	m->has_dsn = true;
	store_outcomes_write(w->pg, world_now(), &o, 1, call_done, &call);
	call_wait(w, &call);
	observe(w, &m, 1, 0);
	w->counts.dsns++;
}

/* The keeper, the doors, and what befalls the servers. */
#include "tests/integration/model/world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "outcome/expire.h"
#include "queue/reap.h"
#include "queue/walk.h"
#include "store/accept.h"
#include "store/jobs.h"
#include "store/outcomes.h"
#include "store/pg.h"
#include "store/redis.h"
#include "store/suppressions.h"
#include "store/workers.h"

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
	snprintf(m->key, sizeof(m->key), "m%u-%zu@example.org", w->round,
	    w->mail_count);
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
	       flow = 2 + world_below(w, FLOWS);
	struct store_accept_item item = {
		.email = id_new_email(world_now()),
		.account = (int)flow / 2,
		.stream = (int)flow % 2,
		.domain = 1,
		.head = SLICE("head"),
		.content = SLICE("content"),
		.expires_at_ms =
		    world_now() + MINUTE_MS * (world_percent(w, 15) ? 40 : 480),
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

/* The keeper. ------------------------------------------------------------- */

static void
on_state(void *ctx, const struct queue_lane_state *state,
    const struct error *err)
{
	(void)state;
	call_counted(ctx, 0, err);
}

/* When these are answered, all that was asked before is, too. */
static void
let_answer(struct world *w, size_t redis, size_t postgres)
{
	static const struct pg_stmt one = { "model_one", "SELECT $1::int8" };

	for (size_t i = 0; i < redis; i++) {
		struct call call = { 0 };

		queue_state(w->queue, &lanes[0], on_state, &call);
		call_wait(w, &call);
	}
	for (size_t i = 0; i < postgres; i++)
		world_number(w, &one, 1);
}

void
keeper_walk(struct world *w)
{
	unsigned int expired = w->counts.expired;

	walk_check_redis(w->walk);
	let_answer(w, 0, 1);
	let_answer(w, 2, 0);
	if (world_percent(w, 50)) {
		walk_young(w->walk);
		let_answer(w, 0, 1);
		let_answer(w, 1, 0);
	}
	if (world_percent(w, 50)) {
		walk_old(w->walk);
		let_answer(w, 0, 1);
		let_answer(w, 1, 0);
	}
	if (expired != w->counts.expired) {
		/* read, claim, why not, a turn of the loop, write */
		let_answer(w, 0, 8);
		observe_all(w, w->keeper);
	}
}

static void
on_dead(void *ctx, const struct store_worker *row, size_t count,
    const struct error *err)
{
	(void)row;
	call_counted(ctx, count, err);
}

/* Liveness is on the database's clock, which nobody shifts: the rows are. */
static void
keeper_age(struct world *w)
{
	static const struct pg_stmt age = { "model_age",
		"UPDATE workers SET seen_at = seen_at - interval '1 hour' "
		"WHERE id = $1::int8 RETURNING id::int8" };
	struct call keeper = { 0 }, api = { 0 };

	store_worker_beat(w->pg, w->keeper, call_done, &keeper);
	store_worker_beat(w->pg, w->api, call_done, &api);
	call_wait(w, &keeper);
	call_wait(w, &api);
	for (size_t i = 0; i < PROCESSES; i++) {
		const struct process *p = &w->process[i];

		if (p->worker != 0 && world_now() - p->beat_ms > UNSEEN_MS)
			world_number(w, &age, p->worker);
	}
}

void
keeper_reap(struct world *w)
{
	struct call call = { 0 };

	keeper_age(w);
	store_worker_set_dead_unseen(w->pg, STORE_UNSEEN_MS, on_dead, &call);
	call_wait(w, &call);
	reap_step(w->reap);
	while (reap_is_busy(w->reap))
		let_answer(w, 1, 1);
}

void
keeper_restart(struct world *w)
{
	w->counts.keepers++;
	world_close_keeper(w);
	world_open_keeper(w);
	w->keeper = world_worker(w, "keeper", NODES, 0);
}

/* The doors. -------------------------------------------------------------- */

static struct mail *
any_mail(struct world *w)
{
	return w->mail_count > 0 ? &w->mail[world_below(w, w->mail_count)]
				 : NULL;
}

static void
drop(struct world *w, const struct mail *m)
{
	struct queue_job job = job_of(m, 0);
	struct call call = { 0 };

	if (world_fault(w, 10))
		return;
	queue_drop(w->queue, &lanes[m->lane], &job.member, call_counted, &call);
	call_wait(w, &call);
}

/* Claims it, so that nobody else sends it; then it is canceled. */
void
api_cancel(struct world *w)
{
	struct mail *m = any_mail(w);
	struct store_claim claim;
	struct call call = { 0 };
	struct entry e, *entries[] = { &e };

	if (m == NULL)
		return;
	claim = (struct store_claim){ .id = m->id,
		.n = m->attempts + 1,
		.account = (int)m->flow / 2,
		.key = slice_of(m->key) };
	store_claim_start(w->pg, w->api, world_now(), true, &claim, 1,
	    call_done, &call);
	call_wait(w, &call);
	observe(w, &m, 1, w->api);
	if (claim.result != STORE_CLAIM_MINE || claim.claimed_at_ms != 0)
		return;
	if (world_fault(w, 10)) {
		w->api = world_worker(w, "httpd", NODES, 0);
		return; /* killed, the claim stays */
	}
	e = (struct entry){ .phase = REPLIED,
		.mail = m,
		.n = claim.n,
		.end = STATUS_CANCELED };
	while (!outcome_write(w, w->pg, w->api, entries, 1))
		continue;
	w->counts.canceled++;
	drop(w, m);
}

void
rule_hold(struct world *w)
{
	size_t flow = world_below(w, FLOWS);

	w->hold[flow] = (int)++w->counts.holds;
}

/* What is parked for a hold that is over comes back: for any such hold, since
 * one may come out of an old dump, or from a worker that learnt late. */
void
rule_release(struct world *w, size_t flow)
{
	w->hold[flow] = 0;
	for (unsigned int id = 1; id <= w->counts.holds; id++) {
		bool is_on = false;

		for (size_t i = 0; i < FLOWS; i++)
			is_on |= w->hold[i] == (int)id;
		for (size_t i = 0; !is_on && i < LANES; i++) {
			struct call call = { 0 };

			queue_unpark(w->queue, &lanes[i], (int)id, MAILS,
			    call_counted, &call);
			call_wait(w, &call);
		}
	}
}

void
rule_cancel(struct world *w)
{
	w->canceled_before_ms[world_below(w, FLOWS)] = world_now();
	w->counts.canceled++;
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

/* It was taken, and comes back: perhaps before our own outcome is written. */
void
dsn_arrive(struct world *w)
{
	struct mail *m = any_mail(w);
	struct call call = { 0 };
	struct store_outcome o = { .raise_to = STATUS_BOUNCED,
		.finish = true,
		.event_count = 1,
		.event = { { EVENT_BOUNCED, 0, { NULL, 0 } } } };

	if (m == NULL || m->taken == 0)
		return;
	o.id = m->id;
	o.account = (int)m->flow / 2;
	m->has_dsn = true;
	store_outcomes_write(w->pg, world_now(), &o, 1, call_done, &call);
	call_wait(w, &call);
	observe(w, &m, 1, 0);
	w->counts.dsns++;
}

/* Redis. ------------------------------------------------------------------ */

static const char parts[] = "mrthpfs";

static struct {
	char *octets;
	size_t len;
} saved[LANES * 7];
static bool is_saved;

static void
command(struct world *w, redis_done *done, const struct slice *argv, size_t n,
    struct call *call)
{
	redis_command(w->raw, argv, n, done, call);
	call_wait(w, call);
}

static void
on_reply(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	(void)reply;
	call_counted(ctx, 0, err);
}

static struct slice
key_of(size_t i, char *out, size_t size)
{
	snprintf(out, size, "q:{p%d.%s}:%c", lanes[i / 7].pool,
	    lanes[i / 7].name, parts[i % 7]);
	return slice_of(out);
}

void
redis_flush(struct world *w)
{
	struct slice argv = SLICE("FLUSHALL");

	w->counts.flushes++;
	command(w, on_reply, &argv, 1, &(struct call){ 0 });
	for (size_t i = 0; i < PROCESSES; i++)
		w->process[i].must_sync = true;
}

struct saving {
	struct call call;
	size_t i;
};

static void
on_saved(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct saving *s = ctx;
	struct slice text = SLICE("");

	call_counted(&s->call, 0, err);
	if (err == NULL)
		text = redis_reply_text(reply);
	free(saved[s->i].octets);
	saved[s->i].len = text.len;
	saved[s->i].octets = slice_dup(text);
}

void
redis_save(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(saved); i++) {
		struct saving s = { .i = i };
		char key[40];
		struct slice argv[] = { SLICE("DUMP"),
			key_of(i, key, sizeof(key)) };

		redis_command(w->raw, argv, 2, on_saved, &s);
		call_wait(w, &s.call);
	}
	is_saved = true;
}

void
redis_forget(void)
{
	is_saved = false;
	for (size_t i = 0; i < ARRAY_LEN(saved); i++) {
		free(saved[i].octets);
		saved[i].octets = NULL;
		saved[i].len = 0;
	}
}

/* As after a failover: what was then is there again, under another run id,
 * so that no mark fits. */
void
redis_restore(struct world *w)
{
	if (!is_saved)
		return;
	redis_flush(w);
	w->counts.flushes--;
	w->counts.dumps++;
	for (size_t i = 0; i < ARRAY_LEN(saved); i++) {
		char key[40];
		struct slice argv[] = { SLICE("RESTORE"),
			key_of(i, key, sizeof(key)), SLICE("0"),
			slice_mem(saved[i].octets, saved[i].len) };
		struct slice unmark[] = { SLICE("HDEL"), argv[1],
			SLICE("mark") };

		if (saved[i].len > 0)
			command(w, on_reply, argv, 4, &(struct call){ 0 });
		if (parts[i % 7] == 'm')
			command(w, on_reply, unmark, 3, &(struct call){ 0 });
	}
}

/* Somebody deleted the library, or a proxy went to another server. */
void
redis_unload(struct world *w)
{
	struct slice argv[] = { SLICE("FUNCTION"), SLICE("FLUSH") };

	w->counts.unloads++;
	command(w, on_reply, argv, 2, &(struct call){ 0 });
}

/* Time. ------------------------------------------------------------------- */

void
time_pass(struct world *w, int64_t ms)
{
	w->advance(ms);
	for (size_t i = 0; i < PROCESSES; i++)
		if (process_is_working(&w->process[i]))
			process_beat(w, &w->process[i]);
}

/*
 * What must hold, whatever happens (the numbers are those of the design):
 *
 *   1  an id is in at most one zset of one lane; one open claim at most, and
 *      only its holder ends it, or anybody after its life, as unknown
 *   2  all mail ends, none is given up early; delivered only what the far end
 *      has; what it has, with no unknown on the way, is delivered
 *   3  the far end takes a mail once, and once more at most for each time that
 *      unknown was recorded; exactly_once never twice; nothing after its end
 *   4  nothing is claimed against a rule whose command has returned; what is
 *      released flows; max age goes on; only what was canceled is (rules.c)
 *   5  what is sent in a day is taken of its limit, and that no more than the
 *      limit, by the owner alone (limits.c)
 *   6  the slot file tells what was, and that is recorded (engine.c)
 *
 * and the rules of one row: a status rises, an end stays, an outcome stays
 * unless it was unknown, a claim to send only where it is due.
 */
#include "tests/integration/model/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outcome/verdict.h"
#include "store/pg.h"
#include "store/redis.h"

void
world_violates(const struct world *w, const char *invariant, const char *format,
    ...)
{
	char text[200];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	print_error("invariant: %s (seed %u, round %u, step %u, %s)\n",
	    invariant, w->seed, w->round, w->step, w->what);
	fail_msg("%s", text);
	abort(); /* not reached: the test has ended */
}

/* One row. ---------------------------------------------------------------- */

static const struct attempt_row *
find_row(const struct mail *m, int n)
{
	for (size_t i = 0; i < m->row_count; i++)
		if (m->row[i].n == n)
			return &m->row[i];
	return NULL;
}

/* An open claim that has ended. */
static void
check_ended(struct world *w, const struct attempt_row *was,
    const struct attempt_row *now, int actor)
{
	if (was->worker == actor)
		return;
	if (now == NULL || now->worker != was->worker)
		world_violates(w, "1 a claim is its holder's",
		    "%d took the claim of %d away", actor, was->worker);
	if (now->outcome != VERDICT_UNKNOWN)
		world_violates(w, "1 a claim is its holder's",
		    "%d wrote outcome %d for %d", actor, now->outcome,
		    was->worker);
	if (world_now() - was->claimed_at_ms < CLAIM_LIFE_MS)
		world_violates(w, "1 unknown after 15 minutes",
		    "%d was not waited for, after %lld s only", was->worker,
		    (long long)(world_now() - was->claimed_at_ms) / 1000);
}

static void
check_row(struct world *w, const struct attempt_row *was,
    const struct attempt_row *now, int actor)
{
	bool is_open =
	    now != NULL && now->worker == was->worker && now->outcome == 0;

	if (was->outcome == 0) {
		if (!is_open)
			check_ended(w, was, now, actor);
	} else if (now == NULL || is_open) {
		world_violates(w, "an outcome stays",
		    "that of attempt %d is gone", was->n);
	} else if (now->outcome != was->outcome &&
	    was->outcome != VERDICT_UNKNOWN) {
		world_violates(w, "an outcome stays", "%d became %d",
		    was->outcome, now->outcome);
	}
}

static void
check_rows(struct world *w, const struct mail *was, const struct mail *now,
    int actor)
{
	unsigned int open = 0;

	for (size_t i = 0; i < was->row_count; i++)
		check_row(w, &was->row[i], find_row(now, was->row[i].n), actor);
	for (size_t i = 0; i < now->row_count; i++) {
		open += now->row[i].outcome == 0;
		if (i > 0 && now->row[i].n == now->row[i - 1].n)
			world_violates(w, "1 one claim",
			    "there are two of attempt %d", now->row[i].n);
		if (was->is_final && find_row(was, now->row[i].n) == NULL)
			world_violates(w, "3 nothing after the end",
			    "%d claimed a mail that is %s", now->row[i].worker,
			    status_name(was->status));
	}
	if (open > 1)
		world_violates(w, "1 one claim", "%u are open", open);
}

/* Why a mail may be given up. */
static void
check_failed(struct world *w, const struct mail *m)
{
	if (m->status == STATUS_FAILED && m->unknown == 0 &&
	    world_now() < m->expires_at_ms)
		world_violates(w, "2 nothing is given up too early",
		    "%lld s before its max age",
		    (long long)(m->expires_at_ms - world_now()) / 1000);
}

static void
compare(struct world *w, struct mail *was, const struct mail *now, int actor)
{
	if (was->is_known) {
		check_rows(w, was, now, actor);
		if (was->is_final && !now->is_final)
			world_violates(w, "an end stays", "it was %s",
			    status_name(was->status));
		if (now->status < was->status)
			world_violates(w, "a status rises", "from %s to %s",
			    status_name(was->status), status_name(now->status));
	}
	for (size_t i = 0; i < now->row_count; i++) {
		const struct attempt_row *before = find_row(was, now->row[i].n);

		if (now->row[i].outcome == VERDICT_UNKNOWN &&
		    (before == NULL || before->outcome != VERDICT_UNKNOWN)) {
			was->unknown++;
			w->counts.unknown++;
		}
	}
	was->is_known = true;
	if (now->is_final && !was->is_final) {
		was->status = now->status;
		check_failed(w, was);
	}
	was->is_final = now->is_final;
	was->status = now->status;
	was->attempts = now->attempts;
	was->retry_at_ms = now->retry_at_ms;
	was->row_count = now->row_count;
	memcpy(was->row, now->row, sizeof(was->row));
}

/* Reading. ---------------------------------------------------------------- */

static const struct pg_stmt stmt_rows = { "model_rows",
	"SELECT r.id, r.status, r.finished_at IS NOT NULL, r.attempts, "
	"r.retry_at, a.n, a.worker, a.claimed_at, "
	"coalesce(a.outcome, 0::int2) "
	"FROM recipients r LEFT JOIN attempts a ON a.recipient = r.id "
	"AND a.recipient BETWEEN $2::uuid AND $3::uuid "
	"WHERE r.id = ANY ($1::uuid[]) AND r.id BETWEEN $2 AND $3 "
	"ORDER BY r.id, a.n" };

struct reading {
	struct call call;
	struct world *w;
	int actor;
	size_t seen;
};

static void
add_attempt(struct mail *m, struct pg_row row)
{
	if (pg_is_null(row, 5))
		return;
	assert_true(m->row_count < ATTEMPTS);
	m->row[m->row_count++] = (struct attempt_row){
		.n = pg_get_int2(row, 5),
		.worker = pg_get_int4(row, 6),
		.claimed_at_ms = pg_get_time(row, 7),
		.outcome = pg_get_int2(row, 8),
	};
}

static void
on_rows(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct reading *r = ctx;
	size_t n = err == NULL ? pg_rows(reply, 0) : 0;

	call_done(&r->call, err);
	for (size_t i = 0; i < n;) {
		struct pg_row row = pg_row(reply, 0, i);
		struct id id = pg_get_id(row, 0);
		struct mail now = { .id = id,
			.is_final = pg_get_bool(row, 2),
			.attempts = pg_get_int2(row, 3),
			.retry_at_ms = pg_get_time(row, 4) };

		assert_true(status_from_int(pg_get_int2(row, 1), &now.status));
		for (; i < n; i++) {
			row = pg_row(reply, 0, i);
			if (id_cmp(pg_get_id(row, 0), id) != 0)
				break;
			add_attempt(&now, row);
		}
		compare(r->w, world_mail(r->w, id), &now, r->actor);
		r->seen++;
	}
}

void
observe(struct world *w, struct mail *const *mails, size_t n, int actor)
{
	struct reading r = { .w = w, .actor = actor };
	struct id least, most;
	struct pg_tx *tx;

	if (n == 0)
		return;
	tx = pg_tx_new(w->pg);
	least = most = mails[0]->id;
	pg_tx_stmt(tx, &stmt_rows);
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < n; i++) {
		pg_tx_id(tx, mails[i]->id);
		least = id_cmp(mails[i]->id, least) < 0 ? mails[i]->id : least;
		most = id_cmp(mails[i]->id, most) > 0 ? mails[i]->id : most;
	}
	pg_tx_array_end(tx);
	pg_tx_id(tx, least);
	pg_tx_id(tx, most);
	pg_tx_send(tx, on_rows, &r);
	call_wait(w, &r.call);
	if (r.seen != n)
		world_violates(w, "2 nothing is lost",
		    "%zu rows of %zu are there", r.seen, n);
}

void
observe_all(struct world *w, int actor)
{
	struct mail *all[MAILS];

	for (size_t i = 0; i < w->mail_count; i++)
		all[i] = &w->mail[i];
	observe(w, all, w->mail_count, actor);
}

/* Sending. ---------------------------------------------------------------- */

void
check_granted(struct world *w, const struct mail *m, int64_t now_ms)
{
	if (m->is_suppressed)
		world_violates(w, "3 nothing to the suppressed",
		    "a claim to send was given");
	check_rules(w, m, now_ms);
	if (m->retry_at_ms > now_ms)
		world_violates(w, "nothing before it is due",
		    "a claim to send was given %lld s before",
		    (long long)(m->retry_at_ms - now_ms) / 1000);
}

void
check_taken(struct world *w, const struct mail *m)
{
	bool is_once = m->flags & EXACTLY_ONCE;

	if (m->taken > 1 + m->unknown)
		world_violates(w, "3 once, and once for each unknown",
		    "taken %u times, %u times unknown", m->taken, m->unknown);
	if (is_once && m->taken > 1)
		world_violates(w, "3 exactly once", "taken %u times", m->taken);
	/* A bounce, or a reply that came after unknown, may end it under us. */
	if (m->is_final && !m->has_dsn && m->unknown == 0)
		world_violates(w, "3 nothing after the end", "it is %s",
		    status_name(m->status));
}

void
check_dot(struct world *w, const struct mail *m, int n, int worker)
{
	const struct attempt_row *row = find_row(m, n);

	if (row == NULL || row->worker != worker || row->outcome != 0)
		world_violates(w, "3 no dot without a claim",
		    "%d sends under claim %d, which is not open", worker, n);
}

/* The schedule. ----------------------------------------------------------- */

struct places {
	struct call call;
	struct world *w;
	unsigned int *count; /* by mail */
	size_t all;
};

static void
on_members(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct places *p = ctx;
	struct world *w = p->w;

	call_done(&p->call, err);
	for (size_t i = 0; err == NULL && i < redis_reply_count(reply); i++) {
		struct queue_member q;
		struct mail *m;

		assert_true(queue_member_decode(redis_reply_text(
						    redis_reply_item(reply, i)),
		    &q));
		m = world_mail(w, q.id);
		p->all++;
		if (m == NULL)
			continue; /* of a round before, out of an old dump */
		if (q.flow != m->flow || q.flags != m->flags)
			world_violates(w, "1 one place",
			    "a member was changed");
		if (++p->count[m - w->mail] > 1)
			world_violates(w, "1 one place",
			    "an id is there twice");
	}
}

/* Returns how many jobs there are. */
static size_t
read_zsets(struct world *w)
{
	unsigned int count[MAILS] = { 0 };
	size_t all = 0;

	for (size_t i = 0; i < LANES * 4; i++) {
		struct places p = { .w = w, .count = count };
		struct slice argv[] = { SLICE("ZRANGE"), SLICE(""), SLICE("0"),
			SLICE("-1") };
		char key[40];

		snprintf(key, sizeof(key), "q:{p%d.%s}:%c", lanes[i / 4].pool,
		    lanes[i / 4].name, "rthp"[i % 4]);
		argv[1] = slice_of(key);
		redis_command(w->raw, argv, ARRAY_LEN(argv), on_members, &p);
		call_wait(w, &p.call);
		all += p.all;
	}
	return all;
}

void
check_zsets(struct world *w)
{
	read_zsets(w);
}

bool
world_is_over(struct world *w)
{
	for (size_t i = 0; i < w->mail_count; i++)
		if (!w->mail[i].is_final)
			return false;
	return read_zsets(w) == 0;
}

/* The end. ---------------------------------------------------------------- */

static void
check_ended_well(struct world *w, const struct mail *m)
{
	const char *as = status_name(m->status);

	if (!m->is_final)
		world_violates(w, "2 all mail ends", "one is still %s", as);
	if (m->status == STATUS_DELIVERED && m->taken == 0)
		world_violates(w, "2 delivered is delivered",
		    "the far end has none of it");
	if (m->status == STATUS_BOUNCED && m->refused == 0 && !m->has_dsn)
		world_violates(w, "2 bounced is bounced", "nobody refused it");
	if (m->taken > 0 && m->unknown == 0 && m->status < STATUS_DELIVERED)
		world_violates(w, "2 what was taken is delivered", "it is %s",
		    as);
	check_canceled(w, m);
	check_taken(w,
	    &(struct mail){ .taken = m->taken,
		.unknown = m->unknown,
		.flags = m->flags });
	w->counts.ended++;
	w->counts.sent += m->taken;
	w->counts.twice += m->taken > 1;
}

void
check_end(struct world *w)
{
	size_t jobs = read_zsets(w);

	for (size_t i = 0; i < w->mail_count; i++)
		check_ended_well(w, &w->mail[i]);
	if (jobs > 0)
		world_violates(w, "2 no job is left", "%zu are", jobs);
}

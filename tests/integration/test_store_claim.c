/* Claims and outcomes, against a real server. */
#include "tests/unit/test.h"

#include "store/jobs.h"
#include "tests/integration/mail_world.h"

/* Claims. ----------------------------------------------------------------- */

static void
of_two_claims_one_wins(void **state)
{
	struct pg *second = servers_pg();
	struct mail m[40];
	struct store_claim c[2][40];
	struct outcome_seen seen[2] = { { 0 } };
	unsigned int won[2] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		mail_init(&m[i], "race", 1);
	accept_all(m, ARRAY_LEN(m));
	for (size_t i = 0; i < ARRAY_LEN(m); i++) {
		c[0][i] = claim_of(&m[i], 1, 1);
		c[1][i] = c[0][i];
	}
	store_claim_start(pg, 101, clock_now_ms(), false, c[0], 40,
	    servers_done, &seen[0]);
	store_claim_start(second, 102, clock_now_ms(), false, c[1], 40,
	    servers_done, &seen[1]);
	servers_ok(&seen[0]);
	servers_ok(&seen[1]);
	for (size_t i = 0; i < ARRAY_LEN(m); i++) {
		bool a = c[0][i].result == STORE_CLAIM_MINE;
		bool b = c[1][i].result == STORE_CLAIM_MINE;
		const struct store_claim *loser = a ? &c[1][i] : &c[0][i];

		assert_true(a != b);
		assert_int_equal(loser->result, STORE_CLAIM_OPEN);
		assert_int_equal(loser->holder, a ? 101 : 102);
		assert_int_equal(loser->open_n, 1);
		assert_true(loser->claimed_at_ms > in_ms(-60000));
		won[b]++;
	}
	assert_int_equal(won[0] + won[1], 40);
	pg_free(&second);
}

/* By the successor of who made it. */
static void
a_claim_left_behind_is_given_back_unless_it_is_older_or_over(void **state)
{
	struct mail m;
	struct store_claim c, left;
	struct outcome_seen seen = { 0 };
	struct store_outcome o;
	int64_t now_ms = clock_now_ms();

	(void)state;
	mail_init(&m, "left", 1);
	accept_all(&m, 1);
	c = left = claim_of(&m, 1, 1);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* Of a later question of the same worker. */
	left.claimed_at_ms = now_ms + 60000;
	store_claim_give_back(pg, 1, &left, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(2, &c, false), STORE_CLAIM_OPEN);
	left.claimed_at_ms = now_ms - 1000;
	/* Of another worker. */
	store_claim_give_back(pg, 3, &left, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(2, &c, false), STORE_CLAIM_OPEN);
	store_claim_give_back(pg, 1, &left, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* With an outcome it stays. */
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 1,
		.outcome = 1,
		.raise_to = STATUS_DELIVERED,
		.finish = true };
	store_outcomes_write(pg, clock_now_ms(), &o, 1, servers_done, &seen);
	servers_ok(&seen);
	store_claim_give_back(pg, 1, &left, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(2, &c, false), STORE_CLAIM_FINISHED);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM attempts "
			"WHERE outcome = 1") == 1);
}

static void
ends_with_an_error(void *ctx, const struct pg_reply *reply,
    const struct error *err)
{
	assert_null(reply);
	assert_non_null(err);
	*(bool *)ctx = true;
}

/* Claims the mail for nobody, until the lock 4711 can be had. */
static void
stand_in_the_way(struct pg *third, const struct mail *m, bool *over)
{
	static const struct pg_stmt insert = { "way_insert",
		"INSERT INTO attempts (recipient, n, worker, claimed_at) "
		"VALUES ($1::uuid, 1, 103, now())" };
	static const struct pg_stmt wait = { "way_wait",
		"SELECT 1 FROM (SELECT pg_advisory_xact_lock(4711)) l" };
	static const struct pg_stmt fail = { "way_fail", "SELECT 1 / 0" };
	struct pg_tx *tx = pg_tx_new(third);

	pg_tx_stmt(tx, &insert);
	pg_tx_id(tx, rcpt(m, 1));
	pg_tx_stmt(tx, &wait);
	pg_tx_stmt(tx, &fail);
	pg_tx_send(tx, ends_with_an_error, over);
}

static void
until_so_many_wait(struct pg *control, int64_t count)
{
	while (SQL_NUMBER(control,
		   "SELECT count(*) FROM pg_locks WHERE NOT granted") < count)
		loop_turn(servers.loop, 5);
}

/*
 * The same mails in hand of two processes, as after Redis has lost its memory,
 * and each has them in an order of its own. Somebody in the middle lets both
 * come half the way, before they can go on.
 */
static void
batches_in_any_order_do_not_block_each_other(void **state)
{
	enum { N = 21 };
	static struct mail m[N];
	static struct store_claim c[2][N];
	struct pg *second = servers_pg(), *third = servers_pg();
	struct pg *control = servers_pg();
	struct outcome_seen seen[2] = { { 0 } };
	bool over = false;

	(void)state;
	for (size_t i = 0; i < N; i++)
		mail_init(&m[i], "order", 1);
	accept_all(m, N);
	for (size_t i = 0; i < N; i++) {
		c[0][i] = claim_of(&m[i], 1, 1);
		c[1][N - 1 - i] = c[0][i];
	}
	SQL_NUMBER(control,
	    "SELECT 1::int8 FROM (SELECT pg_advisory_lock(4711)) l");
	stand_in_the_way(third, &m[N / 2], &over);
	until_so_many_wait(control, 1);
	store_claim_start(pg, 101, clock_now_ms(), false, c[0], N, servers_done,
	    &seen[0]);
	store_claim_start(second, 102, clock_now_ms(), false, c[1], N,
	    servers_done, &seen[1]);
	until_so_many_wait(control, 3);
	SQL_NUMBER(control, "SELECT pg_advisory_unlock(4711)::int::int8");
	servers_until(&over);
	servers_ok(&seen[0]);
	servers_ok(&seen[1]);
	pg_free(&control);
	pg_free(&third);
	pg_free(&second);
}

static void
a_claim_that_is_refused_says_why(void **state)
{
	struct mail m;
	struct store_claim c;
	struct outcome_seen seen = { 0 };
	struct store_outcome o;

	(void)state;
	mail_init(&m, "why", 3);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* The answer was lost: asked again, it is still mine. */
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* Given back: somebody else's. */
	store_claim_give_back(pg, 1, &c, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(2, &c, false), STORE_CLAIM_MINE);
	/* Not by who does not hold it, nor when it is older than was asked. */
	store_claim_give_back(pg, 1, &c, 1, servers_done, &seen);
	servers_ok(&seen);
	c.claimed_at_ms = in_ms(60000);
	store_claim_give_back(pg, 2, &c, 1, servers_done, &seen);
	servers_ok(&seen);
	store_claim_renew(pg, 2, clock_now_ms(), &c, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(c.result, STORE_CLAIM_MINE);
	store_claim_renew(pg, 1, clock_now_ms(), &c, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(c.result, STORE_CLAIM_MOVED);

	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 2,
		.outcome = 2,
		.raise_to = STATUS_DEFERRED,
		.retry_at_ms = in_ms(60000) };
	store_outcomes_write(pg, clock_now_ms(), &o, 1, servers_done, &seen);
	servers_ok(&seen);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MOVED);
	c.n = 2;
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_NOT_DUE);
	assert_true(c.retry_at_ms == o.retry_at_ms);
	/* To finish it, the due time does not matter. */
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 2,
		.worker = 1,
		.outcome = 3,
		.raise_to = STATUS_FAILED,
		.finish = true,
		.reason = SLICE(FAIL_EXPIRED) };
	store_outcomes_write(pg, clock_now_ms(), &o, 1, servers_done, &seen);
	servers_ok(&seen);
	c.n = 3;
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_FINISHED);

	c = claim_of(&m, 2, 1);
	suppress(ACCOUNT, m.address[1], 0);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_SUPPRESSED);
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_MINE);
	c.id = id_of_recipient(m.item.email, 9);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_GONE);
}

/* Outcomes. --------------------------------------------------------------- */

/* A row of rules; the generation after it. */
static int
hold_a_tag(void)
{
	SQL_NUMBER(pg,
	    "INSERT INTO rules (id, kind, scope, value, issued_at) VALUES "
	    "(gen_random_uuid(), 'hold', 'tag', gen_random_uuid(), now())");
	return (int)SQL_NUMBER(pg, "SELECT generation::int8 FROM rule_state");
}

static void
a_claim_under_old_rules_is_refused(void **state)
{
	struct mail m;
	struct store_claim c;

	(void)state;
	mail_init(&m, "rules", 2);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	c.rules = hold_a_tag();
	hold_a_tag();
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_RULES);
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_RULES);
	/* To end it is always allowed. */
	assert_int_equal(claim(1, &c, true), STORE_CLAIM_MINE);
	c = claim_of(&m, 2, 1);
	c.rules = hold_a_tag();
	assert_int_equal(claim(1, &c, false), STORE_CLAIM_MINE);
	/* As the other tests of this program expect it. */
	SQL_NUMBER(pg, "DELETE FROM rules");
	SQL_NUMBER(pg, "UPDATE rule_state SET generation = 0");
}

static void
an_outcome_can_be_repeated(void **state)
{
	struct mail m;
	struct store_claim c;
	struct store_outcome o;
	struct email_seen first, again;

	(void)state;
	SQL_NUMBER(pg,
	    "INSERT INTO webhooks (id, account, url, events, "
	    "secret, created_at) VALUES (gen_random_uuid(), 7, "
	    "'http://h', 1 << 4, '', now())");
	mail_init(&m, "repeat", 1);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(5, &c, false), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 5,
		.outcome = 1,
		.stage = 6,
		.code = 250,
		.status = SLICE("2.0.0"),
		.reply = SLICE("queued as X"),
		.mx = SLICE("mx [192.0.2.1]"),
		.raise_to = STATUS_DELIVERED,
		.finish = true,
		.event_count = 1,
		.event = { { EVENT_DELIVERED, 0, SLICE("{\"a\":1}") } } };
	write_outcome(&o, 1);
	first = find(m.item.email);
	write_outcome(&o, 1);
	again = find(m.item.email);
	assert_int_equal(first.recipient[0].status, STATUS_DELIVERED);
	assert_int_equal(first.recipient[0].last.n, 1);
	assert_int_equal(first.recipient[0].last.code, 250);
	assert_int_equal(first.recipient[0].attempts, 1);
	assert_true(first.recipient[0].finished_at_ms ==
	    again.recipient[0].finished_at_ms);
	assert_string_equal(events(m.item.email).text, "1.1 3.1 4.1 ");
	/* The webhook wants delivered, not sent: owed once. */
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM webhook_deliveries "
			"WHERE kind = 4") == 1);
}

/* A route may hand mail over long before somebody says that it arrived. */
static void
sent_that_happened_apart_is_told_once(void **state)
{
	struct mail m;
	struct store_outcome o;

	(void)state;
	mail_init(&m, "apart", 1);
	accept_all(&m, 1);
	o = (struct store_outcome){ .id = rcpt(&m, 1),
		.account = ACCOUNT,
		.raise_to = STATUS_SENT,
		.event_count = 1,
		.event = { { EVENT_SENT, 0, { NULL, 0 } } } };
	write_outcome(&o, 1);
	assert_string_equal(events(m.item.email).text, "1.1 3.1 ");
	o.raise_to = STATUS_DELIVERED;
	o.event[0].kind = EVENT_DELIVERED;
	write_outcome(&o, 1);
	assert_string_equal(events(m.item.email).text, "1.1 3.1 4.1 ");
}

static void
statuses_only_rise_in_whatever_order_they_come(void **state)
{
	static const enum status all[] = { STATUS_DEFERRED, STATUS_SENT,
		STATUS_CANCELED, STATUS_SUPPRESSED, STATUS_FAILED,
		STATUS_DELIVERED, STATUS_BOUNCED, STATUS_COMPLAINED };
	struct mail m[ARRAY_LEN(all) * ARRAY_LEN(all)];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		mail_init(&m[i], "rank", 1);
	accept_all(m, ARRAY_LEN(m));
	for (size_t a = 0; a < ARRAY_LEN(all); a++)
		for (size_t b = 0; b < ARRAY_LEN(all); b++, n++) {
			struct store_outcome o[2] = {
				{ .id = rcpt(&m[n], 1),
				    .account = ACCOUNT,
				    .raise_to = all[a],
				    .finish = status_is_final(all[a]),
				    .reason = SLICE("a") },
				{ .id = rcpt(&m[n], 1),
				    .account = ACCOUNT,
				    .raise_to = all[b],
				    .finish = status_is_final(all[b]),
				    .reason = SLICE("b") },
			};
			struct email_seen seen;

			/* In two transactions, or twice in one batch. */
			if (a % 2 == 0) {
				write_outcome(&o[0], 1);
				write_outcome(&o[1], 1);
			} else {
				write_outcome(o, 2);
			}
			seen = find(m[n].item.email);
			assert_int_equal(seen.recipient[0].status,
			    MAX(all[a], all[b]));
			assert_true((seen.recipient[0].finished_at_ms > 0) ==
			    (status_is_final(all[a]) ||
				status_is_final(all[b])));
			assert_int_equal(seen.reason,
			    all[b] > all[a] ? 'b' : 'a');
		}
}

static void
unknown_is_only_written_where_nothing_else_is(void **state)
{
	struct mail m;
	struct store_claim c[2];
	struct store_outcome real, unknown[2];
	struct email_seen seen;

	(void)state;
	mail_init(&m, "unknown", 2);
	accept_all(&m, 1);
	for (unsigned int i = 0; i < 2; i++) {
		c[i] = claim_of(&m, i + 1, 1);
		assert_int_equal(claim(5, &c[i], false), STORE_CLAIM_MINE);
		unknown[i] = (struct store_outcome){ .id = c[i].id,
			.account = ACCOUNT,
			.n = 1,
			.worker = 5,
			.only_open = true,
			.outcome = 9,
			.raise_to = STATUS_DEFERRED,
			.retry_at_ms = in_ms(1),
			.event_count = 1,
			.event = {
			    { EVENT_DELIVERY_DELAYED, 1, { NULL, 0 } } } };
	}
	/* The owner was faster for the first one. */
	real = (struct store_outcome){ .id = c[0].id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 5,
		.outcome = 2,
		.raise_to = STATUS_DEFERRED,
		.retry_at_ms = in_ms(600000) };
	write_outcome(&real, 1);
	write_outcome(unknown, 2);
	seen = find(m.item.email);
	assert_int_equal(seen.recipient[0].last.outcome, 2);
	assert_true(seen.recipient[0].retry_at_ms == real.retry_at_ms);
	assert_int_equal(seen.recipient[1].last.outcome, 9);
	assert_int_equal(seen.recipient[1].attempts, 1);
	assert_string_equal(events(m.item.email).text, "1.1 1.2 5.2 ");

	/* The reply comes late, after another attempt has begun. */
	c[1].n = 2;
	assert_int_equal(claim(6, &c[1], true), STORE_CLAIM_MINE);
	real = (struct store_outcome){ .id = c[1].id,
		.account = ACCOUNT,
		.n = 2,
		.worker = 6,
		.outcome = 2,
		.raise_to = STATUS_DEFERRED,
		.retry_at_ms = in_ms(777000) };
	write_outcome(&real, 1);
	unknown[1].only_open = false;
	unknown[1].outcome = 2;
	unknown[1].retry_at_ms = in_ms(5);
	write_outcome(&unknown[1], 1);
	seen = find(m.item.email);
	assert_true(seen.recipient[1].retry_at_ms == real.retry_at_ms);
	assert_int_equal(seen.recipient[1].attempts, 2);
}

/* What came last of an attempt that was recorded as unknown, which has ended
 * its recipient (delivery exactly once). */
static void
a_late_word_settles_what_ended_unknown(void **state)
{
	static const struct {
		enum status raise_to, status;
		int n; /* 0: of a report, not of the attempt */
		bool finish;
		bool keeps_reason;
	} rows[] = {
		{ STATUS_DELIVERED, STATUS_DELIVERED, 1, true, false },
		{ STATUS_BOUNCED, STATUS_BOUNCED, 1, true, false },
		{ STATUS_DEFERRED, STATUS_FAILED, 1, false, true },
		{ STATUS_DELIVERED, STATUS_DELIVERED, 0, true, false },
		{ STATUS_BOUNCED, STATUS_BOUNCED, 0, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_outcome o;
		struct store_claim c;
		struct email_seen seen;
		struct mail m;

		mail_init(&m, "settled", 1);
		accept_all(&m, 1);
		c = claim_of(&m, 1, 1);
		assert_int_equal(claim(5, &c, false), STORE_CLAIM_MINE);
		o = (struct store_outcome){ .id = c.id,
			.account = ACCOUNT,
			.n = 1,
			.worker = 5,
			.only_open = true,
			.outcome = 5,
			.raise_to = STATUS_FAILED,
			.reason = SLICE(FAIL_OUTCOME_UNKNOWN),
			.finish = true };
		write_outcome(&o, 1);
		seen = find(m.item.email);
		assert_int_equal(seen.recipient[0].status, STATUS_FAILED);
		o = (struct store_outcome){ .id = c.id,
			.account = ACCOUNT,
			.n = rows[i].n,
			.worker = 5,
			.outcome = 2,
			.raise_to = rows[i].raise_to,
			.retry_at_ms = rows[i].finish ? 0 : in_ms(600000),
			.finish = rows[i].finish };
		write_outcome(&o, 1);
		seen = find(m.item.email);
		assert_int_equal(seen.recipient[0].status, rows[i].status);
		assert_int_equal(seen.reason == 'o', rows[i].keeps_reason);
		assert_true(seen.recipient[0].finished_at_ms != 0);
		assert_true(seen.recipient[0].retry_at_ms == 0);
	}
}

/* Between the look at an old claim and the word that nobody knows, its owner
 * may have woken: what he has renewed, or had again, is not abandoned. */
static void
unknown_is_not_written_over_a_claim_that_lives(void **state)
{
	struct outcome_seen seen = { 0 };
	struct mail m;
	struct store_claim c;
	struct store_outcome unknown;

	(void)state;
	mail_init(&m, "woken", 1);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(5, &c, false), STORE_CLAIM_MINE);
	assert_int_equal(claim(6, &c, false), STORE_CLAIM_OPEN);
	unknown = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = c.holder,
		.only_open = true,
		.claimed_at_ms = c.claimed_at_ms,
		.outcome = 5,
		.raise_to = STATUS_FAILED,
		.finish = true };
	store_claim_renew(pg, 5, c.claimed_at_ms + 1, &c, 1, servers_done,
	    &seen);
	servers_ok(&seen);
	write_outcome(&unknown, 1);
	assert_int_equal(claim(6, &c, false), STORE_CLAIM_OPEN);
	assert_int_equal(find(m.item.email).recipient[0].status, STATUS_QUEUED);
	/* Seen as it is, it is written. */
	unknown.claimed_at_ms = c.claimed_at_ms;
	write_outcome(&unknown, 1);
	assert_int_equal(claim(6, &c, false), STORE_CLAIM_FINISHED);
}

static void
only_the_holder_writes_the_outcome_of_a_claim(void **state)
{
	struct mail m;
	struct store_claim c;
	struct store_outcome o;

	(void)state;
	mail_init(&m, "holder", 1);
	accept_all(&m, 1);
	c = claim_of(&m, 1, 1);
	assert_int_equal(claim(5, &c, false), STORE_CLAIM_MINE);
	o = (struct store_outcome){ .id = c.id,
		.account = ACCOUNT,
		.n = 1,
		.worker = 6,
		.outcome = 1 };
	write_outcome(&o, 1);
	o.only_open = true;
	write_outcome(&o, 1);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM attempts a JOIN recipients r "
			"ON r.id = a.recipient AND r.address LIKE 'holder-%' "
			"WHERE a.worker = 5 AND a.outcome IS NULL") == 1);
}

static void
an_outcome_can_suppress(void **state)
{
	struct mail m;
	struct store_outcome o[3] = { { .account = ACCOUNT } };

	(void)state;
	mail_init(&m, "bad", 1);
	accept_all(&m, 1);
	for (size_t i = 0; i < 3; i++) {
		o[i] = (struct store_outcome){ .id = rcpt(&m, 1),
			.account = ACCOUNT,
			.raise_to = STATUS_BOUNCED,
			.finish = true };
		o[i].suppress.key = m.recipient[0].key;
		o[i].suppress.origin =
		    i == 1 ? SLICE("complaint") : SLICE("bounce");
		o[i].suppress.expires_at_ms = i == 1 ? 0 : in_ms(1000000);
	}
	write_outcome(o, 1);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM suppressions WHERE "
			"address LIKE 'bad-%' AND origin = 'bounce' "
			"AND expires_at IS NOT NULL") == 1);
	write_outcome(o + 1, 2); /* both for one address in a batch */
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM suppressions WHERE "
			"address LIKE 'bad-%' "
			"AND origin = 'complaint' "
			"AND expires_at IS NULL") == 1);
	write_outcome(o, 1);
	assert_true(SQL_NUMBER(pg,
			"SELECT count(*) FROM suppressions WHERE "
			"address LIKE 'bad-%' "
			"AND origin = 'complaint'") == 1);
}

/* Plans. ------------------------------------------------------------------ */

struct plan_seen {
	bool done;
	size_t count;
};

static void
on_jobs(void *ctx, const struct store_job *job, size_t count,
    const struct error *err)
{
	struct plan_seen *seen = ctx;

	(void)job;
	assert_null(err);
	seen->done = true;
	seen->count = count;
}

/* Rows that were read by way of an index since the server began. */
static int64_t
rows_read(void)
{
	SQL_NUMBER(pg,
	    "SELECT count(x)::int8 FROM "
	    "(SELECT pg_stat_force_next_flush()::text AS x) y");
	return SQL_NUMBER(pg,
	    "SELECT sum(idx_tup_fetch)::int8 "
	    "FROM pg_stat_user_tables WHERE relname ~ "
	    "'^(emails|recipients|attempts|email_contents)_'");
}

#define MAILS 1500
#define BATCH 15

static void
a_batch_reads_only_its_own_rows_also_on_a_young_day(void **state)
{
	static struct mail m[MAILS];
	static struct store_claim c[BATCH];
	static struct store_outcome o[BATCH];
	struct id ids[BATCH];
	struct outcome_seen seen = { 0 };
	struct plan_seen jobs = { 0 };
	int64_t before;

	(void)state;
	/* Many days make the bounds look good to the planner. */
	SQL_NUMBER(pg,
	    "SELECT make_partitions(d - 60, d)::int8 FROM "
	    "(SELECT (extract(epoch FROM now()) / 86400)::int AS d) "
	    "x");
	for (size_t i = 0; i < MAILS; i++)
		mail_init(&m[i], "plan", 1);
	for (size_t i = 0; i < MAILS; i += 150)
		accept_all(m + i, 150);
	before = rows_read();
	for (size_t i = 0; i < BATCH; i++) {
		/* Far apart, so that much lies between the bounds. */
		c[i] = claim_of(&m[i * (MAILS / BATCH)], 1, 1);
		ids[i] = c[i].id;
		o[i] = (struct store_outcome){ .id = c[i].id,
			.account = ACCOUNT,
			.n = 1,
			.worker = 5,
			.outcome = 1,
			.raise_to = STATUS_DELIVERED,
			.finish = true };
	}
	store_jobs_read(pg, ids, BATCH, on_jobs, &jobs);
	servers_until(&jobs.done);
	assert_int_equal(jobs.count, BATCH);
	store_claim_start(pg, 5, clock_now_ms(), false, c, BATCH, servers_done,
	    &seen);
	servers_ok(&seen);
	write_outcome(o, BATCH);
	/* Two to read, one to claim, two to write; not all for each. */
	assert_in_range(rows_read() - before, BATCH, 10 * BATCH);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(of_two_claims_one_wins),
    CASE(a_claim_left_behind_is_given_back_unless_it_is_older_or_over),
    CASE(batches_in_any_order_do_not_block_each_other),
    CASE(a_claim_that_is_refused_says_why),
    CASE(a_claim_under_old_rules_is_refused), CASE(an_outcome_can_be_repeated),
    CASE(sent_that_happened_apart_is_told_once),
    CASE(statuses_only_rise_in_whatever_order_they_come),
    CASE(unknown_is_only_written_where_nothing_else_is),
    CASE(a_late_word_settles_what_ended_unknown),
    CASE(unknown_is_not_written_over_a_claim_that_lives),
    CASE(only_the_holder_writes_the_outcome_of_a_claim),
    CASE(an_outcome_can_suppress),
    CASE(a_batch_reads_only_its_own_rows_also_on_a_young_day))

/* The walks and the reaper, against real servers. */
#include "tests/unit/test.h"

#include "queue/reap.h"
#include "queue/rules.h"
#include "queue/unpark.h"
#include "queue/walk.h"
#include "store/accept.h"
#include "store/workers.h"
#include "tests/integration/queue_world.h"

/* Walks.
 * ----------------------------------------------------------------------- */

#define MAILS 300

static struct store_accept_item items[MAILS];
static struct store_accept_recipient rcpts[MAILS];

/* Accepted, not pushed, as long ago as said. */
static void
accept_mails(size_t n, int64_t age_ms, int64_t expires_in_ms)
{
	struct store_accept_item *list[MAILS];
	struct outcome_seen seen = { 0 };
	int64_t at_ms = clock_now_ms() - age_ms;

	servers_domain(pg);
	for (size_t i = 0; i < n; i++) {
		rcpts[i] = (struct store_accept_recipient){
			.address = SLICE("a@example.org"),
			.key = SLICE("a@example.org"),
			.pool = 1,
			.lane = i % 3 == 0 ? SLICE("google") : SLICE("h3"),
		};
		items[i] = (struct store_accept_item){
			.email = id_new_email(at_ms),
			.account = 1,
			.domain = 1,
			.head = SLICE("h"),
			.content = SLICE("c"),
			.expires_at_ms = clock_now_ms() + expires_in_ms,
			.count = 1,
			.recipient = &rcpts[i],
			.key = SLICE(""),
		};
		/* As if made then: the time is in the first six octets. */
		for (size_t b = 0; b < 6; b++)
			items[i].email.b[b] = (uint8_t)(at_ms >> (40 - 8 * b));
		list[i] = &items[i];
	}
	store_accept_start(pg, clock_now_ms(), list, n, servers_done, &seen);
	servers_ok(&seen);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(items[i].result, STORE_ACCEPT_OK);
}

static void
forget_all_mail(void)
{
	SQL_NUMBER(pg,
	    "UPDATE recipients SET finished_at = now() "
	    "WHERE finished_at IS NULL");
}

/* Turns the loop until the walk has gone that far. */
static void
walk_until(struct walk *w, void (*step)(struct walk *),
    bool (*is_there)(const struct walk *))
{
	int64_t end_ms = clock_mono_ms() + 20000;

	while (!is_there(w)) {
		assert_true(clock_mono_ms() < end_ms);
		step(w);
		loop_turn(servers.loop, 10);
	}
}

static bool
has_seen_young(const struct walk *w)
{
	return walk_counts(w).young_seen >= MAILS;
}

static void
the_young_walk_pushes_what_was_not_pushed(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, shaping, NULL, NULL);
	static const struct queue_lane google = { 1, "google" };

	(void)state;
	forget_all_mail();
	accept_mails(MAILS, 15000, 1000000);
	walk_until(w, walk_young, has_seen_young);
	assert_int_equal(walk_counts(w).added, MAILS);
	assert_int_equal(state_of(&google).ready, MAILS / 3);
	assert_int_equal(state_of(&lane).ready, MAILS - MAILS / 3);
	walk_free(&w);
	/* Another keeper looks again: all have jobs. */
	w = walk_new(servers.loop, pg, queue, shaping, NULL, NULL);
	walk_until(w, walk_young, has_seen_young);
	assert_int_equal(walk_counts(w).added, 0);
	walk_free(&w);
}

static bool
has_gone_round(const struct walk *w)
{
	return walk_counts(w).rounds >= 1 && !walk_is_filling(w);
}

static bool
is_filling(const struct walk *w)
{
	return walk_is_filling(w);
}

/* What the keeper does. */
static void
beat(struct walk *w)
{
	walk_check_redis(w);
	walk_old(w);
}

static void
only_check(struct walk *w)
{
	walk_check_redis(w);
}

static void
a_redis_that_was_flushed_is_filled_again(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, shaping, NULL, NULL);
	struct walk_counts before;

	(void)state;
	forget_all_mail();
	accept_mails(MAILS, 3600000, 1000000);
	test_log_.expected = 1000;
	walk_until(w, only_check, is_filling);
	walk_until(w, beat, has_gone_round);
	assert_int_equal(walk_counts(w).added, MAILS);
	/* Marked: checked again, nothing starts over. */
	before = walk_counts(w);
	for (int i = 0; i < 20; i++) {
		walk_check_redis(w);
		loop_turn(servers.loop, 10);
	}
	assert_false(walk_is_filling(w));
	redis_cli("FLUSHALL");
	walk_until(w, only_check, is_filling);
	walk_until(w, beat, has_gone_round);
	assert_int_equal(walk_counts(w).added, before.added + MAILS);
	/* Killed and started anew, without its data. */
	is_up = false;
	servers_run("redis-stop", false);
	servers_run("redis-start", false);
	servers_until(&is_up);
	walk_until(w, only_check, is_filling);
	walk_until(w, beat, has_gone_round);
	assert_int_equal(walk_counts(w).added, before.added + 2 * MAILS);
	assert_int_equal(state_of(&lane).ready, MAILS - MAILS / 3);
	test_log_.expected = 0;
	walk_free(&w);
}

static size_t expired_count;

static void
on_expired(void *ctx, const struct walk_over *over, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		assert_true(over[i].row->expires_at_ms <= clock_now_ms() &&
		    over[i].cancel == 0);
	expired_count += n;
}

static const struct walk_ops walk_ops = { on_expired, NULL };

static bool
has_told(const struct walk *w)
{
	return walk_counts(w).rounds >= 1;
}

static void
mail_past_its_age_is_told_unless_somebody_holds_it(void **state)
{
	struct walk *w =
	    walk_new(servers.loop, pg, queue, shaping, &walk_ops, NULL);
	struct queue_job held = { 0 };

	(void)state;
	forget_all_mail();
	accept_mails(9, 3600000, -1);
	held.member =
	    (struct queue_member){ id_of_recipient(items[1].email, 1), 2, 0 };
	enqueue(&held, 1);
	assert_int_equal(lease(5, 1, 1)->count, 1);
	expired_count = 0;
	walk_until(w, walk_old, has_told);
	assert_int_equal(expired_count, 8);
	assert_int_equal(walk_counts(w).added, 0);
	walk_free(&w);
}

static bool
has_added_a_third(const struct walk *w)
{
	return walk_counts(w).added >= MAILS / 3;
}

static bool
has_refused_again(const struct walk *w)
{
	return walk_counts(w).rounds >= 2;
}

/* Somebody else's key stands where the ready jobs of a lane should. */
static void
a_lane_that_is_broken_holds_up_no_other(void **state)
{
	struct walk *w = walk_new(servers.loop, pg, queue, shaping, NULL, NULL);
	static const struct queue_lane google = { 1, "google" };

	(void)state;
	redis_cli("FLUSHALL");
	forget_all_mail();
	accept_mails(MAILS, 15000, 1000000);
	redis_cli("SET q:{p1.google}:r x");
	test_log_.expected = 1;
	walk_until(w, walk_young, has_seen_young);
	assert_int_equal(walk_counts(w).added, MAILS - MAILS / 3);
	assert_int_equal(walk_counts(w).refused, MAILS / 3);
	assert_int_equal(walk_counts(w).failures, 0);
	assert_int_equal(state_of(&lane).ready, MAILS - MAILS / 3);
	walk_until(w, walk_old, has_refused_again);
	assert_int_equal(walk_counts(w).added, MAILS - MAILS / 3);
	walk_free(&w);
	redis_cli("DEL q:{p1.google}:r");
	w = walk_new(servers.loop, pg, queue, shaping, NULL, NULL);
	walk_until(w, walk_old, has_added_a_third);
	assert_int_equal(walk_counts(w).added, MAILS / 3);
	assert_int_equal(state_of(&google).ready, MAILS / 3);
	walk_free(&w);
}

static void
what_is_too_old_in_a_broken_lane_ends_too(void **state)
{
	struct walk *w =
	    walk_new(servers.loop, pg, queue, shaping, &walk_ops, NULL);

	(void)state;
	redis_cli("FLUSHALL");
	forget_all_mail();
	accept_mails(9, 3600000, -1);
	redis_cli("SET q:{p1.google}:r x");
	test_log_.expected = 1;
	expired_count = 0;
	walk_until(w, walk_old, has_told);
	assert_int_equal(expired_count, 9);
	walk_free(&w);
	redis_cli("DEL q:{p1.google}:r");
}

static void
a_walk_may_be_freed_under_way(void **state)
{
	struct walk *w =
	    walk_new(servers.loop, pg, queue, shaping, &walk_ops, NULL);
	struct reap *r = reap_new(pg, queue, shaping);

	(void)state;
	walk_old(w);
	walk_young(w);
	walk_check_redis(w);
	reap_step(r, 1);
	for (int i = 0; i < 3; i++)
		loop_turn(servers.loop, 0);
	walk_free(&w);
	reap_free(&r);
	for (int i = 0; i < 20; i++)
		loop_turn(servers.loop, 5);
}

static void
strange_lane(void *ctx, const struct queue_lane *l)
{
	struct reap *r = ctx;

	assert_int_equal(l->pool, 1);
	assert_string_equal(l->name, "gone");
	reap_also(r, l);
}

static const struct walk_ops strange_ops = { NULL, strange_lane };

static bool
has_moved_all(const struct walk *w)
{
	return walk_counts(w).added >= 9;
}

/* The file has no such provider any more. */
static void
mail_in_a_lane_that_is_no_more_gets_todays_lane(void **state)
{
	static const struct queue_lane gone = { 1, "gone" };
	struct reap *r = reap_new(pg, queue, shaping);
	struct walk *w =
	    walk_new(servers.loop, pg, queue, shaping, &strange_ops, r);
	struct queue_lane today;
	struct queue_job jobs[9] = { 0 };
	struct answer *a = fresh();

	(void)state;
	forget_all_mail();
	accept_mails(9, 3600000, 1000000);
	SQL_NUMBER(pg,
	    "UPDATE recipients SET lane = 'gone' "
	    "WHERE finished_at IS NULL");
	for (size_t i = 0; i < 9; i++)
		jobs[i].member =
		    (struct queue_member){ id_of_recipient(items[i].email, 1),
			    2, 0 };
	queue_enqueue(queue, &gone, jobs, 9, on_done, a);
	assert_int_equal(counted(a), 9);
	/* Two are held by somebody whom nobody knows. */
	a = fresh();
	queue_lease(queue, &gone, 30000, 2, 1, on_leased, a);
	assert_int_equal(counted(a), 2);
	walk_until(w, walk_old, has_told);
	reap_step(r, 1);
	while (reap_is_busy(r))
		loop_turn(servers.loop, 10);
	assert_int_equal(reap_counts(r).given_back, 2);
	walk_until(w, walk_old, has_moved_all);
	assert_int_equal(walk_counts(w).moved, 9);
	queue_lane_of_domain(shaping, 1, SLICE("example.org"), &today);
	assert_int_equal(state_of(&today).ready, 9);
	assert_int_equal(state_of(&gone).ready, 0);
	assert_int_equal(state_of(&gone).held, 0);
	walk_free(&w);
	reap_free(&r);
}

/* Rules. ------------------------------------------------------------------ */

static int
add_rule(enum store_rule_kind kind, const char *domain, int64_t age_ms)
{
	struct outcome_seen seen = { 0 };
	struct store_rule r = {
		.id = id_new(clock_now_ms()),
		.kind = kind,
		.scope = RULE_DOMAIN,
		.value = slice_of(domain),
		.issued_at_ms = clock_now_ms() - age_ms,
	};

	store_rule_add(pg, &r, servers_done, &seen);
	servers_ok(&seen);
	return (int)SQL_NUMBER(pg, "SELECT max(number)::int8 FROM rules");
}

static int cancel_number;

static void
on_canceled(void *ctx, const struct walk_over *over, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++) {
		assert_true(over[i].row->expires_at_ms > clock_now_ms());
		assert_int_equal(over[i].cancel, cancel_number);
	}
	expired_count += n;
}

static const struct walk_ops cancel_ops = { on_canceled, NULL };

static void
read_rules(struct rules *r)
{
	rules_refresh(r);
	while (rules_generation(r) < 0)
		loop_turn(servers.loop, 10);
}

static void
what_is_cancelled_is_told_and_has_no_job_any_more(void **state)
{
	struct walk *w =
	    walk_new(servers.loop, pg, queue, shaping, &cancel_ops, NULL);
	struct rules *rules = rules_new(pg);

	(void)state;
	forget_all_mail();
	accept_mails(6, 3600000, 3600000);
	add_rule(RULE_HOLD, "example.org", 0);
	add_rule(RULE_CANCEL, "elsewhere.example", 0);
	add_rule(RULE_CANCEL, "example.org", 2 * 3600000); /* before them */
	read_rules(rules);
	walk_set_rules(w, rules);
	expired_count = 0;
	walk_until(w, walk_old, has_told);
	assert_int_equal(expired_count, 0);
	assert_int_equal(walk_counts(w).added, 6);
	rules_free(&rules);
	rules = rules_new(pg);
	walk_set_rules(w, rules);
	cancel_number = add_rule(RULE_CANCEL, "example.org", 0);
	read_rules(rules);
	while (walk_counts(w).rounds < 2) {
		walk_old(w);
		loop_turn(servers.loop, 10);
	}
	assert_int_equal(expired_count, 6);
	assert_int_equal(walk_counts(w).added, 6);
	assert_state(0, 0, 0, 0);
	walk_free(&w);
	rules_free(&rules);
	SQL_NUMBER(pg, "DELETE FROM rules");
	forget_all_mail();
}

static void
park(int hold, const struct queue_job *jobs, size_t n)
{
	struct answer *a;

	enqueue(jobs, n);
	lease(5, n, 1);
	a = fresh();
	queue_park(queue, &lane, 5, hold, jobs, n, on_done, a);
	assert_int_equal(counted(a), n);
}

static void
what_is_parked_for_no_hold_in_force_is_given_back(void **state)
{
	struct unpark *u = unpark_new(pg, queue, shaping);
	struct queue_job jobs[250];
	struct answer *a;
	int hold = add_rule(RULE_HOLD, "example.org", 0);

	(void)state;
	make_jobs(jobs, ARRAY_LEN(jobs), 2, 0);
	park(hold, jobs, 20);
	park(hold + 1000, jobs + 20, 230);
	a = fresh();
	queue_parked(queue, &lane, on_holders, a);
	counted(a);
	assert_int_equal(a->count, 2);
	assert_int_equal(a->worker[0], hold);
	assert_int_equal(a->worker[1], hold + 1000);
	unpark_step(u);
	while (unpark_is_busy(u))
		loop_turn(servers.loop, 10);
	assert_int_equal(unpark_counts(u).given_back, 230);
	assert_state(230, 0, 0, 20);
	/* A hold whose time is over is none. */
	SQL_NUMBER(pg, "UPDATE rules SET expires_at = now() - interval '1 s'");
	unpark_step(u);
	while (unpark_is_busy(u))
		loop_turn(servers.loop, 10);
	assert_int_equal(unpark_counts(u).given_back, 250);
	assert_int_equal(unpark_counts(u).failures, 0);
	assert_state(250, 0, 0, 0);
	/* It may be freed under way. */
	unpark_step(u);
	loop_turn(servers.loop, 0);
	unpark_free(&u);
	for (int i = 0; i < 20; i++)
		loop_turn(servers.loop, 5);
	SQL_NUMBER(pg, "DELETE FROM rules");
}

/* The reaper. -------------------------------------------------------------- */

struct worker_seen {
	bool done;
	int id;
};

static void
on_worker(void *ctx, const struct store_worker *worker, size_t count,
    const struct error *err)
{
	struct worker_seen *seen = ctx;

	assert_null(err);
	seen->done = true;
	seen->id = count > 0 ? worker[0].id : 0;
}

static int
add_worker(void)
{
	struct worker_seen seen = { 0 };
	struct store_worker w = { .node = SLICE("n"),
		.role = SLICE("mta"),
		.boot_id = SLICE("b"),
		.pid = 1 };

	store_worker_add(pg, &w, on_worker, &seen);
	servers_until(&seen.done);
	return seen.id;
}

static void
what_the_dead_and_unknown_hold_is_given_back(void **state)
{
	struct reap *r = reap_new(pg, queue, shaping);
	struct queue_job jobs[9];
	struct outcome_seen seen = { 0 };
	int alive = add_worker(), dead = add_worker();

	(void)state;
	make_jobs(jobs, 9, 2, 0);
	enqueue(jobs, 9);
	lease(alive, 2, 1);
	lease(dead, 3, 1);
	lease(30000, 4, 1); /* nobody knows it */
	store_worker_set_dead(pg, dead, servers_done, &seen);
	servers_ok(&seen);
	reap_step(r, 1);
	while (reap_is_busy(r))
		loop_turn(servers.loop, 10);
	assert_int_equal(reap_counts(r).given_back, 7);
	assert_int_equal(reap_counts(r).failures, 0);
	assert_state(7, 0, 2, 0);
	/* Nobody is declared dead before we have been here for 30 s. */
	SQL_NUMBER(pg, "UPDATE workers SET seen_at = now() - interval '1 h'");
	reap_step(r, 1);
	while (reap_is_busy(r))
		loop_turn(servers.loop, 10);
	assert_int_equal(reap_counts(r).died, 0);
	reap_free(&r);
	/* A successor does it for its own predecessor. */
	reap_worker(queue, shaping, pools[0], alive);
	assert_state(9, 0, 0, 0);
}

/* One step of it at that time; how many it has declared dead so far. */
static unsigned int
judged(struct reap *r, int64_t now_ms)
{
	reap_step(r, now_ms);
	while (reap_is_busy(r))
		loop_turn(servers.loop, 10);
	return (unsigned int)reap_counts(r).died;
}

static void
see_nobody_for_an_hour(void)
{
	SQL_NUMBER(pg, "DELETE FROM workers");
	add_worker();
	SQL_NUMBER(pg, "UPDATE workers SET seen_at = now() - interval '1 h'");
}

/* Heartbeats count, also before it leads and takes its first step. */
static void
who_has_reached_postgres_for_long_may_judge_at_once(void **state)
{
	struct reap *r = reap_new(pg, queue, shaping);
	int64_t now = 1000;

	(void)state;
	see_nobody_for_an_hour();
	for (; now < 1000 + STORE_UNSEEN_MS; now += STORE_HEARTBEAT_MS)
		reap_reached(r, now);
	assert_int_equal(judged(r, 1000 + STORE_UNSEEN_MS - 1), 0);
	reap_reached(r, now);
	test_log_expect(1);
	assert_int_equal(judged(r, now), 1);
	/* Away once: from the beginning. */
	see_nobody_for_an_hour();
	reap_away(r);
	reap_reached(r, now);
	assert_int_equal(judged(r, now + STORE_HEARTBEAT_MS), 1);
	reap_free(&r);
}

static void
who_was_stopped_judges_nobody_when_he_wakes(void **state)
{
	struct reap *r = reap_new(pg, queue, shaping);
	int64_t now = 1000;

	(void)state;
	see_nobody_for_an_hour();
	for (; now < 1000 + 2 * STORE_UNSEEN_MS; now += STORE_HEARTBEAT_MS)
		reap_reached(r, now);
	now += STORE_UNSEEN_MS;
	assert_int_equal(judged(r, now), 0);
	reap_reached(r, now);
	assert_int_equal(judged(r, now), 0);
	for (int64_t end = now + STORE_UNSEEN_MS; now < end;) {
		now += STORE_HEARTBEAT_MS;
		reap_reached(r, now);
	}
	test_log_expect(1);
	assert_int_equal(judged(r, now), 1);
	reap_free(&r);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SERVERS_MAIN(true, CASE(the_young_walk_pushes_what_was_not_pushed),
    CASE(a_redis_that_was_flushed_is_filled_again),
    CASE(mail_past_its_age_is_told_unless_somebody_holds_it),
    CASE(mail_in_a_lane_that_is_no_more_gets_todays_lane),
    CASE(a_lane_that_is_broken_holds_up_no_other),
    CASE(what_is_too_old_in_a_broken_lane_ends_too),
    CASE(a_walk_may_be_freed_under_way),
    CASE(what_is_cancelled_is_told_and_has_no_job_any_more),
    CASE(what_is_parked_for_no_hold_in_force_is_given_back),
    CASE(what_the_dead_and_unknown_hold_is_given_back),
    CASE(who_has_reached_postgres_for_long_may_judge_at_once),
    CASE(who_was_stopped_judges_nobody_when_he_wakes))

/*
 * The way of a mail under every fault that we can think of, in an order that a
 * seed gives: tests/integration/model/world.h says what is real, check.c what
 * must hold.
 *
 *   VERPOST_MODEL_SEED     the first seed (1)
 *   VERPOST_MODEL_SEEDS    so many, one after the other (3)
 *   VERPOST_MODEL_ROUNDS   rounds of each (2)
 */
#include "tests/unit/test.h"

#include "tests/integration/model/clock.h"
#include "tests/integration/model/world.h"

#define STEPS 1500 /* of a round, then everything must come to an end */
#define CALM_STEPS 400
#define OFTEN 40 /* the way of a mail itself: always as often */

static struct world world;

/* Who does something next; NULL: nobody can. */
static struct process *
anybody(struct world *w)
{
	size_t first = world_below(w, PROCESSES);

	for (size_t i = 0; i < PROCESSES; i++) {
		struct process *p = &w->process[(first + i) % PROCESSES];

		if (process_is_working(p))
			return p;
	}
	return NULL;
}

/* Steps. ------------------------------------------------------------------ */

static void
step_claim(struct world *w, struct process *p)
{
	struct process *q = anybody(w);

	process_claim(w, p, q != p && world_percent(w, 50) ? q : NULL);
}

static void
step_sync(struct world *w, struct process *p)
{
	if (p->must_sync || world_percent(w, 20))
		process_sync(w, p);
}

static void
step_kill(struct world *w, struct process *p)
{
	process_kill(w, p);
}

static void
step_pause(struct world *w, struct process *p)
{
	w->counts.pauses++;
	p->is_paused = true;
}

static void
step_change(struct world *w)
{
	struct process *p = &w->process[world_below(w, PROCESSES)];

	if (p->is_paused) {
		p->is_paused = false;
		limits_tick(w, p); /* its timers are due */
	} else if (!p->is_up) {
		process_start(w, p);
	}
}

static void
step_lose_node(struct world *w)
{
	node_lose(w, (int)world_below(w, NODES));
}

static void
step_recall(struct world *w)
{
	api_cancel(w, world_percent(w, 40) ? anybody(w) : NULL);
}

static void
step_moment(struct world *w)
{
	time_pass(w, (int64_t)world_below(w, 8000));
}

static void
step_while(struct world *w)
{
	static const int64_t whiles_ms[] = { 25000, 40000, MINUTE_MS,
		3 * MINUTE_MS, 5 * MINUTE_MS, 16 * MINUTE_MS };

	time_pass(w, whiles_ms[world_below(w, ARRAY_LEN(whiles_ms))]);
}

static const struct {
	const char *name;
	unsigned int share;
	void (*of_world)(struct world *w);
	void (*of_process)(struct world *w, struct process *p);
} steps[] = {
	{ "accept", 45, accept_some, NULL },
	{ "lease", 150, NULL, process_lease },
	{ "read", 110, NULL, process_read },
	{ "claim", 110, NULL, step_claim },
	{ "mail from", 90, NULL, process_begin },
	{ "dot", 90, NULL, process_dot },
	{ "reply", 80, NULL, process_reply },
	{ "write", 80, NULL, process_write },
	{ "sync", 30, NULL, step_sync },
	{ "stop", 5, NULL, process_stop },
	{ "move a source", 6, source_move, NULL },
	{ "change a limit", 6, source_limit, NULL },
	{ "kill", 12, NULL, step_kill },
	{ "pause", 16, NULL, step_pause },
	{ "start or continue", 50, step_change, NULL },
	{ "node lost", 2, step_lose_node, NULL },
	{ "walk", 40, keeper_walk, NULL },
	{ "reap", 20, keeper_reap, NULL },
	{ "keeper restart", 2, keeper_restart, NULL },
	{ "cancel one", 8, step_recall, NULL },
	{ "hold", 5, rule_hold, NULL },
	{ "release", 8, rule_release, NULL },
	{ "cancel by a rule", 1, rule_cancel, NULL },
	{ "suppress", 4, address_suppress, NULL },
	{ "dsn", 5, dsn_arrive, NULL },
	{ "flush", 6, redis_flush, NULL },
	{ "save", 6, redis_save, NULL },
	{ "restore", 5, redis_restore, NULL },
	{ "functions gone", 2, redis_unload, NULL },
	{ "a moment", 25, step_moment, NULL },
	{ "midnight", 6, NULL, process_at_midnight },
	{ "a while", 20, step_while, NULL },
};

/* A round has habits of its own: much of this and little of that reaches states
 * that the same mixture every time does not. */
static void
choose_habits(struct world *w, unsigned int share[])
{
	static const unsigned int quarters[] = { 0, 1, 4, 4, 4, 8, 20 };

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		share[i] = steps[i].share *
		    (steps[i].share >= OFTEN
			    ? 4
			    : quarters[world_below(w, ARRAY_LEN(quarters))]);
}

static size_t
choose_step(struct world *w, const unsigned int share[])
{
	size_t sum = 0, at, i = 0;

	for (size_t k = 0; k < ARRAY_LEN(steps); k++)
		sum += share[k];
	at = world_below(w, sum);
	while (at >= share[i])
		at -= share[i++];
	return i;
}

static void
one_step(struct world *w, const unsigned int share[])
{
	size_t i = choose_step(w, share);
	struct process *p = anybody(w);

	w->what = steps[i].name;
	if (steps[i].of_world != NULL)
		steps[i].of_world(w);
	else if (p != NULL)
		steps[i].of_process(w, p);
	if (w->step % 20 == 0)
		check_zsets(w);
	w->counts.steps++;
}

/* Rounds. -------------------------------------------------------------------
 */

static void
work_off(struct world *w, struct process *p)
{
	process_sync(w, p);
	for (size_t i = 0; i < 9; i++)
		process_lease(w, p);
	process_read(w, p);
	process_claim(w, p, NULL);
	process_claim(w, p, NULL); /* those that were found suppressed */
	process_begin(w, p);
	process_dot(w, p);
	process_reply(w, p);
	process_write(w, p);
}

static void
calm_step(struct world *w)
{
	keeper_walk(w);
	keeper_reap(w);
	for (size_t i = 0; i < PROCESSES; i++) {
		struct process *p = &w->process[i];

		p->is_paused = false;
		if (!p->is_up)
			process_start(w, p);
		work_off(w, p);
	}
	time_pass(w, (int64_t)world_below(w, 5) * MINUTE_MS);
}

/* Time goes by, and what is held gets no younger. */
static void
stay_on_hold(struct world *w)
{
	if (!rules_hold_any(w) || world_percent(w, 60))
		return;
	w->what = "on hold";
	time_pass(w, 45 * MINUTE_MS);
	for (size_t i = 0; i < 12; i++)
		calm_step(w);
	check_aged(w, 20 * MINUTE_MS);
	w->what = "coming to an end";
}

static void
one_round(struct world *w)
{
	unsigned int share[ARRAY_LEN(steps)];

	w->is_calm = false;
	w->mail_count = w->rule_count = 0;
	redis_forget();
	limits_begin_round(w);
	choose_habits(w, share);
	for (w->step = 0; w->step < STEPS; w->step++)
		one_step(w, share);
	w->is_calm = true;
	w->what = "coming to an end";
	limits_calm(w);
	stay_on_hold(w);
	rules_release_all(w);
	for (size_t i = 0; i < CALM_STEPS && !world_is_over(w); i++) {
		calm_step(w);
		rules_unpark(w);
		if (i > 2) /* everybody has read the list */
			check_released(w);
	}
	check_end(w);
	check_limits(w);
}

/* "<number> <name>, ..." in lines of their own: contrib/soak adds them up. */
static void
print_counts(const struct counts *c)
{
	static const char *const names[] = COUNT_NAMES;
	const unsigned int *count = &c->recipients;

	_Static_assert(sizeof(*c) == ARRAY_LEN(names) * sizeof(*count),
	    "a name for each count");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		print_message("%s%u %s", i % 7 == 0 ? "\ncounts: " : ", ",
		    count[i], names[i]);
	print_message("\n");
}

static void
add_counts(struct counts *sum, const struct counts *c)
{
	unsigned int *to = &sum->recipients;
	const unsigned int *from = &c->recipients;

	for (size_t i = 0; i < sizeof(*c) / sizeof(*from); i++)
		to[i] += from[i];
}

static void
run_seed(unsigned int seed, unsigned int rounds)
{
	struct world *w = &world;

	*w = (struct world){ .loop = servers.loop,
		.conninfo = servers.conninfo,
		.redis_url = servers.redis,
		.dir = servers.dir,
		.advance = clock_advance,
		.seed = seed,
		.dice = { seed } };
	servers_reset();
	world_open(w);
	for (w->round = 1; w->round <= rounds; w->round++)
		one_round(w);
	world_close(w);
	redis_forget();
	rules_forget();
}

static void
nothing_is_lost_and_nothing_is_sent_twice(void **state)
{
	unsigned int first = dice_setting("VERPOST_MODEL_SEED", 1);
	unsigned int seeds = dice_setting("VERPOST_MODEL_SEEDS", 3);
	unsigned int rounds = dice_setting("VERPOST_MODEL_ROUNDS", 2);
	struct counts sum = { 0 };

	(void)state;
	for (unsigned int i = 0; i < seeds; i++) {
		run_seed(first + i, rounds);
		add_counts(&sum, &world.counts);
	}
	print_counts(&sum);
}

/* The world is full of faults: nobody reads the log. */
static void
ignore(void *ctx, enum log_level level, struct slice line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static int
be_quiet(void **state)
{
	(void)state;
	log_set_sink(ignore, NULL);
	return 0;
}

MODEL_MAIN(false,
    cmocka_unit_test_setup_teardown(nothing_is_lost_and_nothing_is_sent_twice,
	be_quiet, test_log_teardown_))

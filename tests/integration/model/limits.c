/*
 * Daily limits, and whose source is whose: the product's blocks
 * (delivery/quota.c, store/quota.c), remainders in the slot file and owners.
 * What is counted here is each MAIL FROM that left, on the day that it left.
 */
#include "tests/integration/model/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "delivery/quota.h"
#include "store/quota.h"
#include "store/sources.h"
#include "store/workers.h"

#define DAY_MS ((int64_t)86400000)
#define LAST_MOMENT_MS (15 * 1000) /* so long does nobody miss a heartbeat */
#define DAY_LEFT_MS (90 * MINUTE_MS)
#define PROVIDER 0 /* in the shapings */

/* Of a source, and what others sent from it before: most of it. */
static const struct {
	int cap, taken, of_provider;
} begin[SOURCES] = { { 20, 0, 1992 }, { 1000, 970, 1985 }, { 3000, 2960, 1988 },
	{ 0, 0, 1990 } };

/* Of the provider, on all sources; the last one is that of a calm world. */
static const int provider_caps[SHAPINGS] = { 2000, 1992, 2015, 5000 };

static struct world *the_world;

/* Blocks. ----------------------------------------------------------------- */

/* A question that the product asks, and may get no answer to. */
struct question {
	store_quota_got *done;
	void *ctx;
	int worker, source, cap, want;
	bool is_lost;
};
static struct question questions[256];
static size_t question_count;

/* Who got a block, or sent: to be checked when the step is over. */
struct use {
	int worker, source;
};
static struct use uses[64];
static size_t use_count;

static void
note_use(int worker, int source)
{
	const struct use *last = &uses[use_count - (use_count > 0)];

	if (use_count > 0 && last->worker == worker && last->source == source)
		return;
	assert_true(use_count < ARRAY_LEN(uses));
	uses[use_count++] = (struct use){ worker, source };
}

static const struct source *
owned(const struct mta *m, int number)
{
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].number == number)
			return &m->sources[i];
	return NULL;
}

/* As the process has read it with its last beat. */
static void
check_cap(const struct world *w, const struct question *q,
    struct slice provider)
{
	for (size_t i = 0; i < PROCESSES; i++) {
		const struct mta *m = w->process[i].mta;
		const struct source *s;
		int cap;

		if (m == NULL || m->worker != q->worker)
			continue;
		s = owned(m, q->source);
		cap = s == NULL ? 0
		    : provider.len == 0
		    ? s->daily
		    : (int)shaping_limits_of(m->opt.shaping, PROVIDER, NULL, 0)
			  .provider_daily;
		if (cap != q->cap)
			world_violates(w, "5 the limit is today's",
			    "a block of %d was asked for, but it is %d", q->cap,
			    cap);
	}
}

/* It takes long: when it goes on, the day is over. */
static void
dawdle(struct world *w)
{
	int64_t left_ms = DAY_MS - world_now() % DAY_MS;

	if (w->is_midnight && left_ms < LAST_MOMENT_MS)
		w->advance(left_ms + 1);
}

static void
on_answer(void *ctx, const struct store_quota *got, const struct error *err)
{
	const struct question *q = ctx;
	struct error lost = { 0 };

	if (got != NULL && got->granted > 0) {
		if (got->taken > q->cap || got->granted > q->want)
			world_violates(the_world, "5 no block beyond the limit",
			    "%d of %d, %d are taken of %d", got->granted,
			    q->want, got->taken, q->cap);
		note_use(q->worker, q->source);
		the_world->counts.blocks++;
	}
	if (!q->is_lost) {
		q->done(q->ctx, got, err);
		return;
	}
	the_world->counts.answers_lost++;
	error_set(&lost, ERR_NET, "the connection is gone");
	q->done(q->ctx, NULL, &lost);
}

/* The linker puts these in the place of what the product calls. */
struct pg_tx *__real_store_quota_take(struct pg *pg, int worker, int source,
    struct slice provider, int cap, int want, store_quota_got *done, void *ctx);
struct pg_tx *__wrap_store_quota_take(struct pg *pg, int worker, int source,
    struct slice provider, int cap, int want, store_quota_got *done, void *ctx);

struct pg_tx *
__wrap_store_quota_take(struct pg *pg, int worker, int source,
    struct slice provider, int cap, int want, store_quota_got *done, void *ctx)
{
	struct question *q =
	    &questions[question_count++ % ARRAY_LEN(questions)];
	bool is_never_asked = world_fault(the_world, 5);

	*q = (struct question){ done, ctx, worker, source, cap, want,
		is_never_asked || world_fault(the_world, 5) };
	check_cap(the_world, q, provider);
	dawdle(the_world);
	return __real_store_quota_take(pg, worker, source, provider, cap,
	    is_never_asked ? 0 : want, on_answer, q);
}

static void
check_uses(struct world *w)
{
	static const struct pg_stmt owner = { "model_owner",
		"SELECT coalesce(owner, 0)::int8 FROM sources "
		"WHERE number = $1::int8" };

	while (use_count > 0) {
		const struct use *u = &uses[--use_count];
		int64_t has = world_number(w, &owner, u->source);

		if (has != u->worker)
			world_violates(w, "5 a source is its owner's",
			    "%d got a block of it, or sent, but %lld owns it",
			    u->worker, (long long)has);
	}
}

/* What is taken, and what was sent. --------------------------------------- */

static size_t
day_of(const struct world *w, int64_t now_ms)
{
	return MIN((size_t)(now_ms / DAY_MS - w->first_day), DAYS - 1);
}

static size_t
index_of(const struct world *w, int number)
{
	for (size_t i = 0; i < SOURCES; i++)
		if (w->source[i].number == number)
			return i;
	fail_msg("no source %d", number);
	return 0;
}

struct taking {
	struct call call;
	struct world *w;
	unsigned int taken[SOURCES][DAYS][2];
};

static void
on_taken(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	struct taking *t = ctx;
	size_t n = err == NULL ? pg_rows(reply, 0) : 0;

	call_done(&t->call, err);
	for (size_t i = 0; i < n; i++) {
		struct pg_row row = pg_row(reply, 0, i);
		size_t source = index_of(t->w, pg_get_int4(row, 0)),
		       day = (size_t)(pg_get_int4(row, 1) - t->w->first_day);

		if (day < DAYS)
			t->taken[source][day][pg_get_text(row, 2).len > 0] =
			    (unsigned int)pg_get_int4(row, 3);
	}
}

static void
read_taken(struct world *w, const struct pg_stmt *stmt, struct taking *t)
{
	struct pg_tx *tx = pg_tx_new(w->pg);

	*t = (struct taking){ .w = w };
	pg_tx_stmt(tx, stmt);
	pg_tx_send(tx, on_taken, t);
	call_wait(w, &t->call);
}

void
check_limits(struct world *w)
{
	static const struct pg_stmt all = { "model_quota",
		"SELECT source, day, provider, taken FROM source_quota" };
	struct taking t;

	check_uses(w);
	read_taken(w, &all, &t);
	for (size_t i = 0; i < SOURCES * DAYS * 2; i++) {
		unsigned int sent = (&w->sent[0][0][0])[i],
			     taken = (&t.taken[0][0][0])[i];

		if (sent > taken)
			world_violates(w, "5 sent is taken",
			    "source %zu, day %zu, %s: %u of %u", i / 2 / DAYS,
			    i / 2 % DAYS, i % 2 ? "the provider" : "all", sent,
			    taken);
	}
}

/* Sources. ---------------------------------------------------------------- */

static void
add_source(struct world *w, size_t i)
{
	static const struct pg_stmt newest = { "model_source",
		"SELECT max(number)::int8 FROM sources WHERE $1::int8 >= 0" };
	struct call call = { 0 };
	char address[32], helo[32];
	struct store_source s = { .id = id_new(world_now()),
		.pool_name = SLICE("default"),
		.weight = 1,
		.created_at_ms = world_now() };

	snprintf(address, sizeof(address), "192.0.2.%zu", i + 1);
	snprintf(helo, sizeof(helo), "s%zu.example.org", i + 1);
	s.address = slice_of(address);
	s.helo = slice_of(helo);
	store_source_add(w->pg, &s, call_done, &call);
	call_wait(w, &call);
	w->source[i].number = (int)world_number(w, &newest, 0);
	w->source[i].process = i % PROCESSES;
}

static void
set_cap(struct world *w, size_t i, int cap)
{
	struct call call = { 0 };
	struct store_source_change change = { .daily_limit = cap };
	char address[32];

	snprintf(address, sizeof(address), "192.0.2.%zu", i + 1);
	store_source_set(w->pg, slice_of(address), &change, call_done, &call);
	call_wait(w, &call);
}

void
limits_open(struct world *w)
{
	the_world = w;
	question_count = use_count = 0;
	w->first_day = world_now() / DAY_MS;
	for (size_t i = 0; i < SHAPINGS; i++) {
		char text[120];

		snprintf(text, sizeof(text),
		    "[provider google]\ndomains = google.example\n"
		    "provider_daily = %d\n",
		    provider_caps[i]);
		assert_int_equal(shaping_parse(slice_of(text), "shaping", NULL,
				     NULL, &w->shapings[i], NULL),
		    0);
	}
	w->shaping = w->shapings[0];
	for (size_t i = 0; i < SOURCES; i++)
		add_source(w, i);
}

void
limits_close(struct world *w)
{
	for (size_t i = 0; i < SHAPINGS; i++)
		shaping_free(&w->shapings[i]);
}

/* The operator moves a source, and changes a limit: both take effect with the
 * next beat of whom it is about. */
void
source_move(struct world *w)
{
	w->source[world_below(w, SOURCES)].process = world_below(w, PROCESSES);
}

void
source_limit(struct world *w)
{
	static const int by[] = { -15, -5, 0, 0, 5, 12, 400 };
	size_t i = world_below(w, SOURCES);

	w->counts.limits++;
	if (begin[i].cap == 0)
		w->shaping = w->shapings[world_below(w, SHAPINGS - 1)];
	else
		set_cap(w, i, begin[i].cap + by[world_below(w, ARRAY_LEN(by))]);
}

/* Most of the day's limits is used up, and the day ends soon. */
void
limits_begin_round(struct world *w)
{
	static const struct pg_stmt used = { "model_used",
		"INSERT INTO source_quota (source, day, provider, cap, taken) "
		"SELECT s, d, p, 1, CASE p WHEN '' THEN o ELSE g END "
		"FROM unnest($1::int4[], $2::int4[], $3::int4[]) x(s, o, g), "
		"generate_series($4::int4, $4::int4 + 2) d, "
		"unnest(ARRAY['', 'google']) p ON CONFLICT DO NOTHING "
		"RETURNING source, day, provider, taken" };
	int64_t left_ms = DAY_MS - world_now() % DAY_MS;
	struct taking t = { .w = w };
	struct pg_tx *tx;

	if (left_ms > DAY_LEFT_MS)
		time_pass(w, left_ms - (int64_t)world_below(w, DAY_LEFT_MS));
	w->shaping = w->shapings[0];
	tx = pg_tx_new(w->pg);
	pg_tx_stmt(tx, &used);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < SOURCES; i++)
		pg_tx_int4(tx, w->source[i].number);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < SOURCES; i++)
		pg_tx_int4(tx, begin[i].taken);
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_INT4);
	for (size_t i = 0; i < SOURCES; i++)
		pg_tx_int4(tx, begin[i].of_provider);
	pg_tx_array_end(tx);
	pg_tx_int4(tx, (int)(world_now() / DAY_MS));
	pg_tx_send(tx, on_taken, &t);
	call_wait(w, &t.call);
	for (size_t i = 0; i < SOURCES * DAYS * 2; i++)
		(&w->sent[0][0][0])[i] += (&t.taken[0][0][0])[i];
	for (size_t i = 0; i < SOURCES; i++)
		set_cap(w, i, begin[i].cap);
}

void
process_at_midnight(struct world *w, struct process *p)
{
	int64_t left_ms = DAY_MS - world_now() % DAY_MS;

	if (left_ms > 2 * DAY_LEFT_MS || p->mta->source_count == 0)
		return;
	if (left_ms > LAST_MOMENT_MS)
		time_pass(w, left_ms - LAST_MOMENT_MS / 2);
	for (size_t i = 0; i < 4; i++)
		accept_some(w);
	for (size_t i = 0; i < LANES * 4 && p->mta != NULL; i++)
		process_lease(w, p);
	w->is_midnight = true;
	for (size_t i = 0; i < 4 && p->mta != NULL; i++) {
		process_read(w, p);
		process_claim(w, p, NULL);
		process_begin(w, p);
	}
	w->is_midnight = false;
	if (p->mta == NULL)
		return;
	/* What it has too much of would else be hidden by what others lose. */
	quotas_return(p->mta);
	world_settle(w, p->pg);
	check_limits(w);
}

/* Enough for all. */
void
limits_calm(struct world *w)
{
	w->shaping = w->shapings[SHAPINGS - 1];
	for (size_t i = 0; i < SOURCES; i++) {
		w->source[i].process = i % PROCESSES;
		set_cap(w, i, begin[i].cap > 0 ? 5000 : 0);
	}
}

/* What a process owns. ---------------------------------------------------- */

struct owning {
	struct call call;
	size_t count;
	struct source *source;
};

static void
on_owned(void *ctx, const struct store_source *row, size_t count,
    const struct error *err)
{
	struct owning *o = ctx;

	call_done(&o->call, err);
	o->source = xcalloc(count + 1, sizeof(*o->source));
	o->count = count;
	for (size_t i = 0; i < count; i++) {
		o->source[i].number = row[i].number;
		o->source[i].weight = 1;
		o->source[i].daily = row[i].daily_limit;
	}
}

static bool
is_busy(const struct process *p, int source)
{
	for (size_t i = 0; i < HAND; i++)
		if (p->hand[i].phase != FREE && p->hand[i].source == source &&
		    p->hand[i].has_begun)
			return true;
	return false;
}

/* As delivery/owner.c does it. */
void
limits_beat(struct world *w, struct process *p)
{
	struct mta *m = p->mta;
	struct owning o = { .count = 0 };
	struct call disown = { 0 };
	int want[SOURCES], keep[SOURCES];
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < SOURCES; i++) {
		bool is_mine = w->source[i].process == (size_t)(p - w->process);

		if (is_mine)
			want[n++] = w->source[i].number;
		if (is_mine || is_busy(p, w->source[i].number))
			keep[kept++] = w->source[i].number;
	}
	store_source_own(p->pg, p->worker, want, n, on_owned, &o);
	call_wait(w, &o.call);
	free(m->sources);
	m->sources = o.source;
	m->source_count = o.count;
	m->opt.shaping = w->shaping;
	quotas_update(m);
	store_source_disown(p->pg, p->worker, keep, kept, call_done, &disown);
	call_wait(w, &disown);
}

/* Nothing is in hand: all that is left goes back. */
void
limits_stop(struct world *w, struct process *p)
{
	struct call disown = { 0 }, dead = { 0 };

	quotas_return(p->mta);
	store_source_disown(p->pg, p->worker, NULL, 0, call_done, &disown);
	call_wait(w, &disown);
	store_worker_set_dead(p->pg, p->worker, call_done, &dead);
	call_wait(w, &dead);
}

void
limits_tick(struct world *w, struct process *p)
{
	quotas_tick(p->mta);
	world_settle(w, p->pg);
	check_uses(w);
}

bool
limits_pick(struct world *w, struct process *p, struct entry *e)
{
	const struct mta *m = p->mta;

	if (m->source_count > 0 && e->source == 0)
		e->source = m->sources[world_below(w, m->source_count)].number;
	return e->source != 0;
}

/* Sending. ---------------------------------------------------------------- */

static struct route routes[] = { { .provider = PROVIDER }, { .provider = -1 } };

/* NULL: its source is another's now. */
static struct dest *
dest_of(struct world *w, struct process *p, const struct entry *e)
{
	const struct source *s = owned(p->mta, e->source);
	size_t hash = e->mail->lane > 0;
	struct dest **d = &p->dest[index_of(w, e->source)][hash];

	if (s == NULL)
		return NULL;
	if (*d == NULL) {
		*d = xmalloc(sizeof(**d));
		(*d)->mta = p->mta;
		(*d)->source = *s;
		(*d)->route = &routes[hash];
		quotas_join(*d);
	}
	return *d;
}

void
limits_free(struct process *p)
{
	for (size_t i = 0; i < SOURCES * 2; i++) {
		struct dest **d = &p->dest[i / 2][i % 2];

		free(*d);
		*d = NULL;
	}
	quotas_fini(p->mta);
	free(p->mta->sources);
}

/* As all limits are since the process has read them: known to it, or none. */
static void
count_sent(struct world *w, const struct entry *e, int64_t now_ms)
{
	size_t i = index_of(w, e->source), day = day_of(w, now_ms);

	w->counts.begun++;
	w->sent[i][day][0] += begin[i].cap > 0;
	w->sent[i][day][1] += e->mail->lane == 0;
}

enum limits_say
limits_begin(struct world *w, struct process *p, struct entry *e,
    int64_t *wait_ms)
{
	struct dest *d = dest_of(w, p, e);
	struct job j = { .mta = p->mta, .dest = d, .quota_day = e->quota_day };
	int64_t now_ms = world_now();

	*wait_ms = 0;
	if (d == NULL)
		return LIMITS_OTHER;
	if (e->has_spent) { /* it never left */
		e->has_spent = false;
		quotas_give_back(&j);
		return LIMITS_WAIT;
	}
	if (quotas_left(d) == 0) {
		*wait_ms = MIN(quotas_used_up_ms(d), 60 * MINUTE_MS);
		return *wait_ms > 0 ? LIMITS_OTHER : LIMITS_WAIT;
	}
	quotas_spend(&j);
	e->quota_day = j.quota_day;
	e->has_spent = world_fault(w, w->is_midnight ? 40 : 6);
	if (e->has_spent) {
		dawdle(w);
		return LIMITS_WAIT;
	}
	count_sent(w, e, now_ms);
	note_use(p->worker, e->source);
	return LIMITS_GO;
}

void
limits_look(struct world *w, struct process *p, const struct entry *e)
{
	struct dest *d = dest_of(w, p, e);

	if (d != NULL)
		(void)quotas_left(d);
}

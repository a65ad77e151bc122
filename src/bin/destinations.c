/* verpost queue --by site|source: what the mta processes tell of themselves. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "bin/backlog.h"
#include "bin/daylimits.h"
#include "bin/poolwhy.h"
#include "bin/session.h"
#include "bin/table.h"
#include "net/loop.h"
#include "queue/published.h"
#include "queue/queue.h"
#include "store/sources.h"
#include "store/workers.h"

/* One tells every two seconds, if it has known for so long that we ask. */
#define TOLD_MS (PUBLISH_EVERY_MS + 1500)
#define WORKERS_MAX 256
#define GROUPS_MAX 4096

/* What all processes have for a site, or from a source. */
struct group {
	struct slice name;
	int64_t waiting, claimed, connections, rate;
	bool has_rate;		  /* one has seen it */
	int64_t ceiling_per_hour; /* of those that have one */
	bool is_open;		  /* one has none */
	/* All that it consists of rests; until when the first does, which. */
	bool is_awake;
	int64_t resting_until_ms;
	struct slice resting;
	struct slice failure;
	struct slice why; /* of a source; len 0: none */
	bool is_ours;	  /* a source that the database has */
};

struct telling {
	struct session s;
	struct arena arena;
	struct queue *queue;
	bool by_site;
	bool has_answered; /* Redis has */
	int64_t now_ms;
	size_t worker_count;
	struct {
		int id;
		bool has_told;
	} worker[WORKERS_MAX];
	size_t open, asked; /* answers still to come; whose is the next */
	size_t group_count;
	struct group *group;
	size_t rule_count;
	struct store_rule *rule;
	struct daylimits days;
};

static struct group *
group_for(struct telling *t, struct slice name)
{
	for (size_t i = 0; i < t->group_count; i++)
		if (slice_eq(t->group[i].name, name))
			return &t->group[i];
	if (t->group_count == GROUPS_MAX)
		return NULL;
	t->group[t->group_count].name = arena_slice(&t->arena, name);
	return &t->group[t->group_count++];
}

static int64_t
number(const struct json *object, const char *name)
{
	const struct json *v = json_get(object, name);
	int64_t n = 0;

	if (v != NULL && json_to_i64(v, &n))
		return n;
	return 0;
}

/* A source rests, or a site, when all that was told of it does. */
static void
add_rest(struct telling *t, struct group *g, const struct json *d)
{
	int64_t until_ms = number(d, "resting_until");

	if (until_ms <= t->now_ms) {
		g->is_awake = true;
	} else if (g->resting_until_ms == 0 || until_ms < g->resting_until_ms) {
		g->resting_until_ms = until_ms;
		g->resting = arena_slice(&t->arena, json_get_text(d, "site"));
	}
}

static void
take_destination(struct telling *t, const struct json *d)
{
	struct group *g =
	    group_for(t, json_get_text(d, t->by_site ? "site" : "source"));
	struct slice failure = json_get_text(d, "last_failure");

	if (g == NULL)
		return;
	g->waiting += number(d, "waiting");
	g->claimed += number(d, "claimed");
	g->connections += number(d, "connections");
	g->rate += number(d, "rate");
	g->has_rate |= json_get(d, "rate") != NULL;
	g->ceiling_per_hour += number(d, "ceiling_per_hour");
	if (number(d, "ceiling_per_hour") == 0)
		g->is_open = true;
	add_rest(t, g, d);
	if (failure.len > 0)
		g->failure = arena_slice(&t->arena, failure);
}

/* What is no such object is as good as nothing told. */
static void
take_told(struct telling *t, struct slice text)
{
	char *copy = arena_dup(&t->arena, text);
	const struct json *told, *list;
	struct error err;

	if (json_parse(&t->arena, copy, text.len, &told, &err) != 0 ||
	    told->type != JSON_OBJECT)
		return;
	list = json_get(told, "destinations");
	if (list == NULL || list->type != JSON_ARRAY)
		return;
	json_each(d, list) if (d->type == JSON_OBJECT) take_destination(t, d);
}

/* Answers come in the order of the questions. */
static void
on_told(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct telling *t = ctx;
	size_t i = t->asked++;

	while (i < t->worker_count && t->worker[i].has_told)
		i = t->asked++;
	if (err == NULL && i < t->worker_count &&
	    redis_reply_text(reply).len > 0) {
		t->worker[i].has_told = true;
		take_told(t, redis_reply_text(reply));
	}
	if (--t->open == 0)
		session_end(&t->s, NULL);
}

/* Whether somebody has still not told. */
static bool
ask_round(struct telling *t)
{
	t->open = t->asked = 0;
	for (size_t i = 0; i < t->worker_count; i++)
		t->open += !t->worker[i].has_told;
	if (t->open == 0)
		return false;
	for (size_t i = 0; i < t->worker_count; i++)
		if (!t->worker[i].has_told)
			published_read(t->queue, t->worker[i].id, on_told, t);
	session_wait(&t->s, "asking Redis for what the mta processes do");
	return true;
}

static void
gather(struct telling *t)
{
	int64_t end_ms = clock_mono_ms() + TOLD_MS;
	size_t silent = 0;

	published_ask(t->queue);
	while (ask_round(t) && clock_mono_ms() < end_ms)
		loop_turn(t->s.loop, 200);
	for (size_t i = 0; i < t->worker_count; i++)
		silent += !t->worker[i].has_told;
	if (t->worker_count == 0)
		fprintf(stderr, "No mta process is running.\n");
	else if (silent > 0)
		fprintf(stderr, "%zu of %zu mta processes told nothing.\n",
		    silent, t->worker_count);
}

/* ---- What the database knows --------------------------------------------- */

static void
got_workers(void *ctx, const struct store_worker *w, size_t count,
    const struct error *err)
{
	struct telling *t = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		if (slice_eq_text(w[i].role, "mta") &&
		    t->worker_count < WORKERS_MAX)
			t->worker[t->worker_count++].id = w[i].id;
	session_end(&t->s, err);
}

static void
got_rules(void *ctx, const struct store_rule *rule, size_t count,
    int generation, const struct error *err)
{
	struct telling *t = ctx;

	(void)generation;
	t->rule = store_rules_copy(&t->arena, rule, count);
	t->rule_count = count;
	session_end(&t->s, err);
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct telling *t = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		struct group *g = group_for(t, source[i].address);

		if (g == NULL)
			continue;
		g->is_ours = true;
		g->why = poolwhy_source(&t->arena, &source[i], t->rule,
		    t->rule_count);
	}
	session_end(&t->s, err);
}

static void
read_database(struct telling *t)
{
	store_worker_list(t->s.pg, got_workers, t);
	session_wait(&t->s, "listing processes");
	if (t->by_site)
		return;
	store_rule_list(t->s.pg, t->now_ms, got_rules, t);
	session_wait(&t->s, "listing the rules");
	store_source_list(t->s.pg, slice_of(NULL), got_sources, t);
	session_wait(&t->s, "listing sources");
	daylimits_read(&t->days, &t->s);
}

/* ---- Printing ------------------------------------------------------------ */

static int
busier(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	int64_t i = x->waiting + x->claimed, j = y->waiting + y->claimed;

	if (i != j)
		return i < j ? 1 : -1;
	return slice_cmp(x->name, y->name);
}

static void
add_ceiling(struct table *table, const struct group *g)
{
	char text[32];

	if (g->is_open || g->ceiling_per_hour == 0) {
		table_add_none(table);
		return;
	}
	snprintf(text, sizeof(text), "%lld/h", (long long)g->ceiling_per_hour);
	table_add_measure(table, text, g->ceiling_per_hour);
}

static void
add_day(struct table *table, const struct telling *t, const struct group *g)
{
	const struct daylimit *day = daylimits_of_source(&t->days, g->name);

	if (day == NULL) {
		table_add_none(table);
		table_add_none(table);
		return;
	}
	table_add_int(table, day->used);
	table_add_int(table, day->limit);
}

static void
add_rate(struct table *table, const struct group *g)
{
	char text[32];

	if (!g->has_rate) {
		table_add_none(table);
		return;
	}
	snprintf(text, sizeof(text), "%lld/s", (long long)g->rate);
	table_add_measure(table, text, g->rate);
}

/* While it has something under way its day's end is not what it waits for. */
static void
add_why(struct table *table, const struct telling *t, const struct group *g)
{
	const struct daylimit *day = daylimits_of_source(&t->days, g->name);
	struct strbuf why = STRBUF_INIT;
	char when[CLOCK_ISO_LEN];

	if (!t->by_site && !g->is_ours)
		strbuf_add_text(&why, "removed: what is under way ends");
	else if (g->why.len > 0)
		strbuf_add_slice(&why, g->why);
	else if (day != NULL && g->claimed == 0)
		daylimit_add_why(&why, day, t->now_ms);
	if (strbuf_slice(&why).len == 0 && !g->is_awake &&
	    g->resting_until_ms > 0) {
		clock_format_iso(g->resting_until_ms, when);
		if (!t->by_site)
			strbuf_add_fmt(&why, "%.*s ", SLICE_FMT(g->resting));
		strbuf_add_fmt(&why, "rests until %s", when);
	}
	table_add_some(table, strbuf_slice(&why));
	strbuf_fini(&why);
}

/* A process remembers a source that was removed for a while. */
static bool
is_shown(const struct telling *t, const struct group *g)
{
	return t->by_site || g->is_ours || g->waiting + g->claimed > 0;
}

/* What nobody could be asked for is not 0. */
static void
add_count(struct table *table, const struct telling *t, int64_t n)
{
	if (t->has_answered)
		table_add_int(table, n);
	else
		table_add_none(table);
}

static void
add_group(struct table *table, const struct telling *t, const struct group *g)
{
	table_add(table, g->name.len > 0 ? g->name : SLICE("?"));
	add_count(table, t, g->waiting);
	add_count(table, t, g->claimed);
	add_count(table, t, g->connections);
	add_rate(table, g);
	add_ceiling(table, g);
	if (!t->by_site)
		add_day(table, t, g);
	add_why(table, t, g);
	table_add_some(table, g->failure);
}

int
destinations_list(const struct args *a, bool by_site, size_t limit)
{
	static const char *const site_columns[] = { "site", "waiting",
		"sending", "connections", "rate", "ceiling", "delayed_because",
		"last_failure", NULL };
	static const char *const source_columns[] = { "source", "waiting",
		"sending", "connections", "rate", "ceiling", "used_today",
		"daily_limit", "delayed_because", "last_failure", NULL };
	struct telling *t = xmalloc(sizeof(*t));
	struct table *table =
	    table_new(by_site ? site_columns : source_columns);

	table_json_name(table, "rate", "rate_per_s");
	table_json_name(table, "ceiling", "ceiling_per_hour");
	t->by_site = by_site;
	t->now_ms = clock_now_ms();
	t->group = xcalloc(GROUPS_MAX, sizeof(*t->group));
	session_open(&t->s, a, 0);
	read_database(t);
	t->queue = backlog_queue_open(&t->s);
	t->has_answered = t->queue != NULL;
	if (t->has_answered)
		gather(t);
	else if (by_site)
		die("only Redis knows what is under way to a site");
	qsort(t->group, t->group_count, sizeof(*t->group), busier);
	for (size_t i = 0; i < t->group_count && table_rows(table) < limit; i++)
		if (is_shown(t, &t->group[i]))
			add_group(table, t, &t->group[i]);
	table_print(table, a->json, "No mta process has anything in hand.");
	table_free(&table);
	queue_free(&t->queue);
	session_close(&t->s);
	daylimits_fini(&t->days);
	arena_fini(&t->arena);
	free(t->group);
	free(t);
	return 0;
}

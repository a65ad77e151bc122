/*
 * A lane says why a process asks for nothing of it; where no process could,
 * nobody says anything. The rows of the sources do.
 */
#include "bin/poolwhy.h"

#include <stdio.h>

#include "base/clock.h"
#include "bin/session.h"

#define NAMED_MOST 3 /* sources that a text names */

struct slice
poolwhy_source(struct arena *arena, const struct store_source *source,
    const struct store_rule *rule, size_t rule_count)
{
	if (!source->enabled)
		return SLICE("disabled");
	for (size_t i = 0; i < rule_count; i++) {
		if (rule[i].kind != RULE_HOLD || rule[i].scope != RULE_SOURCE ||
		    !slice_eq(rule[i].value, source->address))
			continue;
		if (rule[i].reason.len == 0)
			return SLICE("on hold");
		return slice_of(arena_fmt(arena, "on hold (%.*s)",
		    SLICE_FMT(rule[i].reason)));
	}
	return source->owner == 0 ? SLICE("no mta process has it") : SLICE("");
}

/* ---- Reading ------------------------------------------------------------- */

static void
got_rules(void *ctx, const struct store_rule *rule, size_t count,
    int generation, const struct error *err)
{
	struct poolwhy *w = ctx;

	(void)generation;
	w->rule = store_rules_copy(&w->arena, rule, count);
	w->rule_count = count;
	session_end(w->s, err);
}

static void
got_pools(void *ctx, const struct store_pool *pool, size_t count,
    const struct error *err)
{
	struct poolwhy *w = ctx;

	w->pool = arena_calloc(&w->arena, count + 1, sizeof(*w->pool));
	for (size_t i = 0; err == NULL && i < count; i++) {
		strbuf_init(&w->pool[i].idle, 0);
		w->pool[i].number = pool[i].number;
		w->pool[i].name = arena_slice(&w->arena, pool[i].name);
		w->pool[i].owners = arena_slice(&w->arena, pool[i].owners);
	}
	w->pool_count = count;
	session_end(w->s, err);
}

static struct poolwhy_pool *
find(struct poolwhy *w, int number)
{
	for (size_t i = 0; i < w->pool_count; i++)
		if (w->pool[i].number == number)
			return &w->pool[i];
	return NULL;
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct poolwhy *w = ctx;

	for (size_t i = 0; err == NULL && i < count; i++) {
		struct poolwhy_pool *p = find(w, source[i].pool);
		struct slice why = poolwhy_source(&w->arena, &source[i],
		    w->rule, w->rule_count);

		if (p == NULL)
			continue;
		p->is_open = p->is_open || why.len == 0;
		if (++p->count <= NAMED_MOST)
			strbuf_add_fmt(&p->idle, "%s %.*s: %.*s",
			    p->count == 1 ? ";" : ",",
			    SLICE_FMT(source[i].address), SLICE_FMT(why));
	}
	session_end(w->s, err);
}

void
poolwhy_read(struct poolwhy *w, struct session *s)
{
	w->s = s;
	store_rule_list(s->pg, clock_now_ms(), got_rules, w);
	session_wait(s, "listing the rules");
	store_pool_list(s->pg, got_pools, w);
	session_wait(s, "listing pools");
	store_source_list(s->pg, slice_of(NULL), got_sources, w);
	session_wait(s, "listing sources");
}

void
poolwhy_fini(struct poolwhy *w)
{
	for (size_t i = 0; i < w->pool_count; i++)
		strbuf_fini(&w->pool[i].idle);
	arena_fini(&w->arena);
}

struct slice
poolwhy_of(struct poolwhy *w, int pool)
{
	const struct poolwhy_pool *p = find(w, pool);

	if (p == NULL || p->is_open)
		return SLICE("");
	if (p->count == 0)
		return slice_of(arena_fmt(&w->arena, "pool %.*s has no source",
		    SLICE_FMT(p->name)));
	return slice_of(arena_fmt(&w->arena, "no source of pool %.*s sends%s%s",
	    SLICE_FMT(p->name), strbuf_text(&p->idle),
	    p->count > NAMED_MOST ? ", ..." : ""));
}

struct slice
poolwhy_owners(struct poolwhy *w, int pool)
{
	const struct poolwhy_pool *p = find(w, pool);

	return p != NULL ? p->owners : SLICE("");
}

void
poolwhy_warn_emptied(struct poolwhy *before)
{
	struct poolwhy now = { 0 };

	poolwhy_read(&now, before->s);
	for (size_t i = 0; i < before->pool_count; i++) {
		const struct poolwhy_pool *was = &before->pool[i];
		const struct poolwhy_pool *is = find(&now, was->number);

		if (was->count > 0 && (is == NULL || is->count == 0))
			fprintf(stderr,
			    "warning: pool %.*s has no source any more: its "
			    "mail waits until it has one\n",
			    SLICE_FMT(was->name));
	}
	poolwhy_fini(&now);
}

#include "bin/daylimits.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bin/session.h"
#include "bin/table.h"
#include "queue/shaping.h"
#include "store/quota.h"
#include "store/sources.h"

/* Sources first, then what is used of their limits. */
struct reading {
	struct daylimits *d;
	struct session *s;
	const struct shaping *shaping;
	int *number; /* of the source of each limit */
};

static void
add(struct reading *r, const struct store_source *s, const char *provider,
    int64_t limit)
{
	struct daylimits *d = r->d;

	if (limit == 0)
		return;
	r->number[d->count] = s->number;
	d->limit[d->count++] = (struct daylimit){
		.source = arena_slice(&d->arena, s->address),
		.provider = slice_of(provider),
		.limit = limit,
	};
}

static void
add_source(struct reading *r, const struct store_source *s)
{
	add(r, s, "", s->daily_limit);
	for (size_t i = 0; i < shaping_provider_count(r->shaping); i++)
		add(r, s, shaping_provider_name(r->shaping, i),
		    (int64_t)shaping_limits_of(r->shaping, (int)i, NULL, 0)
			.provider_daily);
}

static void
got_sources(void *ctx, const struct store_source *source, size_t count,
    const struct error *err)
{
	struct reading *r = ctx;
	size_t most = count * (1 + shaping_provider_count(r->shaping));

	r->d->limit =
	    arena_calloc(&r->d->arena, most + 1, sizeof(*r->d->limit));
	r->number = arena_calloc(&r->d->arena, most + 1, sizeof(*r->number));
	for (size_t i = 0; err == NULL && i < count; i++)
		add_source(r, &source[i]);
	session_end(r->s, err);
}

static void
got_uses(void *ctx, const struct store_quota_use *use, size_t count,
    const struct error *err)
{
	struct reading *r = ctx;

	for (size_t i = 0; err == NULL && i < count; i++)
		for (size_t n = 0; n < r->d->count; n++)
			if (r->number[n] == use[i].source &&
			    slice_eq(r->d->limit[n].provider, use[i].provider))
				r->d->limit[n].used = use[i].taken;
	session_end(r->s, err);
}

void
daylimits_read(struct daylimits *d, struct session *s)
{
	struct reading r = { .d = d, .s = s, .shaping = session_shaping(s) };

	store_source_list(s->pg, slice_of(NULL), got_sources, &r);
	session_wait(s, "listing sources");
	store_quota_list(s->pg, got_uses, &r);
	session_wait(s, "reading what is used of the daily limits");
}

void
daylimits_fini(struct daylimits *d)
{
	arena_fini(&d->arena);
}

const struct daylimit *
daylimits_of_source(const struct daylimits *d, struct slice address)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->limit[i].provider.len == 0 &&
		    slice_eq(d->limit[i].source, address))
			return &d->limit[i];
	return NULL;
}

void
daylimit_add_why(struct strbuf *out, const struct daylimit *d, int64_t now_ms)
{
	char when[CLOCK_ISO_LEN];

	if (d->used < d->limit)
		return;
	clock_format_iso((now_ms / CLOCK_DAY_MS + 1) * CLOCK_DAY_MS, when);
	strbuf_add_fmt(out, "daily limit until %s", when);
}

/* ---- verpost queue --by limit -------------------------------------------- */

static int
fuller(const void *a, const void *b)
{
	const struct daylimit *x = a, *y = b;
	int64_t i = x->used * y->limit, j = y->used * x->limit;

	if (i != j)
		return i < j ? 1 : -1;
	if (!slice_eq(x->source, y->source))
		return slice_cmp(x->source, y->source);
	return slice_cmp(x->provider, y->provider);
}

int
daylimits_list(const struct args *a, size_t limit)
{
	static const char *const columns[] = { "source", "provider",
		"used_today", "daily_limit", NULL };
	struct session s;
	struct daylimits d = { 0 };
	struct table *table = table_new(columns);

	session_open(&s, a, 0);
	daylimits_read(&d, &s);
	qsort(d.limit, d.count, sizeof(*d.limit), fuller);
	for (size_t i = 0; i < MIN(d.count, limit); i++) {
		table_add(table, d.limit[i].source);
		table_add_some(table, d.limit[i].provider);
		table_add_int(table, d.limit[i].used);
		table_add_int(table, d.limit[i].limit);
	}
	table_print(table, a->json, "There are no daily limits.");
	table_free(&table);
	session_close(&s);
	daylimits_fini(&d);
	return 0;
}

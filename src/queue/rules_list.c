/* The list that a process keeps; rules.c says what applies. */
#include "queue/rules.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct rules {
	struct pg *pg;
	struct pg_tx *tx;
	struct arena arena; /* of the list */
	struct store_rule *list;
	size_t count;
	int generation;
};

struct rules *
rules_new(struct pg *pg)
{
	struct rules *r = xmalloc(sizeof(*r));

	r->pg = pg;
	r->generation = -1;
	arena_init(&r->arena);
	return r;
}

void
rules_free(struct rules **rp)
{
	struct rules *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	pg_tx_cancel(&r->tx);
	arena_fini(&r->arena);
	free(r);
}

static void
on_list(void *ctx, const struct store_rule *rule, size_t count, int generation,
    const struct error *err)
{
	struct rules *r = ctx;

	r->tx = NULL;
	if (err != NULL) {
		log_warn(NULL, "rules.unread", log_err(err));
		return;
	}
	if (generation != r->generation)
		log_info(NULL, "rules.read", log_uint("count", count),
		    log_int("generation", generation));
	arena_fini(&r->arena);
	arena_init(&r->arena);
	r->list = store_rules_copy(&r->arena, rule, count);
	r->count = count;
	r->generation = generation;
}

void
rules_refresh(struct rules *r)
{
	if (r->tx == NULL && pg_is_up(r->pg))
		r->tx = store_rule_list(r->pg, clock_now_ms(), on_list, r);
}

int
rules_generation(const struct rules *r)
{
	return r->generation;
}

const struct store_rule *
rules_list(const struct rules *r, size_t *n)
{
	*n = r->count;
	return r->list;
}

const struct store_rule *
rules_numbered(const struct rules *r, int number)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].number == number)
			return &r->list[i];
	return NULL;
}

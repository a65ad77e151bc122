/* rows_world.h - what the tests of the small tables share. */
#ifndef ROWS_WORLD_H
#define ROWS_WORLD_H

#include "store/accounts.h"
#include "store/returns.h"
#include "store/webhooks.h"
#include "tests/integration/servers.h"

static struct pg *pg;

static inline int
setup(void **state)
{
	test_log_setup_(state);
	pg = servers_pg();
	return 0;
}

static inline int
teardown(void **state)
{
	pg_free(&pg);
	return test_log_teardown_(state);
}

/* What any of the callbacks saw: the first row, as a text. */
struct rows {
	bool done, has_more;
	size_t count;
	struct error err;
	int number;
	char text[200];
	struct store_delivery delivery[4];
	struct store_return back[4];
};

static inline bool
begin(struct rows *r, size_t count, const struct error *err)
{
	r->done = true;
	r->count = count;
	r->err = err != NULL ? *err : (struct error){ 0 };
	return count > 0;
}

static inline void
wait_for(struct rows *r)
{
	servers_until(&r->done);
}

static inline void
on_account(void *ctx, const struct store_account *a, size_t n,
    const struct error *err)
{
	struct rows *r = ctx;

	if (!begin(r, n, err))
		return;
	r->number = a->number;
	snprintf(r->text, sizeof(r->text), "%.*s %d", SLICE_FMT(a->name),
	    a->suppressed_answer);
}

static inline int
add_account(const char *name)
{
	struct rows r = { 0 };

	store_account_add(pg, id_new(clock_now_ms()), slice_of(name),
	    clock_now_ms(), on_account, &r);
	wait_for(&r);
	assert_int_equal(r.err.kind, ERR_NONE);
	return r.number;
}

#endif

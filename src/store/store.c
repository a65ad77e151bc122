#include <string.h>

#include "pg_priv.h"
#include "store_priv.h"

struct simple_call {
	const char *missing;
	store_done *done;
	void *ctx;
};

void *
store_reply_mem(const struct pg_reply *reply, size_t n, size_t size)
{
	return arena_calloc(&reply->tx->arena, n > 0 ? n : 1, size);
}

static void
on_simple(void *ctx, const struct pg_reply *reply, const struct error *err)
{
	const struct simple_call *call = ctx;
	struct error missing = { 0 };

	if (err == NULL && call->missing != NULL &&
	    pg_affected(reply, reply->tx->result_count - 1) == 0) {
		error_set(&missing, ERR_NOTFOUND, "%s", call->missing);
		err = &missing;
	}
	if (call->done != NULL)
		call->done(call->ctx, err);
}

struct pg_tx *
store_send(struct pg_tx *tx, const char *missing, store_done *done, void *ctx)
{
	struct simple_call *call = pg_tx_mem(tx, sizeof(*call));

	*call = (struct simple_call){ missing, done, ctx };
	pg_tx_send(tx, on_simple, call);
	return tx;
}

void
store_rows_init(struct store_rows *rows, const struct pg_reply *reply,
    const char *missing, const struct error *err)
{
	*rows = (struct store_rows){ .err = err };
	if (err == NULL && missing != NULL && pg_rows(reply, 0) == 0) {
		error_set(&rows->missing, ERR_NOTFOUND, "%s", missing);
		rows->err = &rows->missing;
	}
	if (rows->err != NULL)
		return;
	rows->stmt = reply->tx->result_count - 1;
	rows->count = pg_rows(reply, rows->stmt);
}

void
store_bounds_add(struct store_bounds *b, struct id id)
{
	if (!b->is_set || id_cmp(id, b->least) < 0)
		b->least = id;
	if (!b->is_set || id_cmp(id, b->most) > 0)
		b->most = id;
	b->is_set = true;
}

void
store_bounds_put(struct pg_tx *tx, const struct store_bounds *b)
{
	pg_tx_id(tx, b->least);
	pg_tx_id(tx, b->most);
}

struct id
store_last_recipient(struct id email)
{
	email.b[15] |= 0x7f;
	return email;
}

struct id
store_id_top(void)
{
	struct id top;

	memset(top.b, 0xff, sizeof(top.b));
	return top;
}

void
store_put_ids(struct pg_tx *tx, const struct id *ids, size_t n)
{
	pg_tx_array(tx, PG_UUID);
	for (size_t i = 0; i < n; i++)
		pg_tx_id(tx, ids[i]);
	pg_tx_array_end(tx);
}

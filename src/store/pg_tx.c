#include <arpa/inet.h>
#include <endian.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "pg_priv.h"

/*
 * Building a unit of work. All parameters are kept in the binary form of the
 * protocol, one after the other in one buffer; offsets instead of pointers,
 * because the buffer moves while it grows.
 *
 * An array (src/backend/utils/adt/arrayfuncs.c, array_recv): dimensions, flag
 * "has NULLs", element type, then per dimension length and lower bound, then
 * the elements, each with its length in front. An empty one has no dimension.
 */

#define ARRAY_HEADER_BYTES 20
/* Microseconds from 1970 to 2000, where PostgreSQL's time begins. */

struct pg_tx *
pg_tx_new(struct pg *pg)
{
	struct pg_tx *tx = xmalloc(sizeof(*tx));

	tx->magic = PG_TX_MAGIC;
	tx->pg = pg;
	list_init(&tx->node);
	arena_init(&tx->arena);
	strbuf_init(&tx->data, 0);
	return tx;
}

static void
drop_results(struct pg_tx *tx)
{
	for (size_t i = 0; i < tx->result_count; i++)
		PQclear(tx->result[i]);
	free(tx->result);
	tx->result = NULL;
	tx->result_count = 0;
}

void
pg_tx_restart(struct pg_tx *tx)
{
	drop_results(tx);
	strbuf_reset(&tx->data);
	tx->stmt_count = tx->param_count = 0;
	tx->state = PG_TX_BUILDING;
}

void
pg_tx_destroy(struct pg_tx *tx)
{
	list_remove(&tx->node);
	drop_results(tx);
	free(tx->param);
	free(tx->stmt);
	strbuf_fini(&tx->data);
	arena_fini(&tx->arena);
	tx->magic = 0;
	free(tx);
}

void *
pg_tx_mem(struct pg_tx *tx, size_t size)
{
	return arena_alloc(&tx->arena, size);
}

void
pg_tx_stmt(struct pg_tx *tx, const struct pg_stmt *stmt)
{
	OBJ_CHECK(tx, PG_TX_MAGIC);
	invariant(!tx->in_array);
	if (tx->stmt_count == tx->stmt_cap) {
		tx->stmt_cap = tx->stmt_cap > 0 ? tx->stmt_cap * 2 : 4;
		tx->stmt = xrealloc(tx->stmt, tx->stmt_cap * sizeof(*tx->stmt));
	}
	tx->stmt[tx->stmt_count++] =
	    (struct pg_tx_stmt){ stmt, tx->param_count, 0 };
}

static void
add_u32(struct strbuf *b, uint32_t value)
{
	uint32_t be = htonl(value);

	strbuf_add(b, &be, sizeof(be));
}

static void
add_param(struct pg_tx *tx, size_t offset, size_t len, bool is_null)
{
	invariant(tx->stmt_count > 0);
	if (len > INT_MAX)
		tx->data.overflow = true;
	if (tx->param_count == tx->param_cap) {
		tx->param_cap = tx->param_cap > 0 ? tx->param_cap * 2 : 16;
		tx->param =
		    xrealloc(tx->param, tx->param_cap * sizeof(*tx->param));
	}
	tx->param[tx->param_count++] =
	    (struct pg_param){ offset, (int)len, is_null };
	tx->stmt[tx->stmt_count - 1].param_count++;
}

/* One value: a parameter, or an element of the open array. */
static void
add_value(struct pg_tx *tx, enum pg_type type, const void *ptr, size_t len)
{
	size_t offset = tx->data.len;

	if (!tx->in_array) {
		strbuf_add(&tx->data, ptr, len);
		add_param(tx, offset, len, false);
		return;
	}
	invariant(tx->element == type);
	if (len > INT_MAX)
		tx->data.overflow = true;
	add_u32(&tx->data, (uint32_t)len);
	strbuf_add(&tx->data, ptr, len);
	tx->array_count++;
}

void
pg_tx_null(struct pg_tx *tx)
{
	if (!tx->in_array) {
		add_param(tx, tx->data.len, 0, true);
		return;
	}
	add_u32(&tx->data, UINT32_MAX);
	tx->array_count++;
	tx->array_has_null = true;
}

void
pg_tx_bool(struct pg_tx *tx, bool value)
{
	uint8_t octet = value ? 1 : 0;

	add_value(tx, PG_BOOL, &octet, 1);
}

void
pg_tx_int2(struct pg_tx *tx, int value)
{
	uint16_t be = htons((uint16_t)value);

	invariant(value >= INT16_MIN && value <= INT16_MAX);
	add_value(tx, PG_INT2, &be, sizeof(be));
}

void
pg_tx_int4(struct pg_tx *tx, int32_t value)
{
	uint32_t be = htonl((uint32_t)value);

	add_value(tx, PG_INT4, &be, sizeof(be));
}

static void
add_int8(struct pg_tx *tx, enum pg_type type, int64_t value)
{
	uint64_t be = htobe64((uint64_t)value);

	add_value(tx, type, &be, sizeof(be));
}

void
pg_tx_int8(struct pg_tx *tx, int64_t value)
{
	add_int8(tx, PG_INT8, value);
}

void
pg_tx_time(struct pg_tx *tx, int64_t ms)
{
	int64_t sound = MAX(PG_TIME_LEAST_MS, MIN(ms, PG_TIME_MOST_MS));

	if (ms == 0)
		pg_tx_null(tx);
	else
		add_int8(tx, PG_TIME, (sound - PG_EPOCH_MS) * 1000);
}

void
pg_tx_id(struct pg_tx *tx, struct id value)
{
	add_value(tx, PG_UUID, value.b, sizeof(value.b));
}

void
pg_tx_id_or_null(struct pg_tx *tx, struct id value)
{
	if (id_is_zero(value))
		pg_tx_null(tx);
	else
		pg_tx_id(tx, value);
}

void
pg_tx_text(struct pg_tx *tx, struct slice value)
{
	add_value(tx, PG_TEXT, value.ptr, value.len);
}

void
pg_tx_text_or_null(struct pg_tx *tx, struct slice value)
{
	if (value.ptr == NULL)
		pg_tx_null(tx);
	else
		pg_tx_text(tx, value);
}

void
pg_tx_bytea(struct pg_tx *tx, struct slice value)
{
	add_value(tx, PG_BYTEA, value.ptr, value.len);
}

void
pg_tx_array(struct pg_tx *tx, enum pg_type element)
{
	static const char blank[ARRAY_HEADER_BYTES];

	invariant(!tx->in_array);
	tx->in_array = true;
	tx->element = element;
	tx->array_at = tx->data.len;
	tx->array_count = 0;
	tx->array_has_null = false;
	strbuf_add(&tx->data, blank, sizeof(blank));
}

void
pg_tx_array_end(struct pg_tx *tx)
{
	uint32_t header[5] = { htonl(1), htonl(tx->array_has_null),
		htonl(tx->element), htonl(tx->array_count), htonl(1) };
	size_t len;

	invariant(tx->in_array);
	tx->in_array = false;
	if (!tx->data.overflow) {
		if (tx->array_count == 0) {
			header[0] = 0;
			strbuf_truncate(&tx->data, tx->array_at + 12);
		}
		memcpy(tx->data.ptr + tx->array_at, header,
		    MIN(sizeof(header), tx->data.len - tx->array_at));
	}
	len = tx->data.len - tx->array_at;
	add_param(tx, tx->array_at, len, false);
}

void
pg_tx_send(struct pg_tx *tx, pg_done *done, void *ctx)
{
	OBJ_CHECK(tx, PG_TX_MAGIC);
	invariant(tx->state == PG_TX_BUILDING);
	invariant(tx->stmt_count > 0 && !tx->in_array);
	tx->done = done;
	tx->ctx = ctx;
	tx->reply.tx = tx;
	tx->result = xcalloc(tx->stmt_count, sizeof(PGresult *));
	if (tx->data.overflow)
		error_set(&tx->err, ERR_LIMIT, "postgres: too much at once");
	pg_submit(tx->pg, tx);
}

void
pg_tx_cancel(struct pg_tx **txp)
{
	struct pg_tx *tx = *txp;

	if (tx == NULL)
		return;
	*txp = NULL;
	OBJ_CHECK(tx, PG_TX_MAGIC);
	if (tx->state == PG_TX_FLYING) {
		/* Its results are still to be read from the wire. */
		tx->done = NULL;
		tx->ctx = NULL;
		return;
	}
	if (tx->state == PG_TX_QUEUED)
		pg_forget(tx->pg);
	pg_tx_destroy(tx);
}

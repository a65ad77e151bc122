#include "store/contents.h"

#include "store/accept.h"
#include "store_priv.h"

static const struct pg_stmt stmt_put = { "content_put",
	"INSERT INTO email_contents (id, n, chunk) "
	"SELECT $1::uuid, i.n, i.chunk "
	"FROM unnest($2::int2[], $3::bytea[]) AS i(n, chunk)" };
static const struct pg_stmt stmt_drop = { "content_drop",
	"DELETE FROM email_contents WHERE id = $1::uuid "
	"AND NOT EXISTS (SELECT FROM emails e WHERE e.id = $1::uuid)" };

struct pg_tx *
store_content_put(struct pg *pg, struct id email, size_t first,
    struct slice part, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);
	size_t rows = (part.len + STORE_CHUNK_BYTES - 1) / STORE_CHUNK_BYTES;

	pg_tx_stmt(tx, &stmt_put);
	pg_tx_id(tx, email);
	pg_tx_array(tx, PG_INT2);
	for (size_t i = 0; i < rows; i++)
		pg_tx_int2(tx, (int)(first + i));
	pg_tx_array_end(tx);
	pg_tx_array(tx, PG_BYTEA);
	for (size_t i = 0; i < rows; i++)
		pg_tx_bytea(tx,
		    slice_first(slice_from(part, i * STORE_CHUNK_BYTES),
			STORE_CHUNK_BYTES));
	pg_tx_array_end(tx);
	return store_send(tx, NULL, done, ctx);
}

struct pg_tx *
store_content_drop(struct pg *pg, struct id email, store_done *done, void *ctx)
{
	struct pg_tx *tx = pg_tx_new(pg);

	pg_tx_stmt(tx, &stmt_drop);
	pg_tx_id(tx, email);
	return store_send(tx, NULL, done, ctx);
}

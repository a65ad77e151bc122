/* store_priv.h - what the table modules share. */
#ifndef STORE_PRIV_H
#define STORE_PRIV_H

#include "store/pg.h"

/* Memory that goes with the reply's unit of work; n * size, zeroed. */
void *store_reply_mem(const struct pg_reply *reply, size_t n, size_t size);

/*
 * Sends tx and tells done. missing: when not NULL, the last statement must
 * have touched a row, else done gets ERR_NOTFOUND with this text.
 */
struct pg_tx *store_send(struct pg_tx *tx, const char *missing,
    store_done *done, void *ctx);

/*
 * Smallest and largest id of a batch. Every statement on a partitioned table
 * carries them as parameters, so that only the days in between are touched.
 */
struct store_bounds {
	struct id least, most;
	bool is_set;
};
void store_bounds_add(struct store_bounds *b, struct id id);
/* The two parameters. */
void store_bounds_put(struct pg_tx *tx, const struct store_bounds *b);

/* The largest id that a recipient of this email can have. */
struct id store_last_recipient(struct id email);
/* Above every id there is. */
struct id store_id_top(void);

/* Whole arrays as one parameter. */
void store_put_ids(struct pg_tx *tx, const struct id *ids, size_t n);

#endif

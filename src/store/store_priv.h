/* store_priv.h - what the table modules share. */
#ifndef STORE_PRIV_H
#define STORE_PRIV_H

#include "store/pg.h"

/* STORE_NOT_TRIED (store/attempts.h) in the text of a statement. */
#define SQL_NOT_TRIED SQL_NUMBER_(STORE_NOT_TRIED)
#define SQL_NUMBER_(number) SQL_TEXT_(number)
#define SQL_TEXT_(number) #number

/* The address of the source of attempt a, which is joined as s; "#7" when it
 * was removed, NULL when there was none. */
#define SQL_SOURCE "coalesce(host(s.address), '#' || a.source)"

/* Memory that goes with the reply's unit of work; n * size, zeroed. */
void *store_reply_mem(const struct pg_reply *reply, size_t n, size_t size);

/*
 * Sends tx and tells done. missing: when not NULL, the last statement must
 * have touched a row, else done gets ERR_NOTFOUND with this text.
 */
struct pg_tx *store_send(struct pg_tx *tx, const char *missing,
    store_done *done, void *ctx);

/*
 * Defines name(tx, missing, done, ctx): sends tx and tells done the rows of the
 * last statement as an array, in which each is written by read(row, &element).
 * missing: when not NULL, the first statement must give a row, else done gets
 * ERR_NOTFOUND with this text.
 */
#define STORE_ROWS(name, type, read)                                           \
	typedef void name##_got(void *ctx, const type *rows, size_t count,     \
	    const struct error *err);                                          \
	struct name##_call {                                                   \
		const char *missing;                                           \
		name##_got *done;                                              \
		void *ctx;                                                     \
	};                                                                     \
	static void name##_replied(void *ctx, const struct pg_reply *reply,    \
	    const struct error *err)                                           \
	{                                                                      \
		const struct name##_call *call = ctx;                          \
		struct store_rows rows;                                        \
		type *all;                                                     \
                                                                               \
		store_rows_init(&rows, reply, call->missing, err);             \
		all = rows.err == NULL                                         \
		    ? store_reply_mem(reply, rows.count, sizeof(*all))         \
		    : NULL;                                                    \
		for (size_t i = 0; i < rows.count; i++)                        \
			read(pg_row(reply, rows.stmt, i), &all[i]);            \
		call->done(call->ctx, all, rows.count, rows.err);              \
	}                                                                      \
	static struct pg_tx *name(struct pg_tx *tx, const char *missing,       \
	    name##_got *done, void *ctx)                                       \
	{                                                                      \
		struct name##_call *call = pg_tx_mem(tx, sizeof(*call));       \
                                                                               \
		*call = (struct name##_call){ missing, done, ctx };            \
		pg_tx_send(tx, name##_replied, call);                          \
		return tx;                                                     \
	}
struct store_rows {
	size_t stmt, count;
	const struct error *err; /* with count 0 */
	struct error missing;
};
void store_rows_init(struct store_rows *rows, const struct pg_reply *reply,
    const char *missing, const struct error *err);

/*
 * A column of an array as one parameter, for unnest: value is said of the row
 * number i.
 */
#define STORE_PUT(tx, n, type, put, value)                                     \
	do {                                                                   \
		pg_tx_array(tx, type);                                         \
		for (size_t i = 0; i < (n); i++)                               \
			put(tx, value);                                        \
		pg_tx_array_end(tx);                                           \
	} while (0)

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

/*
 * intake/large.c - a large content goes to the store ahead of its email, slice
 * by slice over the side connection: the batches of small messages do not wait
 * for it, and no step holds the loop for longer than a slice takes to copy.
 *
 * Until the email is committed nobody sees the slices. When it is not (its
 * key was used before, the database refuses it) they are taken back; those of
 * a process that died go with their day.
 */
#include "intake_priv.h"

#include "base/clock.h"
#include "store/contents.h"
#include "store/partitions.h"

/* Rows of STORE_CHUNK_BYTES per slice: half a megabyte. */
#define SLICE_BYTES ((size_t)64 * STORE_CHUNK_BYTES)

static void next(struct intake_item *item);

static void
give_up(struct intake_item *item, const struct error *err)
{
	log_warn(&item->in->log, "intake.large", log_err(err));
	(void)answer_set(&item->answer, ANSWER_UNAVAILABLE,
	    "The database could not store the message: send it again in a "
	    "few seconds");
	item->answer.retry_after_s = 5;
	intake_large_undo(item);
	intake_item_finish(item);
}

/* The partitions of its day: see commit.c. */
static void
on_days(void *ctx, size_t count, const struct error *err)
{
	struct intake_item *item = ctx;

	(void)count;
	OBJ_CHECK(item, ITEM_MAGIC);
	item->tx = NULL;
	if (err == NULL)
		next(item);
	else
		give_up(item, err);
}

static void
stored(void *ctx, const struct error *err)
{
	struct intake_item *item = ctx;

	OBJ_CHECK(item, ITEM_MAGIC);
	item->tx = NULL;
	if (err == NULL) {
		item->sliced_bytes += SLICE_BYTES;
		next(item);
	} else if (store_day_is_missing(err) && !item->days_were_made) {
		item->days_were_made = true;
		item->tx = store_partitions_make(item->in->side, clock_now_ms(),
		    on_days, item);
	} else {
		give_up(item, err);
	}
}

static void
next(struct intake_item *item)
{
	struct slice rest = slice_from(item->sliced, item->sliced_bytes);

	if (rest.len == 0) {
		intake_commit_add(item);
		return;
	}
	item->tx = store_content_put(item->in->side, item->store.email,
	    item->sliced_bytes / STORE_CHUNK_BYTES,
	    slice_first(rest, SLICE_BYTES), stored, item);
}

void
intake_large_start(struct intake_item *item)
{
	item->sliced = item->store.content;
	item->store.content = (struct slice){ NULL, 0 };
	next(item);
}

void
intake_large_undo(struct intake_item *item)
{
	/* Nobody waits: what stays goes with its day. */
	if (item->sliced.ptr != NULL)
		(void)store_content_drop(item->in->side, item->store.email,
		    NULL, NULL);
	item->sliced = (struct slice){ NULL, 0 };
}

/*
 * Results go to Postgres in batches without a timer: what ended while one
 * statement was under way shares the next. When Postgres is away they wait;
 * should that take longer than the lease, the delivery is made again, and the
 * result, which names an older try, changes nothing.
 */
#include "hooks/hooks_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define BATCH_MAX 256
#define AGAIN_MS 1000

static void write_some(void *ctx);

static void
on_written(void *ctx, const struct error *err)
{
	struct hooks *h = ctx;
	struct list *node;

	OBJ_CHECK(h, HOOKS_MAGIC);
	h->write_tx = NULL;
	if (err != NULL) {
		log_warn(NULL, "webhook.results_kept", log_err(err),
		    log_uint("results", h->result_count));
		while ((node = list_pop(&h->writing)) != NULL)
			list_append(&h->results, node);
		timer_set(h->write_again, AGAIN_MS);
		return;
	}
	while ((node = list_first(&h->writing)) != NULL) {
		hooks_post_free(list_entry(node, struct post, node));
		h->result_count--;
	}
	write_some(h);
	hooks_went_on(h);
}

static void
write_some(void *ctx)
{
	struct hooks *h = ctx;
	struct store_delivery_result *all;
	struct list *node;
	size_t n = 0;

	if (h->write_tx != NULL || list_is_empty(&h->results) ||
	    timer_is_set(h->write_again))
		return;
	all = xcalloc(BATCH_MAX, sizeof(*all));
	while (n < BATCH_MAX && (node = list_pop(&h->results)) != NULL) {
		struct post *p = list_entry(node, struct post, node);

		all[n++] = p->result;
		list_append(&h->writing, &p->node);
	}
	h->write_tx =
	    store_delivery_finish(h->pg, clock_now_ms(), all, n, on_written, h);
	free(all);
}

void
hooks_result_add(struct hooks *h, struct post *p)
{
	list_append(&h->results, &p->node);
	h->result_count++;
	loop_call_schedule(h->loop, &h->write, write_some, h);
}

void
hooks_results_init(struct hooks *h)
{
	list_init(&h->results);
	list_init(&h->writing);
	h->write_again = timer_new(h->loop, write_some, h);
}

static void
free_posts(struct list *posts)
{
	struct list *node;

	while ((node = list_first(posts)) != NULL)
		hooks_post_free(list_entry(node, struct post, node));
}

void
hooks_results_fini(struct hooks *h)
{
	loop_call_cancel(&h->write);
	timer_free(&h->write_again);
	pg_tx_cancel(&h->write_tx);
	free_posts(&h->results);
	free_posts(&h->writing);
}

/*
 * Whose turn it is. An endpoint is ready while it has something waiting and
 * fewer requests under way than it may have; ready endpoints take turns, one
 * request each, so neither a large backlog nor a slow answer of one holds up
 * the others.
 */
#include "hooks/hooks_priv.h"

#include "base/clock.h"
#include "base/mem.h"

static struct slice
key_of(const struct id *id)
{
	return slice_mem(id->b, sizeof(id->b));
}

static struct endpoint *
endpoint_of(struct hooks *h, struct id webhook)
{
	struct endpoint *e = hash_find(h->endpoints, key_of(&webhook));

	if (e != NULL)
		return e;
	e = xmalloc(sizeof(*e));
	e->id = webhook;
	list_init(&e->node);
	list_init(&e->waiting);
	(void)hash_put(h->endpoints, key_of(&webhook), e);
	return e;
}

static void
make_ready(struct hooks *h, struct endpoint *e)
{
	if (!list_is_empty(&e->waiting) && e->in_flight < h->endpoint_max &&
	    !list_is_linked(&e->node))
		list_append(&h->ready, &e->node);
}

void
hooks_post_wait(struct hooks *h, struct post *p, struct id webhook)
{
	struct endpoint *e = endpoint_of(h, webhook);

	p->endpoint = e;
	list_append(&e->waiting, &p->node);
	e->in_hand++;
	h->in_hand++;
	make_ready(h, e);
}

/* p is no more in hand; e goes with its last. */
static void
let_go(struct hooks *h, struct post *p)
{
	struct endpoint *e = p->endpoint;

	list_remove(&p->node);
	p->endpoint = NULL;
	h->in_hand--;
	e->in_hand--;
	if (e->left_out && e->in_hand < h->endpoint_max) {
		e->left_out = false;
		h->more_due = true;
	}
	if (e->in_hand > 0)
		return;
	list_remove(&e->node);
	(void)hash_remove(h->endpoints, key_of(&e->id));
	free(e);
}

static void
start_one(struct hooks *h, struct endpoint *e)
{
	struct list *node = list_pop(&e->waiting);
	struct post *p;

	invariant(node != NULL); /* that is what ready means */
	p = list_entry(node, struct post, node);
	if (!hooks_post_start(p)) {
		make_ready(h, e);
		let_go(h, p);
		hooks_result_add(h, p);
		return;
	}
	list_append(&h->in_flight_posts, &p->node);
	h->in_flight++;
	e->in_flight++;
	make_ready(h, e);
}

void
hooks_start_some(struct hooks *h)
{
	struct list *node;

	while (!h->draining && h->in_flight < h->in_flight_max &&
	    (node = list_pop(&h->ready)) != NULL)
		start_one(h, list_entry(node, struct endpoint, node));
}

void
hooks_post_end(struct post *p)
{
	struct hooks *h = p->hooks;

	h->in_flight--;
	p->endpoint->in_flight--;
	make_ready(h, p->endpoint);
	let_go(h, p);
	hooks_result_add(h, p);
	hooks_start_some(h);
	hooks_went_on(h);
}

struct busy {
	const struct hooks *hooks;
	struct id *out;
	size_t n;
};

static bool
add_busy(void *ctx, struct slice key, void *value)
{
	struct busy *b = ctx;
	struct endpoint *e = value;

	(void)key;
	e->left_out = e->in_hand >= b->hooks->endpoint_max;
	if (e->left_out)
		b->out[b->n++] = e->id;
	return true;
}

size_t
hooks_busy(struct hooks *h, struct id *out)
{
	struct busy b = { h, out, 0 };

	hash_each(h->endpoints, add_busy, &b);
	return b.n;
}

static bool
gather_waiting(void *ctx, struct slice key, void *value)
{
	struct endpoint *e = value;
	struct list *all = ctx, *node;

	(void)key;
	while ((node = list_pop(&e->waiting)) != NULL)
		list_append(all, node);
	return true;
}

void
hooks_give_back(struct hooks *h)
{
	struct list all, *node;
	int64_t now_ms = clock_now_ms();

	list_init(&all);
	hash_each(h->endpoints, gather_waiting, &all);
	while ((node = list_first(&all)) != NULL) {
		struct post *p = list_entry(node, struct post, node);

		p->result.unsent = true;
		p->result.next_at_ms = now_ms;
		let_go(h, p);
		hooks_result_add(h, p);
	}
}

static bool
free_endpoint(void *ctx, struct slice key, void *value)
{
	struct endpoint *e = value;
	struct list *node;

	(void)ctx;
	(void)key;
	while ((node = list_first(&e->waiting)) != NULL)
		hooks_post_free(list_entry(node, struct post, node));
	free(e);
	return true;
}

void
hooks_dispatch_fini(struct hooks *h)
{
	struct list *node;

	while ((node = list_first(&h->in_flight_posts)) != NULL)
		hooks_post_free(list_entry(node, struct post, node));
	hash_each(h->endpoints, free_endpoint, NULL);
	hash_free(&h->endpoints);
}

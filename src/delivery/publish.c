/*
 * What the destinations of this process do, for verpost queue: written to Redis
 * while somebody asks (queue/published.h), bounded, the busiest first.
 */
#include "delivery/delivery_priv.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"
#include "queue/published.h"

#define FAILURE_SHOWN 200 /* octets */
/* Then less than a hundredth of a rate is still the guess that it began as. */
#define RATE_LOOKS 10

static size_t
load(const struct dest *d)
{
	return d->waiting_count + d->claimed_count + d->claiming_count +
	    d->sending_count + d->session_count;
}

static int
busier(const void *a, const void *b)
{
	size_t x = load(*(const struct dest *const *)a);
	size_t y = load(*(const struct dest *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

struct found {
	const struct dest **dest;
	size_t count;
};

static bool
find_one(void *ctx, struct slice key, void *value)
{
	struct found *f = ctx;
	const struct dest *d = value;

	(void)key;
	if (load(d) > 0 || d->fail_count > 0)
		f->dest[f->count++] = d;
	return true;
}

static void
failure_add(struct json_writer *w, const struct smtp_outcome *o)
{
	struct slice text = o->source == SMTP_REMOTE
	    ? slice_mem(o->reply.text, o->reply.text_len)
	    : slice_of(o->error.text);

	json_text(w, "last_failure", utf8_cut(text, FAILURE_SHOWN));
}

/* A limit is never 0, which stands for none. */
static int64_t
ceiling_per_hour(const struct dest *d)
{
	double rate = scopes_rate(d) * 3600;

	return rate > 0 ? MAX((int64_t)(rate + 0.5), 1) : 0;
}

static void
dest_write(struct json_writer *w, const struct dest *d)
{
	char ip[NET_ADDR_TEXT];
	int64_t rest_ms = d->retry_at_mono_ms - clock_mono_ms();

	net_addr_format(&d->source.addr, ip);
	json_begin_object(w, NULL);
	json_text(w, "site",
	    d->route->is_simulator ? SLICE("simulator") : d->route->site);
	json_cstr(w, "source", ip);
	json_int(w, "waiting", (int64_t)d->waiting_count);
	json_int(w, "claimed",
	    (int64_t)(d->claimed_count + d->claiming_count + d->sending_count));
	json_int(w, "connections", d->session_count);
	if (d->rate_looks >= RATE_LOOKS)
		json_int(w, "rate", (int64_t)d->rate);
	json_int(w, "ceiling_per_hour", ceiling_per_hour(d));
	json_int(w, "resting_until",
	    rest_ms > 0 ? clock_now_ms() + rest_ms : 0);
	if (d->fail_count > 0)
		failure_add(w, &d->last_failure);
	json_end(w);
}

static void
state_write(struct mta *m, struct strbuf *out)
{
	struct found f = { xcalloc(hash_count(m->dests) + 1, sizeof(*f.dest)),
		0 };
	struct json_writer w;

	hash_each(m->dests, find_one, &f);
	qsort(f.dest, f.count, sizeof(*f.dest), busier);
	json_writer_init(&w, out);
	json_begin_object(&w, NULL);
	json_int(&w, "worker", m->worker);
	json_int(&w, "at", clock_now_ms());
	json_begin_array(&w, "destinations");
	for (size_t i = 0; i < MIN(f.count, (size_t)PUBLISHED_DESTINATIONS);
	     i++)
		dest_write(&w, f.dest[i]);
	json_end(&w);
	json_end(&w);
	free(f.dest);
}

static void
on_looked(void *ctx, const struct redis_reply *reply, const struct error *err)
{
	struct mta *m = ctx;
	struct strbuf text = STRBUF_INIT;

	if (err != NULL || redis_reply_int(reply) == 0 || m->worker == 0)
		return;
	state_write(m, &text);
	published_write(m->queue, m->worker, strbuf_slice(&text));
	strbuf_fini(&text);
}

void
publish_tick(struct mta *m)
{
	int64_t now_ms = clock_mono_ms();

	if (now_ms < m->publish_due_mono_ms || m->draining ||
	    m->queue == NULL || !queue_is_connected(m->queue))
		return;
	m->publish_due_mono_ms = now_ms + PUBLISH_EVERY_MS;
	published_look(m->queue, on_looked, m);
}

#include "delivery/quota.h"

#include "base/clock.h"
#include "base/mem.h"
#include "delivery/dest_priv.h"
#include "store/quota.h"

/* A block is so small a part of the limit, within bounds. */
#define BLOCK_PART 200
#define BLOCK_MAX 500
#define FAILED_MS 1000
#define MINUTE_MS 60000
/* Looks, of which there is one a second; see quotas_look. */
#define STANDS_LOOKS 5

struct key {
	int source, provider; /* -1: all mail */
};

struct quota {
	struct mta *mta;
	struct key key;
	unsigned int refs; /* destinations */
	int cap;	   /* 0: no limit */
	int left, block;   /* in hand, and of the last block */
	int taken;	   /* of the day, by anybody */
	int day;
	int64_t ends_ms;  /* house_ms: the day does; 0: nothing was asked yet */
	bool is_used_up;  /* nothing was left at the last look */
	int64_t again_ms; /* house_ms: no look before */
	struct pg_tx *asking;
	int64_t asked_ms;
	struct list dests; /* wait for an answer */
	size_t waiting;	   /* jobs in destinations that do not stand */
};

static void ask(struct quota *q);

/* Never goes back, and is shifted as wall time is. */
static int64_t
house_ms(void)
{
	return clock_mono_ms() + clock_offset_ms();
}

static struct slice
key_slice(const struct key *key)
{
	return slice_mem(key, sizeof(*key));
}

static struct slice
provider_name(const struct quota *q)
{
	return q->key.provider < 0
	    ? SLICE("")
	    : slice_of(shaping_provider_name(q->mta->opt.shaping,
		  (size_t)q->key.provider));
}

/* Before what it says is used: kill -9 leaves it to the next process. */
static void
note(const struct quota *q)
{
	if (q->ends_ms != 0)
		slot_quota_set(q->mta->slot, q->key.source, provider_name(q),
		    q->day, (unsigned int)MAX(q->left, 0));
}

/* -- life
 * --------------------------------------------------------------------- */

void
quotas_init(struct mta *m)
{
	m->quotas = hash_new();
}

static void
quota_free(struct quota *q)
{
	pg_tx_cancel(&q->asking);
	free(q);
}

static bool
fini_one(void *ctx, struct slice key, void *value)
{
	(void)ctx;
	(void)key;
	quota_free(value);
	return true;
}

void
quotas_fini(struct mta *m)
{
	if (m->quotas == NULL)
		return;
	hash_each(m->quotas, fini_one, NULL);
	hash_free(&m->quotas);
}

static const struct source *
find_source(const struct mta *m, int number)
{
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].number == number)
			return &m->sources[i];
	return NULL;
}

static int
cap_of(const struct mta *m, const struct source *s, int provider)
{
	if (provider < 0)
		return s->daily;
	return (int)shaping_limits_of(m->opt.shaping, provider, NULL, 0)
	    .provider_daily;
}

static struct quota *
find(const struct mta *m, int source, int provider)
{
	const struct key key = { source, provider };

	return hash_find(m->quotas, key_slice(&key));
}

static void
join(struct dest *d, int provider)
{
	struct mta *m = d->mta;
	struct quota *q = find(m, d->source.number, provider);

	if (q == NULL) {
		q = xmalloc(sizeof(*q));
		q->mta = m;
		q->key = (struct key){ d->source.number, provider };
		q->cap = cap_of(m, &d->source, provider);
		list_init(&q->dests);
		hash_put(m->quotas, key_slice(&q->key), q);
	}
	q->refs++;
	d->quota[d->quota_count++] = q;
}

void
quotas_join(struct dest *d)
{
	list_init(&d->quota_node);
	if (d->route->is_simulator)
		return;
	join(d, -1);
	if (d->route->provider >= 0)
		join(d, d->route->provider);
}

void
quotas_leave(struct dest *d)
{
	list_remove(&d->quota_node);
	for (size_t i = 0; i < d->quota_count; i++)
		d->quota[i]->refs--;
	d->quota_count = 0;
}

/* -- days and changes
 * --------------------------------------------------------- */

static void
wake(struct quota *q)
{
	struct list *node;

	while ((node = list_pop(&q->dests)) != NULL)
		dest_work_soon(list_entry(node, struct dest, quota_node));
	mta_flush_soon(q->mta);
}

static void
forget_day(struct quota *q)
{
	q->left = q->block = q->taken = 0;
	q->ends_ms = q->again_ms = 0;
	q->is_used_up = false;
}

/* The block of a day that is over is worth nothing. */
static void
end_day(struct quota *q)
{
	if (q->ends_ms == 0 || house_ms() < q->ends_ms)
		return;
	forget_day(q);
	wake(q);
}

static bool
tick_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct quota *q = value;

	(void)key;
	end_day(q);
	if (q->is_used_up || !list_is_empty(&q->dests))
		ask(q);
	if (q->refs == 0 && q->ends_ms == 0 && q->asking == NULL) {
		struct key gone = q->key;

		hash_remove(m->quotas, key_slice(&gone));
		quota_free(q);
	}
	return true;
}

void
quotas_tick(struct mta *m)
{
	hash_each(m->quotas, tick_one, m);
}

static void
give_back(struct quota *q)
{
	struct mta *m = q->mta;

	int left = q->left;

	pg_tx_cancel(&q->asking); /* what it brings is forfeited */
	q->left = 0;
	note(q);
	if (left > 0 && m->worker != 0 && pg_is_up(m->opt.pg))
		store_quota_return(m->opt.pg, m->worker, q->key.source,
		    provider_name(q), q->day, left, NULL, NULL);
	forget_day(q);
}

static bool
update_one(void *ctx, struct slice key, void *value)
{
	struct mta *m = ctx;
	struct quota *q = value;
	const struct source *s = find_source(m, q->key.source);
	int cap = s != NULL ? cap_of(m, s, q->key.provider) : 0;

	(void)key;
	if (s != NULL && cap == q->cap)
		return true;
	give_back(q);
	q->cap = cap;
	wake(q);
	return true;
}

void
quotas_update(struct mta *m)
{
	hash_each(m->quotas, update_one, m);
}

static bool
return_one(void *ctx, struct slice key, void *value)
{
	(void)ctx;
	(void)key;
	give_back(value);
	return true;
}

void
quotas_return(struct mta *m)
{
	hash_each(m->quotas, return_one, NULL);
}

/* -- blocks
 * ------------------------------------------------------------------- */

static void
on_block(void *ctx, const struct store_quota *got, const struct error *err)
{
	struct quota *q = ctx;
	int64_t now_ms = house_ms();

	q->asking = NULL;
	if (err != NULL || got == NULL) { /* away, or not our source any more */
		q->again_ms = now_ms + FAILED_MS;
		return;
	}
	if (got->day != q->day)
		q->left = 0;
	q->day = got->day;
	if (q->ends_ms == 0) /* the first one: a process was here before */
		q->left += (int)slot_quota_get(q->mta->slot, q->key.source,
		    provider_name(q), q->day);
	q->ends_ms = q->asked_ms + got->left_ms;
	q->left += got->granted;
	q->block = got->granted;
	q->taken = got->taken;
	note(q);
	q->is_used_up = q->left == 0;
	if (q->is_used_up) {
		q->again_ms = now_ms + MINUTE_MS - clock_now_ms() % MINUTE_MS;
		log_info(&q->mta->log, "quota.used_up",
		    log_int("source", q->key.source),
		    log_slice("provider", provider_name(q)),
		    log_int("limit", q->cap));
	}
	wake(q);
}

static void
ask(struct quota *q)
{
	struct mta *m = q->mta;
	int want = MIN(MAX(q->cap / BLOCK_PART, 1), BLOCK_MAX);

	if (q->asking != NULL || q->cap == 0 || m->worker == 0 || m->draining ||
	    !pg_is_up(m->opt.pg) || house_ms() < q->again_ms)
		return;
	q->asked_ms = house_ms();
	q->asking = store_quota_take(m->opt.pg, m->worker, q->key.source,
	    provider_name(q), q->cap, want, on_block, q);
}

/* -- what waits
 * --------------------------------------------------------------- */

/* Jobs of the destination are to be counted, or not any more. */
static void
count_waiting(struct dest *d, int change)
{
	for (size_t i = 0; i < d->quota_count; i++)
		d->quota[i]->waiting += (size_t)change;
}

static void
begin_to_count(struct dest *d)
{
	if (d->quota_looks >= STANDS_LOOKS)
		count_waiting(d, d->quota_waiting);
	d->quota_looks = 0;
}

void
quotas_wait(struct dest *d, int change)
{
	if (d->quota_waiting == 0)
		begin_to_count(d);
	d->quota_waiting += change;
	if (d->quota_looks < STANDS_LOOKS)
		count_waiting(d, change);
}

void
quotas_look(struct dest *d)
{
	if (d->quota_waiting > 0 && d->quota_looks < STANDS_LOOKS &&
	    ++d->quota_looks == STANDS_LOOKS)
		count_waiting(d, -d->quota_waiting);
}

/* -- use
 * ---------------------------------------------------------------------- */

size_t
quotas_left(struct dest *d)
{
	size_t left = SIZE_MAX;

	for (size_t i = 0; i < d->quota_count; i++) {
		struct quota *q = d->quota[i];

		if (q->cap == 0)
			continue;
		end_day(q);
		left = MIN(left, (size_t)q->left);
		if (q->left > 0)
			continue;
		ask(q);
		if (!list_is_linked(&d->quota_node))
			list_append(&q->dests, &d->quota_node);
	}
	return left;
}

void
quotas_spend(struct job *j)
{
	struct dest *d = j->dest;

	begin_to_count(d);
	for (size_t i = 0; i < d->quota_count; i++) {
		struct quota *q = d->quota[i];

		if (q->cap == 0)
			continue;
		invariant(q->left > 0);
		q->left--;
		note(q);
		j->quota_day = q->day;
		if (q->left <= q->block / 2)
			ask(q);
	}
}

/* Not to another day than that it was taken from. */
void
quotas_give_back(struct job *j)
{
	struct dest *d = j->dest;

	for (size_t i = 0; d != NULL && i < d->quota_count; i++) {
		struct quota *q = d->quota[i];

		if (q->cap == 0 || q->ends_ms == 0 || q->day != j->quota_day)
			continue;
		q->left++;
		note(q);
	}
}

static int64_t
used_up_ms(const struct quota *q)
{
	if (q == NULL || q->cap == 0 || !q->is_used_up || q->left > 0)
		return 0;
	return MAX(q->ends_ms - house_ms(), 0);
}

int64_t
quotas_used_up_ms(const struct dest *d)
{
	int64_t most = 0;

	for (size_t i = 0; i < d->quota_count; i++)
		most = MAX(most, used_up_ms(d->quota[i]));
	return most;
}

bool
quota_is_used_up(const struct mta *m, const struct source *s, int provider)
{
	return used_up_ms(find(m, s->number, -1)) > 0 ||
	    (provider >= 0 && used_up_ms(find(m, s->number, provider)) > 0);
}

/* The day that Postgres told; before it did, that of our own clock. */
static int64_t
day_end_ms(const struct quota *q)
{
	int64_t day = q != NULL && q->ends_ms != 0
	    ? q->day
	    : clock_now_ms() / CLOCK_DAY_MS;

	return (day + 1) * CLOCK_DAY_MS;
}

static struct quota_room
room_of(const struct mta *m, const struct source *s, int provider)
{
	const struct quota *q = find(m, s->number, provider);
	int cap = q != NULL ? q->cap : cap_of(m, s, provider);
	struct quota_room r = { .now = SIZE_MAX };
	size_t units;

	if (cap == 0)
		return r;
	r.until_ms = day_end_ms(q);
	if (q == NULL) { /* nothing was sent yet */
		r.now = (size_t)cap;
		return r;
	}
	if (used_up_ms(q) > 0) {
		r.now = 0;
		r.again_us =
		    clock_mono_us() + MAX(q->again_ms - house_ms(), 0) * 1000;
		return r;
	}
	units = (size_t)MAX(q->left + MAX(cap - q->taken, 0), 1);
	r.now = units - MIN(units, q->waiting);
	return r;
}

struct quota_room
quota_room(const struct mta *m, const struct source *s, int provider)
{
	struct quota_room r = room_of(m, s, -1), its;

	if (provider < 0)
		return r;
	its = room_of(m, s, provider);
	r.now = MIN(r.now, its.now);
	r.again_us = MAX(r.again_us, its.again_us);
	r.until_ms = MAX(r.until_ms, its.until_ms);
	return r;
}

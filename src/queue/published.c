#include "queue/published.h"

#include <stdio.h>

#include "base/attr.h"
#include "queue/queue.h"

#define ASKED_MS "10000"
/* Three times as long as until the next one. */
#define TOLD_MS "6000"

struct key {
	char s[32];
};

static struct key
key_of(int worker)
{
	struct key k;

	snprintf(k.s, sizeof(k.s), "state:%d", worker);
	return k;
}

void
published_ask(struct queue *q)
{
	const struct slice argv[] = { SLICE("SET"), SLICE("state:asked"),
		SLICE("1"), SLICE("PX"), SLICE(ASKED_MS) };

	redis_command(queue_redis(q), argv, ARRAY_LEN(argv), NULL, NULL);
}

void
published_look(struct queue *q, redis_done *done, void *ctx)
{
	const struct slice argv[] = { SLICE("EXISTS"), SLICE("state:asked") };

	redis_command(queue_redis(q), argv, ARRAY_LEN(argv), done, ctx);
}

void
published_write(struct queue *q, int worker, struct slice json)
{
	struct key key = key_of(worker);
	const struct slice argv[] = { SLICE("SET"), slice_of(key.s), json,
		SLICE("PX"), SLICE(TOLD_MS) };

	redis_command(queue_redis(q), argv, ARRAY_LEN(argv), NULL, NULL);
}

void
published_read(struct queue *q, int worker, redis_done *done, void *ctx)
{
	struct key key = key_of(worker);
	const struct slice argv[] = { SLICE("GET"), slice_of(key.s) };

	redis_command(queue_redis(q), argv, ARRAY_LEN(argv), done, ctx);
}

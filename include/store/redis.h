/*
 * store/redis.h - asynchronous connections to Redis (hiredis, RESP2).
 *
 * hiredis 0.14 has no deadlines: every command gets ours, and a command that
 * misses it drops the connection. The connection comes back by itself with
 * back-off. Commands sent while it is away fail at once.
 */
#ifndef STORE_REDIS_H
#define STORE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct loop;
struct redis;
struct redis_reply;

struct redis_ops {
	void (*connected)(void *ctx);
	void (*lost)(void *ctx, const struct error *err);
	/* Subscriptions only. */
	void (*message)(void *ctx, struct slice channel, struct slice payload);
};

/* url: "unix:/path" or "address:port" (no names). deadline_ms 0: 5 s. */
struct redis *redis_new(struct loop *l, const char *url, int64_t deadline_ms,
    const struct redis_ops *ops, void *ctx);
/* Pending commands are forgotten: their callbacks never run. */
void redis_free(struct redis **r);
bool redis_is_up(const struct redis *r);
/* Why the last attempt to connect failed, while the next one is awaited; NULL
 * when it is up or being tried. */
const struct error *redis_failure(const struct redis *r);
size_t redis_pending(const struct redis *r);

/*
 * err NULL: reply is set, borrowed for the call. An error reply of the server
 * comes as ERR_STORE with its text, a connection that is away or broke as
 * ERR_NET or ERR_TIMEOUT. Never called before redis_command has returned.
 */
typedef void redis_done(void *ctx, const struct redis_reply *reply,
    const struct error *err);
/* Arguments are copied. done may be NULL. */
void redis_command(struct redis *r, const struct slice *argv, size_t argc,
    redis_done *done, void *ctx);

/*
 * A connection that only listens. Subscriptions are kept and made again after
 * each reconnect; connected is called when they are in place. A silent server
 * is found out by a PING every deadline_ms.
 */
struct redis *redis_new_subscriber(struct loop *l, const char *url,
    int64_t deadline_ms, const struct redis_ops *ops, void *ctx);
void redis_subscribe(struct redis *r, struct slice channel);
void redis_unsubscribe(struct redis *r, struct slice channel);

enum redis_type {
	REDIS_NIL,
	REDIS_INTEGER,
	REDIS_TEXT, /* bulk or status */
	REDIS_ARRAY,
	REDIS_ERROR, /* inside arrays only */
};

enum redis_type redis_reply_type(const struct redis_reply *reply);
int64_t redis_reply_int(const struct redis_reply *reply); /* 0 if none */
struct slice redis_reply_text(const struct redis_reply *reply);
size_t redis_reply_count(const struct redis_reply *reply);
const struct redis_reply *redis_reply_item(const struct redis_reply *reply,
    size_t n);

#endif

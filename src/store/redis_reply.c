/* What hiredis calls redisReply, read by those who are told. */
#include <hiredis/hiredis.h>

#include "base/attr.h"
#include "store/redis.h"

static const redisReply *
raw_of(const struct redis_reply *reply)
{
	return (const redisReply *)(const void *)reply;
}

enum redis_type
redis_reply_type(const struct redis_reply *reply)
{
	switch (raw_of(reply)->type) {
	case REDIS_REPLY_INTEGER:
		return REDIS_INTEGER;
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		return REDIS_TEXT;
	case REDIS_REPLY_ARRAY:
		return REDIS_ARRAY;
	case REDIS_REPLY_ERROR:
		return REDIS_ERROR;
	default:
		return REDIS_NIL;
	}
}

int64_t
redis_reply_int(const struct redis_reply *reply)
{
	return redis_reply_type(reply) == REDIS_INTEGER ? raw_of(reply)->integer
							: 0;
}

struct slice
redis_reply_text(const struct redis_reply *reply)
{
	const redisReply *raw = raw_of(reply);

	switch (redis_reply_type(reply)) {
	case REDIS_TEXT:
	case REDIS_ERROR:
		return slice_mem(raw->str, (size_t)raw->len);
	case REDIS_NIL:
	case REDIS_INTEGER:
	case REDIS_ARRAY:
		break;
	}
	return (struct slice){ NULL, 0 };
}

size_t
redis_reply_count(const struct redis_reply *reply)
{
	return redis_reply_type(reply) == REDIS_ARRAY ? raw_of(reply)->elements
						      : 0;
}

const struct redis_reply *
redis_reply_item(const struct redis_reply *reply, size_t n)
{
	invariant(n < redis_reply_count(reply));
	return (const struct redis_reply *)(const void *)raw_of(reply)
	    ->element[n];
}

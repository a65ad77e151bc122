/* http/router.h - which route a path belongs to. Pure. */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "base/arena.h"
#include "base/slice.h"
#include "http/server.h"

struct http_router;

/* Copies the routes; borrows their paths. */
struct http_router *http_router_new(const struct http_route *routes,
    size_t count);
void http_router_free(struct http_router **r);

struct http_match {
	const struct http_route *route; /* NULL: none */
	unsigned int allowed;		/* bit per method that the path has */
	bool is_bad;			/* an escape gives no text: 400 */
	unsigned int param_count;
	struct slice param[HTTP_PARAMS_MAX]; /* decoded, in the arena */
};

void http_router_find(const struct http_router *r, enum http_method method,
    struct slice path, struct arena *arena, struct http_match *out);

/*
 * Percent-decodes visible ASCII into the arena (without a copy when there is
 * nothing to decode). False when an escape is malformed or the result is not
 * UTF-8 or has control characters.
 */
bool http_percent_decode(struct slice in, bool plus_is_blank,
    struct arena *arena, struct slice *out);

#endif

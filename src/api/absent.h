/*
 * api/absent.h - the calls of Resend's API that are not here yet. Each is
 * answered 501 with what to do instead, because a plain 404 or 405 would send
 * people looking for a mistake of their own.
 */
#ifndef API_ABSENT_H
#define API_ABSENT_H

#include "http/server.h"

struct api_absent {
	enum http_method method; /* any, when the path ends in "/{*}" */
	const char *path;
	const char *what, *instead; /* for the message */
};

extern const struct api_absent api_absent[];
extern const size_t api_absent_count;

/* ctx: points to a const struct api_absent *. */
void api_absent_answer(struct http_request *r, void *ctx);

#endif

/*
 * A list, tried one by one: an API has some fifty routes, and comparing their
 * segments costs less than a microsecond.
 */
#include "router.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/mem.h"

#define HTTP_METHODS_ALL ((1U << (HTTP_DELETE + 1)) - 1)

struct http_router {
	size_t count;
	struct http_route *routes;
};

struct http_router *
http_router_new(const struct http_route *routes, size_t count)
{
	struct http_router *r = xmalloc(sizeof(*r));

	r->count = count;
	r->routes = xcalloc(count, sizeof(*r->routes));
	for (size_t i = 0; i < count; i++) {
		invariant(routes[i].path[0] == '/' && routes[i].handle != NULL);
		r->routes[i] = routes[i];
	}
	return r;
}

void
http_router_free(struct http_router **r)
{
	if (*r == NULL)
		return;
	free((*r)->routes);
	free(*r);
	*r = NULL;
}

/* Without the prefix under which every path answers as well. */
static struct slice
strip_prefix(struct slice path)
{
	static const struct slice prefixes[] = { { "/api/v1/", 8 },
		{ "/v1/", 4 } };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (slice_starts(path, prefixes[i]))
			return slice_from(path, prefixes[i].len - 1);
	return path;
}

/* Whether the pattern ends in "/{*}" and the path is at or below the rest. */
static bool
match_below(const char *pattern, struct slice path)
{
	struct slice top = slice_of(pattern);

	if (!slice_ends_nocase(top, SLICE("/{*}")))
		return false;
	top.len -= sizeof("/{*}") - 1;
	return slice_starts(path, top) &&
	    (path.len == top.len || path.ptr[top.len] == '/');
}

/* Fills param with raw segments; returns how many, or -1 on no match. */
static int
match(const char *pattern, struct slice path, struct slice *param)
{
	struct slice left = slice_of(pattern);
	int n = 0;

	do {
		struct slice want, have;

		slice_take_char(&left, '/');
		if (!slice_take_char(&path, '/'))
			return -1;
		want = slice_first(left, slice_find_char(left, '/'));
		have = slice_first(path, slice_find_char(path, '/'));
		if (slice_eq(want, SLICE("{}"))) {
			if (have.len == 0 || n == HTTP_PARAMS_MAX)
				return -1;
			param[n++] = have;
		} else if (!slice_eq(want, have)) {
			return -1;
		}
		left = slice_from(left, want.len);
		path = slice_from(path, have.len);
	} while (left.len > 0);
	return path.len == 0 ? n : -1;
}

bool
http_percent_decode(struct slice in, bool plus_is_blank, struct arena *arena,
    struct slice *out)
{
	bool is_plain = !slice_has_char(in, '%') &&
	    (!plus_is_blank || !slice_has_char(in, '+'));
	size_t n = 0;
	char *to;

	if (is_plain) {
		*out = in;
		return true;
	}
	to = arena_alloc(arena, in.len + 1);
	while (in.len > 0) {
		char c = *in.ptr;

		in = slice_from(in, 1);
		if (c == '%') {
			if (!hex_decode(slice_first(in, 2), &c, 1))
				return false;
			in = slice_from(in, 2);
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if ((unsigned char)c < ' ' || c == 0x7f)
			return false;
		to[n++] = c;
	}
	*out = slice_mem(to, n);
	return utf8_is_valid(*out);
}

void
http_router_find(const struct http_router *r, enum http_method method,
    struct slice path, struct arena *arena, struct http_match *out)
{
	int best = HTTP_PARAMS_MAX + 1;

	*out = (struct http_match){ 0 };
	path = strip_prefix(path);
	for (size_t i = 0; i < r->count; i++) {
		struct slice param[HTTP_PARAMS_MAX];
		int n = match(r->routes[i].path, path, param);

		if (n < 0)
			continue;
		out->allowed |= 1U << r->routes[i].method;
		if (r->routes[i].method != method || n >= best)
			continue;
		best = n;
		out->route = &r->routes[i];
		out->param_count = (unsigned int)n;
		memcpy(out->param, param, sizeof(param[0]) * (size_t)n);
	}
	for (size_t i = 0; out->allowed == 0 && i < r->count; i++)
		if (match_below(r->routes[i].path, path)) {
			out->route = &r->routes[i];
			out->allowed = HTTP_METHODS_ALL;
		}
	for (unsigned int i = 0; i < out->param_count; i++)
		if (!http_percent_decode(out->param[i], false, arena,
			&out->param[i]))
			out->is_bad = true;
}

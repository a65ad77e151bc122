#include "test.h"

#include "http/router.h"

static void
handle(struct http_request *r, void *ctx)
{
	(void)r;
	(void)ctx;
}

static char names[9][2];
#define ROUTE(method, path, n)                                                 \
	{                                                                      \
		method, path, handle, names[n]                                 \
	}
static const struct http_route routes[] = {
	ROUTE(HTTP_GET, "/", 0),
	ROUTE(HTTP_POST, "/emails", 1),
	ROUTE(HTTP_GET, "/emails/{}", 2),
	ROUTE(HTTP_POST, "/emails/batch", 3),
	ROUTE(HTTP_GET, "/emails/metrics", 4),
	ROUTE(HTTP_POST, "/emails/{}/cancel", 5),
	ROUTE(HTTP_DELETE, "/a/{}/b/{}", 6),
	ROUTE(HTTP_GET, "/c/{*}", 7),
	ROUTE(HTTP_POST, "/c/{}/d", 8),
};

static const struct {
	enum http_method method;
	const char *path;
	int route;	      /* -1: none */
	unsigned int allowed; /* when none */
	const char *first, *second;
} cases[] = {
	{ HTTP_GET, "/", 0, 0, NULL, NULL },
	{ HTTP_POST, "/emails", 1, 0, NULL, NULL },
	{ HTTP_POST, "/v1/emails", 1, 0, NULL, NULL },
	{ HTTP_POST, "/api/v1/emails", 1, 0, NULL, NULL },
	{ HTTP_GET, "/v1/", 0, 0, NULL, NULL },
	{ HTTP_GET, "/emails/42", 2, 0, "42", NULL },
	{ HTTP_GET, "/emails/metrics", 4, 0, NULL, NULL },
	{ HTTP_GET, "/emails/batch", 2, 0, "batch", NULL },
	{ HTTP_POST, "/emails/batch", 3, 0, NULL, NULL },
	{ HTTP_POST, "/emails/x/cancel", 5, 0, "x", NULL },
	{ HTTP_DELETE, "/a/b%40c.example/b/%C3%A9+%2F", 6, 0, "b@c.example",
	    "\xc3\xa9+/" },
	{ HTTP_GET, "/c", 7, 0, NULL, NULL },
	{ HTTP_PATCH, "/v1/c/", 7, 0, NULL, NULL },
	{ HTTP_DELETE, "/c/d/e/f/g/h/%41", 7, 0, NULL, NULL },
	{ HTTP_POST, "/c/1/d", 8, 0, "1", NULL },
	{ HTTP_GET, "/c/1/d", -1, 1U << HTTP_POST, NULL, NULL },
	{ HTTP_GET, "/cd", -1, 0, NULL, NULL },
	{ HTTP_GET, "/emails", -1, 1U << HTTP_POST, NULL, NULL },
	{ HTTP_PUT, "/emails/metrics", -1, 1U << HTTP_GET, NULL, NULL },
	{ HTTP_PUT, "/emails/batch", -1, 1U << HTTP_GET | 1U << HTTP_POST, NULL,
	    NULL },
	{ HTTP_GET, "/emails/", -1, 0, NULL, NULL },
	{ HTTP_GET, "//emails", -1, 0, NULL, NULL },
	{ HTTP_POST, "/emails/", -1, 0, NULL, NULL },
	{ HTTP_POST, "/email", -1, 0, NULL, NULL },
	{ HTTP_POST, "/emailsx", -1, 0, NULL, NULL },
	{ HTTP_POST, "/Emails", -1, 0, NULL, NULL },
	{ HTTP_POST, "/v1", -1, 0, NULL, NULL },
	{ HTTP_POST, "/v1emails", -1, 0, NULL, NULL },
	{ HTTP_POST, "/v1/v1/emails", -1, 0, NULL, NULL },
	{ HTTP_POST, "/v2/emails", -1, 0, NULL, NULL },
	{ HTTP_POST, "/emails//cancel", -1, 0, NULL, NULL },
	{ HTTP_DELETE, "/a/1/b/2/3", -1, 0, NULL, NULL },
	{ HTTP_DELETE, "/a/1/b", -1, 0, NULL, NULL },
};

static void
finds_the_route_of_a_path(void **state)
{
	struct http_router *r = http_router_new(routes, ARRAY_LEN(routes));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct http_match m;

		print_message("case %zu: %s\n", i, cases[i].path);
		http_router_find(r, cases[i].method, slice_of(cases[i].path),
		    &arena, &m);
		assert_false(m.is_bad);
		if (cases[i].route < 0) {
			assert_null(m.route);
			assert_int_equal(m.allowed, cases[i].allowed);
		} else {
			assert_non_null(m.route);
			assert_ptr_equal(m.route->ctx, names[cases[i].route]);
		}
		if (cases[i].first != NULL)
			assert_true(slice_eq_text(m.param[0], cases[i].first));
		if (cases[i].second != NULL)
			assert_true(slice_eq_text(m.param[1], cases[i].second));
		arena_fini(&arena);
	}
	http_router_free(&r);
	http_router_free(&r);
}

static const struct {
	const char *in;
	bool plus;
	const char *out; /* NULL: must be refused */
} escapes[] = {
	{ "plain", false, "plain" },
	{ "a+b", false, "a+b" },
	{ "a+b%2Bc", true, "a b+c" },
	{ "%e2%82%ac", false, "\xe2\x82\xac" },
	{ "%", false, NULL },
	{ "%4", false, NULL },
	{ "%4g", false, NULL },
	{ "%00", false, NULL },
	{ "%0a", false, NULL },
	{ "%7f", false, NULL },
	{ "%ff", false, NULL },
	{ "%e2%82", false, NULL },
};

static void
decodes_escapes_to_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		struct arena arena = ARENA_INIT;
		struct slice out;
		bool ok = http_percent_decode(slice_of(escapes[i].in),
		    escapes[i].plus, &arena, &out);

		print_message("case %zu: %s\n", i, escapes[i].in);
		assert_int_equal(ok, escapes[i].out != NULL);
		if (ok)
			assert_true(slice_eq_text(out, escapes[i].out));
		arena_fini(&arena);
	}
}

TEST_MAIN(cmocka_unit_test(finds_the_route_of_a_path),
    cmocka_unit_test(decodes_escapes_to_text))

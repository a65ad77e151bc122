/* Each call that is not here yet says so, and what to do instead. */
#include "http_world.h"

#include "api/absent.h"
#include "intake/answer.h"

static const char *const methods[] = { "GET", "POST", "PUT", "PATCH",
	"DELETE" };

/* The server of the world, over the table and nothing else. */
static void
open_absent(struct world *w, const struct api_absent **row)
{
	struct http_route *routes = xcalloc(api_absent_count, sizeof(*routes));

	open_world(w, &ordinary);
	http_server_free(&w->server);
	for (size_t i = 0; i < api_absent_count; i++) {
		row[i] = &api_absent[i];
		routes[i] = (struct http_route){ api_absent[i].method,
			api_absent[i].path, api_absent_answer, &row[i] };
	}
	w->server = http_server_new(w->loop, w->listen_fd, &ordinary, routes,
	    api_absent_count);
	free(routes);
}

/* The body, an error in the API's shape, must say what the row says. */
static void
check_answer(struct client *c, const struct api_absent *a)
{
	struct arena arena = ARENA_INIT;
	const struct json *body;
	size_t head = slice_find(strbuf_slice(&c->got), SLICE("\r\n\r\n")) + 4;
	int64_t status = 0;
	struct slice message;

	assert_memory_equal(c->got.ptr, "HTTP/1.1 501 ", 13);
	assert_int_equal(json_parse(&arena, c->got.ptr + head,
			     c->got.len - head, &body, NULL),
	    0);
	assert_true(json_to_i64(json_get(body, "statusCode"), &status));
	assert_int_equal(status, 501);
	assert_true(
	    slice_eq_text(json_get_text(body, "name"), "not_implemented"));
	message = json_get_text(body, "message");
	print_message("  %.*s\n", SLICE_FMT(message));
	assert_true(slice_starts(message, SLICE("Verpost does not have ")));
	assert_true(slice_find(message, slice_of(a->what)) < message.len);
	assert_true(slice_ends_nocase(message, slice_of(a->instead)));
	assert_true(strlen(a->instead) > 10);
	arena_fini(&arena);
}

/* A path for the pattern; below: of one that takes all below it. */
static void
add_path(struct strbuf *out, const char *pattern, const char *below)
{
	struct slice left = slice_of(pattern), part;

	if (slice_ends_nocase(left, SLICE("/{*}"))) {
		left.len -= 4;
		strbuf_add_slice(out, left);
		strbuf_add_text(out, below);
		return;
	}
	while (left.len > 0) {
		(void)slice_take_char(&left, '/');
		part = slice_take_until(&left, '/');
		strbuf_add_char(out, '/');
		if (slice_eq_text(part, "{}"))
			strbuf_add_text(out,
			    "49a3999c-0ce1-4ea6-ab68-afcd6dc2");
		else
			strbuf_add_slice(out, part);
	}
}

static void
ask(struct world *w, const struct api_absent *a, enum http_method method,
    const char *below)
{
	struct client c = dial(w);
	struct strbuf text = STRBUF_INIT;

	strbuf_add_fmt(&text, "%s ", methods[method]);
	add_path(&text, a->path, below);
	print_message("%s\n", strbuf_text(&text));
	strbuf_add_text(&text,
	    " HTTP/1.1\r\n" H "Content-Type: application/json\r\n"
	    "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
	send_all(w, &c, strbuf_slice(&text));
	await(w, &c, 0);
	check_answer(&c, a);
	strbuf_fini(&text);
	hang_up(&c);
}

static void
every_absent_call_says_what_to_do_instead(void **state)
{
	const struct api_absent **row =
	    xcalloc(api_absent_count, sizeof(const struct api_absent *));
	struct world w;

	(void)state;
	open_absent(&w, row);
	assert_true(api_absent_count > 20);
	for (size_t i = 0; i < api_absent_count; i++) {
		const struct api_absent *a = &api_absent[i];
		bool is_all =
		    slice_ends_nocase(slice_of(a->path), SLICE("/{*}"));

		ask(&w, a, a->method, "");
		for (int m = 0; is_all && m <= HTTP_DELETE; m++)
			ask(&w, a, (enum http_method)m, "/x/contacts/y");
	}
	close_world(&w);
	free(row);
}

TEST_MAIN(cmocka_unit_test(every_absent_call_says_what_to_do_instead))

/*
 * What is refused here is what lets a proxy in front and us disagree about
 * where a request ends or whom it is for (request smuggling), and what no
 * honest client sends. The cases stand in the table of
 * tests/unit/test_http_head.c.
 */
#include "head.h"

#include "base/encode.h"

#define BAD_REQUEST 400, "validation_error"

static const struct http_refusal
    bad_start = { BAD_REQUEST, "This is not an HTTP request." },
    bad_line = { BAD_REQUEST, "The request line is malformed." },
    bad_target = { BAD_REQUEST,
	    "The request target must be a path of visible ASCII characters." },
    bad_newline = { BAD_REQUEST, "Lines must end in CR LF." },
    bad_field = { BAD_REQUEST, "A header field is malformed." },
    bad_fold = { BAD_REQUEST, "Folded header lines are not accepted." },
    bad_twice = { BAD_REQUEST,
	    "A header field that may appear once appears twice." },
    bad_host = { BAD_REQUEST, "The request needs one valid Host field." },
    bad_length = { BAD_REQUEST, "Content-Length must be one whole number." },
    bad_coding = { BAD_REQUEST,
	    "The only Transfer-Encoding accepted is 'chunked', in HTTP/1.1 "
	    "and without Content-Length." },
    bad_version = { 505, "http_version_not_supported",
	    "Only HTTP/1.1 and HTTP/1.0 are served." },
    bad_method = { 501, "not_implemented", "The method is not known." },
    bad_expect = { 417, "expectation_failed",
	    "The only expectation accepted is '100-continue'." },
    long_line = { 414, "uri_too_long", "The request line is too long." },
    long_head = { 431, "request_header_fields_too_large",
	    "The header fields are too large." };

const struct http_refusal
    http_refused_length = { 413, "payload_too_large",
	    "The request body is too large." },
    http_refused_chunk = { BAD_REQUEST, "The chunked body is malformed." },
    http_refused_escape = { BAD_REQUEST,
	    "The path or query has a malformed percent-escape." },
    http_refused_time = { 408, "request_timeout",
	    "The request did not arrive in time." },
    http_refused_end = { BAD_REQUEST,
	    "The request ends before it is complete." },
    http_refused_memory = { 503, "service_unavailable",
	    "Too many large requests at the moment, try again later." },
    http_refused_path = { 404, "not_found",
	    "The requested endpoint does not exist." },
    http_refused_method = { 405, "method_not_allowed",
	    "The method is not allowed for this endpoint." };

/* ---- The end of the head ----------------------------------------------- */

static enum http_scan_result
too_long(bool in_first_line, const struct http_refusal **why)
{
	*why = in_first_line ? &long_line : &long_head;
	return HTTP_SCAN_BAD;
}

enum http_scan_result
http_head_scan(struct http_scan *scan, struct slice in,
    const struct http_refusal **why)
{
	if (in.len > 0 && (*in.ptr < 'A' || *in.ptr > 'Z')) {
		*why = &bad_start;
		return HTTP_SCAN_BAD;
	}
	for (;;) {
		struct slice rest = slice_from(in, scan->pos);
		size_t at = scan->pos + slice_find_char(rest, '\n');
		bool is_first = scan->line == 0;

		if (at - scan->line >= HTTP_LINE_MAX && is_first)
			return too_long(true, why);
		if (at >= HTTP_HEAD_MAX)
			return too_long(false, why);
		if (at == in.len) {
			scan->pos = in.len;
			return HTTP_SCAN_MORE;
		}
		if (at == 0 || in.ptr[at - 1] != '\r') {
			*why = &bad_newline;
			return HTTP_SCAN_BAD;
		}
		scan->pos = at + 1;
		if (at - scan->line == 1 && !is_first)
			return HTTP_SCAN_DONE;
		scan->line = scan->pos;
	}
}

/* ---- The request line -------------------------------------------------- */

static const struct {
	struct slice text;
	enum http_method method;
	bool is_head, is_other;
} methods[] = {
	{ { "GET", 3 }, HTTP_GET, false, false },
	{ { "POST", 4 }, HTTP_POST, false, false },
	{ { "PUT", 3 }, HTTP_PUT, false, false },
	{ { "PATCH", 5 }, HTTP_PATCH, false, false },
	{ { "DELETE", 6 }, HTTP_DELETE, false, false },
	{ { "HEAD", 4 }, HTTP_GET, true, false },
	{ { "OPTIONS", 7 }, HTTP_GET, false, true },
	{ { "TRACE", 5 }, HTTP_GET, false, true },
	{ { "CONNECT", 7 }, HTTP_GET, false, true },
};

/* tchar of RFC 9110 section 5.6.2. */
static bool
is_token_char(char c)
{
	return ascii_is_alnum(c) ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token_char(s.ptr[i]))
			return false;
	return s.len > 0;
}

static const struct http_refusal *
take_method(struct slice *line, struct http_head *out)
{
	out->method_text = slice_take_until(line, ' ');
	if (!is_token(out->method_text))
		return &bad_line;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (slice_eq(out->method_text, methods[i].text)) {
			out->method = methods[i].method;
			out->is_head = methods[i].is_head;
			out->is_other = methods[i].is_other;
			return NULL;
		}
	}
	return &bad_method;
}

/* Each '%' has two hex digits and is not NUL. */
static bool
escapes_are_valid(struct slice s)
{
	for (;;) {
		uint8_t octet;

		s = slice_from(s, slice_find_char(s, '%'));
		if (s.len == 0)
			return true;
		if (s.len < 3 ||
		    !hex_decode(slice_mem(s.ptr + 1, 2), &octet, 1) ||
		    octet == 0)
			return false;
		s = slice_from(s, 3);
	}
}

/* Only the origin form: no absolute form, no "*", no fragment. */
static const struct http_refusal *
take_target(struct slice *line, struct http_head *out)
{
	struct slice target = slice_take_until(line, ' ');

	if (target.len == 0 || *target.ptr != '/')
		return &bad_target;
	for (size_t i = 0; i < target.len; i++)
		if (target.ptr[i] < 0x21 || target.ptr[i] > 0x7e ||
		    target.ptr[i] == '#')
			return &bad_target;
	if (!escapes_are_valid(target))
		return &http_refused_escape;
	out->path = slice_take_until(&target, '?');
	out->query = target;
	return NULL;
}

static const struct http_refusal *
parse_request_line(struct slice line, struct http_head *out)
{
	const struct http_refusal *why = NULL;
	struct slice words = line, method = slice_take_until(&words, ' ');
	struct slice target = slice_take_until(&words, ' ');

	/* The version first: HTTP/2's preface is told what is wrong. */
	if (!is_token(method) || target.len == 0 ||
	    !slice_starts(words, SLICE("HTTP/")))
		return &bad_line;
	out->is_old = slice_eq(words, SLICE("HTTP/1.0"));
	if (!out->is_old && !slice_eq(words, SLICE("HTTP/1.1"))) {
		if (words.len == 8 && ascii_is_digit(words.ptr[5]) &&
		    words.ptr[6] == '.' && ascii_is_digit(words.ptr[7]))
			return &bad_version;
		return &bad_line;
	}
	why = take_method(&line, out);
	return why != NULL ? why : take_target(&line, out);
}

/* ---- Fields ------------------------------------------------------------ */

static const struct http_refusal *
parse_field(struct slice line, struct http_field *out)
{
	struct slice value;

	if (*line.ptr == ' ' || *line.ptr == '\t')
		return &bad_fold;
	if (!slice_has_char(line, ':'))
		return &bad_field;
	value = line;
	out->name = slice_take_until(&value, ':');
	if (!is_token(out->name))
		return &bad_field; /* also a blank before the colon */
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return &bad_field;
	}
	out->value = slice_trim(value);
	return NULL;
}

static const struct http_refusal *
parse_fields(struct arena *arena, struct slice text, struct http_head *out)
{
	size_t count = 0;
	struct slice lines = text, line;

	while (slice_take_line(&lines, &line) && line.len > 0)
		count++;
	if (count > HTTP_FIELDS_MAX)
		return &long_head;
	out->fields = arena_calloc(arena, count, sizeof(*out->fields));
	while (out->field_count < count && slice_take_line(&text, &line)) {
		const struct http_refusal *why =
		    parse_field(line, &out->fields[out->field_count]);

		if (why != NULL)
			return why;
		out->field_count++;
	}
	return NULL;
}

const struct http_field *
http_head_find(const struct http_head *head, struct slice name)
{
	for (size_t i = 0; i < head->field_count; i++)
		if (slice_eq_nocase(head->fields[i].name, name))
			return &head->fields[i];
	return NULL;
}

/* ---- What the fields mean ---------------------------------------------- */

static const struct slice singles[] = {
	{ "Host", 4 },
	{ "Content-Length", 14 },
	{ "Transfer-Encoding", 17 },
	{ "Content-Type", 12 },
	{ "Authorization", 13 },
	{ "Idempotency-Key", 15 },
	{ "Expect", 6 },
};

static const struct http_refusal *
check_singles(const struct http_head *head)
{
	for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
		size_t seen = 0;

		for (size_t k = 0; k < head->field_count; k++)
			seen +=
			    slice_eq_nocase(head->fields[k].name, singles[i]);
		if (seen > 1)
			return &bad_twice;
	}
	return NULL;
}

/* A name or address with an optional port; no user, no path. */
static const struct http_refusal *
check_host(const struct http_head *head)
{
	const struct http_field *host = http_head_find(head, SLICE("Host"));

	if (host == NULL)
		return head->is_old ? NULL : &bad_host;
	for (size_t i = 0; i < host->value.len; i++) {
		char c = host->value.ptr[i];

		if (!ascii_is_alnum(c) &&
		    (c == '\0' || strchr("-._~:[]", c) == NULL))
			return &bad_host;
	}
	return host->value.len > 0 ? NULL : &bad_host;
}

static const struct http_refusal *
read_framing(struct http_head *head)
{
	const struct http_field *length =
	    http_head_find(head, SLICE("Content-Length"));
	const struct http_field *coding =
	    http_head_find(head, SLICE("Transfer-Encoding"));

	if (coding != NULL) {
		if (length != NULL || head->is_old ||
		    !slice_eq_nocase(coding->value, SLICE("chunked")))
			return &bad_coding;
		head->is_chunked = true;
	}
	/* Digits only: no sign, no list, no blank inside. */
	if (length != NULL &&
	    !slice_to_u64(length->value, &head->content_length))
		return &bad_length;
	return NULL;
}

/* Whether a comma-separated list has that token. */
static bool
list_has(struct slice list, struct slice token)
{
	while (list.len > 0)
		if (slice_eq_nocase(slice_trim(slice_take_until(&list, ',')),
			token))
			return true;
	return false;
}

static const struct http_refusal *
read_connection(struct http_head *head)
{
	const struct http_field *expect = http_head_find(head, SLICE("Expect"));
	bool says_close = false, says_keep = false;

	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];

		if (!slice_eq_nocase(f->name, SLICE("Connection")))
			continue;
		says_close |= list_has(f->value, SLICE("close"));
		says_keep |= list_has(f->value, SLICE("keep-alive"));
	}
	head->keeps_alive = !says_close && (!head->is_old || says_keep);
	if (expect == NULL || head->is_old)
		return NULL;
	if (!slice_eq_nocase(expect->value, SLICE("100-continue")))
		return &bad_expect;
	head->expects_continue = head->is_chunked || head->content_length > 0;
	return NULL;
}

const struct http_refusal *
http_head_parse(struct arena *arena, struct slice text, struct http_head *out)
{
	const struct http_refusal *why;
	struct slice line;

	*out = (struct http_head){ 0 };
	if (!slice_take_line(&text, &line))
		return &bad_line;
	why = parse_request_line(line, out);
	if (why == NULL)
		why = parse_fields(arena, text, out);
	if (why == NULL)
		why = check_singles(out);
	if (why == NULL)
		why = check_host(out);
	if (why == NULL)
		why = read_framing(out);
	if (why == NULL)
		why = read_connection(out);
	return why;
}

/*
 * http/head.h - the head of a request, strictly (RFC 9112 sections 2 to 6).
 *
 * Pure: octets in, a parsed head or a refusal out.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "http/server.h"

#define HTTP_LINE_MAX ((size_t)8 * 1024)  /* the request line */
#define HTTP_HEAD_MAX ((size_t)16 * 1024) /* all of it */
#define HTTP_FIELDS_MAX 100

/* Why a request is not served; constants. */
struct http_refusal {
	int status;
	const char *name, *message;
};

extern const struct http_refusal http_refused_length; /* body too large */
extern const struct http_refusal http_refused_chunk;
extern const struct http_refusal http_refused_escape;
extern const struct http_refusal http_refused_time;
extern const struct http_refusal http_refused_end;
extern const struct http_refusal http_refused_memory;
extern const struct http_refusal http_refused_path;
extern const struct http_refusal http_refused_method;

struct http_field {
	struct slice name, value; /* the value trimmed */
};

struct http_head {
	struct slice method_text, path, query; /* as sent; without the '?' */
	enum http_method method;	       /* HEAD is GET with is_head */
	bool is_head;
	bool is_other;		   /* a method of HTTP that no route can have */
	struct http_field *fields; /* in the arena */
	size_t field_count;
	bool is_chunked;
	uint64_t content_length; /* 0 without a body */
	bool keeps_alive;
	bool is_old; /* HTTP/1.0 */
	bool expects_continue;
};

/* How far the end of a head was looked for; zero-initialised. */
struct http_scan {
	size_t pos;  /* first octet not yet looked at */
	size_t line; /* where the line of pos begins */
};

enum http_scan_result {
	HTTP_SCAN_MORE, /* not there yet */
	HTTP_SCAN_DONE, /* scan->pos is behind the empty line */
	HTTP_SCAN_BAD,	/* *why says so */
};

/*
 * Looks for the end of the head in all that has come so far; called again with
 * more, it goes on where it was. Refuses early what can only be refused: a
 * first octet that begins no method, a bare LF, too much.
 */
enum http_scan_result http_head_scan(struct http_scan *scan, struct slice in,
    const struct http_refusal **why);

/*
 * text: the whole head with its empty line, borrowed as long as *out is used.
 * Returns NULL, or why the request must be refused and the connection closed.
 */
const struct http_refusal *http_head_parse(struct arena *arena,
    struct slice text, struct http_head *out) MUST_CHECK;

/* The first field of that name, or NULL. */
const struct http_field *http_head_find(const struct http_head *head,
    struct slice name);

#endif

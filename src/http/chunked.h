/*
 * http/chunked.h - the chunked coding of a body, strictly (RFC 9112 section
 * 7.1): hex digits, at most eight, without sign or prefix,
 * CR LF, data, CR LF. No extensions, no trailers.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct http_chunked { /* zero-initialised */
	enum {
		HTTP_CHUNK_SIZE,
		HTTP_CHUNK_SIZE_LF,
		HTTP_CHUNK_DATA,
		HTTP_CHUNK_DATA_CR,
		HTTP_CHUNK_DATA_LF,
		HTTP_CHUNK_LAST_CR,
		HTTP_CHUNK_LAST_LF,
	} state;
	unsigned int digits;
	uint64_t left; /* of the size read so far, then of the data */
};

enum http_chunk_result {
	HTTP_CHUNK_MORE,  /* all of *in is taken */
	HTTP_CHUNK_PIECE, /* *data is a piece of the body; call again */
	HTTP_CHUNK_END,	  /* the body is complete; *in stands behind it */
	HTTP_CHUNK_BAD,
};

/* Takes octets off the front of *in; *data points into it. */
enum http_chunk_result http_chunked_take(struct http_chunked *c,
    struct slice *in, struct slice *data);

#endif

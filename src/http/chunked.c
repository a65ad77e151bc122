#include "chunked.h"

#include "base/encode.h"

#define DIGITS_MAX 8

static bool
take_digit(struct http_chunked *c, char digit)
{
	char pair[2] = { '0', digit };
	uint8_t value;

	if (!hex_decode(slice_mem(pair, 2), &value, 1) ||
	    c->digits == DIGITS_MAX)
		return false;
	c->left = c->left << 4 | value;
	c->digits++;
	return true;
}

/* The size line; false when c does not belong there. */
static bool
take_size(struct http_chunked *c, char octet)
{
	if (octet != '\r')
		return take_digit(c, octet);
	c->state = HTTP_CHUNK_SIZE_LF;
	return c->digits > 0;
}

/* Any octet but data; false when it is not the one that must come. */
static bool
step(struct http_chunked *c, char octet)
{
	switch (c->state) {
	case HTTP_CHUNK_SIZE:
		return take_size(c, octet);
	case HTTP_CHUNK_SIZE_LF:
		c->state = c->left > 0 ? HTTP_CHUNK_DATA : HTTP_CHUNK_LAST_CR;
		return octet == '\n';
	case HTTP_CHUNK_DATA_CR:
		c->state = HTTP_CHUNK_DATA_LF;
		return octet == '\r';
	case HTTP_CHUNK_DATA_LF:
		c->state = HTTP_CHUNK_SIZE;
		c->digits = 0;
		return octet == '\n';
	case HTTP_CHUNK_LAST_CR:
		c->state = HTTP_CHUNK_LAST_LF;
		return octet == '\r';
	case HTTP_CHUNK_LAST_LF:
		return octet == '\n';
	case HTTP_CHUNK_DATA:
		break;
	}
	return false;
}

static void
take_data(struct http_chunked *c, struct slice *in, struct slice *data)
{
	*data = slice_first(*in, MIN(in->len, c->left));
	*in = slice_from(*in, data->len);
	c->left -= data->len;
	if (c->left == 0)
		c->state = HTTP_CHUNK_DATA_CR;
}

enum http_chunk_result
http_chunked_take(struct http_chunked *c, struct slice *in, struct slice *data)
{
	while (in->len > 0) {
		bool is_last = c->state == HTTP_CHUNK_LAST_LF;

		if (c->state == HTTP_CHUNK_DATA) {
			take_data(c, in, data);
			return HTTP_CHUNK_PIECE;
		}
		if (!step(c, *in->ptr))
			return HTTP_CHUNK_BAD;
		*in = slice_from(*in, 1);
		if (is_last)
			return HTTP_CHUNK_END;
	}
	return HTTP_CHUNK_MORE;
}

#include "mail/record.h"

#define HEAD_LEN 5

static void
put_length(char *at, size_t n)
{
	at[0] = (char)(n >> 24 & 0xff);
	at[1] = (char)(n >> 16 & 0xff);
	at[2] = (char)(n >> 8 & 0xff);
	at[3] = (char)(n & 0xff);
}

void
record_put(struct strbuf *out, unsigned int type, struct slice value)
{
	char head[HEAD_LEN] = { (char)type };

	invariant(value.len <= UINT32_MAX);
	put_length(head + 1, value.len);
	strbuf_add(out, head, sizeof(head));
	strbuf_add_slice(out, value);
}

void
record_put_text(struct strbuf *out, unsigned int type, struct slice value)
{
	if (value.len > 0)
		record_put(out, type, value);
}

void
record_put_u32(struct strbuf *out, unsigned int type, uint32_t value)
{
	char octets[4];

	put_length(octets, value);
	record_put(out, type, slice_mem(octets, sizeof(octets)));
}

size_t
record_begin(struct strbuf *out, unsigned int type)
{
	record_put(out, type, SLICE(""));
	return out->len;
}

void
record_end(struct strbuf *out, size_t begin)
{
	if (!out->overflow)
		put_length(out->ptr + begin - 4, out->len - begin);
}

int
record_take(struct slice *in, unsigned int *type, struct slice *value)
{
	size_t len;

	if (in->len == 0)
		return 0;
	if (in->len < HEAD_LEN)
		return -1;
	len = record_u32(slice_first(slice_from(*in, 1), 4));
	if (len > in->len - HEAD_LEN)
		return -1;
	*type = (unsigned char)in->ptr[0];
	*value = slice_first(slice_from(*in, HEAD_LEN), len);
	*in = slice_from(*in, HEAD_LEN + len);
	return 1;
}

uint32_t
record_u32(struct slice value)
{
	const unsigned char *p = (const unsigned char *)value.ptr;

	if (value.len != 4)
		return 0;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

#include "queue/member.h"

#include <arpa/inet.h>
#include <string.h>

void
queue_member_encode(const struct queue_member *m, uint8_t out[QUEUE_MEMBER_LEN])
{
	uint32_t flow = htonl(m->flow);

	memcpy(out, m->id.b, sizeof(m->id.b));
	memcpy(out + 16, &flow, sizeof(flow));
	out[20] = m->flags;
}

bool
queue_member_decode(struct slice in, struct queue_member *out)
{
	uint32_t flow;

	if (in.len != QUEUE_MEMBER_LEN)
		return false;
	memcpy(out->id.b, in.ptr, sizeof(out->id.b));
	memcpy(&flow, in.ptr + 16, sizeof(flow));
	out->flow = ntohl(flow);
	out->flags = (uint8_t)in.ptr[20];
	return true;
}

/*
 * queue/member.h - a job: one 21-octet member of a Redis zset. Recipient id
 * (16), flow (u32 big-endian: account number * 2 + stream), flags (1). Rebuilt
 * octet for octet from the recipient's row, which makes enqueue idempotent.
 */
#ifndef QUEUE_MEMBER_H
#define QUEUE_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/id.h"

#define QUEUE_MEMBER_LEN 21

/* flags: bits 0 and 2, bits 4-7 log2 of the fair-queueing weight */
#define QUEUE_TRANSACTIONAL 0x01
#define QUEUE_EXACTLY_ONCE 0x04 /* an unknown outcome ends the recipient */
#define QUEUE_WEIGHT_SHIFT 4

struct queue_member {
	struct id id;
	uint32_t flow;
	uint8_t flags;
};

void queue_member_encode(const struct queue_member *m,
    uint8_t out[QUEUE_MEMBER_LEN]);
bool queue_member_decode(struct slice in, struct queue_member *out);

#endif

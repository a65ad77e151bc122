/*
 * mail/record.h - the octets of our own records: fields of {type u8, length
 * u32 big-endian, octets} one after the other; they nest. Readers pass over
 * types they do not know, so that old processes read what new ones write.
 */
#ifndef MAIL_RECORD_H
#define MAIL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

/* value: shorter than 4 GB. */
void record_put(struct strbuf *out, unsigned int type, struct slice value);
/* Only when it is not empty: an absent field reads as an empty one. */
void record_put_text(struct strbuf *out, unsigned int type, struct slice value);
/* Big-endian, four octets. */
void record_put_u32(struct strbuf *out, unsigned int type, uint32_t value);

/* A field of fields: what is put between the two calls. */
size_t record_begin(struct strbuf *out, unsigned int type);
void record_end(struct strbuf *out, size_t begin);

/* Takes a field off the front. 1: taken; 0: at the end; -1: cut short. */
int record_take(struct slice *in, unsigned int *type, struct slice *value);
/* 0 unless value has four octets. */
uint32_t record_u32(struct slice value);

#endif

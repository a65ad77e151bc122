/*
 * bounce/parse.h - reads a returned mail (RFC 6522 multipart/report around an
 * RFC 3464 message/delivery-status) with GMime. Hostile input: runs in the
 * parser process only (bounce/parser.h), and in tests.
 */
#ifndef BOUNCE_PARSE_H
#define BOUNCE_PARSE_H

#include "base/arena.h"
#include "base/slice.h"
#include "bounce/report.h"

/* Bounds on one message; what is beyond is not looked at. */
#define BOUNCE_DEPTH_MAX 16
#define BOUNCE_PARTS_MAX 500
#define BOUNCE_DSN_BYTES_MAX ((size_t)1 << 20)

/* Once per process, before the first parse and before seccomp. */
void bounce_parse_init(void);

/*
 * raw: the message as received; bare LF and a "From " line in front are taken
 * too. Never fails: what is not a standard DSN has kind BOUNCE_NONE and says
 * why in detail. Texts live in the arena.
 */
void bounce_parse(struct arena *arena, struct slice raw,
    struct bounce_report *out);

#endif

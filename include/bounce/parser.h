/*
 * bounce/parser.h - the body of the parser role: takes raw mail from the
 * smtpd processes over a Unix socket, answers with a report (bounce/report.h).
 *
 * It has no network, no files and no database: after parser_new the process
 * is under a seccomp filter that kills it for anything but reading and
 * writing its descriptors, accepting, memory and time; and under rlimits. A
 * mail that makes it crash, loop or grow kills this process only; the master
 * starts another, and the matcher gives the mail up after two tries.
 */
#ifndef BOUNCE_PARSER_H
#define BOUNCE_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct parser;

struct parser_options {
	struct loop *loop;
	int listen_fd;		   /* Unix stream socket, listening; borrowed */
	uint64_t memory_max_bytes; /* address space; 0: 512 MB */
	int64_t cpu_max_ms;	   /* per mail, processor time; 0: 3,000 */
	bool no_seccomp;	   /* only for tools that seccomp breaks */
};

/*
 * Everything that opens files (locale, GMime's tables) is done here, then the
 * filter is closed: call it last in the set-up of the process. NULL with err
 * when the filter cannot be installed.
 */
struct parser *parser_new(const struct parser_options *opt,
    struct error *err) MUST_CHECK;
/* Stops accepting; done is called when the last answer was taken, or at the
 * timeout. */
void parser_drain(struct parser *p, int64_t timeout_ms, void (*done)(void *ctx),
    void *ctx);
void parser_free(struct parser **p);

#endif

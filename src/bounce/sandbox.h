/* bounce/sandbox.h - what the parser process gives up before its first mail. */
#ifndef BOUNCE_SANDBOX_H
#define BOUNCE_SANDBOX_H

#include <stdint.h>

#include "base/error.h"

/*
 * No core file, no new processes, at most memory_max_bytes of address space
 * (not in builds with AddressSanitizer, which reserves terabytes).
 */
int sandbox_limit(uint64_t memory_max_bytes, struct error *err) MUST_CHECK;

/*
 * From here on the process may read and write the descriptors it has, accept
 * on them, allocate and look at the time. Naming a file is answered EACCES;
 * everything else kills the process. There is no way back.
 */
int sandbox_close(struct error *err) MUST_CHECK;

#endif

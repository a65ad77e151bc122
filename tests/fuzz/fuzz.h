/*
 * fuzz.h - what every fuzzer shares.
 *
 * tests/fuzz/fuzz_<name>.c holds one entry for libFuzzer. It names the rooms
 * it links and the packages they need in two comment lines, for contrib/fuzz:
 *
 *   fuzz-rooms: mail base
 *   fuzz-packages: libcrypto
 *   fuzz-sources: other.c      (more files of tests/fuzz, if any)
 *
 * "make check" links the same file with replay.c, which runs it over
 * tests/corpus/<name>/ with any compiler. A finding is an abort: use
 * invariant() for what must hold of every input.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

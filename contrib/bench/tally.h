/*
 * tally.h - what the sink and the load generator count, in a file that
 * contrib/bench/compare reads while they run (shared mapping, native order).
 *
 * Times are CLOCK_MONOTONIC of this machine in nanoseconds. Latencies go into
 * a histogram of microseconds: values below 16 exactly, then eight buckets for
 * every power of two. tally.py reads the same layout.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdint.h>

#define TALLY_BUCKETS 320

struct tally {
	uint64_t done;	   /* sink: distinct ids; load: accepted */
	uint64_t repeated; /* sink: ids seen before */
	uint64_t foreign;  /* sink: messages without an id of this run */
	uint64_t failed;   /* load: refused or broken */
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t bytes;
	uint64_t latency[TALLY_BUCKETS];
};

/* Creates the file and maps it; ends the process when it cannot. */
struct tally *tally_open(const char *path);
uint64_t tally_now_ns(void);
/* One more done, that took ns. */
void tally_add(struct tally *t, uint64_t now_ns, uint64_t took_ns);

#endif

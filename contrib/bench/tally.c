#include "tally.h"

#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct tally *
tally_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	void *map;

	if (fd < 0 || ftruncate(fd, sizeof(struct tally)) != 0)
		err(1, "%s", path);
	map = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	return map;
}

uint64_t
tally_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static unsigned int
bucket_of(uint64_t us)
{
	unsigned int power, bucket;

	if (us < 16)
		return (unsigned int)us;
	power = 63 - (unsigned int)__builtin_clzll(us); /* 4.. */
	bucket = 16 + (power - 4) * 8 + (unsigned int)((us >> (power - 3)) & 7);
	return bucket < TALLY_BUCKETS ? bucket : TALLY_BUCKETS - 1;
}

void
tally_add(struct tally *t, uint64_t now_ns, uint64_t took_ns)
{
	t->latency[bucket_of(took_ns / 1000)]++;
	if (t->first_ns == 0)
		t->first_ns = now_ns;
	t->last_ns = now_ns;
	t->done++;
}

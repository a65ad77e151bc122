/*
 * Runs a fuzzer's entry over files, without libFuzzer:
 *
 *   fuzz_<name> [FILE | DIRECTORY]...
 *
 * Without arguments it takes $srcdir/tests/corpus/<name>, <name> being what
 * follows "fuzz_" in its own name. Every file is run as it is, at every
 * length up to PREFIX_MAX, and then MUTATIONS times with a few octets
 * changed; the generator starts from the same seed each time, so that a
 * failure comes back in the next run. An empty corpus is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define PREFIX_MAX 256
#define MUTATIONS 300
#define FILE_MAX ((size_t)1 << 20)

static size_t files_run;

/* xorshift64: quality is not the point, repeatability is. */
static uint64_t
next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* The entry gets a copy of exactly that size, so that ASan sees overruns. */
static void
run_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void
run_mutated(const uint8_t *data, size_t size, uint64_t *seed)
{
	static const char spice[] = "\r\n\0\"\\{}[]<>:,;=. 0-9\x80\xff\xc3";
	uint8_t *copy = malloc(size);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	for (uint64_t n = 1 + next(seed) % 4; n > 0; n--) {
		size_t at = (size_t)(next(seed) % size);
		uint64_t dice = next(seed);

		if (dice % 3 == 0)
			copy[at] ^= (uint8_t)(1U << (dice >> 8) % 8);
		else if (dice % 3 == 1)
			copy[at] =
			    (uint8_t)spice[(dice >> 8) % (sizeof(spice) - 1)];
		else
			copy[at] = copy[(dice >> 8) % size];
	}
	run_copy(copy, size);
	free(copy);
}

static void
run_file(const char *path)
{
	uint64_t seed = 0x9e3779b97f4a7c15U;
	uint8_t *data = malloc(FILE_MAX);
	FILE *f = fopen(path, "rb");
	size_t size;

	if (f == NULL || data == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	size = fread(data, 1, FILE_MAX, f);
	fclose(f);
	files_run++;
	run_copy(data, size);
	for (size_t n = 0; n < size && n <= PREFIX_MAX; n++)
		run_copy(data, n);
	for (int i = 0; size > 0 && i < MUTATIONS; i++)
		run_mutated(data, size, &seed);
	free(data);
}

static void
run_path(const char *path)
{
	struct stat st;
	struct dirent *entry;
	DIR *dir;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	dir = opendir(path);
	if (dir == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	while ((entry = readdir(dir)) != NULL) {
		char file[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		run_file(file);
	}
	closedir(dir);
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strstr(argv[0], "fuzz_");
	char path[4096];

	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	if (argc < 2) {
		for (const char *at = name; at != NULL;
		     at = strstr(at + 1, "fuzz_"))
			name = at;
		snprintf(path, sizeof(path), "%s/tests/corpus/%s",
		    srcdir != NULL ? srcdir : ".",
		    name != NULL ? name + strlen("fuzz_") : "");
		run_path(path);
	}
	if (files_run == 0) {
		fprintf(stderr, "%s: no corpus\n", argv[0]);
		return 1;
	}
	printf("%zu files replayed\n", files_run);
	return 0;
}

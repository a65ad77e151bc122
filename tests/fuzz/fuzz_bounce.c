/*
 * A whole returned mail through GMime, as the parser process reads it.
 *
 * fuzz-rooms: mail base
 * fuzz-files: src/bounce/parse.c src/bounce/report.c
 * fuzz-packages: gmime-3.0 opendkim libidn2 libcrypto
 */
#include <stdbool.h>

#include "bounce/parse.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_ready;
	struct arena arena = ARENA_INIT;
	struct bounce_report *report = arena_alloc(&arena, sizeof(*report));

	if (!is_ready)
		bounce_parse_init();
	is_ready = true;
	bounce_parse(&arena, slice_mem(data, size), report);
	invariant(report->dsn.count <= DSN_RECIPIENTS_MAX);
	invariant((report->kind == BOUNCE_NONE) == (report->dsn.count == 0));
	invariant(report->kind != BOUNCE_NONE || report->detail.len > 0);
	arena_fini(&arena);
	return 0;
}

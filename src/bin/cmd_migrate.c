/* verpost migrate */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "bin/session.h"
#include "proc/settings.h"
#include "store/migrate.h"

struct migrate_call {
	bool json;
	size_t count;
};

static void
applied(void *ctx, const char *name)
{
	struct migrate_call *call = ctx;

	call->count++;
	if (!call->json)
		printf("applied %s\n", name);
}

static int
run(const struct args *a)
{
	struct migrate_call call = { .json = a->json };
	struct settings settings = { 0 };
	struct error err = { 0 };

	log_setup("command", LOG_LEVEL_WARN);
	if (settings_load(&settings, a->config, NULL, NULL, &err) != 0)
		die("%s", err.text);
	if (migrate_run(settings.postgres, clock_now_ms(), applied, &call,
		&err) != 0) {
		if (slice_starts(slice_of(err.text), SLICE("postgres: ")))
			session_no_postgres(a, &err);
		die("%s", err.text);
	}
	if (a->json)
		printf("{\"applied\":%zu}\n", call.count);
	else if (call.count == 0)
		puts("nothing to do: the tables are up to date");
	settings_fini(&settings);
	return 0;
}

const struct command command_migrate = {
	.name = "migrate",
	.operands = "",
	.summary = "create or update the tables in Postgres",
	.help = "Applies what is missing, in order. Safe to run again, and "
		"while verpost runs.",
	.run = run,
};

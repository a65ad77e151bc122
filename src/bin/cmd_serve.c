/* verpost serve */
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "bin/command.h"
#include "proc/master.h"

static int
run(const struct args *a)
{
	struct settings settings = { 0 };
	struct error err = { 0 };

	log_setup("master", LOG_LEVEL_INFO);
	if (settings_load(&settings, a->config, NULL, NULL, &err) != 0 ||
	    master_run(&settings, a->config, &err) != 0)
		die("%s", err.text);
	return 0;
}

const struct command command_serve = {
	.name = "serve",
	.operands = "",
	.summary = "run: accept, deliver, take bounces back, send webhooks",
	.help = "Stays in the foreground and logs to standard error; "
		"verpost.service starts it\nat boot. SIGTERM lets everything "
		"under way finish first, SIGHUP reads the\nsettings again, "
		"SIGUSR1 switches debug lines.",
	.run = run,
};

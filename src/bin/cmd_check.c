/* verpost check */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "bin/command.h"
#include "proc/settings.h"
#include "proc/startup.h"

struct check_call {
	bool json;
	struct json_writer w;
	struct strbuf out;
	unsigned int bad, warnings;
	bool only_root; /* could start it */
	long running;	/* the process that serves with these settings, or 0 */
};

static const char *
finding_name(enum finding f)
{
	switch (f) {
	case FINDING_OK:
		return "ok";
	case FINDING_WARN:
	case FINDING_ROOT:
		return "warning";
	case FINDING_BAD:
		return "bad";
	}
	return "?";
}

static void
say(void *ctx, enum finding finding, const char *what, const char *text)
{
	struct check_call *call = ctx;

	call->bad += finding == FINDING_BAD;
	call->warnings += finding == FINDING_WARN || finding == FINDING_ROOT;
	call->only_root = call->only_root || finding == FINDING_ROOT;
	if (!call->json) {
		printf("%-8s %-20s %s\n", finding_name(finding), what, text);
		return;
	}
	json_begin_object(&call->w, NULL);
	json_cstr(&call->w, "finding", finding_name(finding));
	json_cstr(&call->w, "what", what);
	json_cstr(&call->w, "text", text);
	json_end(&call->w);
}

/* A password in the file is for its owner only. */
static void
check_file(struct check_call *call, const struct settings *s, const char *path)
{
	struct stat st;

	say(call, FINDING_OK, "settings", path);
	if (strstr(s->postgres, "password") != NULL && stat(path, &st) == 0 &&
	    (st.st_mode & 07) != 0)
		say(call, FINDING_WARN, "settings",
		    "the file holds a password and everybody can read it: "
		    "chmod o= it");
}

static void
mistake(void *ctx, const char *text)
{
	say(ctx, FINDING_BAD, "settings", text);
}

static void
begin(struct check_call *call, bool json)
{
	*call = (struct check_call){ .json = json, .out = STRBUF_INIT };
	json_writer_init(&call->w, &call->out);
	if (json)
		json_begin_array(&call->w, NULL);
}

static void
print_sum(const struct check_call *call)
{
	if (call->bad > 0)
		printf("verpost would not start");
	else if (call->running != 0)
		printf("verpost runs (process %ld)", call->running);
	else if (call->only_root)
		printf("verpost can start by root, but not by its unit");
	else
		printf("verpost can start");
	printf(": %u bad, %u warning%s\n", call->bad, call->warnings,
	    call->warnings == 1 ? "" : "s");
}

static int
end(struct check_call *call)
{
	if (call->json) {
		json_end(&call->w);
		puts(strbuf_text(&call->out));
	} else {
		print_sum(call);
	}
	strbuf_fini(&call->out);
	return call->bad > 0 ? 1 : 0;
}

static void
print(void (*write_to)(const struct settings *s, struct strbuf *out),
    const struct settings *s)
{
	struct strbuf out = STRBUF_INIT;

	write_to(s, &out);
	fwrite(out.ptr, 1, out.len, stdout);
	strbuf_fini(&out);
}

static void
write_example(const struct settings *s, struct strbuf *out)
{
	(void)s;
	settings_document(out);
}

static int
run(const struct args *a)
{
	struct check_call call;
	struct settings s = { 0 };
	struct error err = { 0 };

	log_setup("command", LOG_LEVEL_ERROR);
	if (args_flag(a, "example") != NULL) {
		print(write_example, NULL);
		return 0;
	}
	begin(&call, a->json);
	if (settings_load(&s, a->config, mistake, &call, &err) != 0)
		return end(&call);
	if (args_flag(a, "print") != NULL) {
		print(settings_print, &s);
		settings_fini(&s);
		strbuf_fini(&call.out);
		return 0;
	}
	check_file(&call, &s, a->config);
	say(&call, FINDING_OK, "mode", mode_name(s.mode));
	call.running = startup_check(&s, a->config, say, &call);
	settings_fini(&s);
	return end(&call);
}

static const struct flag flags[] = {
	{ "print", NULL, "print every setting as it is now set" },
	{ "example", NULL, "print the commented example file" },
	{ NULL, NULL, NULL },
};

const struct command command_check = {
	.name = "check",
	.operands = "",
	.summary = "read the settings, say what they need and what is missing",
	.help =
	    "Looks at all that 'verpost serve' looks at when it starts: the "
	    "file, the user, the\ndirectories, the keys, Postgres, Redis, "
	    "sources, domains, certificates and ports.\nRun it as root, or "
	    "as the user that serve is started by. Exits 1 when serve\n"
	    "would refuse to start.",
	.flags = flags,
	.run = run,
};

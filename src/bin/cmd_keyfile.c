/* verpost keyfile create */
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "bin/command.h"
#include "proc/privileges.h"
#include "proc/settings.h"

/* "" when it is whoever runs this. */
static void
find_owner(const char *path, char *out, size_t size)
{
	const struct passwd *pw;
	struct stat st;

	out[0] = '\0';
	if (stat(path, &st) != 0 || st.st_uid == geteuid())
		return;
	pw = getpwuid(st.st_uid);
	snprintf(out, size, "%s", pw != NULL ? pw->pw_name : "another user");
}

static void
print_json(const char *path)
{
	struct strbuf out = STRBUF_INIT;
	struct json_writer w;

	json_writer_init(&w, &out);
	json_begin_object(&w, NULL);
	json_cstr(&w, "key_file", path);
	json_end(&w);
	puts(strbuf_text(&out));
	strbuf_fini(&out);
}

static int
run(const struct args *a)
{
	struct settings settings = { 0 };
	struct error err = { 0 };
	const char *path = a->operand[0];
	char owner[64];

	log_setup("command", LOG_LEVEL_WARN);
	if (a->count == 0) {
		if (settings_load(&settings, a->config, NULL, NULL, &err) != 0)
			die("%s", err.text);
		path = settings.key_file;
	}
	if (keyring_create(path, &err) != 0)
		die("%s%s", err.text,
		    err.kind == ERR_CONFLICT
			? ": it is kept; what it sealed would be lost"
			: "");
	find_owner(path, owner, sizeof(owner));
	if (a->json)
		print_json(path);
	else
		printf("Key file %s created%s%s. Keep a copy elsewhere: "
		       "without it DKIM keys and webhook secrets cannot be "
		       "read.\n",
		    path, owner[0] != '\0' ? " for " : "", owner);
	if (a->count == 0)
		settings_fini(&settings);
	return 0;
}

const struct command command_keyfile_create = {
	.name = "keyfile create",
	.operands = "[PATH]",
	.operands_max = 1,
	.summary = "create the file with the keys that seal secrets",
	.help = "Without PATH: where the setting key_file says. An existing "
		"file is never replaced. Made by root it is given to the owner "
		"of its directory.",
	.run = run,
};

/* verpost check */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "bin/command.h"
#include "net/addr.h"
#include "net/conn.h"
#include "proc/settings.h"
#include "proc/startup.h"
#include "queue/shaping.h"

struct check_call {
	bool json;
	struct json_writer w;
	struct strbuf out;
	unsigned int bad, warnings;
};

static const char *
finding_name(enum finding f)
{
	switch (f) {
	case FINDING_OK:
		return "ok";
	case FINDING_WARN:
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
	call->warnings += finding == FINDING_WARN;
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

static void
check_keys(struct check_call *call, const struct settings *s)
{
	struct keyring ring = { 0 };
	struct error err = { 0 };

	if (keyring_load(&ring, s->key_file, &err) == 0)
		say(call, FINDING_OK, "key_file", s->key_file);
	else
		say(call, FINDING_BAD, "key_file", err.text);
	keyring_wipe(&ring);
}

static void
check_shaping(struct check_call *call, const struct settings *s)
{
	struct shaping *shaping = NULL;
	struct error err = { 0 };
	char text[64];

	if (shaping_load(s->shaping_file, &shaping, &err) != 0) {
		say(call, FINDING_BAD, "shaping_file", err.text);
		return;
	}
	snprintf(text, sizeof(text), "%s, %zu providers",
	    s->shaping_file[0] != '\0' ? "read" : "built in",
	    shaping_provider_count(shaping));
	say(call, FINDING_OK, "shaping_file", text);
	shaping_free(&shaping);
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

/* Whether a master holds the lock of run_dir: then the ports are its own. */
static bool
is_running(struct check_call *call, const struct settings *s)
{
	char *path = xasprintf("%s/verpost.pid", s->run_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool running = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK;

	if (running)
		say(call, FINDING_OK, "running", path);
	if (fd >= 0)
		close(fd);
	free(path);
	return running;
}

/* Whether serve could bind it: free, or taken by whom we cannot know. */
static void
check_ports(struct check_call *call, const char *key, const char *list)
{
	struct slice rest = slice_trim(slice_of(list));

	while (rest.len > 0) {
		struct slice one = slice_take_until(&rest, ' ');
		struct error err = { 0 };
		struct net_addr addr;
		int fd;

		if (one.len == 0 ||
		    net_addr_parse_listen(one, &addr, &err) != 0)
			continue;
		/* Binding a Unix socket would replace the one in use. */
		if (net_addr_family(&addr) == AF_UNIX)
			continue;
		fd = net_listen(&addr, 1, &err);
		if (fd >= 0) {
			close(fd);
			say(call, FINDING_OK, key, "can be bound");
		} else {
			say(call, FINDING_WARN, key, err.text);
		}
	}
}

static int
run(const struct args *a)
{
	struct check_call call = { .json = a->json, .out = STRBUF_INIT };
	struct settings s = { 0 };
	struct error err = { 0 };

	log_setup("command", LOG_LEVEL_ERROR);
	if (args_flag(a, "example") != NULL) {
		settings_document(&call.out);
		fwrite(call.out.ptr, 1, call.out.len, stdout);
		strbuf_fini(&call.out);
		return 0;
	}
	if (settings_load(&s, a->config, &err) != 0)
		die("%s", err.text);
	if (args_flag(a, "print") != NULL) {
		settings_print(&s, &call.out);
		fwrite(call.out.ptr, 1, call.out.len, stdout);
		strbuf_fini(&call.out);
		settings_fini(&s);
		return 0;
	}
	json_writer_init(&call.w, &call.out);
	if (a->json)
		json_begin_array(&call.w, NULL);
	check_file(&call, &s, a->config);
	say(&call, FINDING_OK, "mode", mode_name(s.mode));
	check_keys(&call, &s);
	check_shaping(&call, &s);
	if (!is_running(&call, &s)) {
		check_ports(&call, "http_listen", s.http_listen);
		check_ports(&call, "smtp_in_listen", s.smtp_in_listen);
		check_ports(&call, "simulator_listen", s.simulator_listen);
	}
	startup_check(&s, say, &call);
	if (a->json) {
		json_end(&call.w);
		puts(strbuf_text(&call.out));
	} else {
		printf("%s: %u bad, %u warnings\n",
		    call.bad > 0 ? "verpost would not start"
				 : "verpost can start",
		    call.bad, call.warnings);
	}
	strbuf_fini(&call.out);
	settings_fini(&s);
	return call.bad > 0 ? 1 : 0;
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
	.help = "Looks at the file, the key file, Postgres, Redis, ports and "
		"sources. Exits 1 when\n'verpost serve' would refuse to "
		"start.",
	.flags = flags,
	.run = run,
};

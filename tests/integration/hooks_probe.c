/*
 * hooks_probe - the role `hooks` alone, for tests/integration/test_hooks.py.
 *
 *   hooks_probe seal KEY-FILE WEBHOOK SECRET   prints the sealed secret in hex
 *   hooks_probe head                           prints a record of an email
 *   hooks_probe run CONNINFO KEY-FILE ALLOWED TIMEOUT-MS ENDPOINT-MAX
 *       sends until standard input ends, then drains and says "drained"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "hooks/hooks.h"
#include "mail/content.h"
#include "store/pg.h"

struct probe {
	struct loop *loop;
	struct watch *input;
	struct hooks *hooks;
};

static void
print_hex(struct strbuf *octets)
{
	struct strbuf hex = STRBUF_INIT;

	hex_encode(&hex, strbuf_slice(octets));
	printf("%s\n", strbuf_text(&hex));
	strbuf_fini(&hex);
	strbuf_fini(octets);
}

static void
load_keys(struct keyring *ring, const char *path)
{
	struct error err = { 0 };

	if (access(path, F_OK) < 0 && keyring_create(path, &err) < 0)
		die("%s", err.text);
	if (keyring_load(ring, path, &err) < 0)
		die("%s", err.text);
}

static int
run_seal(char **args)
{
	struct keyring ring;
	struct strbuf where = STRBUF_INIT, sealed = STRBUF_INIT;

	load_keys(&ring, args[0]);
	strbuf_add_fmt(&where, "webhooks.secret:%s", args[1]);
	crypto_seal(&ring, strbuf_slice(&where), slice_of(args[2]), &sealed);
	print_hex(&sealed);
	strbuf_fini(&where);
	return 0;
}

static int
run_head(char **args)
{
	struct strbuf record = STRBUF_INIT;
	struct mail_content content = {
		.from = { .local = SLICE("hi"), .domain = SLICE("acme.zz") },
		.subject = SLICE("Hello"),
	};

	(void)args;
	mail_content_encode(&content, &record);
	print_hex(&record);
	return 0;
}

static void
on_drained(void *ctx)
{
	struct probe *p = ctx;

	printf("drained\n");
	loop_stop(p->loop);
}

static void
on_input(void *ctx, bool readable, bool writable)
{
	struct probe *p = ctx;
	char buf[64];

	(void)readable;
	(void)writable;
	if (read(STDIN_FILENO, buf, sizeof(buf)) > 0)
		return;
	watch_free(&p->input);
	hooks_drain(p->hooks, 10000, on_drained, p);
}

static int
run_role(char **args)
{
	struct probe p = { .loop = loop_new() };
	struct pg_options pg_options = { .conninfo = args[0],
		.batch_plans = true };
	struct pg *pg = pg_new(p.loop, &pg_options, NULL, NULL);
	struct keyring ring;
	struct net_guard guard;
	struct error err = { 0 };
	struct hooks_options options = { .loop = p.loop,
		.pg = pg,
		.keyring = &ring,
		.guard = &guard,
		.timeout_ms = strtol(args[3], NULL, 10),
		.endpoint_max = strtoul(args[4], NULL, 10) };

	load_keys(&ring, args[1]);
	if (net_guard_parse(slice_of(args[2]), &guard, &err) < 0)
		die("%s", err.text);
	p.hooks = hooks_new(&options);
	p.input = watch_new(p.loop, STDIN_FILENO, on_input, &p);
	watch_set(p.input, true, false);
	loop_run(p.loop);
	hooks_free(&p.hooks);
	pg_free(&pg);
	net_guard_fini(&guard);
	keyring_wipe(&ring);
	loop_free(&p.loop);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(char **args);
	} verbs[] = { { "seal", 3, run_seal }, { "head", 0, run_head },
		{ "run", 5, run_role } };

	log_setup("hooks", LOG_LEVEL_INFO);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (argc == 2 + verbs[i].args &&
		    strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argv + 2);
	}
	return 2;
}

/*
 * bounce_tool - says what the parser reads in files, for bounce_corpus.py: per
 * recipient a line "file kind action status code final original", tab-
 * separated; a file without one has a line with its kind alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "bounce/parse.h"

static void
read_file(const char *path, struct strbuf *out)
{
	char block[8192];
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		die("%s: cannot open", path);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		strbuf_add(out, block, n);
	fclose(f);
}

static const char *
action_name(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:
		return "failed";
	case DSN_DELAYED:
		return "delayed";
	case DSN_DELIVERED:
		return "delivered";
	case DSN_RELAYED:
		return "relayed";
	case DSN_EXPANDED:
		return "expanded";
	}
	return "?";
}

static void
say(const char *path, const struct bounce_report *report)
{
	for (size_t i = 0; i < report->dsn.count; i++) {
		const struct dsn_recipient *r = &report->dsn.recipient[i];
		char status[MAIL_STATUS_TEXT];

		mail_status_format(r->status, status);
		printf("%s\t%s\t%s\t%s\t%u\t%.*s\t%.*s\n", path,
		    bounce_kind_name(report->kind), action_name(r->action),
		    status, r->reply_code, SLICE_FMT(r->final_recipient),
		    SLICE_FMT(r->original_recipient));
	}
	if (report->dsn.count == 0)
		printf("%s\t%s\t\t\t0\t\t\n", path,
		    bounce_kind_name(report->kind));
}

int
main(int argc, char **argv)
{
	bounce_parse_init();
	for (int i = 1; i < argc; i++) {
		struct strbuf raw = STRBUF_INIT;
		struct arena arena = ARENA_INIT;
		struct bounce_report *report =
		    arena_alloc(&arena, sizeof(*report));

		read_file(argv[i], &raw);
		bounce_parse(&arena, strbuf_slice(&raw), report);
		say(argv[i], report);
		strbuf_fini(&raw);
		arena_fini(&arena);
	}
	return 0;
}

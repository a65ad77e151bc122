#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"

struct settings {
	char *listen, *note, *cache_dir;
	bool tls;
	uint64_t workers, body_max, timeout_ms;
	int mode;
	struct config_rate rate;
};

static const char *const modes[] = { "simulator", "log", "live", NULL };

static bool
is_path(const char *value)
{
	return value[0] == '/';
}

static const struct config_form path = { "an absolute path", is_path };

#define AT(member) offsetof(struct settings, member)
static const struct config_row rows[] = {
	{ "http_listen", CONFIG_TEXT, AT(listen), "127.0.0.1:8025", 0, 0, NULL,
	    "Where the API listens.", NULL },
	{ "note", CONFIG_TEXT, AT(note), NULL, 0, 0, NULL, "Free text.", NULL },
	{ "tls", CONFIG_BOOL, AT(tls), "yes", 0, 0, NULL, "Whether TLS.",
	    NULL },
	{ "workers", CONFIG_UINT, AT(workers), "2", 1, 64, NULL,
	    "How many processes deliver mail. One for each processor is a good "
	    "start; more only help when names are slow.",
	    NULL },
	{ "body_max", CONFIG_SIZE, AT(body_max), "60M", 1024, (uint64_t)1 << 30,
	    NULL, "The largest body.", NULL },
	{ "timeout", CONFIG_DURATION, AT(timeout_ms), "90s", 0, 0, NULL,
	    "Patience.", NULL },
	{ "mode", CONFIG_CHOICE, AT(mode), "simulator", 0, 0, modes,
	    "Where mail goes.", NULL },
	{ "cache_dir", CONFIG_TEXT, AT(cache_dir), "/", 0, 0, NULL,
	    "Where things lie.", &path },
	{ "rate", CONFIG_RATE, AT(rate), "none", 0, 1000, NULL, "How fast.",
	    NULL },
};

static int
parse(struct slice text, struct settings *s, struct error *err)
{
	struct config_report report = { .name = "f" };
	int rc = config_parse(rows, ARRAY_LEN(rows), text, s, &report);

	config_report_fini(&report);
	*err = report.first;
	return rc;
}

static void
starts_from_the_defaults(void **state)
{
	struct settings s = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(parse(SLICE(""), &s, &err), 0);
	assert_string_equal(s.listen, "127.0.0.1:8025");
	assert_null(s.note);
	assert_true(s.tls);
	assert_true(s.workers == 2);
	assert_true(s.body_max == 60 << 20);
	assert_true(s.timeout_ms == 90000);
	assert_int_equal(s.mode, 0);
	assert_true(s.rate.count == 0);
	config_fini(rows, ARRAY_LEN(rows), &s);
	assert_null(s.listen);
}

static void
takes_what_the_file_says(void **state)
{
	struct settings s = { 0 };
	struct error err = { 0 };
	struct strbuf out = STRBUF_INIT;

	(void)state;
	assert_int_equal(parse(SLICE(
				   "# comment\r\n\r\n\thttp_listen=:80 # tail\n"
				   "note = \" a \\\"#\\\\ b \" # why\n"
				   "tls = Off\nworkers = 64\nbody_max = 64K\n"
				   "timeout = 72h\nmode = live\nrate = 60 / m"),
			     &s, &err),
	    0);
	assert_string_equal(s.listen, ":80");
	assert_string_equal(s.note, " a \"#\\ b ");
	assert_false(s.tls);
	assert_true(s.workers == 64);
	assert_true(s.timeout_ms == 72 * 3600 * 1000);
	config_print(rows, ARRAY_LEN(rows), &s, &out);
	assert_string_equal(out.ptr,
	    "http_listen = :80\nnote = \" a \\\"#\\\\ b \"\ntls = no\n"
	    "workers = 64\nbody_max = 64k\ntimeout = 3d\nmode = live\n"
	    "cache_dir = /\nrate = 60/m\n");
	/* What it prints, it reads. */
	config_fini(rows, ARRAY_LEN(rows), &s);
	assert_int_equal(parse(strbuf_slice(&out), &s, &err), 0);
	assert_string_equal(s.note, " a \"#\\ b ");
	assert_int_equal(s.mode, 2);
	config_fini(rows, ARRAY_LEN(rows), &s);
	strbuf_fini(&out);
}

static const struct {
	const char *text, *error;
} bad[] = {
	{ "\n\nhtpp_listen = x",
	    "f:3: unknown key 'htpp_listen' (did you mean http_listen?)" },
	{ "Mode = log", "f:1: unknown key 'Mode' (did you mean mode?)" },
	{ "zebra_crossing = 1", "f:1: unknown key 'zebra_crossing'" },
	{ "cache_dir = var",
	    "f:1: cache_dir must be an absolute path, not 'var'" },
	{ "= 1", "f:1: unknown key ''" },
	{ "mode", "f:1: expected 'key = value'" },
	{ "[section]", "f:1: expected 'key = value'" },
	{ "tls = no\ntls = yes", "f:2: tls was already set in line 1" },
	{ "tls = maybe", "f:1: tls must be yes or no" },
	{ "workers = 0", "f:1: workers must be a number, 1 .. 64" },
	{ "workers = 65", "f:1: workers must be a number, 1 .. 64" },
	{ "workers = -1", "f:1: workers must be a number, 1 .. 64" },
	{ "workers = 5k", "f:1: workers must be a number, 1 .. 64" },
	{ "workers =", "f:1: workers must be a number, 1 .. 64" },
	{ "body_max = 10",
	    "f:1: body_max must be a size like 64k, 40M or 2G, 1k .. 1G" },
	{ "body_max = 99999999999G",
	    "f:1: body_max must be a size like 64k, 40M or 2G, 1k .. 1G" },
	{ "timeout = 30",
	    "f:1: timeout must be a time with its unit, like 250ms, 30s, 5m "
	    "or 72h" },
	{ "mode = Live",
	    "f:1: mode must be one of: simulator, log, live; not "
	    "'Live'" },
	{ "note = \"a", "f:1: quote without end" },
	{ "note = \"a\" b", "f:1: something follows the closing quote" },
	{ "note = \"a\\n\"", "f:1: only \\\" and \\\\ are known in quotes" },
	{ "note = a\x01", "f:1: control character" },
	{ "# \xff", "f:1: not UTF-8" },
};

static void
refuses_with_file_and_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct settings s = { 0 };
		struct error err = { 0 };

		print_message("case %zu: %s\n", i, bad[i].text);
		assert_int_equal(parse(slice_of(bad[i].text), &s, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		assert_string_equal(err.text, bad[i].error);
		config_fini(rows, ARRAY_LEN(rows), &s);
	}
}

static const struct {
	const char *text;
	uint64_t count, per_ms; /* count 0: refused */
	const char *printed;
} rates[] = {
	{ "100/s", 100, 1000, "100/s" },
	{ "1/d", 1, 86400000, "1/d" },
	{ "20/4s", 20, 4000, "20/4s" },
	{ "20/60s", 20, 60000, "20/m" },
	{ "7/250ms", 7, 250, "7/250ms" },
	{ "0/s", 0, 0, NULL },
	{ "1001/s", 0, 0, NULL },
	{ "-1/s", 0, 0, NULL },
	{ "100", 0, 0, NULL },
	{ "100/", 0, 0, NULL },
	{ "100/0s", 0, 0, NULL },
	{ "100/2", 0, 0, NULL },
	{ "100/25h", 0, 0, NULL },
	{ "100/s/s", 0, 0, NULL },
	{ "100/month", 0, 0, NULL },
	{ "1/99999999999999999999s", 0, 0, NULL },
	{ "", 0, 0, NULL },
};

static void
rates_are_a_number_for_a_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct strbuf line = STRBUF_INIT, out = STRBUF_INIT;
		struct settings s = { 0 };
		struct error err = { 0 };
		int rc;

		print_message("case %zu: %s\n", i, rates[i].text);
		strbuf_add_fmt(&line, "rate = %s", rates[i].text);
		rc = parse(strbuf_slice(&line), &s, &err);
		assert_int_equal(rc, rates[i].count > 0 ? 0 : -1);
		if (rc == 0) {
			assert_true(s.rate.count == rates[i].count);
			assert_true(s.rate.per_ms == rates[i].per_ms);
			config_print(rows + ARRAY_LEN(rows) - 1, 1, &s, &out);
			strbuf_reset(&line);
			strbuf_add_fmt(&line, "rate = %s\n", rates[i].printed);
			assert_string_equal(out.ptr, line.ptr);
		}
		config_fini(rows, ARRAY_LEN(rows), &s);
		strbuf_fini(&line);
		strbuf_fini(&out);
	}
}

static void
a_part_keeps_what_it_does_not_name(void **state)
{
	struct settings s = { .workers = 5, .rate = { 3, 1000 } };
	struct config_report first = { .name = "f" }, second = { .name = "f" };
	static const struct config_row part[] = {
		{ "workers", CONFIG_UINT, AT(workers), NULL, 1, 64, NULL, "",
		    NULL },
		{ "rate", CONFIG_RATE, AT(rate), NULL, 0, 9, NULL, "", NULL },
	};

	(void)state;
	assert_int_equal(config_parse_part(part, 2, SLICE("rate = 9/m\n"), 40,
			     &s, &first),
	    0);
	config_report_fini(&first);
	assert_true(s.workers == 5 && s.rate.count == 9);
	assert_int_equal(config_parse_part(part, 2,
			     SLICE("workers = 6\nrate = 10/m\n"), 40, &s,
			     &second),
	    -1);
	assert_non_null(strstr(second.first.text, "f:41: rate must be none"));
	config_report_fini(&second);
}

static void
documents_every_row(void **state)
{
	struct strbuf out = STRBUF_INIT;
	struct settings s = { 0 };
	struct error err = { 0 };

	(void)state;
	config_document(rows, ARRAY_LEN(rows), &out);
	assert_non_null(strstr(out.ptr,
	    "# How many processes deliver mail. One for each processor is a "
	    "good start;\n# more only help when names are slow.\n# 1 .. 64\n"
	    "#workers = 2\n\n"));
	assert_non_null(strstr(out.ptr, "# One of: simulator log live\n"));
	assert_non_null(strstr(out.ptr, "# yes or no\n#tls = yes\n"));
	assert_non_null(strstr(out.ptr, "#note =\n"));
	assert_int_equal(parse(strbuf_slice(&out), &s, &err), 0);
	config_fini(rows, ARRAY_LEN(rows), &s);
	strbuf_fini(&out);
}

static void
remember(void *ctx, const char *text)
{
	struct strbuf *out = ctx;

	strbuf_add_text(out, text);
	strbuf_add_char(out, '\n');
}

static void
tells_every_mistake(void **state)
{
	struct strbuf told = STRBUF_INIT;
	struct settings s = { 0 };
	struct config_report report = {
		.name = "f",
		.help = "see the list",
		.mistake = remember,
		.ctx = &told,
	};

	(void)state;
	assert_int_equal(config_parse(rows, ARRAY_LEN(rows),
			     SLICE("zebra_crossing = 1\nworkers = 0\n\nnote = "
				   "kept\ntls"),
			     &s, &report),
	    -1);
	config_refuse(rows, ARRAY_LEN(rows), &report, "mode", "note",
	    "not with that note");
	config_refuse(rows, ARRAY_LEN(rows), &report, "workers", "note",
	    "never told: workers was refused");
	assert_string_equal(strbuf_text(&told),
	    "f:1: unknown key 'zebra_crossing' (see the list)\n"
	    "f:2: workers must be a number, 1 .. 64\n"
	    "f:5: expected 'key = value'\n"
	    "f:4: not with that note\n");
	assert_int_equal(report.count, 4);
	assert_string_equal(report.first.text,
	    "f:1: unknown key 'zebra_crossing' (see the list)");
	assert_string_equal(s.note, "kept");
	assert_true(s.workers == 2);
	config_fini(rows, ARRAY_LEN(rows), &s);
	config_report_fini(&report);
	strbuf_fini(&told);
}

static void
count_lines(void *ctx, const char *text)
{
	size_t *lines = ctx;

	(void)text;
	++*lines;
}

static void
does_not_go_on_for_ever(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct settings s = { 0 };
	size_t lines = 0;
	struct config_report report = {
		.name = "f",
		.mistake = count_lines,
		.ctx = &lines,
	};

	(void)state;
	for (size_t i = 0; i < 10 * (size_t)CONFIG_MISTAKES_MAX; i++)
		strbuf_add_text(&text, "nonsense\n");
	assert_int_equal(config_parse(rows, ARRAY_LEN(rows),
			     strbuf_slice(&text), &s, &report),
	    -1);
	assert_int_equal(lines, CONFIG_MISTAKES_MAX + 1);
	config_fini(rows, ARRAY_LEN(rows), &s);
	config_report_fini(&report);
	strbuf_fini(&text);
}

static int
load(const char *name, struct settings *s, struct error *err)
{
	struct config_report report = { .name = name };
	int rc = config_load(rows, ARRAY_LEN(rows), name, s, &report);

	config_report_fini(&report);
	*err = report.first;
	return rc;
}

static void
loads_a_file(void **state)
{
	char file[] = "test_config.XXXXXX";
	struct settings s = { 0 };
	struct error err = { 0 };
	int fd = mkstemp(file), rc;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "workers = 9\n", 12), 12);
	close(fd);
	rc = load(file, &s, &err);
	unlink(file);
	assert_int_equal(rc, 0);
	assert_true(s.workers == 9);
	config_fini(rows, ARRAY_LEN(rows), &s);
	assert_int_equal(load(file, &s, &err), -1);
	assert_int_equal(err.kind, ERR_SYS);
	assert_int_equal(load("/", &s, &err), -1);
	assert_string_equal(err.text, "/: not a regular file");
}

TEST_MAIN(cmocka_unit_test(starts_from_the_defaults),
    cmocka_unit_test(takes_what_the_file_says),
    cmocka_unit_test(refuses_with_file_and_line),
    cmocka_unit_test(tells_every_mistake),
    cmocka_unit_test(does_not_go_on_for_ever),
    cmocka_unit_test(rates_are_a_number_for_a_time),
    cmocka_unit_test(a_part_keeps_what_it_does_not_name),
    cmocka_unit_test(documents_every_row), cmocka_unit_test(loads_a_file))

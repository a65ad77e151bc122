#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"

struct settings {
	char *listen, *note;
	bool tls;
	uint64_t workers, body_max, timeout_ms;
	int mode;
	struct config_rate rate;
};

static const char *const modes[] = { "simulator", "log", "live", NULL };

#define AT(member) offsetof(struct settings, member)
static const struct config_row rows[] = {
	{ "http_listen", CONFIG_TEXT, AT(listen), "127.0.0.1:8025", 0, 0, NULL,
	    "Where the API listens." },
	{ "note", CONFIG_TEXT, AT(note), NULL, 0, 0, NULL, "Free text." },
	{ "tls", CONFIG_BOOL, AT(tls), "yes", 0, 0, NULL, "Whether TLS." },
	{ "workers", CONFIG_UINT, AT(workers), "2", 1, 64, NULL,
	    "How many processes deliver mail. One for each processor is a good "
	    "start; more only help when names are slow." },
	{ "body_max", CONFIG_SIZE, AT(body_max), "60M", 1024, (uint64_t)1 << 30,
	    NULL, "The largest body." },
	{ "timeout", CONFIG_DURATION, AT(timeout_ms), "90s", 0, 0, NULL,
	    "Patience." },
	{ "mode", CONFIG_CHOICE, AT(mode), "simulator", 0, 0, modes,
	    "Where mail goes." },
	{ "rate", CONFIG_RATE, AT(rate), "none", 0, 1000, NULL, "How fast." },
};

static void
starts_from_the_defaults(void **state)
{
	struct settings s = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(config_parse(rows, ARRAY_LEN(rows), SLICE(""), "f", &s,
			     &err),
	    0);
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
	assert_int_equal(config_parse(rows, ARRAY_LEN(rows),
			     SLICE("# comment\r\n\r\n\thttp_listen=:80 # tail\n"
				   "note = \" a \\\"#\\\\ b \" # why\n"
				   "tls = Off\nworkers = 64\nbody_max = 64K\n"
				   "timeout = 72h\nmode = live\nrate = 60 / m"),
			     "f", &s, &err),
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
	    "rate = 60/m\n");
	/* What it prints, it reads. */
	config_fini(rows, ARRAY_LEN(rows), &s);
	assert_int_equal(config_parse(rows, ARRAY_LEN(rows), strbuf_slice(&out),
			     "f", &s, &err),
	    0);
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
	{ "mode = Live", "f:1: mode must be one of: simulator, log, live" },
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
		assert_int_equal(config_parse(rows, ARRAY_LEN(rows),
				     slice_of(bad[i].text), "f", &s, &err),
		    -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		assert_string_equal(err.text, bad[i].error);
		assert_null(s.listen); /* nothing left to free */
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
		rc = config_parse(rows, ARRAY_LEN(rows), strbuf_slice(&line),
		    "f", &s, &err);
		assert_int_equal(rc, rates[i].count > 0 ? 0 : -1);
		if (rc == 0) {
			assert_true(s.rate.count == rates[i].count);
			assert_true(s.rate.per_ms == rates[i].per_ms);
			config_print(rows + 7, 1, &s, &out);
			strbuf_reset(&line);
			strbuf_add_fmt(&line, "rate = %s\n", rates[i].printed);
			assert_string_equal(out.ptr, line.ptr);
			config_fini(rows, ARRAY_LEN(rows), &s);
		}
		strbuf_fini(&line);
		strbuf_fini(&out);
	}
}

static void
a_part_keeps_what_it_does_not_name(void **state)
{
	struct settings s = { .workers = 5, .rate = { 3, 1000 } };
	struct error err = { 0 };
	static const struct config_row part[] = {
		{ "workers", CONFIG_UINT, AT(workers), NULL, 1, 64, NULL, "" },
		{ "rate", CONFIG_RATE, AT(rate), NULL, 0, 9, NULL, "" },
	};

	(void)state;
	assert_int_equal(config_parse_part(part, 2, SLICE("rate = 9/m\n"), "f",
			     40, &s, &err),
	    0);
	assert_true(s.workers == 5 && s.rate.count == 9);
	assert_int_equal(config_parse_part(part, 2,
			     SLICE("workers = 6\nrate = 10/m\n"), "f", 40, &s,
			     &err),
	    -1);
	assert_non_null(strstr(err.text, "f:41: rate must be none"));
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
	assert_int_equal(config_parse(rows, ARRAY_LEN(rows), strbuf_slice(&out),
			     "f", &s, &err),
	    0);
	config_fini(rows, ARRAY_LEN(rows), &s);
	strbuf_fini(&out);
}

static void
loads_a_file(void **state)
{
	char path[] = "test_config.XXXXXX";
	struct settings s = { 0 };
	struct error err = { 0 };
	int fd = mkstemp(path), rc;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "workers = 9\n", 12), 12);
	close(fd);
	rc = config_load(rows, ARRAY_LEN(rows), path, &s, &err);
	unlink(path);
	assert_int_equal(rc, 0);
	assert_true(s.workers == 9);
	config_fini(rows, ARRAY_LEN(rows), &s);
	assert_int_equal(config_load(rows, ARRAY_LEN(rows), path, &s, &err),
	    -1);
	assert_int_equal(err.kind, ERR_SYS);
	assert_int_equal(config_load(rows, ARRAY_LEN(rows), "/", &s, &err), -1);
	assert_string_equal(err.text, "/ is not a regular file");
}

TEST_MAIN(cmocka_unit_test(starts_from_the_defaults),
    cmocka_unit_test(takes_what_the_file_says),
    cmocka_unit_test(refuses_with_file_and_line),
    cmocka_unit_test(rates_are_a_number_for_a_time),
    cmocka_unit_test(a_part_keeps_what_it_does_not_name),
    cmocka_unit_test(documents_every_row), cmocka_unit_test(loads_a_file))

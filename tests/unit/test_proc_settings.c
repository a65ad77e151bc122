#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/settings.h"

static int
parse(const char *text, struct settings *s, struct error *err)
{
	memset(s, 0, sizeof(*s));
	memset(err, 0, sizeof(*err));
	return settings_parse(s, slice_of(text), "test.conf", NULL, NULL, err);
}

static void
an_empty_file_is_a_simulator_on_loopback(void **state)
{
	struct settings s;
	struct error err;

	(void)state;
	assert_int_equal(parse("", &s, &err), 0);
	assert_int_equal(s.mode, MODE_SIMULATOR);
	assert_string_equal(s.http_listen, "127.0.0.1:8025");
	assert_int_equal(s.max_age, 72 * 3600 * 1000);
	assert_int_equal(s.message_size_max, 40 * 1024 * 1024);
	assert_int_equal(s.retry_unknown, 15 * 60 * 1000);
	assert_int_not_equal(s.node[0], '\0');
	assert_int_not_equal(s.smtp_in_hostname[0], '\0');
	settings_fini(&s);
}

static const struct {
	const char *text;
	const char *says; /* part of the message */
} refused[] = {
	{ "mode = simulator\n\nhtpp_listen = 127.0.0.1:1\n", "test.conf:3" },
	{ "htpp_listen = 127.0.0.1:1\n", "http_listen" },
	{ "node = a\nnode = b\n", "test.conf:2" },
	{ "mode = maybe\n", "test.conf:1" },
	{ "max_age = 1s\n", "test.conf:1" },
	{ "recipients_max = 101\n", "test.conf:1" },
	{ "retry_unknown = 14m\n", "test.conf:1" },
	{ "\nhttp_listen = example.com:80\n", "test.conf:2: http_listen must" },
	{ "smtp_in_listen = 127.0.0.1:25 nonsense\n",
	    "test.conf:1: smtp_in_listen must be addresses with ports" },
	{ "\nmx_private = 10.0.0.0/40\n", "test.conf:2: mx_private must" },
	{ "mx_private = 10.0.0.0\n",
	    "mx_private must be at most 32 networks like 10.0.0.0/8" },
	{ "mx_private = yes\n", "test.conf:1: mx_private" },
	{ "webhook_private = everything\n", "test.conf:1: webhook_private" },
	{ "\n\nredis = localhost\n",
	    "test.conf:3: redis must be an address and port like "
	    "127.0.0.1:6379, or unix:/path, not 'localhost'" },
	{ "redis = localhost:6379\n", "test.conf:1: redis must" },
	{ "redis = 127.0.0.1\n", "test.conf:1: redis must" },
	{ "redis =\n", "test.conf:1: redis must" },
	{ "dns_servers = resolver.example\n", "test.conf:1: dns_servers" },
	{ "smtp_in_hostname = mx example\n", "test.conf:1: smtp_in_hostname" },
	{ "run_dir = run\n", "test.conf:1: run_dir" },
	{ "key_file =\n", "test.conf:1: key_file" },
	{ "smtp_in_cert = cert.pem\nsmtp_in_key = /k\n",
	    "test.conf:1: smtp_in_cert" },
	{ "\nsmtp_in_cert = /a\n",
	    "test.conf:2: smtp_in_cert and smtp_in_key" },
	{ "\nsmtp_in_key = /a\n", "test.conf:2: smtp_in_cert and smtp_in_key" },
	{ "retry_first = 5h\n", "test.conf:1: retry_first is longer" },
	{ "\nsimulator_listen =\n", "test.conf:2: mode simulator" },
	{ "http_body_max = 1M\n", "test.conf:1: http_body_max is smaller" },
	{ "\nmode = live\nsmtp_in_hostname = mx\n",
	    "test.conf:3: mode live needs a full name in smtp_in_hostname" },
	{ "colour = blue\n",
	    "test.conf:1: unknown key 'colour' ('verpost check --example'" },
};

static void
what_cannot_be_meant_is_refused_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct settings s;
		struct error err;

		print_message("case %zu: '%s'\n", i, refused[i].text);
		assert_int_equal(parse(refused[i].text, &s, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		assert_non_null(strstr(err.text, "test.conf"));
		assert_non_null(strstr(err.text, refused[i].says));
	}
}

static void
remember(void *ctx, const char *text)
{
	struct strbuf *out = ctx;

	strbuf_add_text(out, text);
	strbuf_add_char(out, '\n');
}

/* Also what is wrong between values; but not with one that was refused. */
static void
every_mistake_is_told_at_once(void **state)
{
	struct strbuf told = STRBUF_INIT;
	struct settings s = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(settings_parse(&s,
			     SLICE("mode = production\nredis = localhost\n"
				   "retry_first = 5h\nsmtp_in_key = /k\n"
				   "smtp_in_cert = here\n"),
			     "t", remember, &told, &err),
	    -1);
	assert_string_equal(strbuf_text(&told),
	    "t:1: mode must be one of: simulator, log, live; not "
	    "'production'\n"
	    "t:2: redis must be an address and port like 127.0.0.1:6379, or "
	    "unix:/path, not 'localhost'\n"
	    "t:5: smtp_in_cert must be an absolute path, or empty, not 'here'\n"
	    "t:3: retry_first is longer than retry_longest\n");
	strbuf_fini(&told);
	assert_int_equal(settings_parse(&s, SLICE("a\nb\n"), "t", NULL, NULL,
			     &err),
	    -1);
	assert_string_equal(err.text,
	    "t:1: expected 'key = value' (one of 2 mistakes: 'verpost check' "
	    "lists them)");
}

static const char *const accepted[] = {
	"mode = live\nsmtp_in_hostname = mx.example.com\n",
	"mode = log\nsimulator_listen =\n",
	"http_listen = 127.0.0.1:80  [::1]:80\n",
	"mx_private = 10.0.0.0/8 fd00::/8\n",
	"redis = unix:/run/redis.sock\n",
	"redis = [::1]:6379\n",
	"dns_servers = 127.0.0.1 127.0.0.1:5353 ::1 [::1]:53\n",
	"smtp_in_cert = /a\nsmtp_in_key = /b\n",
};

static void
what_can_be_meant_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		struct settings s;
		struct error err;

		print_message("case %zu: '%s'\n", i, accepted[i]);
		assert_int_equal(parse(accepted[i], &s, &err), 0);
		settings_fini(&s);
	}
}

static char *
read_example(size_t *len)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	char *text = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/etc/verpost.conf",
	    srcdir != NULL ? srcdir : ".");
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(text);
	*len = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

/* Mend with: src/bin/verpost check --example > etc/verpost.conf */
static void
the_example_file_is_made_from_the_table(void **state)
{
	struct strbuf want = STRBUF_INIT;
	size_t len;
	char *have = read_example(&len);

	(void)state;
	settings_document(&want);
	assert_string_equal(have, strbuf_text(&want));
	strbuf_fini(&want);
	free(have);
}

static void
the_example_file_is_the_defaults(void **state)
{
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
	struct settings s;
	struct error err;
	size_t len;
	char *text = read_example(&len);

	(void)state;
	assert_int_equal(parse(text, &s, &err), 0);
	settings_print(&s, &a);
	settings_fini(&s);
	assert_int_equal(parse("", &s, &err), 0);
	settings_print(&s, &b);
	settings_fini(&s);
	assert_string_equal(strbuf_text(&a), strbuf_text(&b));
	strbuf_fini(&a);
	strbuf_fini(&b);
	free(text);
}

static void
every_setting_says_what_it_is_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < settings_row_count; i++) {
		const struct config_row *row = &settings_rows[i];

		print_message("%s\n", row->key);
		assert_true(strlen(row->help) > 20);
		assert_int_equal(row->help[strlen(row->help) - 1], '.');
	}
}

static void
what_is_printed_reads_back_the_same(void **state)
{
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
	struct settings s;
	struct error err;

	(void)state;
	assert_int_equal(parse("run_dir = \"/a b/#c\"\nmax_age = 90s\nmode = "
			       "log\n",
			     &s, &err),
	    0);
	settings_print(&s, &a);
	settings_fini(&s);
	assert_int_equal(parse(strbuf_text(&a), &s, &err), 0);
	assert_string_equal(s.run_dir, "/a b/#c");
	settings_print(&s, &b);
	settings_fini(&s);
	assert_string_equal(strbuf_text(&a), strbuf_text(&b));
	strbuf_fini(&a);
	strbuf_fini(&b);
}

static void
a_password_is_not_printed(void **state)
{
	static const char *const forms[] = {
		"postgres = host=/x password=geheim user=u\n",
		"postgres = host=/x user=u password=geheim\n",
		"postgres = host=/x password = 'geheim geheim' user=u\n",
		"postgres = password=geheim host=/x password=geheim\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct strbuf out = STRBUF_INIT;
		struct settings s;
		struct error err;

		assert_int_equal(parse(forms[i], &s, &err), 0);
		settings_print(&s, &out);
		assert_null(strstr(strbuf_text(&out), "geheim"));
		assert_non_null(strstr(strbuf_text(&out), "host=/x"));
		settings_fini(&s);
		strbuf_fini(&out);
	}
}

static void
a_reload_warns_of_what_takes_a_restart(void **state)
{
	struct settings a, b;
	struct error err;

	(void)state;
	assert_int_equal(parse("", &a, &err), 0);
	assert_int_equal(parse("http_listen = 127.0.0.1:9\nuser = other\n", &b,
			     &err),
	    0);
	test_log_expect(2);
	settings_warn_fixed(&a, &b);
	settings_warn_fixed(&a, &a);
	settings_fini(&a);
	settings_fini(&b);
}

TEST_MAIN(cmocka_unit_test(an_empty_file_is_a_simulator_on_loopback),
    cmocka_unit_test(what_cannot_be_meant_is_refused_by_name),
    cmocka_unit_test(every_mistake_is_told_at_once),
    cmocka_unit_test(what_can_be_meant_is_taken),
    cmocka_unit_test(the_example_file_is_made_from_the_table),
    cmocka_unit_test(the_example_file_is_the_defaults),
    cmocka_unit_test(every_setting_says_what_it_is_for),
    cmocka_unit_test(what_is_printed_reads_back_the_same),
    cmocka_unit_test(a_password_is_not_printed),
    cmocka_unit_test(a_reload_warns_of_what_takes_a_restart))

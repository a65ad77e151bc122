#include "test.h"

#include "queue/lane.h"
#include "queue/shaping.h"

static struct shaping *
parsed(const char *text)
{
	struct shaping *s = NULL;
	struct error err = { 0 };

	if (shaping_parse(slice_of(text), "f", NULL, NULL, &s, &err) != 0)
		fail_msg("%s", err.text);
	return s;
}

static const char example[] = "# how much\n"
			      "[default]\n"
			      "site_connections = 7\n"
			      "site_mail_rate = 20/4s\n"
			      "provider_daily = 1000\n"
			      "\n"
			      "[provider big] \n"
			      "domains = big.test  large.test\n"
			      "mx = mx.big.test hosting.test\n"
			      "site_connections = 3\n"
			      "connection_mails = 9\n"
			      "[ provider other ]\n"
			      "mx = big.test\n"
			      "provider_mail_rate = none\n"
			      "[site hosting.test]\n"
			      "site_connections = 2\n"
			      "[site a.hosting.test]\n"
			      "site_mail_rate = none\n";

static void
providers_are_known_by_domain_and_by_host(void **state)
{
	static const struct {
		const char *host[3];
		int provider;
	} cases[] = {
		{ { "mx.big.test" }, 0 },
		{ { "a.b.mx.big.test" }, 0 },
		{ { "nomx.big.test" }, 1 }, /* only whole labels count */
		{ { "amx.big.test" }, 1 },
		{ { "big.test" }, 1 },
		{ { "big.test.example" }, -1 },
		{ { "example.org", "hosting.test" }, 0 },
		{ { "x.big.test", "hosting.test" }, 1 },
		{ { "test" }, -1 },
		{ { "" }, -1 },
	};
	struct shaping *s = parsed(example);

	(void)state;
	assert_int_equal(shaping_provider_count(s), 2);
	assert_string_equal(shaping_provider_name(s, 1), "other");
	assert_int_equal(shaping_provider_find(s, SLICE("other")), 1);
	assert_int_equal(shaping_provider_find(s, SLICE("h3")), -1);
	assert_int_equal(shaping_provider_of_domain(s, SLICE("large.test")), 0);
	assert_int_equal(shaping_provider_of_domain(s, SLICE("x.large.test")),
	    -1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice host[3];
		size_t n = 0;

		while (n < 3 && cases[i].host[n] != NULL) {
			host[n] = slice_of(cases[i].host[n]);
			n++;
		}
		print_message("case %zu: %s\n", i, cases[i].host[0]);
		assert_int_equal(shaping_provider_of_hosts(s, host, n),
		    cases[i].provider);
	}
	shaping_free(&s);
	assert_null(s);
}

static void
a_site_differs_from_its_provider_in_what_it_says(void **state)
{
	static const struct {
		int provider;
		const char *host;
		uint64_t connections, rate, mails, daily;
	} cases[] = {
		{ -1, "example.org", 7, 20, 0, 1000 },
		{ 0, "example.org", 3, 20, 9, 1000 },
		{ 1, "example.org", 7, 20, 0, 1000 },
		{ 0, "b.hosting.test", 2, 20, 9, 1000 },
		{ -1, "hosting.test", 2, 20, 0, 1000 },
		/* The longest name alone holds. */
		{ 0, "x.a.hosting.test", 3, 0, 9, 1000 },
	};
	struct shaping *s = parsed(example);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice host = slice_of(cases[i].host);
		struct shaping_limits l =
		    shaping_limits_of(s, cases[i].provider, &host, 1);

		print_message("case %zu: %s\n", i, cases[i].host);
		assert_true(l.site_connections == cases[i].connections);
		assert_true(l.site_mail_rate.count == cases[i].rate);
		assert_true(l.connection_mails == cases[i].mails);
		assert_true(l.provider_daily == cases[i].daily);
	}
	shaping_free(&s);
}

static const struct {
	const char *text, *error;
} refused[] = {
	{ "site_connections = 3\n", "f:1: unknown key 'site_connections'" },
	{ "#\n\n[default]\n#\nsite_conections = 3\n",
	    "f:5: unknown key 'site_conections' (did you mean "
	    "site_connections?)" },
	{ "[default]\n[provider a]\nmx = a.test\nsite_mail_rate = 1\n",
	    "f:4: site_mail_rate must be none" },
	{ "[default]\ndomains = a.test\n", "f:2: unknown key 'domains'" },
	{ "[site a.test]\nprovider_daily = 3\n",
	    "f:2: unknown key 'provider_daily'" },
	{ "[site a.test]\nsite_connections = 3\n[default]\n",
	    "f:3: [default] stands once" },
	{ "[default]\n\n[default]\n", "f:3: [default] stands once" },
	{ "[provider a]\n[provider a]\n", "f:2: [provider a] is there" },
	{ "[site a.test]\n\n\n[site a.test]\n", "f:4: [site a.test] is" },
	{ "[provider h15]\n", "f:1: a provider's name" },
	{ "[provider A]\n", "f:1: a provider's name" },
	{ "[provider 0a]\n", "f:1: a provider's name" },
	{ "[provider a}b]\n", "f:1: a provider's name" },
	{ "[provider abcdefghijklmnopqrstuvwx]\n", "f:1: a provider's name" },
	{ "[provider a]\ndomains = b.test B.test\n",
	    "f:2: domains of provider a: 'B.test' is no domain name" },
	{ "[provider a]\ndomains = b.test\n[provider c]\ndomains = b.test\n",
	    "f:4: domains of provider c: b.test is there already" },
	{ "[provider a]\nmx = .b.test\n", "f:2: mx of provider a: '.b.test'" },
	{ "[site a..b]\n", "f:1: 'a..b' is no host" },
	{ "[site]\n", "f:1: unknown section 'site'" },
	{ "[default x]\n", "f:1: unknown section 'default'" },
	{ "[sites a]\n", "f:1: unknown section 'sites'" },
	{ "[]\n", "f:1: unknown section ''" },
	{ "[default\n", "f:1: expected '[default]'" },
	{ "[default]\nsite_connections = 10001\n",
	    "f:2: site_connections must be a number" },
	{ "[default]\nprovider_daily = 1k\n",
	    "f:2: provider_daily must be a number" },
};

static void
refuses_with_file_and_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct shaping *s = NULL;
		struct error err = { 0 };

		print_message("case %zu: %s\n", i, refused[i].text);
		assert_int_equal(shaping_parse(slice_of(refused[i].text), "f",
				     NULL, NULL, &s, &err),
		    -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		assert_memory_equal(err.text, refused[i].error,
		    strlen(refused[i].error));
		assert_null(s);
	}
}

static void
note_mistake(void *ctx, const char *text)
{
	struct strbuf *told = ctx;

	strbuf_add_text(told, text);
	strbuf_add_char(told, '\n');
}

static void
every_mistake_is_told_with_its_line(void **state)
{
	static const char text[] = "stray = 1\n"
				   "[default]\n"
				   "site_connections = many\n"
				   "[provider Big]\n"
				   "connection_mails = lots\n"
				   "[provider a]\n"
				   "# ours\n"
				   "domains = a.test A.test\n"
				   "mx = .a.test\n"
				   "[nobody]\n"
				   "domains = x.test\n"
				   "[provider a]\n"
				   "[site a.test]\n"
				   "mx = a.test\n"
				   "[provider b]\n"
				   "domains = a.test\n";
	static const char *const lines[] = {
		"f:1: unknown key 'stray'",
		"f:3: site_connections must be",
		"f:4: a provider's name",
		"f:5: connection_mails must be",
		"f:8: domains of provider a: 'A.test' is no",
		"f:9: mx of provider a: '.a.test' is no",
		"f:10: unknown section 'nobody'",
		"f:12: [provider a] is there",
		"f:14: unknown key 'mx'",
		"f:16: domains of provider b: a.test is there",
	};
	struct strbuf told = STRBUF_INIT;
	struct slice left, line;
	struct shaping *s = NULL;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(shaping_parse(slice_of(text), "f", note_mistake, &told,
			     &s, &err),
	    -1);
	assert_memory_equal(err.text, lines[0], strlen(lines[0]));
	left = strbuf_slice(&told);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		assert_true(slice_take_line(&left, &line));
		print_message("%.*s\n", SLICE_FMT(line));
		assert_true(slice_starts(line, slice_of(lines[i])));
	}
	assert_int_equal(left.len, 0);
	/* To whom only one is told, it is said that there are more. */
	assert_int_equal(shaping_parse(slice_of(text), "f", NULL, NULL, &s,
			     &err),
	    -1);
	assert_non_null(strstr(err.text, "one of 10 mistakes"));
	assert_null(s);
	strbuf_fini(&told);
}

static void
a_file_of_nothing_but_mistakes_is_told_in_part(void **state)
{
	struct strbuf text = STRBUF_INIT, told = STRBUF_INIT;
	struct slice left, line;
	struct shaping *s = NULL;
	struct error err = { 0 };
	size_t lines = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		strbuf_add_text(&text, "[x]\n");
	assert_int_equal(shaping_parse(strbuf_slice(&text), "f", note_mistake,
			     &told, &s, &err),
	    -1);
	left = strbuf_slice(&told);
	while (slice_take_line(&left, &line))
		lines++;
	assert_int_equal(lines, CONFIG_MISTAKES_MAX + 1);
	assert_true(slice_eq_text(line,
	    "f: there are more mistakes: mend these first"));
	strbuf_fini(&text);
	strbuf_fini(&told);
}

static void
nothing_said_is_no_limit(void **state)
{
	struct shaping *s = parsed("");
	struct slice host = SLICE("mx.example.org");
	struct shaping_limits l = shaping_limits_of(s, -1, &host, 1);

	(void)state;
	assert_true(l.site_connections == 0 && l.connection_mails == 0);
	assert_true(l.site_mail_rate.count == 0);
	assert_int_equal(queue_lane_count(s), QUEUE_HASH_LANES);
	shaping_free(&s);
}

static void
what_is_built_in_knows_the_large_ones(void **state)
{
	static const struct {
		const char *domain, *host, *lane;
	} cases[] = {
		{ "gmail.com", "gmail-smtp-in.l.google.com", "google" },
		{ "googlemail.com", "alt3.aspmx.l.google.com", "google" },
		{ "hotmail.fr", "eur.olc.protection.outlook.com", "microsoft" },
		{ "yahoo.co.uk", "mx-eu.mail.am0.yahoodns.net", "yahoo" },
		{ "icloud.com", "mx01.mail.icloud.com", "apple" },
		{ "web.de", "mx-ha02.web.de", "gmx" },
	};
	struct shaping *s = NULL;
	struct slice tenant = SLICE("a-test.mail.protection.outlook.com");

	(void)state;
	assert_int_equal(shaping_load("", NULL, NULL, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice host = slice_of(cases[i].host);
		struct queue_lane lane;

		queue_lane_of_domain(s, 3, slice_of(cases[i].domain), &lane);
		assert_int_equal(lane.pool, 3);
		assert_string_equal(lane.name, cases[i].lane);
		assert_int_equal(shaping_provider_of_hosts(s, &host, 1),
		    shaping_provider_find(s, slice_of(cases[i].lane)));
	}
	assert_int_equal(shaping_provider_of_hosts(s, &tenant, 1),
	    shaping_provider_find(s, SLICE("office365")));
	shaping_free(&s);
}

static void
every_lane_has_one_name_and_one_number(void **state)
{
	static const char *const strangers[] = { "h16", "h", "h03", "h-1",
		"h1x", "big2", "", "H1" };
	struct shaping *s = parsed(example);
	struct queue_lane lane;

	(void)state;
	assert_int_equal(queue_lane_count(s), 2 + QUEUE_HASH_LANES);
	for (size_t i = 0; i < queue_lane_count(s); i++) {
		queue_lane_nth(s, 1, i, &lane);
		assert_int_equal(queue_lane_index(s, slice_of(lane.name)),
		    (int)i);
	}
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
		assert_int_equal(queue_lane_index(s, slice_of(strangers[i])),
		    -1);
	queue_lane_of_domain(s, 1, SLICE("example.org"), &lane);
	assert_int_equal(lane.name[0], 'h');
	shaping_free(&s);
}

TEST_MAIN(cmocka_unit_test(providers_are_known_by_domain_and_by_host),
    cmocka_unit_test(a_site_differs_from_its_provider_in_what_it_says),
    cmocka_unit_test(refuses_with_file_and_line),
    cmocka_unit_test(every_mistake_is_told_with_its_line),
    cmocka_unit_test(a_file_of_nothing_but_mistakes_is_told_in_part),
    cmocka_unit_test(nothing_said_is_no_limit),
    cmocka_unit_test(what_is_built_in_knows_the_large_ones),
    cmocka_unit_test(every_lane_has_one_name_and_one_number))

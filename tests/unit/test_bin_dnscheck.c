#include "test.h"

#include <string.h>

#include "bin/dnscheck.h"

static const struct slice sources[] = { { "192.0.2.10", 10 },
	{ "2001:db8::10", 12 } };

static struct dnscheck_domain
example(void)
{
	return (struct dnscheck_domain){
		.name = SLICE("example.com"),
		.return_path_host = SLICE("bounces.example.com"),
		.selector = SLICE("verpost"),
		.public_txt = SLICE("v=DKIM1; k=rsa; p=AAAABBBB"),
		.mx_host = "mx.verpost.example",
		.sources = sources,
		.source_count = ARRAY_LEN(sources),
	};
}

static void
the_records_to_publish_are_spelled_out(void **state)
{
	struct arena arena = ARENA_INIT;
	struct dnscheck_domain d = example();
	struct dnscheck c[DNSCHECK_COUNT];

	(void)state;
	dnscheck_make(&arena, &d, c);
	assert_string_equal(c[DNSCHECK_DKIM].name,
	    "verpost._domainkey.example.com");
	assert_string_equal(c[DNSCHECK_DKIM].value,
	    "v=DKIM1; k=rsa; p=AAAABBBB");
	assert_string_equal(c[DNSCHECK_RETURN_PATH].name,
	    "bounces.example.com");
	assert_string_equal(c[DNSCHECK_RETURN_PATH].value,
	    "10 mx.verpost.example");
	assert_string_equal(c[DNSCHECK_SPF].value,
	    "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all");
	assert_string_equal(c[DNSCHECK_DMARC].name, "_dmarc.example.com");
	assert_false(c[DNSCHECK_DMARC].required);
	arena_fini(&arena);
}

static void
without_a_full_host_name_there_is_no_mx_to_publish(void **state)
{
	struct arena arena = ARENA_INIT;
	struct dnscheck_domain d = example();
	struct dnscheck c[DNSCHECK_COUNT];
	struct strbuf json = STRBUF_INIT;

	(void)state;
	d.mx_host = NULL;
	dnscheck_make(&arena, &d, c);
	assert_null(c[DNSCHECK_RETURN_PATH].value);
	assert_non_null(
	    strstr(c[DNSCHECK_RETURN_PATH].advice, "smtp_in_hostname"));
	/* Nor "nobody may send" as long as no source is known. */
	assert_non_null(c[DNSCHECK_SPF].value);
	d.source_count = 0;
	dnscheck_make(&arena, &d, c);
	assert_null(c[DNSCHECK_SPF].value);
	assert_non_null(strstr(c[DNSCHECK_SPF].advice, "verpost source add"));
	dnscheck_json(c, &json);
	assert_non_null(strstr(strbuf_text(&json), "\"value\":null"));
	strbuf_fini(&json);
	arena_fini(&arena);
}

#define ALL "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"

/* Answers: records between '|'; NULL: no such name; "?": DNS failed. */
static const struct {
	enum dnscheck_kind kind;
	const char *answer;
	enum dnscheck_state state;
	const char *advice; /* part of it, or NULL */
} cases[] = {
	{ DNSCHECK_DKIM, "v=DKIM1; k=rsa; p=AAAABBBB", DNSCHECK_OK, NULL },
	{ DNSCHECK_DKIM, "p=AAAA BBBB", DNSCHECK_OK, NULL },
	{ DNSCHECK_DKIM, "k=rsa;p = AAAA\tBBBB ;", DNSCHECK_OK, NULL },
	{ DNSCHECK_DKIM, "v=DKIM1; p=AAAABBBC", DNSCHECK_WRONG, "another" },
	{ DNSCHECK_DKIM, "v=DKIM1; p=", DNSCHECK_WRONG, "another" },
	{ DNSCHECK_DKIM, "p=AAAABBBB|p=old", DNSCHECK_WRONG, "several" },
	{ DNSCHECK_DKIM, NULL, DNSCHECK_MISSING, "publish" },
	{ DNSCHECK_DKIM, "?", DNSCHECK_FAILED, "later" },
	{ DNSCHECK_RETURN_PATH, "mx.verpost.example", DNSCHECK_OK, NULL },
	{ DNSCHECK_RETURN_PATH, "other.example|MX.verpost.example", DNSCHECK_OK,
	    NULL },
	{ DNSCHECK_RETURN_PATH, "mx.verpost.example.net", DNSCHECK_WRONG,
	    "elsewhere" },
	{ DNSCHECK_RETURN_PATH, NULL, DNSCHECK_MISSING, "publish" },
	{ DNSCHECK_SPF, ALL, DNSCHECK_OK, NULL },
	{ DNSCHECK_SPF, "V=SPF1 +ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all",
	    DNSCHECK_OK, NULL },
	{ DNSCHECK_SPF, "other text|" ALL, DNSCHECK_OK, NULL },
	{ DNSCHECK_SPF, "v=spf1 ip4:192.0.2.10 -all", DNSCHECK_PARTLY,
	    "add ip6:2001:db8::10:" },
	{ DNSCHECK_SPF, "v=spf1 ip4:192.0.2.128/25 ip6:2001:db8::10 -all",
	    DNSCHECK_PARTLY, "add ip4:192.0.2.10:" },
	{ DNSCHECK_SPF, "v=spf1 -ip4:192.0.2.10 ip6:2001:db8::10 -all",
	    DNSCHECK_PARTLY, "192.0.2.10" },
	{ DNSCHECK_SPF, "v=spf1 ip4:192.0.2.11 -all", DNSCHECK_WRONG,
	    "add ip4:192.0.2.10 ip6:2001:db8::10:" },
	{ DNSCHECK_SPF, "v=spf1 include:_spf.example.net -all", DNSCHECK_OK,
	    "include" },
	{ DNSCHECK_SPF, ALL "|" ALL, DNSCHECK_WRONG, "several" },
	{ DNSCHECK_SPF, "v=spf10 ip4:192.0.2.10", DNSCHECK_MISSING, "publish" },
	{ DNSCHECK_SPF, "v=spf1 ip4:garbage ip4:", DNSCHECK_WRONG, "add" },
	{ DNSCHECK_DMARC, "v=DMARC1; p=reject", DNSCHECK_OK, NULL },
	{ DNSCHECK_DMARC, "v=DMARC1;p=none|v=DMARC1;p=none", DNSCHECK_WRONG,
	    "one" },
	{ DNSCHECK_DMARC, NULL, DNSCHECK_MISSING, "publish" },
};

static void
fill(struct dns_answer *a, struct dns_record *r, const char *text,
    enum dns_type type)
{
	struct slice rest = slice_of(text);

	*a = (struct dns_answer){ .result = DNS_OK, .record = r };
	if (text == NULL) {
		a->result = DNS_NXDOMAIN;
		return;
	}
	if (strcmp(text, "?") == 0) {
		a->result = DNS_FAILED;
		memcpy(a->why, "SERVFAIL", 9);
		return;
	}
	while (rest.len > 0) {
		struct slice one = slice_take_until(&rest, '|');

		r[a->count++] = (struct dns_record){ .type = type,
			.preference = 10,
			.name = one,
			.data = one };
	}
}

static void
answers_are_judged_with_an_advice(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct dnscheck_domain d = example();
		struct dnscheck c[DNSCHECK_COUNT];
		struct dnscheck *one = &c[cases[i].kind];
		struct dns_record r[8];
		struct dns_answer a;

		print_message("case %zu: %s\n", i,
		    cases[i].answer != NULL ? cases[i].answer : "nothing");
		dnscheck_make(&arena, &d, c);
		fill(&a, r, cases[i].answer, one->type);
		dnscheck_judge(&arena, &d, one, &a);
		assert_int_equal(one->state, cases[i].state);
		if (cases[i].advice == NULL)
			assert_string_equal(one->advice, "");
		else
			assert_non_null(strstr(one->advice, cases[i].advice));
		arena_fini(&arena);
	}
}

static void
what_is_found_cannot_move_the_cursor(void **state)
{
	struct arena arena = ARENA_INIT;
	struct dnscheck_domain d = example();
	struct dnscheck c[DNSCHECK_COUNT];
	struct dns_record r[1];
	struct dns_answer a;

	(void)state;
	dnscheck_make(&arena, &d, c);
	fill(&a, r, "p=\033[2J\n\xc3\xa4", DNS_TXT);
	dnscheck_judge(&arena, &d, &c[DNSCHECK_DKIM], &a);
	assert_string_equal(c[DNSCHECK_DKIM].found, "p=?[2J???");
	arena_fini(&arena);
}

static const struct {
	enum dnscheck_state dkim, mx, spf, dmarc;
	const char *status; /* of one that was not verified, */
	const char *stays;  /* and of one that was */
} folds[] = {
	{ DNSCHECK_OK, DNSCHECK_OK, DNSCHECK_OK, DNSCHECK_MISSING, "verified",
	    "verified" },
	{ DNSCHECK_OK, DNSCHECK_OK, DNSCHECK_PARTLY, DNSCHECK_OK,
	    "partially_verified", "verified" },
	{ DNSCHECK_OK, DNSCHECK_OK, DNSCHECK_WRONG, DNSCHECK_OK,
	    "partially_verified", "partially_verified" },
	{ DNSCHECK_OK, DNSCHECK_MISSING, DNSCHECK_PARTLY, DNSCHECK_OK,
	    "partially_verified", "partially_verified" },
	{ DNSCHECK_MISSING, DNSCHECK_OK, DNSCHECK_PARTLY, DNSCHECK_OK,
	    "partially_verified", "partially_verified" },
	{ DNSCHECK_MISSING, DNSCHECK_MISSING, DNSCHECK_MISSING, DNSCHECK_OK,
	    "failed", "failed" },
	{ DNSCHECK_OK, DNSCHECK_FAILED, DNSCHECK_OK, DNSCHECK_OK, NULL, NULL },
	{ DNSCHECK_OK, DNSCHECK_OK, DNSCHECK_OK, DNSCHECK_FAILED, "verified",
	    "verified" },
};

static void
assert_status(const char *status, const char *wanted)
{
	if (wanted == NULL)
		assert_null(status);
	else
		assert_string_equal(status, wanted);
}

static void
the_status_needs_every_required_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
		struct arena arena = ARENA_INIT;
		struct dnscheck_domain d = example();
		struct dnscheck c[DNSCHECK_COUNT];

		dnscheck_make(&arena, &d, c);
		c[DNSCHECK_DKIM].state = folds[i].dkim;
		c[DNSCHECK_RETURN_PATH].state = folds[i].mx;
		c[DNSCHECK_SPF].state = folds[i].spf;
		c[DNSCHECK_DMARC].state = folds[i].dmarc;
		assert_status(dnscheck_status(c, false), folds[i].status);
		assert_status(dnscheck_status(c, true), folds[i].stays);
		assert_int_equal(dnscheck_all_ok(c),
		    folds[i].dkim == DNSCHECK_OK &&
			folds[i].mx == DNSCHECK_OK &&
			folds[i].spf == DNSCHECK_OK);
		assert_false(dnscheck_none_answered(c));
		arena_fini(&arena);
	}
}

static void
a_record_as_it_was_found_names_sources(void **state)
{
	struct slice found = SLICE("text | v=spf1 ip4:192.0.2.0/28 -all");

	(void)state;
	assert_true(dnscheck_spf_names(found, SLICE("192.0.2.14")));
	assert_false(dnscheck_spf_names(found, SLICE("192.0.2.16")));
	assert_false(dnscheck_spf_names(found, SLICE("2001:db8::1")));
	assert_false(dnscheck_spf_names(SLICE(""), SLICE("192.0.2.14")));
}

TEST_MAIN(cmocka_unit_test(the_records_to_publish_are_spelled_out),
    cmocka_unit_test(without_a_full_host_name_there_is_no_mx_to_publish),
    cmocka_unit_test(answers_are_judged_with_an_advice),
    cmocka_unit_test(what_is_found_cannot_move_the_cursor),
    cmocka_unit_test(the_status_needs_every_required_record),
    cmocka_unit_test(a_record_as_it_was_found_names_sources))

#include "test.h"

#include "base/strbuf.h"
#include "net/fetch.h"

static const struct {
	const char *url, *says; /* NULL: good */
} cases[] = {
	{ "https://hooks.example.com", NULL },
	{ "HTTP://hooks.example.com/in?a=b@c", NULL },
	{ "https://hooks.example.com:65535/", NULL },
	{ "https://hooks.example.com:1", NULL },
	{ "http://198.41.0.4:8080/a@b:0", NULL },
	{ "http://[2620:fe::fe]:8080/", NULL },
	{ "", "is not an http or https URL" },
	{ "https://", "is not an http or https URL" },
	{ "ftp://hooks.example.com/", "is not an http or https URL" },
	{ "hooks.example.com", "is not an http or https URL" },
	{ "http:/hooks.example.com", "is not an http or https URL" },
	{ "https://hooks.example.com/a b", "is not an http or https URL" },
	{ "https://hooks.example.com/\n", "is not an http or https URL" },
	{ "https://h\xc3\xb6oks.example.com/", "is not an http or https URL" },
	{ "https:///in", "names no host" },
	{ "https://?a", "names no host" },
	{ "https://me@hooks.example.com/", "has a user name or password" },
	{ "https://me:pw@hooks.example.com/", "has a user name or password" },
	{ "https://@hooks.example.com/", "has a user name or password" },
	{ "https://me:pw@[::1]:80/", "has a user name or password" },
	{ "https://hooks.example.com/#", "has a fragment" },
	{ "https://hooks.example.com#in", "has a fragment" },
	{ "https://hooks.example.com/a?b#c", "has a fragment" },
	{ "https://hooks.example.com:0/", "has a port that is not" },
	{ "https://hooks.example.com:00", "has a port that is not" },
	{ "https://hooks.example.com:65536/", "has a port that is not" },
	{ "https://hooks.example.com:99999999999/", "has a port that is not" },
	{ "https://hooks.example.com:80a/", "has a port that is not" },
	{ "https://[::1/", "is not a URL: " },
	{ "https://:80/", "is not a URL: " },
	/* What webhook_private would have to list, in every spelling. */
	{ "http://127.0.0.1:9/", "leads to an address that is loopback" },
	{ "http://2130706433/", "leads to an address that is loopback" },
	{ "http://0x7f.1/", "leads to an address that is loopback" },
	{ "http://[::1]/", "leads to an address that is loopback" },
	{ "http://[::ffff:10.0.0.1]/", "leads to an address that is " },
	{ "https://10.1.2.3/in", NULL },
	{ "https://10.2.2.3/in", "leads to an address that is private" },
};

static void
a_url_that_cannot_be_fetched_is_told_why(void **state)
{
	struct net_guard guard = { 0 };

	(void)state;
	assert_int_equal(net_guard_parse(SLICE("10.1.0.0/16"), &guard, NULL),
	    0);
	net_guard_set_own(&guard, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = { 0 };
		int rc = fetch_url_check(slice_of(cases[i].url), &guard, &err);

		print_message("%s: %s\n", cases[i].url, err.text);
		assert_int_equal(rc, cases[i].says == NULL ? 0 : -1);
		if (cases[i].says != NULL)
			assert_true(slice_starts(slice_of(err.text),
			    slice_of(cases[i].says)));
	}
	net_guard_fini(&guard);
}

static void
its_length_is_bounded(void **state)
{
	const struct net_guard guard = { 0 };
	struct strbuf url = STRBUF_INIT;
	struct error err = { 0 };

	(void)state;
	strbuf_add_text(&url, "https://hooks.example.com/");
	while (url.len < FETCH_URL_MAX)
		strbuf_add_char(&url, 'x');
	assert_int_equal(fetch_url_check(strbuf_slice(&url), &guard, &err), 0);
	strbuf_add_char(&url, 'x');
	assert_int_equal(fetch_url_check(strbuf_slice(&url), &guard, &err), -1);
	strbuf_fini(&url);
}

TEST_MAIN(cmocka_unit_test(a_url_that_cannot_be_fetched_is_told_why),
    cmocka_unit_test(its_length_is_bounded))

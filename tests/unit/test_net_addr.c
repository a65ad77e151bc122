#include "test.h"

#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/addr.h"

static struct net_addr
addr(const char *text)
{
	struct net_addr a = { 0 };
	struct error err = { 0 };

	if (net_addr_parse(slice_of(text), 25, &a, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return a;
}

/* In place of a variable. */
#define AT(text) (&(struct net_addr[]){ addr(text) }[0])

static const struct {
	const char *text, *shown; /* shown NULL: must be refused */
} parse_cases[] = {
	{ "192.0.2.1", "192.0.2.1:25" },
	{ "2001:DB8::1", "[2001:db8::1]:25" },
	{ "[2001:db8::1]", "[2001:db8::1]:25" },
	{ "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:25" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:25" },
	{ "", NULL },
	{ "[]", NULL },
	{ "[", NULL },
	{ "1.2.3", NULL },
	{ "1.2.3.4.5", NULL },
	{ "01.2.3.4", NULL },
	{ "1.2.3.4 ", NULL },
	{ "256.1.1.1", NULL },
	{ "0x7f.1", NULL },
	{ "2130706433", NULL },
	{ "example.com", NULL },
	{ "localhost", NULL },
	{ "fe80::1%eth0", NULL },
	{ "1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    NULL },
};

static void
reads_addresses_and_never_host_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
		struct net_addr a = { 0 };
		struct error err = { 0 };
		char text[NET_ADDR_TEXT];
		int rc =
		    net_addr_parse(slice_of(parse_cases[i].text), 25, &a, &err);

		print_message("case %zu: '%s'\n", i, parse_cases[i].text);
		assert_int_equal(rc, parse_cases[i].shown != NULL ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(err.kind, ERR_SYNTAX);
			assert_int_equal(a.len, 0);
			continue;
		}
		net_addr_format_port(&a, text);
		assert_string_equal(text, parse_cases[i].shown);
	}
	assert_int_equal(net_addr_parse(slice_mem("1.2.3.4\0", 8), 1,
			     &(struct net_addr){ 0 }, NULL),
	    -1);
}

static const struct {
	const char *text, *shown;
} listen_cases[] = {
	{ "127.0.0.1:8080", "127.0.0.1:8080" },
	{ ":25", "127.0.0.1:25" },
	{ "[::1]:0", "[::1]:0" },
	{ "0.0.0.0:65535", "0.0.0.0:65535" },
	{ "unix:/run/x.sock", "unix" },
	{ "unix:", NULL },
	{ "127.0.0.1:65536", NULL },
	{ "127.0.0.1:", NULL },
	{ "127.0.0.1:+1", NULL },
	{ "127.0.0.1", NULL },
	{ "::1:25", NULL },
	{ "example.com:25", NULL },
	{ "", NULL },
};

static void
reads_what_to_listen_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(listen_cases); i++) {
		struct net_addr a = { 0 };
		struct error err = { 0 };
		char text[NET_ADDR_TEXT];
		int rc = net_addr_parse_listen(slice_of(listen_cases[i].text),
		    &a, &err);

		print_message("case %zu: '%s'\n", i, listen_cases[i].text);
		assert_int_equal(rc, listen_cases[i].shown != NULL ? 0 : -1);
		if (rc < 0)
			continue;
		net_addr_format_port(&a, text);
		assert_string_equal(text, listen_cases[i].shown);
	}
}

static void
refuses_a_socket_path_that_would_be_cut(void **state)
{
	char text[200] = "unix:";
	struct net_addr a = { 0 };
	struct error err = { 0 };
	size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	(void)state;
	memset(text + 5, 'a', most);
	assert_int_equal(net_addr_parse_listen(slice_of(text), &a, &err), 0);
	text[5 + most] = 'a';
	assert_int_equal(net_addr_parse_listen(slice_of(text), &a, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

static void
changes_only_the_port(void **state)
{
	struct net_addr a = addr("192.0.2.1"), b = addr("2001:db8::1");

	(void)state;
	net_addr_set_port(&a, 587);
	net_addr_set_port(&b, 465);
	assert_int_equal(net_addr_port(&a), 587);
	assert_int_equal(net_addr_port(&b), 465);
	assert_true(net_addr_eq_host(&a, AT("192.0.2.1")));
	assert_false(net_addr_eq_host(&a, &b));
	assert_false(net_addr_eq_host(&a, &(struct net_addr){ 0 }));
}

/* First and last address of every range, and its neighbours outside. */
static const struct {
	const char *text, *why; /* why NULL: public */
} special_cases[] = {
	{ "0.0.0.0", "this network" },
	{ "0.255.255.255", "this network" },
	{ "1.0.0.0", NULL },
	{ "9.255.255.255", NULL },
	{ "10.0.0.0", "private" },
	{ "10.255.255.255", "private" },
	{ "11.0.0.0", NULL },
	{ "100.63.255.255", NULL },
	{ "100.64.0.0", "carrier NAT" },
	{ "100.127.255.255", "carrier NAT" },
	{ "100.128.0.0", NULL },
	{ "126.255.255.255", NULL },
	{ "127.0.0.1", "loopback" },
	{ "127.255.255.255", "loopback" },
	{ "128.0.0.0", NULL },
	{ "169.253.255.255", NULL },
	{ "169.254.169.254", "link-local" },
	{ "169.255.0.0", NULL },
	{ "172.15.255.255", NULL },
	{ "172.16.0.0", "private" },
	{ "172.31.255.255", "private" },
	{ "172.32.0.0", NULL },
	{ "191.255.255.255", NULL },
	{ "192.0.0.0", "protocol assignment" },
	{ "192.0.0.255", "protocol assignment" },
	{ "192.0.1.0", NULL },
	{ "192.0.2.0", "documentation" },
	{ "192.0.2.255", "documentation" },
	{ "192.0.3.0", NULL },
	{ "192.88.98.255", NULL },
	{ "192.88.99.1", "6to4 relay" },
	{ "192.88.100.0", NULL },
	{ "192.167.255.255", NULL },
	{ "192.168.0.0", "private" },
	{ "192.168.255.255", "private" },
	{ "192.169.0.0", NULL },
	{ "198.17.255.255", NULL },
	{ "198.18.0.0", "benchmarking" },
	{ "198.19.255.255", "benchmarking" },
	{ "198.20.0.0", NULL },
	{ "198.51.99.255", NULL },
	{ "198.51.100.0", "documentation" },
	{ "198.51.101.0", NULL },
	{ "203.0.112.255", NULL },
	{ "203.0.113.255", "documentation" },
	{ "203.0.114.0", NULL },
	{ "223.255.255.255", NULL },
	{ "224.0.0.1", "multicast" },
	{ "239.255.255.255", "multicast" },
	{ "240.0.0.0", "reserved" },
	{ "255.255.255.254", "reserved" },
	{ "255.255.255.255", "broadcast" },

	{ "::", "unspecified" },
	{ "::1", "loopback" },
	{ "::2", "v4-compatible" },
	{ "::8.8.8.8", "v4-compatible" },
	{ "::127.0.0.1", "v4-compatible" },
	{ "::fffe:8.8.8.8", "reserved" },
	{ "::ffff:8.8.8.8", NULL },
	{ "::ffff:127.0.0.1", "loopback" },
	{ "::ffff:10.1.2.3", "private" },
	{ "::ffff:169.254.169.254", "link-local" },
	{ "::ffff:0:127.0.0.1", "reserved" }, /* SIIT, RFC 2765 */
	{ "64:ff9b::8.8.8.8", NULL },
	{ "64:ff9b::127.0.0.1", "loopback" },
	{ "64:ff9b::192.168.1.1", "private" },
	{ "64:ff9b::100.64.0.1", "carrier NAT" },
	{ "64:ff9b:0:0:0:1::", "reserved" },
	{ "64:ff9b:1::", "local NAT64" },
	{ "64:ff9b:1:ffff:ffff:ffff:8.8.8.8", "local NAT64" },
	{ "64:ff9b:2::", "reserved" },
	{ "100::1", "discard" },
	{ "1fff:ffff::", "reserved" },
	{ "2000::1", NULL },
	{ "2001::1", "Teredo" },
	{ "2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo" },
	{ "2001:1::1", "protocol assignment" },
	{ "2001:2::1", "benchmarking" },
	{ "2001:2:1::1", "protocol assignment" },
	{ "2001:10::1", "protocol assignment" }, /* ORCHID */
	{ "2001:1ff:ffff::", "protocol assignment" },
	{ "2001:200::1", NULL },
	{ "2001:db7:ffff::1", NULL },
	{ "2001:db8::1", "documentation" },
	{ "2001:db8:ffff:ffff::1", "documentation" },
	{ "2001:db9::1", NULL },
	{ "2002:7f00:1::1", "6to4" },
	{ "2002:808:808::1", "6to4" },
	{ "2003::1", NULL },
	{ "2a00:1450:4001::1b", NULL },
	{ "3ffe:ffff::1", NULL },
	{ "3fff::1", "documentation" },
	{ "3fff:fff:ffff::1", "documentation" },
	{ "3fff:1000::1", NULL },
	{ "4000::1", "reserved" },
	{ "5f00::1", "reserved" },
	{ "fbff::1", "reserved" },
	{ "fc00::1", "unique local" },
	{ "fdff:ffff::1", "unique local" },
	{ "fe00::1", "reserved" },
	{ "fe80::1", "link-local" },
	{ "febf::1", "link-local" },
	{ "fec0::1", "site-local" },
	{ "ff02::1", "multicast" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast" },
};

static void
knows_every_special_range(void **state)
{
	struct net_guard none = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(special_cases); i++) {
		struct net_addr a = addr(special_cases[i].text);
		const char *why = net_addr_special(&a);

		print_message("case %zu: %s\n", i, special_cases[i].text);
		if (special_cases[i].why == NULL) {
			if (why != NULL)
				fail_msg("refused: %s", why);
		} else {
			assert_non_null(why);
			assert_string_equal(why, special_cases[i].why);
		}
		assert_int_equal(net_guard_allows(&none, &a), why == NULL);
	}
}

static void
refuses_what_is_no_internet_address(void **state)
{
	struct net_guard none = { 0 };
	struct net_addr a = { 0 };

	(void)state;
	assert_false(net_guard_allows(&none, &a));
	assert_int_equal(net_addr_parse_listen(SLICE("unix:/tmp/x"), &a, NULL),
	    0);
	assert_false(net_guard_allows(&none, &a));
}

static void
allows_the_networks_listed_and_their_mapped_forms(void **state)
{
	struct net_guard g;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(net_guard_parse(SLICE(" 127.0.0.0/8  10.1.0.0/16 ::1 "
					       "fd00::/8 192.168.1.7"),
			     &g, &err),
	    0);
	assert_true(net_guard_allows(&g, AT("127.3.2.1")));
	assert_true(net_guard_allows(&g, AT("::ffff:127.3.2.1")));
	assert_true(net_guard_allows(&g, AT("10.1.9.9")));
	assert_false(net_guard_allows(&g, AT("10.2.0.1")));
	assert_true(net_guard_allows(&g, AT("::1")));
	assert_false(net_guard_allows(&g, AT("::")));
	assert_true(net_guard_allows(&g, AT("fd12::1")));
	assert_false(net_guard_allows(&g, AT("fc12::1")));
	assert_true(net_guard_allows(&g, AT("192.168.1.7")));
	assert_false(net_guard_allows(&g, AT("192.168.1.8")));
	net_guard_fini(&g);
}

static void
refuses_a_bad_list_and_leaves_the_guard_alone(void **state)
{
	static const char *const bad[] = { "10.0.0.0/33", "10.0.0.0/",
		"10.0.0.0/8x", "::/129", "localhost", "10.0.0.0/-1", "/8",
		"10.0.0.0,::1" };
	struct net_guard g = { .allow_count = 7 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		print_message("case %zu: '%s'\n", i, bad[i]);
		assert_int_equal(net_guard_parse(slice_of(bad[i]), &g, &err),
		    -1);
		assert_int_equal(g.allow_count, 7);
	}
}

static void
refuses_our_own_public_addresses(void **state)
{
	struct net_guard g;
	struct net_addr own[] = { addr("8.8.4.4"), addr("2a00:1450::5") };
	struct net_addr mapped = addr("::ffff:8.8.4.4");
	struct net_addr through_nat64 = addr("64:ff9b::8.8.4.4");
	struct net_addr other = addr("8.8.8.8");

	(void)state;
	assert_int_equal(net_guard_parse(SLICE(""), &g, NULL), 0);
	net_guard_set_own(&g, own, ARRAY_LEN(own));
	net_addr_set_port(&own[0], 80);
	assert_string_equal(net_guard_refusal(&g, &own[0]), "our own");
	assert_string_equal(net_guard_refusal(&g, &own[1]), "our own");
	assert_string_equal(net_guard_refusal(&g, &mapped), "our own");
	assert_string_equal(net_guard_refusal(&g, &through_nat64), "our own");
	assert_null(net_guard_refusal(&g, &other));
	net_guard_fini(&g);
}

/* Gives lo a public address in a network namespace of this process. */
static bool
make_public_address_ours(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	struct net_addr a = addr("8.8.4.4");
	int fd, rc;

	if (unshare(CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(&req.ifr_addr, &a.ss, sizeof(req.ifr_addr));
	rc = ioctl(fd, SIOCSIFADDR, &req);
	close(fd);
	return rc == 0;
}

static void
reads_our_own_addresses_from_the_kernel(void **state)
{
	struct net_guard g;
	struct net_addr ours = addr("8.8.4.4"), other = addr("8.8.8.8");

	(void)state;
	if (!make_public_address_ours()) {
		print_message("skipped: needs root, for a network namespace\n");
		skip();
	}
	assert_int_equal(net_guard_parse(SLICE(""), &g, NULL), 0);
	assert_string_equal(net_guard_refusal(&g, &ours), "our own");
	assert_true(net_guard_allows(&g, &other));
	net_guard_fini(&g);
}

TEST_MAIN(cmocka_unit_test(reads_addresses_and_never_host_names),
    cmocka_unit_test(reads_what_to_listen_on),
    cmocka_unit_test(refuses_a_socket_path_that_would_be_cut),
    cmocka_unit_test(changes_only_the_port),
    cmocka_unit_test(knows_every_special_range),
    cmocka_unit_test(refuses_what_is_no_internet_address),
    cmocka_unit_test(allows_the_networks_listed_and_their_mapped_forms),
    cmocka_unit_test(refuses_a_bad_list_and_leaves_the_guard_alone),
    cmocka_unit_test(refuses_our_own_public_addresses),
    cmocka_unit_test(reads_our_own_addresses_from_the_kernel))

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "net/dns_priv.h"

/* A packet, built piece by piece. */
struct packet {
	struct strbuf b;
	unsigned int an, ns, ar;
};

static void
put_u16(struct strbuf *b, unsigned int v)
{
	strbuf_add_char(b, (char)(v >> 8));
	strbuf_add_char(b, (char)(v & 0xff));
}

static void
put_u32(struct strbuf *b, uint32_t v)
{
	put_u16(b, v >> 16);
	put_u16(b, v & 0xffff);
}

/* "@" is the question's name, by a pointer; "" the root. */
static void
put_name(struct strbuf *b, const char *name)
{
	struct slice rest = slice_of(name);

	if (slice_eq_text(rest, "@")) {
		put_u16(b, 0xc00c);
		return;
	}
	while (rest.len > 0) {
		struct slice label = slice_take_until(&rest, '.');

		strbuf_add_char(b, (char)label.len);
		strbuf_add_slice(b, label);
	}
	strbuf_add_char(b, 0);
}

static void
packet_begin(struct packet *p, unsigned int flags, const char *name, int type)
{
	*p = (struct packet){ 0 };
	strbuf_init(&p->b, 0);
	put_u16(&p->b, 0x1234);
	put_u16(&p->b, 0x8180 | flags);
	put_u16(&p->b, 1);
	put_u16(&p->b, 0);
	put_u16(&p->b, 0);
	put_u16(&p->b, 0);
	put_name(&p->b, name);
	put_u16(&p->b, (unsigned int)type);
	put_u16(&p->b, 1);
}

static void
put_head(struct packet *p, const char *owner, int type, uint32_t ttl,
    size_t len)
{
	put_name(&p->b, owner);
	put_u16(&p->b, (unsigned int)type);
	put_u16(&p->b, 1);
	put_u32(&p->b, ttl);
	put_u16(&p->b, (unsigned int)len);
}

static size_t
name_len(const char *name)
{
	if (name[0] == '@')
		return 2;
	return name[0] == '\0' ? 1 : strlen(name) + 2;
}

static void
put_mx(struct packet *p, const char *owner, uint32_t ttl, unsigned int pref,
    const char *exchange)
{
	put_head(p, owner, DNS_MX, ttl, 2 + name_len(exchange));
	put_u16(&p->b, pref);
	put_name(&p->b, exchange);
	p->an++;
}

static void
put_target(struct packet *p, const char *owner, int type, uint32_t ttl,
    const char *target)
{
	put_head(p, owner, type, ttl, name_len(target));
	put_name(&p->b, target);
	p->an++;
}

static void
put_data(struct packet *p, const char *owner, int type, uint32_t ttl,
    const void *data, size_t len)
{
	put_head(p, owner, type, ttl, len);
	strbuf_add(&p->b, data, len);
	p->an++;
}

static void
put_soa(struct packet *p, uint32_t ttl, uint32_t minimum)
{
	put_head(p, "", DNS_SOA, ttl, 22);
	put_name(&p->b, "");
	put_name(&p->b, "");
	for (int i = 0; i < 4; i++)
		put_u32(&p->b, 7);
	put_u32(&p->b, minimum);
	p->ns++;
}

static struct slice
packet_end(struct packet *p)
{
	p->b.ptr[6] = (char)(p->an >> 8);
	p->b.ptr[7] = (char)(p->an & 0xff);
	p->b.ptr[9] = (char)p->ns;
	p->b.ptr[11] = (char)p->ar;
	return strbuf_slice(&p->b);
}

static struct arena arena;
static struct dns_answer answer;

static void
parse(struct packet *p, const char *name, enum dns_type type)
{
	arena_fini(&arena);
	dns_answer_parse(&arena, packet_end(p), slice_of(name), type, &answer);
	strbuf_fini(&p->b);
}

static void
check_name(size_t i, unsigned int preference, const char *name)
{
	assert_true(i < answer.count);
	assert_int_equal(answer.record[i].preference, preference);
	if (!slice_eq_text(answer.record[i].name, name))
		fail_msg("record %zu: %.*s", i,
		    SLICE_FMT(answer.record[i].name));
}

static void
mx_come_sorted_in_lower_case_with_the_smallest_ttl(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0x20, "Example.COM", DNS_MX);
	put_mx(&p, "@", 300, 20, "b.Example.com");
	put_mx(&p, "example.com", 100, 10, "A.example.com");
	put_mx(&p, "other.com", 1, 0, "not.for.us");
	put_mx(&p, "@", 200, 20, "c.example.com");
	parse(&p, "eXample.com", DNS_MX);
	assert_int_equal(answer.result, DNS_OK);
	assert_true(answer.secure);
	assert_int_equal(answer.ttl_s, 100);
	assert_int_equal(answer.count, 3);
	check_name(0, 10, "a.example.com");
	check_name(1, 20, "b.example.com");
	check_name(2, 20, "c.example.com");
}

static void
a_null_mx_is_the_root(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0, "example.com", DNS_MX);
	put_mx(&p, "@", 3600, 0, "");
	parse(&p, "example.com", DNS_MX);
	assert_int_equal(answer.result, DNS_OK);
	assert_false(answer.secure);
	assert_int_equal(answer.count, 1);
	check_name(0, 0, "");
}

static void
targets_that_are_no_host_names_are_dropped(void **state)
{
	static const char *const bad[] = { "192.0.2.1", "-a.example.com",
		"a-.example.com", "a b.example.com", "a\r\nb.example.com",
		"a\x80.example.com", "a/b.example.com", "7" };
	struct packet p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		print_message("case %zu\n", i);
		packet_begin(&p, 0, "example.com", DNS_MX);
		put_mx(&p, "@", 60, 1, bad[i]);
		put_mx(&p, "@", 60, 2, "mx_1.4u.example.com");
		parse(&p, "example.com", DNS_MX);
		assert_int_equal(answer.result, DNS_OK);
		assert_int_equal(answer.count, 1);
		check_name(0, 2, "mx_1.4u.example.com");
		/* Nothing usable is no reason for the address fallback. */
		packet_begin(&p, 0, "example.com", DNS_MX);
		put_mx(&p, "@", 60, 1, bad[i]);
		parse(&p, "example.com", DNS_MX);
		assert_int_equal(answer.result, DNS_FAILED);
		assert_string_equal(answer.why,
		    "nothing in the answer is usable");
	}
}

static void
of_very_many_mx_the_best_are_kept(void **state)
{
	struct packet p;
	char name[32];

	(void)state;
	packet_begin(&p, 0, "x", DNS_MX);
	for (unsigned int i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "m%u.x", i);
		put_mx(&p, "@", 60, 2500 - i, name);
	}
	assert_true(p.b.len < 65536);
	parse(&p, "x", DNS_MX);
	assert_int_equal(answer.result, DNS_OK);
	assert_int_equal(answer.count, DNS_RECORDS_MAX);
	check_name(0, 1, "m2499.x");
	check_name(DNS_RECORDS_MAX - 1, DNS_RECORDS_MAX, "m2436.x");
}

static void
cnames_are_followed_within_the_packet(void **state)
{
	struct packet p;
	static const uint8_t v4[] = { 192, 0, 2, 7 };
	char text[NET_ADDR_TEXT];

	(void)state;
	packet_begin(&p, 0, "www.example.com", DNS_A);
	put_data(&p, "c.example.net", DNS_A, 500, v4, sizeof(v4));
	put_target(&p, "b.example.net", DNS_CNAME, 60, "C.example.net");
	put_target(&p, "@", DNS_CNAME, 400, "b.example.net");
	parse(&p, "www.example.com", DNS_A);
	assert_int_equal(answer.result, DNS_OK);
	assert_int_equal(answer.ttl_s, 60);
	net_addr_format_port(&answer.record[0].addr, text);
	assert_string_equal(text, "192.0.2.7:0");
}

static void
chains_of_cnames_end(void **state)
{
	struct packet p;
	char from[16], to[16];

	(void)state;
	for (int hops = 8; hops <= 9; hops++) {
		packet_begin(&p, 0, "h0.x", DNS_MX);
		for (int i = 0; i < hops; i++) {
			snprintf(from, sizeof(from), "h%d.x", i);
			snprintf(to, sizeof(to), "h%d.x", i + 1);
			put_target(&p, from, DNS_CNAME, 60, to);
		}
		put_mx(&p, to, 60, 1, "mx.x");
		parse(&p, "h0.x", DNS_MX);
		assert_int_equal(answer.result,
		    hops == 8 ? DNS_OK : DNS_FAILED);
	}
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_target(&p, "a.x", DNS_CNAME, 60, "b.x");
	put_target(&p, "b.x", DNS_CNAME, 60, "a.x");
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
	assert_string_equal(answer.why, "too many CNAMEs");
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_target(&p, "a.x", DNS_CNAME, 60, "b\n.x");
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
}

static void
a_cname_is_an_answer_when_asked_for(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0, "a.x", DNS_CNAME);
	put_target(&p, "a.x", DNS_CNAME, 60, "b.x");
	parse(&p, "a.x", DNS_CNAME);
	assert_int_equal(answer.result, DNS_OK);
	check_name(0, 0, "b.x");
}

static const struct {
	unsigned int rcode;
	uint32_t ttl, minimum; /* ttl 0: no SOA */
	enum dns_result result;
	uint32_t want_ttl;
} negative_cases[] = {
	{ 0, 0, 0, DNS_NODATA, 5 },
	{ 0, 300, 60, DNS_NODATA, 60 },
	{ 0, 30, 600, DNS_NODATA, 30 },
	{ 3, 86400, 86400, DNS_NXDOMAIN, 900 },
	{ 3, 1, 1, DNS_NXDOMAIN, 5 },
	{ 3, 0x80000001, 60, DNS_NXDOMAIN, 5 }, /* RFC 2181: reads as 0 */
	{ 1, 300, 300, DNS_FAILED, 5 },
	{ 2, 300, 300, DNS_FAILED, 5 },
	{ 5, 300, 300, DNS_FAILED, 5 },
	{ 9, 300, 300, DNS_FAILED, 5 },
};

static void
negative_answers_hold_as_long_as_the_soa_says(void **state)
{
	struct packet p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(negative_cases); i++) {
		print_message("case %zu\n", i);
		packet_begin(&p, negative_cases[i].rcode, "a.x", DNS_MX);
		if (negative_cases[i].ttl != 0)
			put_soa(&p, negative_cases[i].ttl,
			    negative_cases[i].minimum);
		parse(&p, "a.x", DNS_MX);
		assert_int_equal(answer.result, negative_cases[i].result);
		assert_int_equal(answer.ttl_s, negative_cases[i].want_ttl);
		assert_int_equal(answer.result == DNS_FAILED,
		    answer.why[0] != '\0');
	}
}

static void
an_alias_without_records_is_nodata_or_nxdomain(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_target(&p, "a.x", DNS_CNAME, 60, "b.x");
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_NODATA);
	packet_begin(&p, 3, "a.x", DNS_MX);
	put_target(&p, "a.x", DNS_CNAME, 60, "b.x");
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_NXDOMAIN);
}

static void
texts_are_joined_and_ttls_clamped(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0, "a.x", DNS_TXT);
	put_data(&p, "@", DNS_TXT, 1000000, "\x03v=s\0\x03pf1", 9);
	put_data(&p, "@", DNS_TXT, 1000000, "\x09short", 6);
	parse(&p, "a.x", DNS_TXT);
	assert_int_equal(answer.result, DNS_OK);
	assert_int_equal(answer.ttl_s, 86400);
	assert_int_equal(answer.count, 1);
	assert_true(slice_eq_text(answer.record[0].data, "v=spf1"));
	packet_begin(&p, 0, "a.x", DNS_TLSA);
	put_data(&p, "@", DNS_TLSA, 0, "\3\1\1abc", 6);
	parse(&p, "a.x", DNS_TLSA);
	assert_int_equal(answer.ttl_s, 5);
	assert_int_equal(answer.record[0].data.len, 6);
}

static void
addresses_must_have_their_length(void **state)
{
	struct packet p;
	uint8_t octets[17] = { 0x20, 1 };

	(void)state;
	packet_begin(&p, 0, "a.x", DNS_AAAA);
	put_data(&p, "@", DNS_AAAA, 60, octets, 17);
	put_data(&p, "@", DNS_AAAA, 60, octets, 16);
	put_data(&p, "@", DNS_AAAA, 60, octets, 4);
	put_data(&p, "@", DNS_A, 60, octets, 4);
	parse(&p, "a.x", DNS_AAAA);
	assert_int_equal(answer.count, 1);
	packet_begin(&p, 0, "a.x", DNS_A);
	put_data(&p, "@", DNS_A, 60, octets, 16);
	parse(&p, "a.x", DNS_A);
	assert_int_equal(answer.result, DNS_FAILED);
}

static void
answers_to_other_questions_are_refused(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0, "b.x", DNS_MX);
	put_mx(&p, "a.x", 60, 1, "evil.x");
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
	packet_begin(&p, 0, "a.x", DNS_A);
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
	packet_begin(&p, 0x0200, "a.x", DNS_MX); /* TC */
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
	packet_begin(&p, 0, "a.x", DNS_MX);
	p.b.ptr[2] = 0x01; /* a question, not an answer */
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
}

static void
an_extended_code_is_a_failure(void **state)
{
	struct packet p;

	(void)state;
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_head(&p, "", 41, 0x01000000, 0); /* BADVERS */
	p.ar++;
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
}

static void
pointers_lead_backwards_or_nowhere(void **state)
{
	struct packet p;

	(void)state;
	/* To itself, ahead, and in a circle of two. */
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_u16(&p.b, 0xc000 | (unsigned int)p.b.len);
	p.an = 1;
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_u16(&p.b, 0xc0ff);
	p.an = 1;
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
	packet_begin(&p, 0, "a.x", DNS_MX);
	put_head(&p, "@", DNS_MX, 60, 4);
	put_u16(&p.b, 0xc000 | ((unsigned int)p.b.len + 2));
	put_u16(&p.b, 0xc000 | ((unsigned int)p.b.len - 2));
	p.an = 1;
	parse(&p, "a.x", DNS_MX);
	assert_int_equal(answer.result, DNS_FAILED);
}

/* Every prefix of a good answer must be refused and read no octet behind. */
static void
a_cut_packet_is_never_an_answer(void **state)
{
	struct packet p;
	struct slice whole;

	(void)state;
	packet_begin(&p, 0, "www.example.com", DNS_MX);
	put_target(&p, "@", DNS_CNAME, 400, "b.example.net");
	put_mx(&p, "b.example.net", 60, 1, "mx.example.net");
	whole = packet_end(&p);
	for (size_t n = 0; n < whole.len; n++) {
		char *copy = slice_dup(slice_first(whole, n));

		arena_fini(&arena);
		dns_answer_parse(&arena, slice_mem(copy, n),
		    SLICE("www.example.com"), DNS_MX, &answer);
		assert_int_equal(answer.result, DNS_FAILED);
		free(copy);
	}
	strbuf_fini(&p.b);
}

static const struct {
	const char *name;
	bool may_ask, is_host;
} name_cases[] = {
	{ "example.com", true, true },
	{ "_dmarc.example.com", true, true },
	{ "com", true, true },
	{ "x.1a", true, true },
	{ "-x.com", true, false },
	{ "1.2.3.4", true, false },
	{ "", false, false },
	{ ".", false, false },
	{ "a..b", false, false },
	{ ".a", false, false },
	{ "a.", false, false },
	{ "a b", false, false },
	{ "a\\000b", false, false },
	{ "\xc3\xa9.com", false, false },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x",
	    true, true },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x",
	    false, false },
};

static void
knows_which_names_can_be_asked_for(void **state)
{
	char longest[260];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
		struct slice name = slice_of(name_cases[i].name);

		print_message("case %zu: '%s'\n", i, name_cases[i].name);
		assert_int_equal(dns_name_is_valid(name, false),
		    name_cases[i].may_ask);
		assert_int_equal(dns_name_is_valid(name, true),
		    name_cases[i].is_host);
	}
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	assert_true(dns_name_is_valid(slice_mem(longest, 253), true));
	assert_false(dns_name_is_valid(slice_mem(longest, 255), true));
}

static void
put_found(struct dns_cache *c, const char *name, size_t len, int64_t expires)
{
	static const char octets[1000];
	char buf[DNS_KEY_MAX];
	struct dns_found *f = dns_found_new(slice_mem(octets, len), "");

	f->expires_ms = expires;
	dns_cache_put(c, dns_key(buf, slice_of(name), DNS_MX), f);
	dns_found_unref(&f);
}

static bool
has(struct dns_cache *c, const char *name, int64_t now)
{
	char buf[DNS_KEY_MAX];

	return dns_cache_find(c, dns_key(buf, slice_of(name), DNS_MX), now) !=
	    NULL;
}

static void
the_cache_forgets_what_is_old_and_what_is_unused(void **state)
{
	struct dns_cache c;
	char buf[DNS_KEY_MAX];

	(void)state;
	dns_cache_init(&c, 3, 100000);
	put_found(&c, "a.x", 10, 1000);
	put_found(&c, "b.x", 10, 2000);
	put_found(&c, "C.x", 10, 2000);
	assert_true(has(&c, "a.x", 999));
	assert_true(has(&c, "c.X", 999));
	assert_null(dns_cache_find(&c, dns_key(buf, SLICE("a.x"), DNS_A), 999));
	put_found(&c, "d.x", 10, 2000); /* b was used longest ago */
	assert_false(has(&c, "b.x", 999));
	assert_true(has(&c, "a.x", 999));
	assert_false(has(&c, "a.x", 1000));
	assert_false(has(&c, "a.x", 999)); /* gone for good */
	put_found(&c, "d.x", 20, 3000);
	assert_true(has(&c, "d.x", 2500));
	dns_cache_fini(&c);
}

static void
the_cache_is_bounded_in_octets(void **state)
{
	struct dns_cache c;
	char name[16];
	size_t kept = 0;

	(void)state;
	dns_cache_init(&c, 1000, 20000);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d.x", i);
		put_found(&c, name, 1000, 1000);
		assert_true(c.bytes <= 20000);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d.x", i);
		kept += has(&c, name, 0) ? 1 : 0;
	}
	assert_in_range(kept, 10, 20);
	assert_true(has(&c, "n99.x", 0));
	dns_cache_fini(&c);
	assert_int_equal(c.bytes, 0);
}

static int
teardown(void **state)
{
	arena_fini(&arena);
	return test_log_teardown_(state);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

TEST_MAIN(TEST(mx_come_sorted_in_lower_case_with_the_smallest_ttl),
    TEST(a_null_mx_is_the_root),
    TEST(targets_that_are_no_host_names_are_dropped),
    TEST(of_very_many_mx_the_best_are_kept),
    TEST(cnames_are_followed_within_the_packet), TEST(chains_of_cnames_end),
    TEST(a_cname_is_an_answer_when_asked_for),
    TEST(negative_answers_hold_as_long_as_the_soa_says),
    TEST(an_alias_without_records_is_nodata_or_nxdomain),
    TEST(texts_are_joined_and_ttls_clamped),
    TEST(addresses_must_have_their_length),
    TEST(answers_to_other_questions_are_refused),
    TEST(an_extended_code_is_a_failure),
    TEST(pointers_lead_backwards_or_nowhere),
    TEST(a_cut_packet_is_never_an_answer),
    TEST(knows_which_names_can_be_asked_for),
    TEST(the_cache_forgets_what_is_old_and_what_is_unused),
    TEST(the_cache_is_bounded_in_octets))

/*
 * The parser of raw DNS answers. Input: a type, the length of a name, the
 * name, the packet.
 *
 * fuzz-rooms: net base
 * fuzz-packages: libcares libcurl libevent_core libssl libcrypto
 */
#include "fuzz.h"

#include "base/arena.h"
#include "net/dns_priv.h"

static void
check_record(const struct dns_record *r, enum dns_type type)
{
	invariant(r->type == type);
	switch (type) {
	case DNS_A:
		invariant(net_addr_family(&r->addr) == AF_INET);
		break;
	case DNS_AAAA:
		invariant(net_addr_family(&r->addr) == AF_INET6);
		break;
	case DNS_MX:
	case DNS_CNAME:
	case DNS_PTR:
		invariant(r->name.len == 0 || dns_name_is_valid(r->name, true));
		break;
	case DNS_TXT:
	case DNS_TLSA:
	case DNS_SOA:
		invariant(r->data.len < 65536);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_MX, DNS_A, DNS_AAAA, DNS_TXT,
		DNS_CNAME, DNS_TLSA, DNS_PTR, DNS_SOA };
	struct arena arena = ARENA_INIT;
	struct dns_answer answer;
	struct slice in = slice_mem(data, size), name;
	enum dns_type type;

	if (size < 2)
		return 0;
	type = types[data[0] % ARRAY_LEN(types)];
	name = slice_first(slice_from(in, 2), data[1]);
	dns_answer_parse(&arena, slice_from(in, 2 + name.len), name, type,
	    &answer);
	invariant(answer.count <= DNS_RECORDS_MAX);
	invariant((answer.result == DNS_OK) == (answer.count > 0));
	invariant((answer.result == DNS_FAILED) == (answer.why[0] != '\0'));
	invariant(answer.ttl_s >= 5 && answer.ttl_s <= 86400);
	for (size_t i = 0; i < answer.count; i++) {
		check_record(&answer.record[i], type);
		invariant(i == 0 ||
		    answer.record[i - 1].preference <=
			answer.record[i].preference);
	}
	arena_fini(&arena);
	return 0;
}

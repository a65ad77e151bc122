/*
 * The parser of raw DNS answers (RFC 1035 section 4). It trusts nothing: every
 * length is checked against the packet, compression pointers must lead
 * backwards, names that are no host names are dropped, and the number of
 * records kept is bounded whatever the packet holds.
 *
 * A name is kept as text in lower case. One that has octets which no host name
 * has becomes "odd": it equals no other name and is never handed out.
 */
#include <string.h>

#include "base/arena.h"
#include "net/dns_priv.h"

#define HEADER_LEN 12
#define HOPS_MAX 8
#define JUMPS_MAX 64
#define DNS_OPT 41
#define TTL_MIN_S 5
#define TTL_MAX_S 86400
#define TTL_NEGATIVE_MAX_S 900

struct name {
	char text[256];
	size_t len;
	bool is_odd;
};

/* A cursor; once bad, everything read from it is zero. */
struct reader {
	const uint8_t *packet;
	size_t len, at;
	bool bad;
};

struct rr {
	struct name owner;
	unsigned int type, class;
	uint32_t ttl_s;
	size_t data_at, data_len; /* in the packet */
};

/* What was found so far. */
struct harvest {
	struct arena *arena;
	struct reader packet; /* a fresh cursor is a copy of it */
	size_t answers_at;    /* where the answer section begins */
	unsigned int an_count, rest_count;
	struct name wanted; /* the name asked, then along the CNAMEs */
	enum dns_type type;
	uint32_t ttl_s;
	size_t dropped;
	struct dns_record *record; /* DNS_RECORDS_MAX of them */
	size_t count;
};

static uint8_t
take_u8(struct reader *r)
{
	if (r->bad || r->at >= r->len) {
		r->bad = true;
		return 0;
	}
	return r->packet[r->at++];
}

static unsigned int
take_u16(struct reader *r)
{
	unsigned int high = take_u8(r);

	return high << 8 | take_u8(r);
}

static uint32_t
take_u32(struct reader *r)
{
	uint32_t high = take_u16(r);

	return high << 16 | take_u16(r);
}

static bool
is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

/* False when the name becomes longer than a name can be. */
static bool
add_label(struct name *out, const uint8_t *label, size_t len)
{
	if (out->len + len + 1 > sizeof(out->text) - 1)
		return false;
	if (out->len > 0)
		out->text[out->len++] = '.';
	for (size_t i = 0; i < len; i++) {
		char c = ascii_lower((char)label[i]);

		if (!is_name_char(c))
			out->is_odd = true;
		out->text[out->len++] = c;
	}
	return true;
}

/*
 * Reads the name at the cursor. Each pointer must lead before the place where
 * the part that holds it began, so the way is finite; and it is short, because
 * a packet may hold thousands of names.
 */
static void
take_name(struct reader *r, struct name *out)
{
	struct reader in = *r;
	size_t part_at = r->at;
	unsigned int jumps = 0;

	out->len = 0;
	out->is_odd = false;
	for (;;) {
		uint8_t len = take_u8(&in);

		if ((len & 0xc0) == 0xc0) {
			size_t to = (size_t)(len & 0x3f) << 8 | take_u8(&in);

			if (jumps == 0)
				r->at = in.at;
			if (in.bad || to >= part_at || ++jumps > JUMPS_MAX) {
				in.bad = true;
				break;
			}
			in.at = part_at = to;
			continue;
		}
		if (in.bad || len == 0)
			break;
		if (len > 63 || in.len - in.at < len ||
		    !add_label(out, in.packet + in.at, len)) {
			in.bad = true;
			break;
		}
		in.at += len;
	}
	if (jumps == 0)
		r->at = in.at;
	r->bad = r->bad || in.bad;
}

static bool
name_eq(const struct name *a, const struct name *b)
{
	return !a->is_odd && !b->is_odd && a->len == b->len &&
	    memcmp(a->text, b->text, a->len) == 0;
}

/* Moves the cursor behind the record. */
static bool
take_rr(struct reader *r, struct rr *out)
{
	take_name(r, &out->owner);
	out->type = take_u16(r);
	out->class = take_u16(r);
	out->ttl_s = take_u32(r);
	out->data_len = take_u16(r);
	out->data_at = r->at;
	if (r->bad || r->len - r->at < out->data_len) {
		r->bad = true;
		return false;
	}
	r->at += out->data_len;
	if (out->ttl_s > INT32_MAX) /* RFC 2181 section 8 */
		out->ttl_s = 0;
	return true;
}

/* A cursor over the record's data. Names in it may point before it. */
static struct reader
rr_data(const struct harvest *h, const struct rr *rr)
{
	struct reader r = h->packet;

	r.at = rr->data_at;
	r.len = rr->data_at + rr->data_len;
	return r;
}

bool
dns_name_is_valid(struct slice name, bool is_host)
{
	size_t label_at = 0;
	bool is_number = true;

	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && name.ptr[i] != '.') {
			if (!is_name_char(name.ptr[i]))
				return false;
			is_number = is_number && ascii_is_digit(name.ptr[i]);
			continue;
		}
		if (i == label_at || i - label_at > 63 ||
		    (is_host &&
			(name.ptr[label_at] == '-' || name.ptr[i - 1] == '-')))
			return false;
		if (i == name.len)
			return !(is_host && is_number);
		label_at = i + 1;
		is_number = true;
	}
	return false;
}

/*
 * A target as text in the arena. The root is "" (null MX); anything else must
 * be a host name.
 */
static bool
take_target(struct harvest *h, struct reader *data, struct slice *out)
{
	struct name name;

	take_name(data, &name);
	if (data->bad || name.is_odd)
		return false;
	if (name.len > 0 &&
	    !dns_name_is_valid(slice_mem(name.text, name.len), true))
		return false;
	*out = arena_slice(h->arena, slice_mem(name.text, name.len));
	return true;
}

/* RFC 1035 section 3.3.14: strings, which belong together. */
static bool
take_text(struct harvest *h, struct reader *data, struct slice *out)
{
	char *text = arena_alloc(h->arena, data->len - data->at + 1);
	size_t len = 0;

	while (data->at < data->len) {
		size_t n = take_u8(data);

		if (data->len - data->at < n)
			return false;
		memcpy(text + len, data->packet + data->at, n);
		len += n;
		data->at += n;
	}
	*out = slice_mem(text, len);
	return true;
}

static bool
take_record(struct harvest *h, const struct rr *rr, struct dns_record *out)
{
	struct reader data = rr_data(h, rr);

	out->type = h->type;
	switch (h->type) {
	case DNS_A:
		if (rr->data_len != 4)
			return false;
		net_addr_from_v4(data.packet + data.at, 0, &out->addr);
		return true;
	case DNS_AAAA:
		if (rr->data_len != 16)
			return false;
		net_addr_from_v6(data.packet + data.at, 0, &out->addr);
		return true;
	case DNS_MX:
		out->preference = (uint16_t)take_u16(&data);
		return take_target(h, &data, &out->name);
	case DNS_CNAME:
	case DNS_PTR:
		return take_target(h, &data, &out->name);
	case DNS_TXT:
		return take_text(h, &data, &out->data);
	case DNS_SOA:
	case DNS_TLSA:
		out->data = arena_slice(h->arena,
		    slice_mem(data.packet + data.at, rr->data_len));
		return true;
	}
	return false;
}

/*
 * Keeps the record: MX in the order of preference, equal ones as they came,
 * the worst falls out when there are too many.
 */
static void
keep(struct harvest *h, const struct dns_record *rec)
{
	size_t at = h->count;

	while (at > 0 && h->record[at - 1].preference > rec->preference)
		at--;
	if (at == DNS_RECORDS_MAX)
		return;
	if (h->count == DNS_RECORDS_MAX)
		h->count--;
	memmove(h->record + at + 1, h->record + at,
	    (h->count - at) * sizeof(*rec));
	h->record[at] = *rec;
	h->count++;
}

static bool
is_worth_reading(const struct harvest *h, const struct rr *rr)
{
	struct reader data;

	if (h->count < DNS_RECORDS_MAX)
		return true;
	if (h->type != DNS_MX)
		return false;
	data = rr_data(h, rr);
	return take_u16(&data) < h->record[h->count - 1].preference;
}

/* One pass over the answers for the name wanted now. */
static int
pass(struct harvest *h, bool *has_cname, struct name *cname)
{
	struct reader r = h->packet;
	struct rr rr;

	*has_cname = false;
	r.at = h->answers_at;
	for (unsigned int i = 0; i < h->an_count; i++) {
		struct dns_record rec = { 0 };

		if (!take_rr(&r, &rr))
			return -1;
		if (rr.class != 1 || !name_eq(&rr.owner, &h->wanted))
			continue;
		if (rr.type == h->type) {
			h->ttl_s = MIN(h->ttl_s, rr.ttl_s);
			if (!is_worth_reading(h, &rr))
				continue;
			if (take_record(h, &rr, &rec))
				keep(h, &rec);
			else
				h->dropped++;
		} else if (rr.type == DNS_CNAME && !*has_cname) {
			struct reader data = rr_data(h, &rr);

			h->ttl_s = MIN(h->ttl_s, rr.ttl_s);
			*has_cname = true;
			take_name(&data, cname);
			cname->is_odd = cname->is_odd || data.bad;
		}
	}
	return 0;
}

/* NULL, or why it failed. */
static const char *
collect(struct harvest *h)
{
	struct name cname;
	bool has_cname;

	for (int hop = 0; hop <= HOPS_MAX; hop++) {
		if (pass(h, &has_cname, &cname) < 0)
			return "malformed answer";
		if (h->count > 0 || h->dropped > 0 || !has_cname)
			return NULL;
		if (cname.is_odd)
			return "a CNAME leads to what is no name";
		h->wanted = cname;
	}
	return "too many CNAMEs";
}

/*
 * The sections behind the answers: how long a negative answer holds (RFC 2308
 * section 5), and the upper bits of the result code (RFC 6891).
 */
static void
read_rest(struct harvest *h, uint32_t *negative_ttl_s, unsigned int *rcode)
{
	struct reader r = h->packet, data;
	struct rr rr;
	struct name ignored;
	uint32_t minimum_s;

	*negative_ttl_s = 0;
	r.at = h->answers_at;
	for (unsigned int i = 0; i < h->an_count + h->rest_count; i++) {
		if (!take_rr(&r, &rr))
			return;
		if (i < h->an_count)
			continue;
		if (rr.type == DNS_OPT)
			*rcode |= rr.ttl_s >> 24 << 4;
		if (rr.type != DNS_SOA || rr.class != 1)
			continue;
		data = rr_data(h, &rr);
		take_name(&data, &ignored);
		take_name(&data, &ignored);
		for (int j = 0; j < 4; j++)
			(void)take_u32(&data); /* serial .. expire */
		minimum_s = take_u32(&data);
		if (!data.bad)
			*negative_ttl_s = MIN(rr.ttl_s, minimum_s);
	}
}

static const char *
rcode_text(unsigned int rcode)
{
	switch (rcode) {
	case 1:
		return "the server found our question malformed (FORMERR)";
	case 2:
		return "the server failed (SERVFAIL)";
	case 4:
		return "the server does not know such questions (NOTIMP)";
	case 5:
		return "the server refused (REFUSED)";
	default:
		return "the server answered with an unknown code";
	}
}

static void
fail(struct dns_answer *out, const char *why)
{
	*out = (struct dns_answer){ .result = DNS_FAILED, .ttl_s = TTL_MIN_S };
	memcpy(out->why, why, MIN(strlen(why), sizeof(out->why) - 1));
}

static uint32_t
clamp(uint32_t ttl_s, uint32_t most)
{
	return MAX(MIN(ttl_s, most), TTL_MIN_S);
}

/* Header and question; NULL, or what is wrong. */
static const char *
open_packet(struct harvest *h, unsigned int *flags)
{
	struct reader *r = &h->packet;
	unsigned int qd_count;
	struct name asked;

	(void)take_u16(r); /* id: the resolver's matter */
	*flags = take_u16(r);
	qd_count = take_u16(r);
	h->an_count = take_u16(r);
	h->rest_count = take_u16(r);
	h->rest_count += take_u16(r);
	if (r->bad || (*flags & 0xf800) != 0x8000)
		return "not an answer";
	if (*flags & 0x0200)
		return "the answer is cut off";
	if (qd_count != 1)
		return (*flags & 0xf) != 0 ? NULL : "not one question";
	take_name(r, &asked);
	if (take_u16(r) != (unsigned int)h->type || take_u16(r) != 1 ||
	    r->bad || !name_eq(&asked, &h->wanted))
		return "the answer is to another question";
	h->answers_at = r->at;
	return NULL;
}

/* Copies the records that were kept, so that the room for all is not. */
static const struct dns_record *
settle(struct arena *arena, const struct dns_record *record, size_t count)
{
	struct dns_record *out = arena_calloc(arena, count, sizeof(*out));

	memcpy(out, record, count * sizeof(*out));
	return out;
}

void
dns_answer_parse(struct arena *arena, struct slice packet, struct slice name,
    enum dns_type type, struct dns_answer *out)
{
	struct dns_record record[DNS_RECORDS_MAX];
	struct harvest h = { .arena = arena,
		.packet = { (const uint8_t *)packet.ptr, packet.len, 0, false },
		.type = type,
		.ttl_s = TTL_MAX_S,
		.record = record };
	unsigned int flags = 0, rcode;
	uint32_t negative_ttl_s;
	const char *why;

	for (struct slice rest = name; rest.len > 0;) {
		struct slice label = slice_take_until(&rest, '.');

		if (!add_label(&h.wanted, (const uint8_t *)label.ptr,
			label.len))
			break;
	}
	why = open_packet(&h, &flags);
	if (why != NULL) {
		fail(out, why);
		return;
	}
	rcode = flags & 0xf;
	read_rest(&h, &negative_ttl_s, &rcode);
	if (rcode != 0 && rcode != 3) {
		fail(out, rcode_text(rcode));
		return;
	}
	why = collect(&h);
	if (why == NULL && h.count == 0 && h.dropped > 0)
		why = "nothing in the answer is usable";
	if (why != NULL) {
		fail(out, why);
		return;
	}
	*out = (struct dns_answer){ .secure = (flags & 0x20) != 0 };
	if (h.count > 0) {
		out->result = DNS_OK;
		out->ttl_s = clamp(h.ttl_s, TTL_MAX_S);
		out->count = h.count;
		out->record = settle(arena, record, h.count);
		return;
	}
	out->result = rcode == 3 ? DNS_NXDOMAIN : DNS_NODATA;
	out->ttl_s = clamp(negative_ttl_s, TTL_NEGATIVE_MAX_S);
}

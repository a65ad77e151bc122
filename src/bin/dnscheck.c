#include "bin/dnscheck.h"

#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "net/addr.h"

const char *
dnscheck_state_name(enum dnscheck_state s)
{
	switch (s) {
	case DNSCHECK_UNASKED:
		return "not asked";
	case DNSCHECK_OK:
		return "ok";
	case DNSCHECK_MISSING:
		return "missing";
	case DNSCHECK_PARTLY:
		return "incomplete";
	case DNSCHECK_WRONG:
		return "wrong";
	case DNSCHECK_FAILED:
		return "no answer";
	}
	return "?";
}

const char *
dnscheck_type_name(enum dns_type t)
{
	return t == DNS_MX ? "MX" : "TXT";
}

/* ---- What to publish ----------------------------------------------------- */

void
dnscheck_spf_term(struct strbuf *out, struct slice source)
{
	strbuf_add_fmt(out, " %s:%.*s",
	    slice_has_char(source, ':') ? "ip6" : "ip4", SLICE_FMT(source));
}

const char *
dnscheck_spf_value(struct arena *arena, const struct slice *sources, size_t n)
{
	struct strbuf text = STRBUF_INIT;
	const char *value;

	strbuf_add_text(&text, "v=spf1");
	for (size_t i = 0; i < n; i++)
		dnscheck_spf_term(&text, sources[i]);
	strbuf_add_text(&text, " -all");
	value = arena_dup(arena, strbuf_slice(&text));
	strbuf_fini(&text);
	return value;
}

void
dnscheck_make(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck out[DNSCHECK_COUNT])
{
	const char *host = arena_dup(arena, d->return_path_host);

	out[DNSCHECK_DKIM] = (struct dnscheck){
		.kind = DNSCHECK_DKIM,
		.record = "DKIM",
		.type = DNS_TXT,
		.required = true,
		.name = arena_fmt(arena, "%.*s._domainkey.%.*s",
		    SLICE_FMT(d->selector), SLICE_FMT(d->name)),
		.value = arena_dup(arena, d->public_txt),
	};
	out[DNSCHECK_RETURN_PATH] = (struct dnscheck){
		.kind = DNSCHECK_RETURN_PATH,
		.record = "return path",
		.type = DNS_MX,
		.required = true,
		.name = host,
		.value = d->mx_host != NULL
		    ? arena_fmt(arena, "10 %s", d->mx_host)
		    : NULL,
	};
	out[DNSCHECK_SPF] = (struct dnscheck){
		.kind = DNSCHECK_SPF,
		.record = "SPF",
		.type = DNS_TXT,
		.required = true,
		.name = host,
		.value = d->source_count > 0
		    ? dnscheck_spf_value(arena, d->sources, d->source_count)
		    : NULL,
	};
	out[DNSCHECK_DMARC] = (struct dnscheck){
		.kind = DNSCHECK_DMARC,
		.record = "DMARC",
		.type = DNS_TXT,
		.name = arena_fmt(arena, "_dmarc.%.*s", SLICE_FMT(d->name)),
		.value = "v=DMARC1; p=none;",
	};
	for (size_t i = 0; i < DNSCHECK_COUNT; i++)
		out[i].found = out[i].advice = "";
	if (d->mx_host == NULL)
		out[DNSCHECK_RETURN_PATH].advice =
		    "set smtp_in_hostname to the full name of this machine "
		    "(like mx.example.com), then ask again: the MX must name "
		    "it";
	if (d->source_count == 0)
		out[DNSCHECK_SPF].advice =
		    "there is no address to send from in the pools of its "
		    "account yet: verpost source add ADDRESS --helo NAME, then "
		    "ask again: SPF must name it";
}

/* ---- What is there ------------------------------------------------------- */

/*
 * The value of a tag in "a=b; c=d" (RFC 6376 section 3.2) without the blanks
 * inside, which publishing tools put into long keys. ptr NULL: no such tag.
 */
static struct slice
tag_value(struct arena *arena, struct slice text, char tag)
{
	while (text.len > 0) {
		struct slice one = slice_trim(slice_take_until(&text, ';'));
		struct slice name = slice_trim(slice_take_until(&one, '='));
		char *out;
		size_t n = 0;

		if (name.len != 1 || name.ptr[0] != tag)
			continue;
		out = arena_alloc(arena, one.len + 1);
		for (size_t i = 0; i < one.len; i++)
			if (one.ptr[i] != ' ' && one.ptr[i] != '\t')
				out[n++] = one.ptr[i];
		return slice_mem(out, n);
	}
	return (struct slice){ NULL, 0 };
}

static void
set(struct dnscheck *c, enum dnscheck_state state, const char *found,
    const char *advice)
{
	c->state = state;
	c->found = found;
	c->advice = advice;
}

/* Several answers in one line, each without control octets. */
static const char *
join(struct arena *arena, const struct dns_answer *a)
{
	struct strbuf text = STRBUF_INIT;
	const char *out;

	for (size_t i = 0; i < a->count; i++) {
		if (i > 0)
			strbuf_add_text(&text, " | ");
		if (a->record[i].type == DNS_MX)
			strbuf_add_fmt(&text, "%u %.*s",
			    (unsigned int)a->record[i].preference,
			    SLICE_FMT(a->record[i].name));
		else
			strbuf_add_slice(&text,
			    slice_first(a->record[i].data, 500));
	}
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 ||
		    (unsigned char)text.ptr[i] > 0x7e)
			text.ptr[i] = '?';
	out = arena_dup(arena, strbuf_slice(&text));
	strbuf_fini(&text);
	return out;
}

static void
judge_dkim(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck *c, const struct dns_answer *a)
{
	struct slice want = tag_value(arena, d->public_txt, 'p');

	for (size_t i = 0; i < a->count; i++) {
		struct slice got = tag_value(arena, a->record[i].data, 'p');

		if (got.ptr == NULL || !slice_eq(got, want))
			continue;
		if (a->count == 1)
			set(c, DNSCHECK_OK, join(arena, a), "");
		else
			set(c, DNSCHECK_WRONG, join(arena, a),
			    "several TXT records have this name: leave only "
			    "the one above (RFC 6376 section 3.6.2.2)");
		return;
	}
	set(c, DNSCHECK_WRONG, join(arena, a),
	    "the key is another one: publish the value above");
}

static void
judge_mx(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck *c, const struct dns_answer *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (slice_eq_nocase(a->record[i].name, slice_of(d->mx_host))) {
			set(c, DNSCHECK_OK, join(arena, a), "");
			return;
		}
	set(c, DNSCHECK_WRONG, join(arena, a),
	    "bounces would go elsewhere: let the MX be this machine");
}

static const uint8_t *
octets(const struct net_addr *a, size_t *len)
{
	if (net_addr_family(a) == AF_INET6) {
		*len = 16;
		return ((const struct sockaddr_in6 *)&a->ss)->sin6_addr.s6_addr;
	}
	*len = 4;
	return (const uint8_t *)&((const struct sockaddr_in *)&a->ss)->sin_addr;
}

static bool
block_has(const struct net_block *block, const struct net_addr *addr)
{
	size_t len, base_len, whole = block->bits / 8;
	const uint8_t *a = octets(addr, &len);
	const uint8_t *b = octets(&block->base, &base_len);
	uint8_t mask = (uint8_t)(0xff00 >> (block->bits % 8));

	if (len != base_len || whole > len || memcmp(a, b, whole) != 0)
		return false;
	return whole == len || ((a[whole] ^ b[whole]) & mask) == 0;
}

/* Whether "ip4:192.0.2.0/24" holds the address. */
static bool
mechanism_holds(struct slice mechanism, const struct net_addr *addr)
{
	struct net_guard guard = { 0 };
	bool holds;

	if (!slice_starts_nocase(mechanism, SLICE("ip4:")) &&
	    !slice_starts_nocase(mechanism, SLICE("ip6:")))
		return false;
	if (net_guard_parse(slice_from(mechanism, 4), &guard, NULL) != 0)
		return false;
	holds = guard.allow_count == 1 && block_has(&guard.allow[0], addr);
	net_guard_fini(&guard);
	return holds;
}

/*
 * Whether the record names the address itself; *unseen: it also names things
 * that take more questions (include, a, mx, redirect).
 */
static bool
spf_holds(struct slice spf, struct slice source, bool *unseen)
{
	struct net_addr addr;

	if (net_addr_parse(source, 0, &addr, NULL) != 0)
		return false;
	while (spf.len > 0) {
		struct slice one = slice_trim(slice_take_until(&spf, ' '));
		struct slice bare = one;

		(void)slice_take_char(&bare, '+');
		if (mechanism_holds(bare, &addr))
			return true;
		if (slice_starts_nocase(bare, SLICE("include:")) ||
		    slice_starts_nocase(bare, SLICE("redirect=")) ||
		    slice_starts_nocase(bare, SLICE("exists:")) ||
		    slice_starts_nocase(bare, SLICE("a:")) ||
		    slice_starts_nocase(bare, SLICE("mx:")) ||
		    slice_eq_nocase(bare, SLICE("a")) ||
		    slice_eq_nocase(bare, SLICE("mx")))
			*unseen = true;
	}
	return false;
}

bool
dnscheck_spf_names(struct slice found, struct slice source)
{
	bool unseen = false;

	return spf_holds(found, source, &unseen);
}

static void
judge_spf_record(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck *c, struct slice spf, const char *found)
{
	struct strbuf terms = STRBUF_INIT;
	bool unseen = false;
	size_t lacking = 0;

	for (size_t i = 0; i < d->source_count; i++)
		if (!spf_holds(spf, d->sources[i], &unseen)) {
			lacking++;
			dnscheck_spf_term(&terms, d->sources[i]);
		}
	if (lacking == 0)
		set(c, DNSCHECK_OK, found, "");
	else if (unseen)
		set(c, DNSCHECK_OK, found,
		    arena_fmt(arena,
			"not named in it:%.*s; make sure that include, a, mx "
			"or redirect bring it",
			SLICE_FMT(strbuf_slice(&terms))));
	else
		set(c,
		    lacking < d->source_count ? DNSCHECK_PARTLY
					      : DNSCHECK_WRONG,
		    found,
		    arena_fmt(arena,
			"add%.*s: mail is sent from there, and fails SPF",
			SLICE_FMT(strbuf_slice(&terms))));
	strbuf_fini(&terms);
}

/* The one TXT record that begins with that version; *count: how many. */
static struct slice
find_version(const struct dns_answer *a, struct slice version, size_t *count)
{
	struct slice found = { NULL, 0 };

	*count = 0;
	for (size_t i = 0; i < a->count; i++) {
		struct slice data = a->record[i].data;

		if (!slice_starts_nocase(data, version))
			continue;
		if (data.len > version.len && data.ptr[version.len] != ' ' &&
		    data.ptr[version.len] != ';')
			continue;
		found = data;
		(*count)++;
	}
	return found;
}

static void
judge_spf(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck *c, const struct dns_answer *a)
{
	size_t count;
	struct slice spf = find_version(a, SLICE("v=spf1"), &count);
	const char *found = join(arena, a);

	if (count == 0)
		set(c, DNSCHECK_MISSING, found, "publish the value above");
	else if (count > 1)
		set(c, DNSCHECK_WRONG, found,
		    "several SPF records count as none (RFC 7208 section "
		    "4.5): leave one");
	else
		judge_spf_record(arena, d, c, spf, found);
}

static void
judge_dmarc(struct arena *arena, struct dnscheck *c, const struct dns_answer *a)
{
	size_t count;

	(void)find_version(a, SLICE("v=DMARC1"), &count);
	if (count == 1)
		set(c, DNSCHECK_OK, join(arena, a), "");
	else
		set(c, count == 0 ? DNSCHECK_MISSING : DNSCHECK_WRONG,
		    join(arena, a),
		    "large receivers want exactly one DMARC record");
}

void
dnscheck_judge(struct arena *arena, const struct dnscheck_domain *d,
    struct dnscheck *c, const struct dns_answer *answer)
{
	if (answer->result == DNS_FAILED) {
		set(c, DNSCHECK_FAILED, "",
		    arena_fmt(arena, "DNS gave no answer (%s): try later",
			answer->why));
		return;
	}
	if (answer->result != DNS_OK || answer->count == 0) {
		set(c, DNSCHECK_MISSING, "", "publish the value above");
		return;
	}
	switch (c->kind) {
	case DNSCHECK_DKIM:
		judge_dkim(arena, d, c, answer);
		break;
	case DNSCHECK_RETURN_PATH:
		judge_mx(arena, d, c, answer);
		break;
	case DNSCHECK_SPF:
		judge_spf(arena, d, c, answer);
		break;
	case DNSCHECK_DMARC:
		judge_dmarc(arena, c, answer);
		break;
	case DNSCHECK_COUNT:
		break;
	}
}

/* ---- All together -------------------------------------------------------- */

bool
dnscheck_all_ok(const struct dnscheck checks[DNSCHECK_COUNT])
{
	for (size_t i = 0; i < DNSCHECK_COUNT; i++)
		if (checks[i].required && checks[i].state != DNSCHECK_OK)
			return false;
	return true;
}

bool
dnscheck_none_answered(const struct dnscheck checks[DNSCHECK_COUNT])
{
	for (size_t i = 0; i < DNSCHECK_COUNT; i++)
		if (checks[i].state != DNSCHECK_FAILED)
			return false;
	return true;
}

const char *
dnscheck_status(const struct dnscheck checks[DNSCHECK_COUNT], bool was_verified)
{
	size_t required = 0, ok = 0;

	for (size_t i = 0; i < DNSCHECK_COUNT; i++) {
		if (!checks[i].required)
			continue;
		required++;
		if (checks[i].state == DNSCHECK_FAILED)
			return NULL;
		ok += checks[i].state == DNSCHECK_OK ||
		    (checks[i].state == DNSCHECK_PARTLY && was_verified);
	}
	if (ok == required)
		return "verified";
	return ok > 0 ? "partially_verified" : "failed";
}

static const char *
json_status(enum dnscheck_state s)
{
	switch (s) {
	case DNSCHECK_OK:
		return "verified";
	case DNSCHECK_MISSING:
	case DNSCHECK_PARTLY:
	case DNSCHECK_WRONG:
		return "failed";
	case DNSCHECK_FAILED:
		return "temporary_failure";
	case DNSCHECK_UNASKED:
		break;
	}
	return "not_started";
}

void
dnscheck_json(const struct dnscheck checks[DNSCHECK_COUNT], struct strbuf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_array(&w, NULL);
	for (size_t i = 0; i < DNSCHECK_COUNT; i++) {
		const struct dnscheck *c = &checks[i];

		json_begin_object(&w, NULL);
		json_cstr(&w, "record", c->record);
		json_cstr(&w, "name", c->name);
		json_cstr(&w, "type", dnscheck_type_name(c->type));
		json_cstr(&w, "ttl", "Auto");
		json_cstr(&w, "status", json_status(c->state));
		if (c->value == NULL)
			json_null(&w, "value");
		else
			json_cstr(&w, "value",
			    c->type == DNS_MX ? strchr(c->value, ' ') + 1
					      : c->value);
		if (c->type == DNS_MX)
			json_int(&w, "priority", 10);
		json_cstr(&w, "found", c->found);
		json_cstr(&w, "advice", c->advice);
		json_end(&w);
	}
	json_end(&w);
}

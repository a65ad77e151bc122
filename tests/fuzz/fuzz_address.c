/*
 * Addresses: what is taken has no octet that could end a command or a field,
 * and reads again as itself.
 *
 * fuzz-rooms: mail base
 * fuzz-packages: opendkim libidn2 libcrypto
 */
#include "base/encode.h"
#include "fuzz.h"
#include "mail/address.h"

static void
check_octets(struct slice text, bool ascii)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		invariant(c >= 0x20 && c != 0x7f && (!ascii || c < 0x80));
	}
}

static void
check_address(struct arena *arena, const struct mail_address *a)
{
	struct strbuf text = STRBUF_INIT;
	struct mail_address again;
	struct error err;

	check_octets(a->display, false);
	check_octets(a->local, !a->smtputf8);
	check_octets(a->domain, true);
	invariant(a->local.len > 0 && a->local.len <= MAIL_LOCAL_MAX);
	invariant(a->domain.len > 0 && a->domain.len <= MAIL_DOMAIN_MAX);
	invariant(a->local.ptr[0] == '"' ||
	    (!slice_has_char(a->local, '@') && !slice_has_char(a->local, ' ')));
	mail_address_add_addr(&text, a);
	invariant(
	    mail_path_parse(arena, strbuf_slice(&text), &again, &err) == 0);
	invariant(slice_eq(a->local, again.local));
	invariant(slice_eq(a->domain, again.domain));
	strbuf_reset(&text);
	mail_address_add_header(&text, a);
	check_octets(strbuf_slice(&text), !a->smtputf8);
	strbuf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size), name;
	struct arena arena = ARENA_INIT;
	struct mail_address a;
	struct error err;

	if (mail_address_parse(&arena, in, &a, &err) == 0)
		check_address(&arena, &a);
	if (mail_path_parse(&arena, in, &a, &err) == 0)
		check_address(&arena, &a);
	if (mail_domain_parse(&arena, in, 1, &name, &err) == 0)
		check_octets(name, true);
	arena_fini(&arena);
	return 0;
}

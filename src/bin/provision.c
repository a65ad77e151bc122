#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "bin/provision.h"
#include "mail/address.h"
#include "mail/dkim.h"
#include "model/id.h"
#include "store/accounts.h"
#include "store/domains.h"
#include "store/keys.h"

struct found {
	struct session *s;
	int number;
};

static void
got_account(void *ctx, const struct store_account *account, size_t count,
    const struct error *err)
{
	struct found *found = ctx;

	if (err == NULL && count == 1)
		found->number = account[0].number;
	session_end(found->s, err);
}

int
provision_account(struct session *s, const char *name)
{
	struct found found = { .s = s };
	int64_t now_ms = clock_now_ms();
	struct error err;

	store_account_find(s->pg, slice_of(name), got_account, &found);
	err = session_try(s);
	if (err.kind == ERR_NONE)
		return found.number;
	if (err.kind != ERR_NOTFOUND)
		die("looking for account '%s': %s", name, err.text);
	store_account_add(s->pg, id_new(now_ms), slice_of(name), now_ms,
	    got_account, &found);
	session_wait(s, "adding account '%s'", name);
	return found.number;
}

/* ---- Domains ------------------------------------------------------------- */

static void
got_domain(void *ctx, const struct store_domain *domain, size_t count,
    const struct error *err)
{
	struct found *found = ctx;

	if (err == NULL && count == 1)
		found->number = domain[0].number;
	session_end(found->s, err);
}

/* A new key pair, sealed for the row with that id. */
static int
make_key(struct session *s, const char *selector, struct arena *arena,
    int64_t now_ms, struct store_dkim_key *key, struct error *err)
{
	struct strbuf pem = STRBUF_INIT, txt = STRBUF_INIT,
		      sealed = STRBUF_INIT;
	int rc;

	key->id = id_new(now_ms);
	key->selector = slice_of(selector);
	key->algorithm = SLICE("rsa-sha256");
	key->created_at_ms = now_ms;
	rc = dkim_key_generate(PROVISION_RSA_BITS, &pem, &txt, err);
	if (rc == 0) {
		char *where = arena_fmt(arena, "dkim_keys.private_key:%s",
		    id_text(key->id).s);

		crypto_seal(&s->keyring, slice_of(where), strbuf_slice(&pem),
		    &sealed);
		key->private_key = arena_slice(arena, strbuf_slice(&sealed));
		key->public_txt = arena_slice(arena, strbuf_slice(&txt));
	}
	if (pem.ptr != NULL)
		explicit_bzero(pem.ptr, pem.cap);
	strbuf_fini(&pem);
	strbuf_fini(&txt);
	strbuf_fini(&sealed);
	return rc;
}

static int
check_label(const char *what, const char *label, struct error *err)
{
	size_t len = strlen(label);

	for (size_t i = 0; i < len; i++)
		if (!ascii_is_alnum(label[i]) &&
		    (label[i] != '-' || i == 0 || i == len - 1))
			len = 0;
	if (len >= 1 && len <= 63)
		return 0;
	return error_set(err, ERR_SYNTAX,
	    "%s '%s' must be one DNS label: letters, digits, hyphens", what,
	    label);
}

void
provision_unchecked(struct session *s, int domain)
{
	store_domain_set_checks(s->pg, domain, SLICE("verified"),
	    SLICE(STARTUP_DOMAIN_UNCHECKED), clock_now_ms(), session_done, s);
	session_wait(s, "counting the domain as verified");
}

int
provision_domain(struct session *s, const struct provision_domain *d,
    struct error *err)
{
	const char *selector =
	    d->selector != NULL ? d->selector : PROVISION_SELECTOR;
	const char *label =
	    d->label != NULL ? d->label : PROVISION_RETURN_LABEL;
	int64_t now_ms = clock_now_ms();
	struct found found = { .s = s };
	struct arena arena = ARENA_INIT;
	struct store_domain domain = {
		.id = id_new(now_ms),
		.account = d->account,
		.created_at_ms = now_ms,
	};
	struct store_dkim_key key = { 0 };
	int rc = -1;

	if (check_label("selector", selector, err) != 0 ||
	    check_label("return-path label", label, err) != 0 ||
	    mail_domain_parse(&arena, slice_of(d->name), 2, &domain.name,
		err) != 0 ||
	    make_key(s, selector, &arena, now_ms, &key, err) != 0)
		goto out;
	domain.return_path_host = slice_of(
	    arena_fmt(&arena, "%s.%.*s", label, SLICE_FMT(domain.name)));
	domain.status = SLICE("not_started");
	store_domain_add(s->pg, &domain, &key, got_domain, &found);
	*err = session_try(s);
	if (err->kind == ERR_NONE && d->verified)
		provision_unchecked(s, found.number);
	rc = err->kind == ERR_NONE ? 0 : -1;
out:
	arena_fini(&arena);
	return rc;
}

/* ---- API keys ------------------------------------------------------------ */

/* "re_", as clients expect it, and 23 random octets in base32. */
void
provision_key(struct session *s, const struct provision_key *k,
    char out[PROVISION_KEY_LEN + 1])
{
	uint8_t random[23], hash[SHA256_LEN];
	int64_t now_ms = clock_now_ms();
	struct store_key key = {
		.id = id_new(now_ms),
		.account = k->account,
		.name = slice_of(k->name),
		.sending_only = k->sending_only,
		.domain = k->domain,
		.created_at_ms = now_ms,
	};
	char prefix[16];

	_Static_assert(3 + BASE32_LEN(sizeof(random)) == PROVISION_KEY_LEN,
	    "the key fills its buffer");
	crypto_random(random, sizeof(random));
	memcpy(out, "re_", 3);
	base32_encode(random, sizeof(random), out + 3);
	out[PROVISION_KEY_LEN] = '\0';
	explicit_bzero(random, sizeof(random));
	crypto_sha256(slice_of(out), hash);
	snprintf(prefix, sizeof(prefix), "%.7s...", out);
	key.prefix = slice_of(prefix);
	store_key_add(s->pg, &key, hash, session_done, s);
	session_wait(s, "adding key '%s'", k->name);
}

/*
 * libopendkim copies the text of the private key into each message's handle
 * and parses it anew in dkim_eom: 305-345 us in OpenSSL 3.0, and ~250 us more
 * for the first use of a fresh RSA object, against ~240 us for the signature.
 * There is no hook. But it asks libcrypto by PEM_read_bio_PrivateKey, and a
 * symbol of the executable comes before one of a library: so we define that
 * function. Given KEY_HANDLE in place of a PEM text it hands out the key that
 * is being signed with; anything else goes to the same work in libcrypto.
 * (An executable exports what a library on its link line refers to;
 * DKIM_LDFLAGS says so once more, and dkim_signer_new looks whether it came out
 * so.)
 *
 * The library's own memory comes from an arena per message, so nothing it
 * forgets to free outlives the message.
 *
 * One message at a time: processes here have one thread.
 */
#include "mail/dkim.h"

#include <dlfcn.h>
#include <opendkim/dkim.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/encode.h"
#include "base/mem.h"

#define KEY_HANDLE "-----VERPOST-KEY-----"
#define KEY_BITS_MIN 1024
#define FIELD_NAME "DKIM-Signature: "
#define MARGIN 75

struct dkim_signer {
	DKIM_LIB *lib;
	int64_t (*now_ms)(void);
};

struct dkim_key {
	EVP_PKEY *pkey;
	char *domain, *selector;
};

/* The key that PEM_read_bio_PrivateKey hands out; NULL outside dkim_eom. */
static EVP_PKEY *signing_key;

static const u_char *const signed_fields[] = { (const u_char *)"From",
	(const u_char *)"To", (const u_char *)"Cc", (const u_char *)"Subject",
	(const u_char *)"Date", (const u_char *)"Reply-To",
	(const u_char *)"Message-ID", (const u_char *)"In-Reply-To",
	(const u_char *)"References", (const u_char *)"MIME-Version",
	(const u_char *)"Content-Type",
	(const u_char *)"Content-Transfer-Encoding",
	(const u_char *)"Auto-Submitted", (const u_char *)"Feedback-ID",
	(const u_char *)"List-Id", (const u_char *)"List-Help",
	(const u_char *)"List-Owner", (const u_char *)"List-Post",
	(const u_char *)"List-Subscribe", (const u_char *)"List-Unsubscribe",
	(const u_char *)"List-Unsubscribe-Post",
	(const u_char *)"X-Entity-Ref-ID", (const u_char *)"X-Verpost-Ref",
	NULL };

/* Once more in h= than they are there: none can be added behind our back. */
static const u_char *const oversigned_fields[] = { (const u_char *)"From",
	(const u_char *)"To", (const u_char *)"Cc", (const u_char *)"Subject",
	(const u_char *)"Date", (const u_char *)"Reply-To",
	(const u_char *)"Message-ID", (const u_char *)"MIME-Version",
	(const u_char *)"Content-Type", NULL };

/* ---- the key ---- */

EVP_PKEY *
PEM_read_bio_PrivateKey(BIO *bp, EVP_PKEY **x, pem_password_cb *cb, void *u)
{
	const char *text = NULL;
	long len = BIO_get_mem_data(bp, &text);

	if (signing_key != NULL && text != NULL &&
	    len == (long)sizeof(KEY_HANDLE) - 1 &&
	    memcmp(text, KEY_HANDLE, sizeof(KEY_HANDLE) - 1) == 0) {
		EVP_PKEY_up_ref(signing_key);
		return signing_key;
	}
	return PEM_read_bio_PrivateKey_ex(bp, x, cb, u, NULL, NULL);
}

static const char *
ssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason != NULL ? reason : "unknown reason";
}

/* What stands in d= and s=: LDH labels, in A-labels if need be. */
static bool
is_tag_name(const char *text, size_t max)
{
	struct slice s = slice_of(text);

	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) &&
		    strchr("-._", s.ptr[i]) == NULL)
			return false;
	return s.len > 0 && s.len <= max;
}

int
dkim_key_new(struct dkim_signer *s, struct slice pem, const char *domain,
    const char *selector, struct dkim_key **out, struct error *err)
{
	EVP_PKEY *pkey = NULL;
	BIO *bio;

	(void)s;
	if (!is_tag_name(domain, 253) || !is_tag_name(selector, 63))
		return error_set(err, ERR_SYNTAX,
		    "DKIM domain or selector is not a host name");
	if (pem.len > 100000)
		return error_set(err, ERR_LIMIT, "DKIM key is too long");
	ERR_clear_error();
	bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	if (bio != NULL)
		pkey = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, NULL,
		    NULL);
	BIO_free(bio);
	if (pkey == NULL)
		return error_set(err, ERR_CRYPTO, "DKIM key of %s: %s", domain,
		    ssl_reason());
	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA ||
	    EVP_PKEY_get_bits(pkey) < KEY_BITS_MIN) {
		EVP_PKEY_free(pkey);
		return error_set(err, ERR_CRYPTO,
		    "DKIM key of %s is not RSA of at least %d bits", domain,
		    KEY_BITS_MIN);
	}
	*out = xmalloc(sizeof(**out));
	(*out)->pkey = pkey;
	(*out)->domain = xstrdup(domain);
	(*out)->selector = xstrdup(selector);
	return 0;
}

void
dkim_key_free(struct dkim_key **k)
{
	if (*k == NULL)
		return;
	EVP_PKEY_free((*k)->pkey);
	free((*k)->domain);
	free((*k)->selector);
	free(*k);
	*k = NULL;
}

/* ---- the library ---- */

/* closure: the message's arena; NULL for what lives as long as the library. */
static void *
lib_malloc(void *closure, size_t size)
{
	return closure != NULL ? arena_alloc(closure, size) : xmalloc(size);
}

static void
lib_free(void *closure, void *ptr)
{
	if (closure == NULL)
		free(ptr);
}

static DKIM_STAT
set_fields(DKIM_LIB *lib, int option, const u_char *const *names)
{
	/* The library copies the names; its prototype forgot the const. */
	union {
		const u_char *const *in;
		void *out;
	} cast = { .in = names };

	return dkim_options(lib, DKIM_OP_SETOPT, option, cast.out,
	    sizeof(names));
}

struct dkim_signer *
dkim_signer_new(int64_t (*now_ms)(void), struct error *err)
{
	struct dkim_signer *s;
	DKIM_LIB *lib;

	if (dlsym(RTLD_DEFAULT, "PEM_read_bio_PrivateKey") !=
	    (void *)PEM_read_bio_PrivateKey) {
		error_set(err, ERR_CONFIG,
		    "DKIM: this program was linked without exporting "
		    "PEM_read_bio_PrivateKey (DKIM_LDFLAGS)");
		return NULL;
	}
	lib = dkim_init(lib_malloc, lib_free);
	if (lib == NULL) {
		error_set(err, ERR_CRYPTO, "DKIM: dkim_init failed");
		return NULL;
	}
	if (set_fields(lib, DKIM_OPTS_SIGNHDRS, signed_fields) !=
		DKIM_STAT_OK ||
	    set_fields(lib, DKIM_OPTS_OVERSIGNHDRS, oversigned_fields) !=
		DKIM_STAT_OK) {
		dkim_close(lib);
		error_set(err, ERR_CRYPTO, "DKIM: dkim_options failed");
		return NULL;
	}
	s = xmalloc(sizeof(*s));
	s->lib = lib;
	s->now_ms = now_ms;
	return s;
}

void
dkim_signer_free(struct dkim_signer **s)
{
	if (*s == NULL)
		return;
	dkim_close((*s)->lib);
	free(*s);
	*s = NULL;
}

/* ---- signing ---- */

/* t= in the signature. */
static DKIM_STAT
set_time(struct dkim_signer *s)
{
	uint64_t now_s = (uint64_t)(s->now_ms() / 1000);

	return dkim_options(s->lib, DKIM_OP_SETOPT, DKIM_OPTS_FIXEDTIME, &now_s,
	    sizeof(now_s));
}

/* The octets are only read; the prototypes forgot the const. */
static u_char *
octets(struct slice s)
{
	union {
		const char *in;
		u_char *out;
	} cast = { .in = s.ptr };

	return cast.out;
}

/* Header fields one by one, folds kept, without their last CRLF. */
static DKIM_STAT
feed_head(DKIM *d, struct slice head)
{
	DKIM_STAT st = DKIM_STAT_OK;

	while (head.len > 0 && st == DKIM_STAT_OK) {
		size_t end = 0;

		do {
			end +=
			    slice_find(slice_from(head, end), SLICE("\r\n")) +
			    2;
		} while (end < head.len &&
		    (head.ptr[end] == ' ' || head.ptr[end] == '\t'));
		end = MIN(end, head.len);
		st = dkim_header(d, octets(head), end - 2);
		head = slice_from(head, end);
	}
	return st == DKIM_STAT_OK ? dkim_eoh(d) : st;
}

static DKIM_STAT
feed(DKIM *d, struct dkim_key *k, struct slice head, struct slice body)
{
	DKIM_STAT st = feed_head(d, head);

	if (st == DKIM_STAT_OK && body.len > 0)
		st = dkim_body(d, octets(body), body.len);
	if (st == DKIM_STAT_OK) {
		signing_key = k->pkey;
		st = dkim_eom(d, NULL);
		signing_key = NULL;
	}
	return st;
}

static int
sign(struct dkim_signer *s, struct dkim_key *k, struct slice head,
    struct slice body, struct arena *arena, struct strbuf *out,
    struct error *err)
{
	u_char *text = NULL;
	size_t len = 0;
	DKIM_STAT st;
	DKIM *d;

	d = dkim_sign(s->lib, (const u_char *)"", arena,
	    octets(SLICE(KEY_HANDLE)), (const u_char *)k->selector,
	    (const u_char *)k->domain, DKIM_CANON_RELAXED, DKIM_CANON_RELAXED,
	    DKIM_SIGN_RSASHA256, -1, &st);
	if (d == NULL)
		return error_set(err, ERR_CRYPTO, "DKIM: %s",
		    dkim_getresultstr(st));
	(void)dkim_set_margin(d, MARGIN);
	st = feed(d, k, head, body);
	if (st == DKIM_STAT_OK)
		st = dkim_getsighdr_d(d, sizeof(FIELD_NAME) - 1, &text, &len);
	if (st == DKIM_STAT_OK) {
		strbuf_add_text(out, FIELD_NAME);
		strbuf_add(out, text, len);
		strbuf_add_text(out, "\r\n");
	} else {
		const char *why = dkim_geterror(d);

		error_set(err, ERR_CRYPTO, "DKIM for %s: %s%s%s", k->domain,
		    dkim_getresultstr(st), why != NULL ? ": " : "",
		    why != NULL ? why : "");
	}
	(void)dkim_free(d);
	return st == DKIM_STAT_OK ? 0 : -1;
}

int
dkim_sign_message(struct dkim_signer *s, struct dkim_key *k,
    struct slice message, struct strbuf *out, struct error *err)
{
	size_t end = slice_find(message, SLICE("\r\n\r\n"));
	struct arena arena = ARENA_INIT;
	struct slice head, body;
	int rc;

	if (end == message.len)
		return error_set(err, ERR_SYNTAX,
		    "DKIM: no end of the header section");
	head = slice_first(message, end + 2);
	body = slice_from(message, end + 4);
	if (body.len > 0 && body.ptr[body.len - 1] != '\n')
		return error_set(err, ERR_SYNTAX,
		    "DKIM: the body does not end in CRLF");
	if (set_time(s) != DKIM_STAT_OK)
		return error_set(err, ERR_CRYPTO, "DKIM: no time");
	rc = sign(s, k, head, body, &arena, out, err);
	arena_fini(&arena);
	return rc;
}

/* ---- making keys ---- */

/* The public key as DNS wants it. */
static bool
add_txt(EVP_PKEY *pkey, struct strbuf *txt)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);

	if (len <= 0)
		return false;
	strbuf_add_text(txt, "v=DKIM1; k=rsa; p=");
	base64_encode(txt, slice_mem(der, (size_t)len), 0);
	OPENSSL_free(der);
	return true;
}

/* The buffer that held the key in clear is wiped with the BIO's memory. */
static bool
add_pem(EVP_PKEY *pkey, struct strbuf *pem)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	const char *text = NULL;
	bool ok = false;

	if (bio != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL,
		NULL) == 1) {
		long len = BIO_get_mem_data(bio, &text);

		strbuf_add(pem, text, (size_t)len);
		ok = true;
	}
	BIO_free(bio);
	return ok;
}

int
dkim_key_generate(unsigned int bits, struct strbuf *pem, struct strbuf *txt,
    struct error *err)
{
	EVP_PKEY *pkey;
	bool ok;

	ERR_clear_error();
	pkey = EVP_RSA_gen(bits);
	if (pkey == NULL)
		return error_set(err, ERR_CRYPTO, "cannot make an RSA key: %s",
		    ssl_reason());
	ok = add_pem(pkey, pem) && add_txt(pkey, txt);
	EVP_PKEY_free(pkey);
	if (!ok)
		return error_set(err, ERR_CRYPTO, "cannot write an RSA key: %s",
		    ssl_reason());
	return 0;
}

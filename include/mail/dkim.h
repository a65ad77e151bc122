/*
 * mail/dkim.h - DKIM signatures (RFC 6376, 8301) by libopendkim.
 *
 * libopendkim parses the PEM key for every message, which costs 0.6 ms. The
 * .c file answers its PEM_read_bio_PrivateKey with a cached EVP_PKEY (see the
 * comment there and the unit test on it).
 */
#ifndef MAIL_DKIM_H
#define MAIL_DKIM_H

#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"

struct dkim_signer; /* one per process: the library handle and its options */
struct dkim_key;    /* a parsed private key with domain and selector */

/* now_ms: the clock for t=; clock_now_ms outside tests. */
struct dkim_signer *dkim_signer_new(int64_t (*now_ms)(void),
    struct error *err) MUST_CHECK;
void dkim_signer_free(struct dkim_signer **s);

/* pem: RSA of at least 1024 bits (2048 made by us); wiped by the caller. */
int dkim_key_new(struct dkim_signer *s, struct slice pem, const char *domain,
    const char *selector, struct dkim_key **out, struct error *err) MUST_CHECK;
void dkim_key_free(struct dkim_key **k);

/*
 * Appends "DKIM-Signature: ...\r\n" for the message (CRLF lines, as
 * mime_build makes it). relaxed/relaxed, rsa-sha256, oversigned.
 */
int dkim_sign_message(struct dkim_signer *s, struct dkim_key *k,
    struct slice message, struct strbuf *out, struct error *err) MUST_CHECK;

/* Makes a key pair: PEM (PKCS#8) and the TXT record value "v=DKIM1; k=rsa;
 * p=...". */
int dkim_key_generate(unsigned int bits, struct strbuf *pem, struct strbuf *txt,
    struct error *err) MUST_CHECK;

#endif

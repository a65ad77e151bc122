/*
 * What is signed begins with the purpose and a NUL, so that a token of one
 * purpose is no token of another, then key number and id as in the token.
 */
#include "model/token.h"

#include "base/attr.h"
#include "base/encode.h"

#define MAC_LEN 10
#define RAW_LEN (16 + 1 + MAC_LEN)
#define PURPOSE_MAX 16

_Static_assert(BASE32_LEN(RAW_LEN) == TOKEN_LEN, "token length");

static const char *
purpose_name(enum token_purpose purpose)
{
	switch (purpose) {
	case TOKEN_RETURN_PATH:
		return "return-path";
	}
	invariant_failed("a purpose without a name", __FILE__, __LINE__);
}

static void
sign(const struct keyring_key *key, enum token_purpose purpose,
    const struct id *recipient, uint8_t mac[MAC_LEN])
{
	const char *name = purpose_name(purpose);
	uint8_t signed_text[PURPOSE_MAX + 1 + 16], full[SHA256_LEN];
	size_t n = strlen(name) + 1; /* with its NUL */

	invariant(n <= PURPOSE_MAX);
	memcpy(signed_text, name, n);
	signed_text[n++] = key->number;
	memcpy(signed_text + n, recipient->b, sizeof(recipient->b));
	n += sizeof(recipient->b);
	crypto_hmac_sha256(slice_mem(key->token, sizeof(key->token)),
	    slice_mem(signed_text, n), full);
	memcpy(mac, full, MAC_LEN);
}

void
token_format(const struct keyring *ring, enum token_purpose purpose,
    struct id recipient, char out[TOKEN_LOCAL_LEN + 1])
{
	const struct keyring_key *key = keyring_current(ring);
	uint8_t raw[RAW_LEN];

	memcpy(raw, recipient.b, sizeof(recipient.b));
	raw[16] = key->number;
	sign(key, purpose, &recipient, raw + 17);
	out[0] = 'b';
	out[1] = '-';
	base32_encode(raw, sizeof(raw), out + 2);
	out[TOKEN_LOCAL_LEN] = '\0';
}

static bool
decode(struct slice local_part, uint8_t raw[RAW_LEN])
{
	return local_part.len == TOKEN_LOCAL_LEN &&
	    slice_starts_nocase(local_part, SLICE("b-")) &&
	    base32_decode(slice_from(local_part, 2), raw, RAW_LEN);
}

bool
token_peek(struct slice local_part, struct id *recipient)
{
	uint8_t raw[RAW_LEN];

	if (!decode(local_part, raw))
		return false;
	memcpy(recipient->b, raw, sizeof(recipient->b));
	return true;
}

bool
token_verify(const struct keyring *ring, enum token_purpose purpose,
    struct slice local_part, struct id *recipient)
{
	const struct keyring_key *key;
	uint8_t raw[RAW_LEN], mac[MAC_LEN];
	struct id id;

	if (!decode(local_part, raw))
		return false;
	key = keyring_find(ring, raw[16]);
	if (key == NULL)
		return false;
	memcpy(id.b, raw, sizeof(id.b));
	sign(key, purpose, &id, mac);
	if (!crypto_equal(mac, raw + 17, MAC_LEN))
		return false;
	*recipient = id;
	return true;
}

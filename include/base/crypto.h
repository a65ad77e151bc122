/*
 * base/crypto.h - hashes, MACs, random octets and seals (OpenSSL).
 *
 * A seal is AES-256-GCM under a key of the key file: 1 octet version, 1 octet
 * key number, 12 octets nonce, ciphertext, 16 octets tag. Where the secret
 * lives (table, column, row id) is bound as associated data, so that a sealed
 * value copied to another row does not open.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define SHA256_LEN 32

void crypto_random(void *out, size_t len); /* aborts without entropy */
uint64_t crypto_random_u64(void);
void crypto_sha256(struct slice in, uint8_t out[SHA256_LEN]);
void crypto_hmac_sha256(struct slice key, struct slice in,
    uint8_t out[SHA256_LEN]);
/* Constant time for equal lengths. */
bool crypto_equal(const void *a, const void *b, size_t len);

#define KEYRING_MAX 16

struct keyring_key {
	uint8_t number; /* 1..255 */
	uint8_t seal[32];
	uint8_t token[32]; /* for signed return-path tokens */
};

struct keyring {
	size_t count; /* the last key is the one used for new seals */
	struct keyring_key key[KEYRING_MAX];
};

/*
 * Reads the key file: one line "<number> <64 hex digits>" per key, '#'
 * comments; the two working keys are derived from each by HMAC. Refuses a
 * file that others can read.
 */
int keyring_load(struct keyring *ring, const char *path,
    struct error *err) MUST_CHECK;
/* Creates the file (mode 0600) with one random key; ERR_CONFLICT if there.
 * Made by root it is given to the owner of its directory. */
int keyring_create(const char *path, struct error *err) MUST_CHECK;
void keyring_wipe(struct keyring *ring);
const struct keyring_key *keyring_find(const struct keyring *ring,
    uint8_t number);
const struct keyring_key *keyring_current(const struct keyring *ring);

/* where: e.g. "dkim_keys.private_key:<row uuid>". */
void crypto_seal(const struct keyring *ring, struct slice where,
    struct slice plain, struct strbuf *sealed);
int crypto_open(const struct keyring *ring, struct slice where,
    struct slice sealed, struct strbuf *plain, struct error *err) MUST_CHECK;

#endif

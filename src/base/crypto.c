/*
 * Algorithms are fetched once per process and contexts are kept: in OpenSSL 3
 * a fetch by name costs more than hashing a token. The process is single
 * threaded; a child that inherits them by fork has its own copy.
 */
#include "base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/mem.h"

#define SEAL_VERSION 1
#define NONCE_LEN 12
#define TAG_LEN 16
#define HEAD_LEN (2 + NONCE_LEN)
#define KEY_FILE_MAX 8192

static struct {
	EVP_MD *sha256;
	EVP_MD_CTX *digest;
	EVP_MAC_CTX *hmac;
	EVP_CIPHER *gcm;
	EVP_CIPHER_CTX *cipher;
} ossl;

static void
fetch_all(void)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
		    0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac;

	if (ossl.cipher != NULL)
		return;
	ossl.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	ossl.digest = EVP_MD_CTX_new();
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	invariant(mac != NULL);
	ossl.hmac = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	ossl.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	ossl.cipher = EVP_CIPHER_CTX_new();
	invariant(ossl.sha256 != NULL && ossl.digest != NULL &&
	    ossl.hmac != NULL && ossl.gcm != NULL && ossl.cipher != NULL);
	invariant(EVP_MAC_CTX_set_params(ossl.hmac, params) == 1);
}

void
crypto_sha256(struct slice in, uint8_t out[SHA256_LEN])
{
	fetch_all();
	invariant(EVP_DigestInit_ex2(ossl.digest, ossl.sha256, NULL) == 1);
	invariant(EVP_DigestUpdate(ossl.digest, in.ptr, in.len) == 1);
	invariant(EVP_DigestFinal_ex(ossl.digest, out, NULL) == 1);
}

void
crypto_hmac_sha256(struct slice key, struct slice in, uint8_t out[SHA256_LEN])
{
	static const unsigned char none[1];
	const unsigned char *k = (const unsigned char *)key.ptr;
	size_t len = 0;

	fetch_all();
	/* A NULL key would mean "the one of last time". */
	invariant(EVP_MAC_init(ossl.hmac, key.len > 0 ? k : none, key.len,
		      NULL) == 1);
	invariant(EVP_MAC_update(ossl.hmac, (const unsigned char *)in.ptr,
		      in.len) == 1);
	invariant(EVP_MAC_final(ossl.hmac, out, &len, SHA256_LEN) == 1);
	invariant(len == SHA256_LEN);
}

bool
crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

static void
derive(const uint8_t secret[32], struct keyring_key *key)
{
	struct slice s = slice_mem(secret, 32);

	crypto_hmac_sha256(s, SLICE("verpost seal 1"), key->seal);
	crypto_hmac_sha256(s, SLICE("verpost token 1"), key->token);
}

/* One line of the key file, without its comment, not empty. */
static int
take_key(struct keyring *ring, struct slice line, struct error *err)
{
	struct keyring_key *key = &ring->key[ring->count];
	struct slice digits = line;
	uint16_t number = 0;
	uint8_t secret[32];

	if (ring->count == KEYRING_MAX)
		return error_set(err, ERR_LIMIT, "more than %d keys",
		    KEYRING_MAX);
	if (!slice_take_uint(&digits, 3, &number) || number < 1 ||
	    number > 255 || !slice_take_char(&digits, ' ') ||
	    !hex_decode(slice_trim(digits), secret, sizeof(secret)))
		return error_set(err, ERR_SYNTAX,
		    "expected '<number 1..255> <64 hex digits>'");
	if (keyring_find(ring, (uint8_t)number) != NULL)
		return error_set(err, ERR_SYNTAX, "key %u appears twice",
		    number);
	key->number = (uint8_t)number;
	derive(secret, key);
	explicit_bzero(secret, sizeof(secret));
	ring->count++;
	return 0;
}

static int
parse_keys(struct keyring *ring, struct slice text, struct error *err)
{
	unsigned int number = 0;
	struct slice line;

	while (slice_take_line(&text, &line)) {
		number++;
		line = slice_trim(slice_take_until(&line, '#'));
		if (line.len > 0 && take_key(ring, line, err) != 0)
			return error_add(err, "line %u", number);
	}
	if (ring->count == 0)
		return error_set(err, ERR_SYNTAX, "no key in it");
	return 0;
}

static const char *
user_name(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	return pw != NULL ? pw->pw_name : "a user without a name";
}

/* Behind a failed open: whose it is, and what to do. */
static int
cannot_open(const char *path, struct error *err)
{
	int sys = errno;
	char *me, *text;
	struct stat st;

	if (sys != EACCES)
		return error_sys(err, "cannot open");
	me = xasprintf("%s", user_name(geteuid()));
	if (stat(path, &st) == 0)
		text = xasprintf("belongs to %s, not to %s: run this as %s, or "
				 "chown it to the user that serves",
		    user_name(st.st_uid), me, user_name(st.st_uid));
	else
		text = xasprintf("its directory is closed to %s: run this as "
				 "the user that serves",
		    me);
	error_set(err, ERR_SYS, "%s: %s", strerror(sys), text);
	if (err != NULL)
		err->sys = sys;
	free(text);
	free(me);
	return -1;
}

/* Reads at most size octets; returns how many, or -1. */
static ssize_t
read_private(const char *path, char *buf, size_t size, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1, got;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERR_NOTFOUND,
		    "there is none: 'verpost keyfile create' makes the first "
		    "one; another node must have the same");
	if (fd < 0)
		return cannot_open(path, err);
	if (fstat(fd, &st) != 0) {
		error_sys(err, "cannot stat");
	} else if (!S_ISREG(st.st_mode)) {
		error_set(err, ERR_SYNTAX, "not a regular file");
	} else if ((st.st_mode & 0027) != 0) {
		error_set(err, ERR_DENIED,
		    "mode %04o lets others in: chmod 0600",
		    (unsigned int)st.st_mode & 07777U);
	} else {
		for (n = 0; (size_t)n < size; n += got) {
			got = read(fd, buf + n, size - (size_t)n);
			if (got < 0)
				n = error_sys(err, "cannot read");
			if (got <= 0)
				break;
		}
	}
	close(fd);
	return n;
}

int
keyring_load(struct keyring *ring, const char *path, struct error *err)
{
	char text[KEY_FILE_MAX];
	struct keyring fresh = { 0 };
	ssize_t len;
	int rc = -1;

	len = read_private(path, text, sizeof(text), err);
	if (len == (ssize_t)sizeof(text))
		error_set(err, ERR_LIMIT, "too long");
	else if (len >= 0)
		rc = parse_keys(&fresh, slice_mem(text, (size_t)len), err);
	if (rc == 0)
		*ring = fresh;
	else
		error_add(err, "key file %s", path);
	explicit_bzero(text, sizeof(text));
	keyring_wipe(&fresh);
	return rc;
}

/* What root makes is for whom the directory belongs to, who serves. By the
 * descriptor: that user may change the name meanwhile. */
static int
give_to_owner_of_dir(int fd, const char *path)
{
	char *copy;
	struct stat dir;
	int rc;

	if (geteuid() != 0)
		return 0;
	copy = xasprintf("%s", path);
	rc = stat(dirname(copy), &dir);
	free(copy);
	if (rc == 0 && dir.st_uid != 0)
		rc = fchown(fd, dir.st_uid, dir.st_gid);
	return rc;
}

int
keyring_create(const char *path, struct error *err)
{
	struct strbuf text = STRBUF_INIT;
	uint8_t secret[32];
	int fd, rc = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return error_set(err, ERR_CONFLICT,
		    "key file %s is already there", path);
	if (fd < 0)
		return error_sys(err, "cannot create key file %s", path);
	crypto_random(secret, sizeof(secret));
	strbuf_add_text(&text,
	    "# The last key seals; older ones still open.\n"
	    "1 ");
	hex_encode(&text, slice_mem(secret, sizeof(secret)));
	strbuf_add_char(&text, '\n');
	if (write(fd, text.ptr, text.len) != (ssize_t)text.len ||
	    give_to_owner_of_dir(fd, path) != 0 || fsync(fd) != 0) {
		rc = error_sys(err, "cannot write key file %s", path);
		unlink(path);
	}
	close(fd);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(text.ptr, text.cap);
	strbuf_fini(&text);
	return rc;
}

void
keyring_wipe(struct keyring *ring)
{
	explicit_bzero(ring, sizeof(*ring));
}

const struct keyring_key *
keyring_find(const struct keyring *ring, uint8_t number)
{
	for (size_t i = 0; i < ring->count; i++)
		if (ring->key[i].number == number)
			return &ring->key[i];
	return NULL;
}

const struct keyring_key *
keyring_current(const struct keyring *ring)
{
	invariant(ring->count > 0);
	return &ring->key[ring->count - 1];
}

/* Starts either direction: key, nonce, then head and place as bound data. */
static bool
begin(bool seal, const uint8_t key[32], const uint8_t *head, struct slice where)
{
	EVP_CIPHER_CTX *c = ossl.cipher;
	int n;

	return where.len <= 1024 && EVP_CIPHER_CTX_reset(c) == 1 &&
	    EVP_CipherInit_ex2(c, ossl.gcm, key, head + 2, seal, NULL) == 1 &&
	    EVP_CipherUpdate(c, NULL, &n, head, 2) == 1 &&
	    EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)where.ptr,
		(int)where.len) == 1;
}

void
crypto_seal(const struct keyring *ring, struct slice where, struct slice plain,
    struct strbuf *sealed)
{
	const struct keyring_key *key = keyring_current(ring);
	uint8_t *head;
	int n = 0, rest = 0;

	fetch_all();
	invariant(plain.len <= 1 << 30);
	if (!strbuf_reserve(sealed, HEAD_LEN + plain.len + TAG_LEN))
		return;
	head = (uint8_t *)sealed->ptr + sealed->len;
	head[0] = SEAL_VERSION;
	head[1] = key->number;
	crypto_random(head + 2, NONCE_LEN);
	invariant(begin(true, key->seal, head, where));
	if (plain.len > 0)
		invariant(
		    EVP_CipherUpdate(ossl.cipher, head + HEAD_LEN, &n,
			(const unsigned char *)plain.ptr, (int)plain.len) == 1);
	invariant(
	    EVP_CipherFinal_ex(ossl.cipher, head + HEAD_LEN + n, &rest) == 1);
	invariant((size_t)n + (size_t)rest == plain.len);
	invariant(EVP_CIPHER_CTX_ctrl(ossl.cipher, EVP_CTRL_AEAD_GET_TAG,
		      TAG_LEN, head + HEAD_LEN + plain.len) == 1);
	sealed->len += HEAD_LEN + plain.len + TAG_LEN;
	sealed->ptr[sealed->len] = '\0';
	EVP_CIPHER_CTX_reset(ossl.cipher);
}

/* Decrypts into room that was reserved; nothing counts before the tag fits. */
static bool
open_into(const struct keyring_key *key, struct slice where,
    struct slice sealed, char *out)
{
	const uint8_t *head = (const uint8_t *)sealed.ptr;
	size_t len = sealed.len - HEAD_LEN - TAG_LEN;
	uint8_t tag[TAG_LEN];
	int n = 0, rest = 0;

	memcpy(tag, head + HEAD_LEN + len, TAG_LEN);
	return begin(false, key->seal, head, where) &&
	    (len == 0 ||
		EVP_CipherUpdate(ossl.cipher, (unsigned char *)out, &n,
		    head + HEAD_LEN, (int)len) == 1) &&
	    EVP_CIPHER_CTX_ctrl(ossl.cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN,
		tag) == 1 &&
	    EVP_CipherFinal_ex(ossl.cipher, (unsigned char *)out + n, &rest) ==
	    1;
}

int
crypto_open(const struct keyring *ring, struct slice where, struct slice sealed,
    struct strbuf *plain, struct error *err)
{
	const struct keyring_key *key;
	size_t len;
	bool ok;

	fetch_all();
	if (sealed.len < HEAD_LEN + TAG_LEN || sealed.len > 1 << 30 ||
	    sealed.ptr[0] != SEAL_VERSION)
		return error_set(err, ERR_CRYPTO, "not a seal of ours");
	key = keyring_find(ring, (uint8_t)sealed.ptr[1]);
	if (key == NULL)
		return error_set(err, ERR_CRYPTO,
		    "sealed with key %u, which is not in the key file",
		    (unsigned int)(uint8_t)sealed.ptr[1]);
	len = sealed.len - HEAD_LEN - TAG_LEN;
	if (!strbuf_reserve(plain, len))
		return error_set(err, ERR_LIMIT, "sealed value is too large");
	ok = open_into(key, where, sealed, plain->ptr + plain->len);
	EVP_CIPHER_CTX_reset(ossl.cipher);
	if (!ok) {
		explicit_bzero(plain->ptr + plain->len, len);
		plain->ptr[plain->len] = '\0';
		return error_set(err, ERR_CRYPTO,
		    "seal broken: other key, other place or changed value");
	}
	plain->len += len;
	plain->ptr[plain->len] = '\0';
	return 0;
}

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/encode.h"

static void
assert_hex(const uint8_t *got, size_t len, const char *want)
{
	struct strbuf b = STRBUF_INIT;

	hex_encode(&b, slice_mem(got, len));
	assert_string_equal(b.ptr, want);
	strbuf_fini(&b);
}

static void
hashes_the_known_vectors(void **state)
{
	uint8_t out[SHA256_LEN];

	(void)state;
	for (int again = 0; again < 2; again++) {
		crypto_sha256(SLICE("abc"), out); /* FIPS 180-2 */
		assert_hex(out, sizeof(out),
		    "ba7816bf8f01cfea414140de5dae2223"
		    "b00361a396177a9cb410ff61f20015ad");
		crypto_sha256(SLICE(""), out);
		assert_hex(out, sizeof(out),
		    "e3b0c44298fc1c149afbf4c8996fb924"
		    "27ae41e4649b934ca495991b7852b855");
		/* RFC 4231 test case 2 */
		crypto_hmac_sha256(SLICE("Jefe"),
		    SLICE("what do ya want for nothing?"), out);
		assert_hex(out, sizeof(out),
		    "5bdcc146bf60754e6a042426089575c7"
		    "5a003f089d2739839dec58b964ec3843");
		/* An empty key is a key, not the one of last time. */
		crypto_hmac_sha256(SLICE(""), SLICE(""), out);
		assert_hex(out, sizeof(out),
		    "b613679a0814d9ec772f95d778c35fc5"
		    "ff1697c493715653c6c712144292c5ad");
	}
}

static void
draws_different_random_octets(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	crypto_random(a, sizeof(a));
	crypto_random(b, sizeof(b));
	assert_false(crypto_equal(a, b, sizeof(a)));
	memcpy(b, a, sizeof(a));
	assert_true(crypto_equal(a, b, sizeof(a)));
	assert_true(crypto_random_u64() != crypto_random_u64());
}

static const struct {
	const char *text;
	const char *error; /* NULL: taken */
	unsigned int mode;
} files[] = {
	{ "# none\n1 %s # the first\n\n 200  %s \n", NULL, 0600 },
	{ "1 %s\n", NULL, 0640 },
	{ "1 %s\n", "mode 0644 lets others in: chmod 0600", 0644 },
	{ "1 %s\n", "mode 0660 lets others in: chmod 0600", 0660 },
	{ "", "no key in it", 0600 },
	{ "1 %s\n1 %s\n", "line 2: key 1 appears twice", 0600 },
	{ "0 %s\n", "line 1: expected '<number 1..255> <64 hex digits>'",
	    0600 },
	{ "256 %s\n", "line 1: expected '<number 1..255> <64 hex digits>'",
	    0600 },
	{ "1 %sab\n", "line 1: expected '<number 1..255> <64 hex digits>'",
	    0600 },
	{ "1\n", "line 1: expected '<number 1..255> <64 hex digits>'", 0600 },
};

#define KEY_HEX "00112233445566778899aabbccddeeff"
#define KEY KEY_HEX KEY_HEX

/* pattern with KEY for every %s, into a fresh file of that name. */
static void
write_keys(const char *path, const char *pattern, unsigned int mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (const char *p = pattern; *p != '\0'; p++) {
		if (p[0] == '%' && p[1] == 's') {
			fputs(KEY, f);
			p++;
		} else {
			fputc(*p, f);
		}
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
reads_key_files_with_care(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[] = "test_keys.XXXXXX";
		struct keyring ring = { 0 };
		struct error err = { 0 };
		int fd = mkstemp(path), rc;

		print_message("case %zu\n", i);
		assert_true(fd >= 0);
		close(fd);
		write_keys(path, files[i].text, files[i].mode);
		rc = keyring_load(&ring, path, &err);
		unlink(path);
		assert_int_equal(rc, files[i].error == NULL ? 0 : -1);
		if (rc == 0)
			assert_true(keyring_current(&ring)->number > 0);
		else
			assert_string_equal(strstr(err.text, ": ") + 2,
			    files[i].error);
		keyring_wipe(&ring);
	}
}

static void
creates_a_key_file_once(void **state)
{
	char dir[] = "test_keydir.XXXXXX", path[64];
	struct keyring ring = { 0 };
	struct error err = { 0 };
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keys", dir);
	assert_int_equal(keyring_load(&ring, path, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	assert_non_null(strstr(err.text, "verpost keyfile create"));
	assert_int_equal(keyring_create(path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777U, 0600);
	assert_int_equal(keyring_create(path, &err), -1);
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_int_equal(keyring_load(&ring, path, &err), 0);
	assert_int_equal(ring.count, 1);
	assert_ptr_equal(keyring_find(&ring, 1), keyring_current(&ring));
	assert_null(keyring_find(&ring, 2));
	unlink(path);
	rmdir(dir);
}

static struct keyring
two_keys(void)
{
	struct keyring ring = { .count = 2 };

	ring.key[0].number = 1;
	ring.key[1].number = 7;
	memset(ring.key[0].seal, 0x11, 32);
	memset(ring.key[1].seal, 0x22, 32);
	return ring;
}

static void
opens_what_it_sealed(void **state)
{
	struct keyring ring = two_keys();
	struct slice where = SLICE("dkim_keys.private_key:1");
	struct strbuf sealed = STRBUF_INIT, plain = STRBUF_INIT;
	struct error err = { 0 };
	static char big[100000];

	(void)state;
	memset(big, 'k', sizeof(big));
	for (size_t len = 0; len <= sizeof(big); len = len * 7 + 1) {
		strbuf_reset(&sealed);
		strbuf_reset(&plain);
		strbuf_add_text(&plain, "kept:");
		crypto_seal(&ring, where, slice_mem(big, len), &sealed);
		assert_int_equal(sealed.len, len + 30);
		assert_int_equal(sealed.ptr[0], 1);
		assert_int_equal(sealed.ptr[1], 7);
		assert_int_equal(crypto_open(&ring, where,
				     strbuf_slice(&sealed), &plain, &err),
		    0);
		assert_int_equal(plain.len, 5 + len);
		assert_memory_equal(plain.ptr + 5, big, len);
	}
	strbuf_fini(&sealed);
	strbuf_fini(&plain);
}

static void
opens_nothing_that_was_changed_or_moved(void **state)
{
	struct keyring ring = two_keys();
	struct slice where = SLICE("webhooks.secret:a");
	struct strbuf sealed = STRBUF_INIT, plain = STRBUF_INIT;
	struct error err = { 0 };

	(void)state;
	crypto_seal(&ring, where, SLICE("whsec"), &sealed);
	assert_int_equal(crypto_open(&ring, SLICE("webhooks.secret:b"),
			     strbuf_slice(&sealed), &plain, &err),
	    -1);
	assert_int_equal(err.kind, ERR_CRYPTO);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.ptr[i] ^= 1;
		assert_int_equal(crypto_open(&ring, where,
				     strbuf_slice(&sealed), &plain, &err),
		    -1);
		assert_int_equal(err.kind, ERR_CRYPTO);
		sealed.ptr[i] ^= 1;
	}
	for (size_t n = 0; n < sealed.len; n++)
		assert_int_equal(crypto_open(&ring, where,
				     slice_mem(sealed.ptr, n), &plain, &err),
		    -1);
	assert_int_equal(plain.len, 0);
	ring.count = 1; /* its key is gone */
	assert_int_equal(crypto_open(&ring, where, strbuf_slice(&sealed),
			     &plain, &err),
	    -1);
	assert_string_equal(err.text,
	    "sealed with key 7, which is not in the key file");
	strbuf_fini(&sealed);
	strbuf_fini(&plain);
}

TEST_MAIN(cmocka_unit_test(hashes_the_known_vectors),
    cmocka_unit_test(draws_different_random_octets),
    cmocka_unit_test(reads_key_files_with_care),
    cmocka_unit_test(creates_a_key_file_once),
    cmocka_unit_test(opens_what_it_sealed),
    cmocka_unit_test(opens_nothing_that_was_changed_or_moved))

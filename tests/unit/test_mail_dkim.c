#include "test.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "mail/dkim.h"

#define MESSAGE                                                                \
	"From: a@example.net\r\nTo: b@example.com\r\nSubject: x\r\n\r\n"       \
	"Hello\r\n"

static int64_t
fixed_time(void)
{
	return INT64_C(1764535199540);
}

static struct dkim_key *
new_key(struct dkim_signer *s, unsigned int bits)
{
	struct strbuf pem = STRBUF_INIT, txt = STRBUF_INIT;
	struct dkim_key *key = NULL;
	struct error err = { 0 };

	assert_int_equal(dkim_key_generate(bits, &pem, &txt, &err), 0);
	assert_true(
	    slice_starts(strbuf_slice(&txt), SLICE("v=DKIM1; k=rsa; p=MI")));
	assert_int_equal(dkim_key_new(s, strbuf_slice(&pem), "example.net",
			     "sel", &key, &err),
	    0);
	strbuf_fini(&pem);
	strbuf_fini(&txt);
	return key;
}

/*
 * The library must ask our function for the key: with its own it would find
 * no PEM text in the handle and fail, so a signature at all is the proof. And
 * whoever else asks gets the work of libcrypto.
 */
static void
the_library_takes_the_cached_key(void **state)
{
	struct strbuf field = STRBUF_INIT, pem = STRBUF_INIT, txt = STRBUF_INIT;
	struct error err = { 0 };
	struct dkim_signer *s = dkim_signer_new(fixed_time, &err);
	struct dkim_key *key;
	EVP_PKEY *pkey;
	BIO *bio;

	(void)state;
	assert_non_null(s);
	key = new_key(s, 1024);
	assert_int_equal(dkim_sign_message(s, key, SLICE(MESSAGE), &field,
			     &err),
	    0);
	dkim_key_free(&key);
	dkim_signer_free(&s);
	strbuf_fini(&field);

	assert_int_equal(dkim_key_generate(1024, &pem, &txt, &err), 0);
	bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	assert_non_null(pkey);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	/* The handle is worth nothing outside a signature. */
	bio = BIO_new_mem_buf("-----VERPOST-KEY-----", -1);
	assert_null(PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
	BIO_free(bio);
	strbuf_fini(&pem);
	strbuf_fini(&txt);
}

static void
the_field_has_what_it_must_have(void **state)
{
	struct strbuf field = STRBUF_INIT, again = STRBUF_INIT;
	struct error err = { 0 };
	struct dkim_signer *s = dkim_signer_new(fixed_time, &err);
	struct dkim_key *key = new_key(s, 2048);
	struct slice rest, line;

	(void)state;
	for (int i = 0; i < 3; i++) {
		strbuf_reset(&field);
		assert_int_equal(dkim_sign_message(s, key, SLICE(MESSAGE),
				     &field, &err),
		    0);
	}
	assert_true(
	    slice_starts(strbuf_slice(&field), SLICE("DKIM-Signature: v=1;")));
	assert_non_null(strstr(field.ptr, "a=rsa-sha256;"));
	assert_non_null(strstr(field.ptr, "c=relaxed/relaxed;"));
	assert_non_null(strstr(field.ptr, "d=example.net;"));
	assert_non_null(strstr(field.ptr, "s=sel;"));
	assert_non_null(strstr(field.ptr, "t=1764535199;"));
	assert_non_null(strstr(field.ptr, "h=From:To:Subject:From:To:Cc:"));
	assert_null(strstr(field.ptr, "l="));
	rest = strbuf_slice(&field);
	while (slice_take_line(&rest, &line))
		assert_true(line.len <= 78);
	/* RSA with PKCS #1 padding: the same input, the same signature. */
	assert_int_equal(dkim_sign_message(s, key, SLICE(MESSAGE), &again,
			     &err),
	    0);
	assert_string_equal(field.ptr, again.ptr);
	strbuf_fini(&field);
	strbuf_fini(&again);
	dkim_key_free(&key);
	dkim_signer_free(&s);
}

static void
two_keys_do_not_mix(void **state)
{
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT, c = STRBUF_INIT;
	struct error err = { 0 };
	struct dkim_signer *s = dkim_signer_new(fixed_time, &err);
	struct dkim_key *one = new_key(s, 1024), *two = new_key(s, 1024);

	(void)state;
	assert_int_equal(dkim_sign_message(s, one, SLICE(MESSAGE), &a, &err),
	    0);
	assert_int_equal(dkim_sign_message(s, two, SLICE(MESSAGE), &b, &err),
	    0);
	assert_int_equal(dkim_sign_message(s, one, SLICE(MESSAGE), &c, &err),
	    0);
	assert_string_not_equal(a.ptr, b.ptr);
	assert_string_equal(a.ptr, c.ptr);
	strbuf_fini(&a);
	strbuf_fini(&b);
	strbuf_fini(&c);
	dkim_key_free(&one);
	dkim_key_free(&two);
	dkim_signer_free(&s);
}

static void
bad_messages_and_keys_are_refused(void **state)
{
	static const char *const messages[] = {
		"", "From: a@example.net\r\n",	  /* no empty line */
		"To: a@example.net\r\n\r\nx\r\n", /* no From */
		"From: a@example.net\r\n\r\nx",	  /* no CRLF at the end */
	};
	struct strbuf out = STRBUF_INIT, pem = STRBUF_INIT, txt = STRBUF_INIT;
	struct error err = { 0 };
	struct dkim_signer *s = dkim_signer_new(fixed_time, &err);
	struct dkim_key *key = new_key(s, 1024), *other = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		print_message("case %zu\n", i);
		assert_int_equal(dkim_sign_message(s, key,
				     slice_of(messages[i]), &out, &err),
		    -1);
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(dkim_key_new(s, SLICE("no key"), "example.net", "s",
			     &other, &err),
	    -1);
	assert_int_equal(dkim_key_generate(512, &pem, &txt, &err), 0);
	assert_int_equal(dkim_key_new(s, strbuf_slice(&pem), "example.net", "s",
			     &other, &err),
	    -1);
	strbuf_reset(&pem);
	assert_int_equal(dkim_key_generate(1024, &pem, &txt, &err), 0);
	assert_int_equal(dkim_key_new(s, strbuf_slice(&pem), "example.net",
			     "s; x=1", &other, &err),
	    -1);
	assert_null(other);
	strbuf_fini(&out);
	strbuf_fini(&pem);
	strbuf_fini(&txt);
	dkim_key_free(&key);
	dkim_signer_free(&s);
}

TEST_MAIN(cmocka_unit_test(the_library_takes_the_cached_key),
    cmocka_unit_test(the_field_has_what_it_must_have),
    cmocka_unit_test(two_keys_do_not_mix),
    cmocka_unit_test(bad_messages_and_keys_are_refused))

#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static int
openssl_error(struct error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	error_set(err, ERR_TLS, "%s: %s", what,
	    reason != NULL ? reason : "unknown failure");
	ERR_clear_error();
	return -1;
}

static SSL_CTX *
ctx_new(const SSL_METHOD *method, struct error *err)
{
	SSL_CTX *ctx;

	ERR_clear_error();
	ctx = SSL_CTX_new(method);
	if (ctx == NULL) {
		openssl_error(err, "making a TLS context");
		return NULL;
	}
	/* Named here and not left to openssl.cnf: it is part of what we say
	 * about ourselves. */
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx,
	    SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION |
		SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* One read for header and record. */
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

SSL_CTX *
tls_client_ctx_new(struct error *err)
{
	SSL_CTX *ctx = ctx_new(TLS_client_method(), err);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_security_level(ctx, 1);
	/* Sessions are not kept yet: no memory for them. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

SSL_CTX *
tls_server_ctx_new(const char *cert_path, const char *key_path,
    struct error *err)
{
	SSL_CTX *ctx = ctx_new(TLS_server_method(), err);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1) {
		openssl_error(err, cert_path);
		SSL_CTX_free(ctx);
		return NULL;
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1) {
		openssl_error(err, key_path);
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

void
tls_ctx_free(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
	*ctx = NULL;
}

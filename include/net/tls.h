/*
 * net/tls.h - TLS contexts for conn_start_tls (OpenSSL).
 *
 * TLS 1.2 and 1.3 (RFC 8996, RFC 9325), no compression, no renegotiation
 * started by the peer; a close without close_notify reads as end of stream
 * (SMTP peers drop the link after QUIT; who needs more demands the reply that
 * ends the transaction). Read and write buffers are given back while idle.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/error.h"

struct ssl_ctx_st;

/*
 * The client side of opportunistic TLS (RFC 7435): the certificate is not
 * checked, and keys of 1024 bits are taken, because the other choice is clear
 * text. Returns NULL on failure.
 */
struct ssl_ctx_st *tls_client_ctx_new(struct error *err) MUST_CHECK;
/* A server with the certificate chain and the key of these PEM files. */
struct ssl_ctx_st *tls_server_ctx_new(const char *cert_path,
    const char *key_path, struct error *err) MUST_CHECK;
void tls_ctx_free(struct ssl_ctx_st **ctx);

#endif

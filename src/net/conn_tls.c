/*
 * The TLS side of a connection. The handshake has its own state; once it is
 * done the io table is swapped. SSL_read is called until it would block,
 * because octets that OpenSSL has decrypted or read ahead raise no event.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "net/conn_priv.h"

#define RECORD_MAX ((size_t)16 * 1024)

/* Text for the failure of the last call; the queue is left empty. */
static void
tls_error(struct error *why, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	error_set(why, ERR_TLS, "%s: %s", what,
	    reason != NULL ? reason : "unknown TLS failure");
	ERR_clear_error();
}

static bool
is_address(const char *host)
{
	uint8_t octets[16];

	return inet_pton(AF_INET, host, octets) == 1 ||
	    inet_pton(AF_INET6, host, octets) == 1;
}

/* RFC 6066 section 3: no literal addresses in SNI. */
static int
set_server_name(SSL *ssl, const char *host)
{
	char name[256]; /* OpenSSL's macro wants it writable */

	if (host == NULL || is_address(host))
		return 1;
	if (snprintf(name, sizeof(name), "%s", host) >= (int)sizeof(name))
		return 0;
	return (int)SSL_set_tlsext_host_name(ssl, name);
}

int
conn_tls_init(struct conn *c, struct ssl_ctx_st *ctx, bool is_server,
    const char *host, struct error *err)
{
	SSL *ssl;

	ERR_clear_error();
	ssl = SSL_new(ctx);
	if (ssl == NULL || SSL_set_fd(ssl, c->fd) != 1) {
		tls_error(err, "starting TLS");
		SSL_free(ssl);
		return -1;
	}
	if (!is_server && set_server_name(ssl, host) != 1) {
		tls_error(err, "setting the server name");
		SSL_free(ssl);
		return -1;
	}
	if (is_server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	c->ssl = ssl;
	return 0;
}

/* Sorts a result that is no success: 0 try again, -1 with why. */
static ssize_t
sort_failure(struct conn *c, int rc, bool *wants_other, int wanted_other,
    const char *what, struct error *why)
{
	int saved = errno;
	int kind = SSL_get_error(c->ssl, rc);

	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
		*wants_other = kind == wanted_other;
		return 0;
	}
	if (kind == SSL_ERROR_ZERO_RETURN ||
	    (kind == SSL_ERROR_SYSCALL && saved == 0 && rc == 0)) {
		error_set(why, ERR_NONE, "closed by the far end");
		return -1;
	}
	if (kind == SSL_ERROR_SYSCALL && saved != 0) {
		errno = saved;
		error_sys(why, "%s", what);
		why->kind = ERR_NET;
	} else {
		tls_error(why, what);
	}
	/* OpenSSL forbids SSL_shutdown after such a failure. */
	SSL_set_quiet_shutdown(c->ssl, 1);
	ERR_clear_error();
	return -1;
}

static ssize_t
tls_read(struct conn *c, void *buf, size_t len, struct error *why)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_read(c->ssl, buf, (int)MIN(len, RECORD_MAX));
	if (n > 0) {
		c->read_wants_write = false;
		return n;
	}
	return sort_failure(c, n, &c->read_wants_write, SSL_ERROR_WANT_WRITE,
	    "reading from TLS", why);
}

static ssize_t
tls_write(struct conn *c, struct error *why)
{
	size_t len = MIN(evbuffer_get_length(c->out), RECORD_MAX);
	unsigned char *data = evbuffer_pullup(c->out, (ev_ssize_t)len);
	int n;

	invariant(data != NULL);
	ERR_clear_error();
	errno = 0;
	n = SSL_write(c->ssl, data, (int)len);
	if (n > 0) {
		evbuffer_drain(c->out, (size_t)n);
		return n;
	}
	return sort_failure(c, n, &c->write_wants_read, SSL_ERROR_WANT_READ,
	    "writing to TLS", why);
}

static void
tls_end(struct conn *c)
{
	ERR_clear_error();
	(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	conn_io_plain.end(c);
}

const struct conn_io conn_io_tls = { tls_read, tls_write, tls_end, true };

void
conn_tls_step(struct conn *c)
{
	struct error why = { 0 };
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	if (rc == 1) {
		conn_tls_is_up(c);
		return;
	}
	if (sort_failure(c, rc, &c->read_wants_write, SSL_ERROR_WANT_WRITE,
		"TLS handshake", &why) == 0) {
		conn_update_events(c);
		return;
	}
	/* Whatever it was, TLS did not come about. */
	if (why.kind == ERR_NONE)
		error_set(&why, ERR_TLS,
		    "TLS handshake: closed by the far end");
	why.kind = ERR_TLS;
	conn_finish(c, &why);
}

void
conn_tls_fini(struct conn *c)
{
	if (c->ssl == NULL)
		return;
	ERR_clear_error();
	if (SSL_is_init_finished(c->ssl) && !c->end_sent)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
	ERR_clear_error();
}

bool
conn_is_tls(const struct conn *c)
{
	return c->io == &conn_io_tls;
}

void
conn_tls_describe(const struct conn *c, char *out, size_t out_len)
{
	if (c->ssl == NULL || !conn_is_tls(c))
		snprintf(out, out_len, "%s", "");
	else
		snprintf(out, out_len, "%s %s", SSL_get_version(c->ssl),
		    SSL_get_cipher_name(c->ssl));
}

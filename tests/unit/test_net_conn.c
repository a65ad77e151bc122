#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "net/conn.h"
#include "net/tls.h"

/* One end of a connection and what was said to it. */
struct end {
	struct conn *conn;
	struct strbuf got;
	struct error why;
	int readies, drains, closes;
	bool keeps;			      /* leaves the input where it is */
	bool goes_on_ready, goes_on_readable; /* closes itself there */
	struct strbuf greeting;		      /* written when ready */
	size_t to_send, sent; /* a pattern, in pieces, as it drains */
};

static struct loop *loop;
static const struct net_guard open_guard = { .allow_all = true };

static char
pattern(size_t i)
{
	return (char)('a' + (i * 7 + i / 1000) % 26);
}

static void
send_more(struct end *e)
{
	while (e->sent < e->to_send && conn_pending(e->conn) < CONN_LOW_WATER) {
		char piece[5000];
		size_t n = MIN(sizeof(piece), e->to_send - e->sent);

		for (size_t i = 0; i < n; i++)
			piece[i] = pattern(e->sent + i);
		conn_write(e->conn, slice_mem(piece, n));
		e->sent += n;
	}
}

static void
on_ready(void *ctx)
{
	struct end *e = ctx;

	e->readies++;
	if (e->goes_on_ready) {
		conn_close(&e->conn);
		return;
	}
	if (e->greeting.len > 0)
		conn_write(e->conn, strbuf_slice(&e->greeting));
	send_more(e);
}

static void
on_readable(void *ctx)
{
	struct end *e = ctx;

	if (e->keeps)
		return;
	strbuf_add_slice(&e->got, conn_peek(e->conn));
	conn_consume(e->conn, conn_input_len(e->conn));
	if (e->goes_on_readable)
		conn_close(&e->conn);
}

static void
on_drained(void *ctx)
{
	struct end *e = ctx;

	e->drains++;
	send_more(e);
}

static void
on_closed(void *ctx, const struct error *why)
{
	struct end *e = ctx;

	e->closes++;
	e->why = *why;
	strbuf_add_slice(&e->got, conn_peek(e->conn));
	conn_close(&e->conn);
}

static const struct conn_ops ops = {
	.ready = on_ready,
	.readable = on_readable,
	.drained = on_drained,
	.closed = on_closed,
};

static void
end_init(struct end *e)
{
	*e = (struct end){ 0 };
	strbuf_init(&e->got, 0);
	strbuf_init(&e->greeting, 0);
}

static void
end_fini(struct end *e)
{
	conn_close(&e->conn);
	strbuf_fini(&e->got);
	strbuf_fini(&e->greeting);
}

static bool
end_has(struct end *e, const char *text)
{
	return slice_eq_text(strbuf_slice(&e->got), text);
}

/* Turns the loop until the condition holds, at most ten seconds. */
#define TURN_UNTIL(cond)                                                       \
	do {                                                                   \
		int64_t end_ms_ = clock_mono_ms() + 10000;                     \
                                                                               \
		while (!(cond) && clock_mono_ms() < end_ms_)                   \
			loop_turn(loop, 100);                                  \
		assert_true(cond);                                             \
	} while (0)

static int
make_loop(void **state)
{
	loop = loop_new();
	return test_log_setup_(state);
}

static int
free_loop(void **state)
{
	loop_free(&loop);
	return test_log_teardown_(state);
}

static void
make_pair(int type, int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX,
			     type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
}

/* Two ends over a stream pair. */
static void
make_ends(struct end *a, struct end *b)
{
	int fds[2];

	make_pair(SOCK_STREAM, fds);
	end_init(a);
	end_init(b);
	a->conn = conn_accept(loop, fds[0], &ops, a);
	b->conn = conn_accept(loop, fds[1], &ops, b);
}

static void
counts_down(void *ctx)
{
	--*(int *)ctx;
}

static void
writes_of_one_turn_leave_together(void **state)
{
	struct end a;
	int fds[2], refs = 1;
	char buf[100];

	(void)state;
	end_init(&a);
	make_pair(SOCK_SEQPACKET, fds); /* keeps the borders of writes */
	a.conn = conn_accept(loop, fds[0], &ops, &a);
	conn_write(a.conn, SLICE("body"));
	conn_write_ref(a.conn, SLICE("-borrowed-"), counts_down, &refs);
	conn_write(a.conn, SLICE(".\r\n"));
	conn_write(a.conn, SLICE("MAIL FROM\r\n"));
	assert_int_equal(conn_pending(a.conn), 28);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT), -1);
	loop_turn(loop, 0);
	assert_int_equal(conn_pending(a.conn), 0);
	assert_int_equal(refs, 0);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT), 28);
	assert_memory_equal(buf, "body-borrowed-.\r\nMAIL FROM\r\n", 28);
	/* That it has left is told to who asked, once. */
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(a.drains, i > 1);
		if (i == 1)
			conn_tell_written(a.conn);
		conn_write(a.conn, SLICE("few"));
		loop_turn(loop, 0);
	}
	assert_int_equal(a.drains, 1);
	end_fini(&a);
	close(fds[1]);
}

static void
what_is_borrowed_is_given_back_on_close(void **state)
{
	struct end a, b;
	int refs = 1;

	(void)state;
	make_ends(&a, &b);
	conn_write_ref(a.conn, SLICE("never sent"), counts_down, &refs);
	conn_close(&a.conn);
	assert_int_equal(refs, 0);
	refs = 1;
	TURN_UNTIL(b.closes == 1); /* b has no far end any more */
	end_fini(&a);
	end_fini(&b);
}

static void
octets_arrive_in_order_and_then_the_end(void **state)
{
	struct end a, b;

	(void)state;
	make_ends(&a, &b);
	conn_write(a.conn, SLICE("220 hello\r\n"));
	TURN_UNTIL(end_has(&b, "220 hello\r\n"));
	assert_int_equal(b.closes, 0);
	b.keeps = true;
	conn_write(a.conn, SLICE("221 bye\r\n"));
	loop_turn(loop, 0);
	conn_close(&a.conn);
	TURN_UNTIL(b.closes == 1);
	assert_int_equal(b.why.kind, ERR_NONE);
	assert_true(end_has(&b, "220 hello\r\n221 bye\r\n"));
	end_fini(&a);
	end_fini(&b);
}

static void
input_stops_at_its_bound(void **state)
{
	struct end a, b;

	(void)state;
	make_ends(&a, &b);
	b.keeps = true;
	conn_set_input_max(b.conn, 1000);
	a.to_send = 3000;
	send_more(&a);
	TURN_UNTIL(conn_input_len(b.conn) == 1000);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
	assert_int_equal(conn_input_len(b.conn), 1000);
	conn_consume(b.conn, 999);
	assert_int_equal(conn_peek(b.conn).ptr[0], pattern(999));
	TURN_UNTIL(conn_input_len(b.conn) == 1000);
	assert_int_equal(conn_peek(b.conn).ptr[999], pattern(1998));
	conn_pause_reading(b.conn, true);
	conn_consume(b.conn, 1000);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
	assert_int_equal(conn_input_len(b.conn), 0);
	conn_pause_reading(b.conn, false);
	TURN_UNTIL(conn_input_len(b.conn) == 1000);
	end_fini(&a);
	end_fini(&b);
}

static void
check_pattern(struct end *e, size_t len)
{
	assert_int_equal(e->got.len, len);
	for (size_t i = 0; i < len; i++) {
		if (e->got.ptr[i] != pattern(i))
			fail_msg("octet %zu differs", i);
	}
}

#define MUCH ((size_t)3 * 1000 * 1000)

static void
much_goes_both_ways(void **state)
{
	struct end a, b;

	(void)state;
	make_ends(&a, &b);
	a.to_send = b.to_send = MUCH;
	send_more(&a);
	send_more(&b);
	TURN_UNTIL(a.got.len == MUCH && b.got.len == MUCH);
	check_pattern(&a, MUCH);
	check_pattern(&b, MUCH);
	assert_true(a.drains > 10);
	end_fini(&a);
	end_fini(&b);
}

static void
the_deadline_ends_it_unless_it_moves(void **state)
{
	struct end a, b;
	int64_t start = clock_mono_ms();

	(void)state;
	make_ends(&a, &b);
	conn_set_deadline(a.conn, 20, "too early");
	conn_set_deadline(a.conn, 100, "reply to MAIL");
	conn_set_deadline(b.conn, 100000, "never");
	conn_set_deadline(b.conn, 50, "nor this");
	conn_set_deadline(b.conn, -1, "");
	TURN_UNTIL(a.closes == 1);
	assert_true(clock_mono_ms() - start >= 85);
	assert_int_equal(a.why.kind, ERR_TIMEOUT);
	assert_string_equal(a.why.text, "timed out: reply to MAIL");
	TURN_UNTIL(b.closes == 1);
	assert_int_equal(b.why.kind, ERR_NONE);
	end_fini(&a);
	end_fini(&b);
}

static void
close_flushed_says_everything_first(void **state)
{
	struct end a, b;
	char *text = xmalloc(MUCH);

	(void)state;
	for (size_t i = 0; i < MUCH; i++)
		text[i] = pattern(i);
	make_ends(&a, &b);
	/* What b says meanwhile is not read: it must cost a nothing. */
	conn_write(b.conn, SLICE("unread"));
	conn_write(a.conn, slice_mem(text, MUCH));
	conn_close_flushed(&a.conn, 10000);
	assert_null(a.conn);
	TURN_UNTIL(b.closes == 1);
	check_pattern(&b, MUCH);
	assert_int_equal(b.why.kind, ERR_NONE);
	assert_int_equal(a.closes, 0);
	free(text);
	end_fini(&a);
	end_fini(&b);
}

static void
close_flushed_gives_up_in_time_and_with_the_loop(void **state)
{
	struct end a, b, c, d;

	(void)state;
	make_ends(&a, &b);
	make_ends(&c, &d);
	conn_close_flushed(&c.conn, 100000);
	conn_close_flushed(&a.conn, 1);
	conn_set_deadline(b.conn, 10000, "the end from a");
	conn_pause_reading(d.conn, true);
	b.keeps = true;
	TURN_UNTIL(b.closes == 1);
	assert_int_equal(b.why.kind, ERR_NONE);
	end_fini(&a);
	end_fini(&b);
	end_fini(&c);
	end_fini(&d);
	/* c's connection goes with the loop: a leak would be seen by ASan. */
}

/* A listening socket on loopback; the port is put into *at. */
static int
listen_anywhere(struct net_addr *at)
{
	struct error err = { 0 };
	int fd;

	assert_int_equal(net_addr_parse_listen(SLICE("127.0.0.1:0"), at, &err),
	    0);
	fd = net_listen(at, 16, &err);
	assert_true(fd >= 0);
	at->len = sizeof(at->ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at->ss, &at->len),
	    0);
	return fd;
}

struct door {
	struct end *end;
	struct net_addr peer;
	int accepted;
};

static void
on_accept(void *ctx, int fd, const struct net_addr *peer)
{
	struct door *d = ctx;

	d->accepted++;
	d->peer = *peer;
	d->end->conn = conn_accept(loop, fd, &ops, d->end);
}

static void
connects_from_the_source_it_was_given(void **state)
{
	struct end client, server;
	struct door door = { .end = &server };
	struct net_addr at, source;
	struct listener *l;
	char text[NET_ADDR_TEXT];
	int fd = listen_anywhere(&at);

	(void)state;
	end_init(&client);
	end_init(&server);
	l = listener_new(loop, fd, on_accept, &door);
	assert_int_equal(net_addr_parse(SLICE("127.0.0.9"), 0, &source, NULL),
	    0);
	client.conn =
	    conn_connect(loop, &at, &source, &open_guard, 10000, &ops, &client);
	conn_write(client.conn, SLICE("queued before it stands"));
	assert_int_equal(client.readies, 0);
	TURN_UNTIL(client.readies == 1 && server.got.len == 23);
	net_addr_format(&door.peer, text);
	assert_string_equal(text, "127.0.0.9");
	assert_int_equal(door.accepted, 1);
	assert_true(net_addr_eq_host(conn_peer(server.conn), &door.peer));
	assert_true(
	    net_addr_eq_host(&(struct net_addr[]){ conn_local(client.conn) }[0],
		&source));
	listener_pause(l, true);
	listener_free(&l);
	end_fini(&client);
	end_fini(&server);
	close(fd);
}

static void
failed_connects_are_told_later_and_once(void **state)
{
	struct end refused, denied, silent;
	struct net_guard none = { 0 };
	struct net_addr at;
	int fd = listen_anywhere(&at);

	(void)state;
	close(fd); /* nobody there any more */
	end_init(&refused);
	end_init(&denied);
	end_init(&silent);
	refused.conn =
	    conn_connect(loop, &at, NULL, &open_guard, 10000, &ops, &refused);
	denied.conn =
	    conn_connect(loop, &at, NULL, &none, 10000, &ops, &denied);
	silent.conn =
	    conn_connect(loop, &at, NULL, &none, 10000, &ops, &silent);
	assert_int_equal(refused.closes + denied.closes, 0);
	conn_close(&silent.conn);
	TURN_UNTIL(refused.closes == 1 && denied.closes == 1);
	loop_turn(loop, 0);
	assert_int_equal(refused.why.kind, ERR_NET);
	assert_int_equal(denied.why.kind, ERR_DENIED);
	assert_non_null(strstr(denied.why.text, "loopback"));
	assert_int_equal(denied.closes, 1);
	assert_int_equal(silent.closes, 0);
	end_fini(&refused);
	end_fini(&denied);
	end_fini(&silent);
}

static void
what_a_resetting_peer_said_is_still_told(void **state)
{
	struct end client;
	struct net_addr at;
	struct linger now = { 1, 0 };
	int fd = listen_anywhere(&at), peer;

	(void)state;
	end_init(&client);
	client.conn =
	    conn_connect(loop, &at, NULL, &open_guard, 10000, &ops, &client);
	TURN_UNTIL(client.readies == 1);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	conn_pause_reading(client.conn, true);
	assert_int_equal(write(peer, "421 go away\r\n", 13), 13);
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now,
			     sizeof(now)),
	    0);
	close(peer);
	conn_pause_reading(client.conn, false);
	conn_write(client.conn, SLICE("DATA\r\n"));
	TURN_UNTIL(client.closes == 1);
	assert_int_equal(client.why.kind, ERR_NET);
	assert_true(end_has(&client, "421 go away\r\n"));
	end_fini(&client);
	close(fd);
}

static void
the_owner_may_leave_in_every_callback(void **state)
{
	struct end a, b, c;
	struct net_addr at;
	int fd = listen_anywhere(&at);

	(void)state;
	make_ends(&a, &b);
	b.goes_on_readable = true;
	conn_write(a.conn, SLICE("x"));
	TURN_UNTIL(b.conn == NULL);
	TURN_UNTIL(a.closes == 1);
	end_init(&c);
	c.goes_on_ready = true;
	c.conn = conn_connect(loop, &at, NULL, &open_guard, 10000, &ops, &c);
	TURN_UNTIL(c.readies == 1);
	assert_null(c.conn);
	end_fini(&a);
	end_fini(&b);
	end_fini(&c);
	close(fd);
}

/* TLS. */

struct tls {
	struct ssl_ctx_st *client, *server;
};

static void
path_of(FILE *f, char out[40])
{
	assert_int_equal(fflush(f), 0);
	snprintf(out, 40, "/proc/self/fd/%d", fileno(f));
}

/* A self-signed certificate, in files that have no name. */
static struct tls
make_tls(void)
{
	struct tls t;
	struct error err = { 0 };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	FILE *cert_file = fdopen(memfd_create("cert", MFD_CLOEXEC), "w");
	FILE *key_file = fdopen(memfd_create("key", MFD_CLOEXEC), "w");
	char cert_path[40], key_path[40];

	assert_non_null(cert_file);
	assert_non_null(key_file);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(cert_file, cert), 1);
	assert_int_equal(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0,
			     NULL, NULL),
	    1);
	path_of(cert_file, cert_path);
	path_of(key_file, key_path);
	t.client = tls_client_ctx_new(&err);
	t.server = tls_server_ctx_new(cert_path, key_path, &err);
	if (t.client == NULL || t.server == NULL)
		fail_msg("%s", err.text);
	X509_free(cert);
	EVP_PKEY_free(key);
	fclose(cert_file);
	fclose(key_file);
	return t;
}

static void
free_tls(struct tls *t)
{
	tls_ctx_free(&t->client);
	tls_ctx_free(&t->server);
}

static void
start_both(struct tls *t, struct end *client, struct end *server)
{
	conn_start_tls(client->conn, t->client, false, "mx.example.com", 5000);
	conn_start_tls(server->conn, t->server, true, NULL, 5000);
}

static void
tls_begins_after_what_was_said_in_the_clear(void **state)
{
	struct tls t = make_tls();
	struct end client, server;
	char text[100];

	(void)state;
	make_ends(&client, &server);
	conn_write(client.conn, SLICE("STARTTLS\r\n"));
	TURN_UNTIL(end_has(&server, "STARTTLS\r\n"));
	conn_write(server.conn, SLICE("220 ready\r\n"));
	conn_start_tls(server.conn, t.server, true, NULL, 5000);
	conn_write(server.conn, SLICE("too early, and dropped"));
	TURN_UNTIL(end_has(&client, "220 ready\r\n"));
	strbuf_reset(&client.got);
	strbuf_reset(&server.got);
	/* Both speak the moment they may. */
	strbuf_add_text(&client.greeting, "EHLO me\r\n");
	strbuf_add_text(&server.greeting, "250 you\r\n");
	conn_tls_describe(client.conn, text, sizeof(text));
	assert_string_equal(text, "");
	conn_start_tls(client.conn, t.client, false, "mx.example.com", 5000);
	TURN_UNTIL(
	    end_has(&client, "250 you\r\n") && end_has(&server, "EHLO me\r\n"));
	assert_true(conn_is_tls(client.conn));
	conn_tls_describe(client.conn, text, sizeof(text));
	assert_string_equal(text, "TLSv1.3 TLS_AES_256_GCM_SHA384");
	conn_close(&client.conn);
	TURN_UNTIL(server.closes == 1);
	assert_int_equal(server.why.kind, ERR_NONE);
	end_fini(&client);
	end_fini(&server);
	free_tls(&t);
}

static void
much_goes_both_ways_through_tls(void **state)
{
	struct tls t = make_tls();
	struct end a, b;

	(void)state;
	make_ends(&a, &b);
	/* Less room than a record: some of it waits inside TLS, unseen by
	 * any event. */
	conn_set_input_max(a.conn, 5000);
	conn_set_input_max(b.conn, 5000);
	a.to_send = b.to_send = MUCH;
	start_both(&t, &a, &b);
	TURN_UNTIL(a.got.len == MUCH && b.got.len == MUCH);
	check_pattern(&a, MUCH);
	check_pattern(&b, MUCH);
	end_fini(&a);
	end_fini(&b);
	free_tls(&t);
}

static void
a_paused_reader_finds_what_waits_inside_tls(void **state)
{
	struct tls t = make_tls();
	struct end a, b;

	(void)state;
	make_ends(&a, &b);
	start_both(&t, &a, &b);
	TURN_UNTIL(a.readies == 1 && b.readies == 1);
	conn_set_input_max(b.conn, 10);
	b.keeps = true;
	conn_write(a.conn, SLICE("0123456789abcdefghij"));
	TURN_UNTIL(conn_input_len(b.conn) == 10);
	conn_pause_reading(b.conn, true);
	conn_consume(b.conn, 10);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
	assert_int_equal(conn_input_len(b.conn), 0);
	conn_pause_reading(b.conn, false);
	TURN_UNTIL(conn_input_len(b.conn) == 10);
	assert_true(slice_eq_text(conn_peek(b.conn), "abcdefghij"));
	end_fini(&a);
	end_fini(&b);
	free_tls(&t);
}

static void
close_flushed_says_everything_through_tls(void **state)
{
	struct tls t = make_tls();
	struct end a, b;
	char *text = xmalloc(MUCH);

	(void)state;
	for (size_t i = 0; i < MUCH; i++)
		text[i] = pattern(i);
	make_ends(&a, &b);
	start_both(&t, &a, &b);
	TURN_UNTIL(a.readies == 1 && b.readies == 1);
	conn_write(a.conn, slice_mem(text, MUCH));
	conn_close_flushed(&a.conn, 10000);
	TURN_UNTIL(b.closes == 1);
	check_pattern(&b, MUCH);
	assert_int_equal(b.why.kind, ERR_NONE);
	free(text);
	end_fini(&a);
	end_fini(&b);
	free_tls(&t);
}

static void
plaintext_never_crosses_into_tls(void **state)
{
	struct tls t = make_tls();
	struct end a, b;

	(void)state;
	/* Already read: refused at once. */
	make_ends(&a, &b);
	b.keeps = true;
	conn_write(a.conn, SLICE("STARTTLS\r\nMAIL FROM:<x>\r\n"));
	TURN_UNTIL(conn_input_len(b.conn) > 0);
	conn_consume(b.conn, 10);
	conn_start_tls(b.conn, t.server, true, NULL, 5000);
	assert_int_equal(b.closes, 0);
	TURN_UNTIL(b.closes == 1);
	assert_int_equal(b.why.kind, ERR_TLS);
	end_fini(&a);
	end_fini(&b);
	/* Still in the socket: the handshake fails on it. */
	make_ends(&a, &b);
	conn_write(a.conn, SLICE("MAIL FROM:<x>\r\n"));
	conn_start_tls(b.conn, t.server, true, NULL, 5000);
	TURN_UNTIL(b.closes == 1);
	assert_int_equal(b.why.kind, ERR_TLS);
	assert_int_equal(b.got.len, 0);
	end_fini(&a);
	end_fini(&b);
	free_tls(&t);
}

static void
a_stalled_or_broken_handshake_is_a_failure(void **state)
{
	struct tls t = make_tls();
	struct end a, b;

	(void)state;
	make_ends(&a, &b);
	conn_start_tls(a.conn, t.client, false, "127.0.0.1", 20);
	TURN_UNTIL(a.closes == 1);
	assert_int_equal(a.why.kind, ERR_TIMEOUT);
	assert_string_equal(a.why.text, "timed out: TLS handshake");
	end_fini(&a);
	end_fini(&b);

	make_ends(&a, &b);
	conn_start_tls(a.conn, t.client, false, NULL, 5000);
	TURN_UNTIL(b.got.len > 0);
	conn_close(&b.conn);
	TURN_UNTIL(a.closes == 1);
	assert_int_equal(a.why.kind, ERR_TLS);
	end_fini(&a);
	end_fini(&b);
	free_tls(&t);
}

static void
a_bad_certificate_file_is_named(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_null(tls_server_ctx_new("/nonexistent.pem", "/x", &err));
	assert_int_equal(err.kind, ERR_TLS);
	assert_non_null(strstr(err.text, "/nonexistent.pem"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_loop, free_loop)

TEST_MAIN(TEST(writes_of_one_turn_leave_together),
    TEST(what_is_borrowed_is_given_back_on_close),
    TEST(octets_arrive_in_order_and_then_the_end),
    TEST(input_stops_at_its_bound), TEST(much_goes_both_ways),
    TEST(the_deadline_ends_it_unless_it_moves),
    TEST(close_flushed_says_everything_first),
    TEST(close_flushed_gives_up_in_time_and_with_the_loop),
    TEST(connects_from_the_source_it_was_given),
    TEST(failed_connects_are_told_later_and_once),
    TEST(what_a_resetting_peer_said_is_still_told),
    TEST(the_owner_may_leave_in_every_callback),
    TEST(tls_begins_after_what_was_said_in_the_clear),
    TEST(much_goes_both_ways_through_tls),
    TEST(a_paused_reader_finds_what_waits_inside_tls),
    TEST(close_flushed_says_everything_through_tls),
    TEST(plaintext_never_crosses_into_tls),
    TEST(a_stalled_or_broken_handshake_is_a_failure),
    TEST(a_bad_certificate_file_is_named))

/*
 * The receiver over loopback sockets, with a store made of this file's own
 * functions: it keeps rows, or fails as it is told.
 */
#include "talk.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "model/token.h"
#include "net/tls.h"
#include "smtpd/smtpd.h"
#include "store/domains.h"
#include "store/returns.h"

struct row {
	char *from, *to, *raw;
	size_t raw_len;
	struct id recipient;
};

static struct {
	struct loop *loop;
	struct row row[16];
	size_t count;
	bool away;	 /* additions fail */
	bool hosts_away; /* so does reading the domains */
	bool held;	 /* additions wait for release() */
	store_done *done;
	void *ctx;
	store_domain_got *got;
	void *got_ctx;
	struct loop_call add_call, list_call;
	unsigned int kicks;
} store;

static void
say_added(void *ctx)
{
	struct error err = { .kind = ERR_STORE, .text = "away" };
	store_done *done = store.done;

	(void)ctx;
	store.done = NULL;
	done(store.ctx, store.away ? &err : NULL);
}

struct pg_tx *
store_return_add(struct pg *pg, int64_t now_ms, const struct store_return *rows,
    size_t n, store_done *done, void *ctx)
{
	(void)pg;
	(void)now_ms;
	for (size_t i = 0; i < n && !store.away; i++) {
		struct row *r = &store.row[store.count++];

		r->from = slice_dup(rows[i].mail_from);
		r->to = slice_dup(rows[i].rcpt_to);
		r->raw = slice_dup(rows[i].raw);
		r->raw_len = rows[i].raw.len;
		r->recipient = rows[i].recipient;
	}
	store.done = done;
	store.ctx = ctx;
	if (!store.held)
		loop_call_schedule(store.loop, &store.add_call, say_added,
		    NULL);
	return (struct pg_tx *)&store;
}

static void
say_domains(void *ctx)
{
	static const struct store_domain domain = {
		.name = { "ours.example", 12 },
		.return_path_host = { "rp.ours.example", 15 },
	};
	struct error err = { .kind = ERR_STORE, .text = "away" };

	(void)ctx;
	if (store.hosts_away)
		store.got(store.got_ctx, NULL, 0, &err);
	else
		store.got(store.got_ctx, &domain, 1, NULL);
}

struct pg_tx *
store_domain_list(struct pg *pg, int account, store_domain_got *done, void *ctx)
{
	(void)pg;
	(void)account;
	store.got = done;
	store.got_ctx = ctx;
	loop_call_schedule(store.loop, &store.list_call, say_domains, NULL);
	return (struct pg_tx *)&store;
}

void
pg_tx_cancel(struct pg_tx **tx)
{
	if (*tx != NULL)
		store.done = NULL;
	loop_call_cancel(&store.add_call);
	*tx = NULL;
}

static void
on_return(void *ctx)
{
	(void)ctx;
	store.kicks++;
}

struct world {
	struct smtpd *d;
	struct net_addr at;
	int fd;
	struct keyring ring;
	struct id recipient;
	char token[TOKEN_LOCAL_LEN + 1];
	struct talk talk;
};

static void
begin(struct world *w, struct smtpd_options opt)
{
	memset(&store, 0, sizeof(store));
	memset(w, 0, sizeof(*w));
	store.loop = loop_new();
	w->fd = talk_listen(&w->at);
	w->ring.count = 1;
	w->ring.key[0].number = 7;
	memset(w->ring.key[0].token, 0x5a, 32);
	w->recipient = id_of_recipient(id_new_email(1700000000000), 3);
	token_format(&w->ring, TOKEN_RETURN_PATH, w->recipient, w->token);
	opt.loop = store.loop;
	opt.listen_fds = &w->fd;
	opt.listen_count = 1;
	opt.hostname = "in.example";
	opt.keyring = &w->ring;
	opt.on_return = on_return;
	w->d = smtpd_new(&opt);
	talk_open(&w->talk, store.loop, &w->at);
}

static void
end(struct world *w)
{
	talk_close(&w->talk);
	smtpd_free(&w->d);
	close(w->fd);
	loop_free(&store.loop);
	for (size_t i = 0; i < store.count; i++) {
		free(store.row[i].from);
		free(store.row[i].to);
		free(store.row[i].raw);
	}
}

/* Runs a script in which "TOKEN" stands for the signed local part. */
static void
talk(struct world *w, const char *script)
{
	struct slice rest = slice_of(script);
	struct strbuf text = STRBUF_INIT;

	while (rest.len > 0) {
		size_t at = slice_find(rest, SLICE("TOKEN"));

		strbuf_add_slice(&text, slice_first(rest, at));
		if (at < rest.len)
			strbuf_add_text(&text, w->token);
		rest = slice_from(rest, at + strlen("TOKEN"));
	}
	talk_run(&w->talk, strbuf_text(&text));
	strbuf_fini(&text);
}

#define HELLO                                                                  \
	"< 220 in.example\n> EHLO peer.example\n< 250-in.example\n"            \
	"< 250-PIPELINING\n< 250-SIZE\n< 250-8BITMIME\n< 250-SMTPUTF8\n"       \
	"< 250 ENHANCEDSTATUSCODES\n"
#define TAKE                                                                   \
	"> MAIL FROM:<>\n< 250 2.1.0\n> RCPT TO:<TOKEN@any.example>\n"         \
	"< 250 2.1.5\n> DATA\n< 354\n"

static void
a_bounce_is_committed_before_its_250(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	store.held = true;
	talk(&w, HELLO TAKE "> Subject: no\n> \n> ..\n> .\n");
	while (store.done == NULL)
		loop_turn(store.loop, 10);
	loop_turn(store.loop, 10);
	assert_int_equal(conn_input_len(w.talk.conn), 0);
	assert_int_equal(store.kicks, 0);
	say_added(NULL);
	talk(&w, "< 250 2.0.0\n> QUIT\n< 221\n< EOF\n");
	assert_int_equal(store.kicks, 1);
	assert_int_equal(store.count, 1);
	assert_string_equal(store.row[0].from, "");
	assert_int_equal(id_cmp(store.row[0].recipient, w.recipient), 0);
	assert_true(slice_starts(slice_of(store.row[0].raw),
	    SLICE(
		"Return-Path: <>\r\nReceived: from peer.example "
		"([127.0.0.1])\r\n\tby in.example (Verpost) with ESMTP id ")));
	assert_true(slice_ends_nocase(slice_of(store.row[0].raw),
	    SLICE(" +0000\r\nSubject: no\r\n\r\n.\r\n")));
	end(&w);
}

static const struct {
	const char *rcpt, *reply;
} rcpts[] = {
	{ "TOKEN@any.example", "250" },
	{ "B-NOTATOKEN@rp.ours.example", "550 5.1.1" },
	{ "b-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@rp.ours.example",
	    "550 5.1.1" },
	{ "ann@ours.example", "550 5.1.1" },
	{ "ann@elsewhere.example", "550 5.1.1" },
	{ "postmaster", "250" },
	{ "Postmaster@in.example", "250" },
	{ "abuse@IN.example", "250" },
	{ "postmaster@ours.example", "250" },
	{ "abuse@rp.ours.example", "250" },
	{ "postmaster@elsewhere.example", "550 5.7.1" },
	{ "abuse@sub.ours.example", "550 5.7.1" },
};

static void
only_what_is_ours_is_taken(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w, HELLO "> MAIL FROM:<x@peer.example>\n< 250\n");
	for (size_t i = 0; i < ARRAY_LEN(rcpts); i++) {
		char *script = xasprintf("> RCPT TO:<%s>\n< %s\n",
		    rcpts[i].rcpt, rcpts[i].reply);

		talk(&w, script);
		free(script);
	}
	end(&w);
}

/* What real servers write into MAIL FROM of a bounce. */
static const struct {
	const char *from, *reply, *kept;
} senders[] = {
	{ "MAILER-DAEMON", "250", "MAILER-DAEMON" },
	{ "MAILER-DAEMON@", "250", "MAILER-DAEMON@" },
	{ "root@host_name.example", "250", "root@host_name.example" },
	{ "x@[192.0.2.1]", "250", "x@[192.0.2.1]" },
	{ "@a.example,@b.example:x@y.example", "250",
	    "@a.example,@b.example:x@y.example" },
	{ "a b..c@x.example.", "250", "a b..c@x.example." },
	{ "Ann@EXAMPLE.com", "250", "Ann@example.com" },
	{ "a<b", "501 5.1.7", NULL },
	{ "\xff", "501 5.1.7", NULL },
	{ "\xc3\xbc", "553 5.6.7", NULL },
};

static void
any_sender_is_taken_as_it_stands(void **state)
{
	struct world w;
	size_t n = 0;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w, HELLO);
	for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
		char *script =
		    xasprintf("> MAIL FROM:<%s>\n< %s\n> RSET\n< 250\n",
			senders[i].from, senders[i].reply);

		talk(&w, script);
		free(script);
		if (senders[i].kept == NULL)
			continue;
		script = xasprintf("> MAIL FROM:<%s>\n< 250\n"
				   "> RCPT TO:<TOKEN@any.example>\n< 250\n"
				   "> DATA\n< 354\n> x: y\n> .\n< 250\n",
		    senders[i].from);
		talk(&w, script);
		free(script);
		assert_string_equal(store.row[n].from, senders[i].kept);
		n++;
	}
	end(&w);
}

static void
unknown_hosts_are_deferred_while_the_store_is_away(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	store.hosts_away = true;
	talk(&w,
	    HELLO "> MAIL FROM:<>\n< 250\n"
		  "> RCPT TO:<postmaster@ours.example>\n< 451 4.3.0\n"
		  "> RCPT TO:<TOKEN@rp.ours.example>\n< 250\n");
	end(&w);
}

static void
a_store_that_is_away_gives_451(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	store.away = true;
	test_log_expect(1);
	talk(&w, HELLO TAKE "> x\n> .\n< 451 4.3.0\n");
	assert_int_equal(store.kicks, 0);
	store.away = false;
	talk(&w, TAKE "> x\n> .\n< 250\n");
	assert_int_equal(store.kicks, 1);
	end(&w);
}

static void
one_row_for_each_recipient(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w,
	    HELLO "> MAIL FROM:<a@b.example>\n< 250\n"
		  "> RCPT TO:<TOKEN@rp.ours.example>\n< 250\n"
		  "> RCPT TO:<postmaster>\n< 250\n"
		  "> DATA\n< 354\n> x\n> .\n< 250\n");
	assert_int_equal(store.count, 2);
	assert_string_equal(store.row[0].from, "a@b.example");
	assert_int_equal(id_cmp(store.row[0].recipient, w.recipient), 0);
	assert_string_equal(store.row[1].to, "postmaster");
	assert_true(id_is_zero(store.row[1].recipient));
	/* Each must not see the others. */
	assert_null(strstr(store.row[1].raw, w.token));
	end(&w);
}

static void
too_large_is_552(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ .size_max = 10 });
	talk(&w,
	    HELLO "> MAIL FROM:<> SIZE=11\n< 552 5.3.4\n" TAKE
		  "> 0123456789\n> .\n< 552 5.3.4\n" TAKE
		  "> 01234567\n> .\n< 250\n");
	assert_int_equal(store.count, 1);
	end(&w);
}

static void
a_mail_that_runs_in_circles_is_refused(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w, HELLO TAKE);
	for (int i = 0; i < 100; i++)
		talk(&w, "> Received: from x by y\n");
	talk(&w, "> \n> x\n> .\n< 554 5.4.6\n");
	assert_int_equal(store.count, 0);
	end(&w);
}

static void
pipelined_mails_are_committed_one_by_one(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w,
	    "> EHLO me\n> MAIL FROM:<>\n> RCPT TO:<TOKEN@a.example>\n> DATA\n"
	    "> one\n> .\n> MAIL FROM:<>\n> RCPT TO:<TOKEN@a.example>\n"
	    "> DATA\n> two\n> .\n> QUIT\n< 220\n< 250-in.example\n< 250-\n"
	    "< 250-\n< 250-\n< 250-\n< 250 \n"
	    "< 250\n< 250\n< 354\n< 250\n< 250\n< 250\n< 354\n< 250\n< 221\n"
	    "< EOF\n");
	assert_int_equal(store.count, 2);
	end(&w);
}

/* A server's context with a certificate of its own, made on the spot. */
static SSL_CTX *
make_tls(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert_true(key != NULL && cert != NULL && ctx != NULL);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

#define OFFER                                                                  \
	"< 220\n> EHLO me\n< 250-in.example\n< 250-PIPELINING\n"               \
	"< 250-SIZE\n< 250-8BITMIME\n< 250-STARTTLS\n< 250-SMTPUTF8\n"         \
	"< 250 ENHANCED\n"

static bool
talk_is_tls(void *ctx)
{
	struct talk *t = ctx;

	return t->ended || conn_is_tls(t->conn);
}

static void
starttls_is_offered_with_a_certificate(void **state)
{
	struct error err = { 0 };
	struct ssl_ctx_st *client = tls_client_ctx_new(&err);
	SSL_CTX *server = make_tls();
	struct world w;

	(void)state;
	assert_non_null(client);
	begin(&w, (struct smtpd_options){ .tls = server });
	talk(&w, OFFER "> STARTTLS\n< 220 2.0.0\n");
	conn_start_tls(w.talk.conn, client, false, NULL, TALK_MS);
	talk_until(store.loop, talk_is_tls, &w.talk);
	assert_false(w.talk.ended);
	talk(&w,
	    "> MAIL FROM:<>\n< 503 5.5.1\n> EHLO peer.example\n"
	    "< 250-in.example\n< 250-\n< 250-\n< 250-\n< 250-SMTPUTF8\n"
	    "< 250 \n" TAKE "> x\n> .\n< 250\n");
	assert_int_equal(store.count, 1);
	assert_non_null(strstr(store.row[0].raw, " with ESMTPS id "));
	end(&w);
	SSL_CTX_free(server);
	tls_ctx_free(&client);
}

static void
no_octets_pass_into_tls(void **state)
{
	SSL_CTX *server = make_tls();
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ .tls = server });
	talk(&w, OFFER);
	conn_write(w.talk.conn, SLICE("STARTTLS\r\nMAIL FROM:<>\r\n"));
	talk_until(store.loop, talk_has_ended, &w.talk);
	end(&w);
	SSL_CTX_free(server);
}

static void
one_address_has_its_share(void **state)
{
	struct world w;
	struct talk second, third;

	(void)state;
	begin(&w, (struct smtpd_options){ .peer_max = 2 });
	talk(&w, "< 220\n");
	talk_open(&second, store.loop, &w.at);
	talk_run(&second, "< 220\n");
	talk_open(&third, store.loop, &w.at);
	talk_run(&third, "< 421 4.7.0\n< EOF\n");
	talk_close(&third);
	/* One that leaves makes room. */
	talk_run(&second, "> QUIT\n< 221\n< EOF\n");
	talk_close(&second);
	talk_open(&third, store.loop, &w.at);
	talk_run(&third, "< 220\n");
	talk_close(&third);
	end(&w);
}

static void
all_together_have_their_share(void **state)
{
	struct world w;
	struct talk second;

	(void)state;
	begin(&w, (struct smtpd_options){ .connections_max = 1 });
	talk(&w, "< 220\n");
	talk_open(&second, store.loop, &w.at);
	talk_run(&second, "< 421 4.7.0\n< EOF\n");
	talk_close(&second);
	end(&w);
}

static void
who_says_nothing_is_dropped(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ .idle_ms = 50 });
	talk(&w, "< 220\n< EOF\n");
	end(&w);
}

static void
who_talks_for_ever_is_dropped(void **state)
{
	struct world w;
	int64_t until = clock_mono_ms() + TALK_MS;

	(void)state;
	begin(&w, (struct smtpd_options){ .total_ms = 100 });
	talk(&w, "< 220\n");
	while (!w.talk.ended && clock_mono_ms() < until) {
		conn_write(w.talk.conn, SLICE("NOOP\r\n"));
		loop_turn(store.loop, 5);
	}
	assert_true(w.talk.ended);
	end(&w);
}

static void
set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

static bool
flag_is_set(void *ctx)
{
	return *(bool *)ctx;
}

static void
a_drain_lets_mails_in_and_talkers_go(void **state)
{
	struct world w;
	struct talk idle;
	bool drained = false;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk_open(&idle, store.loop, &w.at);
	talk_run(&idle, "< 220\n");
	talk(&w, HELLO TAKE "> half\n");
	smtpd_drain(w.d, TALK_MS, set_flag, &drained);
	talk_run(&idle, "< 421 4.3.2\n< EOF\n");
	assert_false(drained);
	talk(&w, "> .\n< 250\n< 421 4.3.2\n< EOF\n");
	talk_until(store.loop, flag_is_set, &drained);
	assert_int_equal(store.count, 1);
	talk_close(&idle);
	end(&w);
}

static void
a_drain_ends_in_time(void **state)
{
	struct world w;
	bool drained = false;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w, HELLO TAKE "> half\n");
	smtpd_drain(w.d, 50, set_flag, &drained);
	talk_until(store.loop, flag_is_set, &drained);
	end(&w);
}

static void
who_leaves_before_the_answer_does_no_harm(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	store.held = true;
	talk(&w, HELLO TAKE "> x\n> .\n");
	while (store.done == NULL)
		loop_turn(store.loop, 10);
	talk_close(&w.talk);
	/* It cannot be told from one that only stops talking. */
	for (int i = 0; i < 5; i++)
		loop_turn(store.loop, 1);
	say_added(NULL);
	for (int i = 0; i < 5; i++)
		loop_turn(store.loop, 1);
	talk_open(&w.talk, store.loop, &w.at);
	talk(&w, "< 220\n");
	end(&w);
}

/* Its last words are answered, also those that wait for the store. */
static void
who_only_stops_talking_is_answered(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	store.held = true;
	talk(&w, HELLO TAKE "> x\n> .\n> NOOP\n!\n");
	while (store.done == NULL)
		loop_turn(store.loop, 10);
	say_added(NULL);
	talk(&w, "< 250 2.0.0\n< 250\n< EOF\n");
	assert_int_equal(store.count, 1);
	end(&w);
}

static void
half_a_mail_is_not_kept(void **state)
{
	struct world w;

	(void)state;
	begin(&w, (struct smtpd_options){ 0 });
	talk(&w, HELLO TAKE "> x\n!\n< EOF\n");
	assert_int_equal(store.count, 0);
	end(&w);
}

TEST_MAIN(cmocka_unit_test(a_bounce_is_committed_before_its_250),
    cmocka_unit_test(only_what_is_ours_is_taken),
    cmocka_unit_test(any_sender_is_taken_as_it_stands),
    cmocka_unit_test(unknown_hosts_are_deferred_while_the_store_is_away),
    cmocka_unit_test(a_store_that_is_away_gives_451),
    cmocka_unit_test(one_row_for_each_recipient),
    cmocka_unit_test(too_large_is_552),
    cmocka_unit_test(a_mail_that_runs_in_circles_is_refused),
    cmocka_unit_test(pipelined_mails_are_committed_one_by_one),
    cmocka_unit_test(starttls_is_offered_with_a_certificate),
    cmocka_unit_test(no_octets_pass_into_tls),
    cmocka_unit_test(one_address_has_its_share),
    cmocka_unit_test(all_together_have_their_share),
    cmocka_unit_test(who_says_nothing_is_dropped),
    cmocka_unit_test(who_talks_for_ever_is_dropped),
    cmocka_unit_test(a_drain_lets_mails_in_and_talkers_go),
    cmocka_unit_test(a_drain_ends_in_time),
    cmocka_unit_test(who_leaves_before_the_answer_does_no_harm),
    cmocka_unit_test(who_only_stops_talking_is_answered),
    cmocka_unit_test(half_a_mail_is_not_kept))

/*
 * sink - a mail server that takes everything as fast as it can and counts.
 *
 *   sink -t TALLY [-r RUN] [-s DIR -e N] [-c CERT -k KEY] [-w MS] [-l FILE]
 *        ADDRESS:PORT...
 *
 * Counts distinct ids: the header "X-Bench-Id: RUN-NUMBER-NANOSECONDS" that
 * the load generator gives every message, NANOSECONDS being the moment it was
 * handed in. Every N-th message is kept as a file in DIR, as it came, for its
 * signature to be verified. With CERT and KEY it offers STARTTLS. With -w the
 * reply to a message comes after MS milliseconds; -l writes a line "number
 * nanoseconds" for each message: when its MAIL command was read.
 *
 * Commands may come pipelined: all that is in the buffer is answered by one
 * write. Nothing is checked beyond the order of MAIL, RCPT and DATA.
 */
#include <err.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tally.h"

#define ID_MAX (1u << 26) /* messages of one run */

struct sink {
	struct event_base *base;
	struct tally *tally;
	const char *run;
	const char *sample_dir;
	uint64_t sample_every;
	uint64_t seen;
	SSL_CTX *tls;
	struct timeval wait;
	FILE *log;
	uint8_t *bits; /* ids seen */
};

struct session {
	struct sink *sink;
	struct bufferevent *bev;
	size_t scanned; /* octets of the message without its end */
	bool has_rcpt;
	bool in_data;
	bool tls_on;
	uint64_t mail_ns;     /* when MAIL was read */
	struct event *answer; /* set: the reply to a message waits */
};

static void
session_free(struct session *s)
{
	bufferevent_free(s->bev);
	if (s->answer != NULL)
		event_free(s->answer);
	free(s);
}

static void
say(struct session *s, const char *line)
{
	evbuffer_add(bufferevent_get_output(s->bev), line, strlen(line));
}

/* At once; libevent keeps others from the front of the buffer otherwise. */
static void
flush(struct session *s)
{
	struct evbuffer *out = bufferevent_get_output(s->bev);

	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, bufferevent_getfd(s->bev));
}

/* The header may stand anywhere in the head; a folded one is not ours. */
static const char *
find_id(const char *head, size_t len)
{
	static const char name[] = "\nX-Bench-Id: ";
	const char *at = memmem(head, len, name, sizeof(name) - 1);

	return at != NULL ? at + sizeof(name) - 1 : NULL;
}

static void
count(struct session *s, const char *message, size_t len)
{
	struct sink *k = s->sink;
	uint64_t now = tally_now_ns();
	const char *id = find_id(message, len);
	size_t run_len = strlen(k->run);
	unsigned long number;
	char *end;

	k->tally->bytes += len;
	if (id == NULL || strncmp(id, k->run, run_len) != 0 ||
	    id[run_len] != '-') {
		k->tally->foreign++;
		return;
	}
	number = strtoul(id + run_len + 1, &end, 10);
	if (number >= ID_MAX || *end != '-') {
		k->tally->foreign++;
		return;
	}
	if (k->log != NULL)
		fprintf(k->log, "%lu %llu\n", number,
		    (unsigned long long)s->mail_ns);
	if (k->bits[number / 8] & (1u << (number % 8))) {
		k->tally->repeated++;
		return;
	}
	k->bits[number / 8] |= (uint8_t)(1u << (number % 8));
	tally_add(k->tally, now, now - strtoull(end + 1, NULL, 10));
}

/* With the dots that SMTP doubles taken out again. */
static void
keep_sample(struct sink *k, const char *message, size_t len)
{
	char path[512];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%llu.eml", k->sample_dir,
	    (unsigned long long)k->seen);
	out = fopen(path, "we");
	if (out == NULL) {
		warn("%s", path);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (message[i] == '.' && (i == 0 || message[i - 1] == '\n'))
			continue;
		putc(message[i], out);
	}
	if (fclose(out) != 0)
		warn("%s", path);
}

static void on_read(struct bufferevent *bev, void *ctx);

static void
on_answer(evutil_socket_t fd, short what, void *ctx)
{
	struct session *s = ctx;

	(void)fd;
	(void)what;
	event_free(s->answer);
	s->answer = NULL;
	say(s, "250 2.0.0 taken\r\n");
	on_read(s->bev, s);
}

static void
answer_message(struct session *s)
{
	if (!evutil_timerisset(&s->sink->wait)) {
		say(s, "250 2.0.0 taken\r\n");
		return;
	}
	s->answer = evtimer_new(s->sink->base, on_answer, s);
	event_add(s->answer, &s->sink->wait);
}

/* True when the whole message was there. */
static bool
take_message(struct session *s, struct evbuffer *in)
{
	static const char end[] = "\r\n.\r\n";
	struct sink *k = s->sink;
	size_t len = evbuffer_get_length(in);
	struct evbuffer_ptr from, at;
	const char *message;
	size_t message_len;

	if (len < sizeof(end) - 1)
		return false;
	evbuffer_ptr_set(in, &from, s->scanned, EVBUFFER_PTR_SET);
	at = evbuffer_search(in, end, sizeof(end) - 1, &from);
	if (at.pos < 0) {
		s->scanned = len - (sizeof(end) - 2);
		return false;
	}
	message_len = (size_t)at.pos + 2;
	message = (const char *)evbuffer_pullup(in, (ev_ssize_t)message_len);
	count(s, message, message_len);
	k->seen++;
	if (k->sample_every > 0 && k->seen % k->sample_every == 0)
		keep_sample(k, message, message_len);
	evbuffer_drain(in, message_len + 3);
	s->in_data = false;
	s->has_rcpt = false;
	answer_message(s);
	return true;
}

static void on_event(struct bufferevent *bev, short what, void *ctx);

static void
start_tls(struct session *s)
{
	SSL *ssl = SSL_new(s->sink->tls);
	evutil_socket_t fd = bufferevent_getfd(s->bev);

	flush(s);
	bufferevent_setfd(s->bev, -1);
	bufferevent_free(s->bev);
	s->bev = bufferevent_openssl_socket_new(s->sink->base, fd, ssl,
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(s->bev, on_read, NULL, on_event, s);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	s->tls_on = true;
}

enum command_result { GO_ON, STOP };

static enum command_result
take_command(struct session *s, const char *line)
{
	if (strncasecmp(line, "EHLO", 4) == 0 ||
	    strncasecmp(line, "HELO", 4) == 0) {
		say(s, "250-sink\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n");
		if (s->sink->tls != NULL && !s->tls_on)
			say(s, "250-STARTTLS\r\n");
		say(s, "250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n");
	} else if (strncasecmp(line, "MAIL", 4) == 0) {
		s->has_rcpt = false;
		s->mail_ns = tally_now_ns();
		say(s, "250 2.1.0 ok\r\n");
	} else if (strncasecmp(line, "RCPT", 4) == 0) {
		s->has_rcpt = true;
		say(s, "250 2.1.5 ok\r\n");
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		if (!s->has_rcpt) {
			say(s, "503 5.5.1 no recipient\r\n");
			return GO_ON;
		}
		s->in_data = true;
		s->scanned = 0;
		say(s, "354 go on\r\n");
	} else if (strncasecmp(line, "RSET", 4) == 0 ||
	    strncasecmp(line, "NOOP", 4) == 0) {
		say(s, "250 2.0.0 ok\r\n");
	} else if (strncasecmp(line, "STARTTLS", 8) == 0 &&
	    s->sink->tls != NULL && !s->tls_on) {
		say(s, "220 2.0.0 go on\r\n");
		start_tls(s);
		return STOP;
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		say(s, "221 2.0.0 bye\r\n");
		flush(s);
		session_free(s);
		return STOP;
	} else {
		say(s, "502 5.5.2 what\r\n");
	}
	return GO_ON;
}

static void
on_read(struct bufferevent *bev, void *ctx)
{
	struct session *s = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	enum command_result result;
	char *line;

	while (s->answer == NULL) {
		if (s->in_data) {
			if (!take_message(s, in))
				return;
			continue;
		}
		line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
		if (line == NULL)
			return;
		result = take_command(s, line);
		free(line);
		if (result == STOP)
			return;
	}
}

static void
on_event(struct bufferevent *bev, short what, void *ctx)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		session_free(ctx);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *peer, int peer_len, void *ctx)
{
	struct sink *k = ctx;
	struct session *s = xmalloc(sizeof(*s));
	int on = 1;

	(void)listener;
	(void)peer;
	(void)peer_len;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->sink = k;
	s->bev = bufferevent_socket_new(k->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_set_max_single_read(s->bev, 65536);
	bufferevent_setcb(s->bev, on_read, NULL, on_event, s);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	say(s, "220 sink ESMTP\r\n");
}

static void
listen_on(struct sink *k, const char *where)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);

	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)&addr, &len) !=
	    0)
		errx(2, "not an address and port: %s", where);
	if (evconnlistener_new_bind(k->base, on_accept, k,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE |
		    LEV_OPT_CLOSE_ON_EXEC,
		1024, (struct sockaddr *)&addr, len) == NULL)
		err(1, "%s", where);
}

static void
load_tls(struct sink *k, const char *cert, const char *key)
{
	k->tls = SSL_CTX_new(TLS_server_method());
	if (k->tls == NULL ||
	    SSL_CTX_use_certificate_chain_file(k->tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(k->tls, key, SSL_FILETYPE_PEM) != 1)
		errx(1, "%s and %s do not make a TLS context", cert, key);
	SSL_CTX_set_options(k->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
}

int
main(int argc, char **argv)
{
	struct sink k = { .run = "bench" };
	const char *tally = NULL, *cert = NULL, *key = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "t:r:s:e:c:k:w:l:")) != -1) {
		switch (opt) {
		case 't':
			tally = optarg;
			break;
		case 'r':
			k.run = optarg;
			break;
		case 's':
			k.sample_dir = optarg;
			break;
		case 'e':
			k.sample_every = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			cert = optarg;
			break;
		case 'k':
			key = optarg;
			break;
		case 'w':
			k.wait.tv_sec = strtol(optarg, NULL, 10) / 1000;
			k.wait.tv_usec = strtol(optarg, NULL, 10) % 1000 * 1000;
			break;
		case 'l':
			k.log = fopen(optarg, "we");
			if (k.log == NULL)
				err(2, "%s", optarg);
			setvbuf(k.log, NULL, _IOLBF, 0);
			break;
		default:
			exit(2);
		}
	}
	if (tally == NULL || optind == argc ||
	    (k.sample_every > 0) != (k.sample_dir != NULL) ||
	    (cert == NULL) != (key == NULL))
		errx(2,
		    "usage: sink -t TALLY [-r RUN] [-s DIR -e N] "
		    "[-c CERT -k KEY] [-w MS] [-l FILE] ADDRESS:PORT...");
	signal(SIGPIPE, SIG_IGN);
	k.base = event_base_new();
	k.tally = tally_open(tally);
	k.bits = xcalloc(1, ID_MAX / 8);
	if (cert != NULL)
		load_tls(&k, cert, key);
	for (int i = optind; i < argc; i++)
		listen_on(&k, argv[i]);
	event_base_dispatch(k.base);
	return 1;
}

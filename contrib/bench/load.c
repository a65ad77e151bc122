/*
 * load - hands in messages as fast as the other side takes them.
 *
 *   load -t TALLY -n MESSAGES [options] http|smtp ADDRESS:PORT
 *
 *   -c N    connections (64)         -r RUN  name of the run, in the ids
 *   -b N    octets of text (10240)   -d N    recipient domains (1)
 *   -m DOM  recipients' parent domain (rcpt.zz): u<n>@d<i>.DOM
 *   -f ADDR sender                   -a KEY  bearer key (http)
 *   -q N    messages per second at most, 0 = no limit (0)
 *   -R N    recipients per message (1; http only): u<n>, u<n>x1, ...
 *   -l FILE a line "number nanoseconds" for each answer
 *
 * http posts JSON to /emails over connections that are kept open; smtp sends
 * a whole message over connections that are kept open, MAIL, RCPT and DATA in
 * one write. Every message has text of its own and an id of its own (the
 * header X-Bench-Id, see sink.c). A connection has one
 * message under way. Latency is from its first octet to its answer.
 */
#include <arpa/inet.h>
#include <err.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "tally.h"

#define WORDS_LEN (1u << 20) /* text to cut message bodies from */
#define LINE_LEN 72
#define TICK_US 1000

struct load {
	struct event_base *base;
	struct tally *tally;
	struct sockaddr_storage addr;
	int addr_len;
	bool is_smtp;
	uint64_t wanted;
	uint64_t started;
	uint64_t rate;
	uint64_t begin_ns;
	unsigned int conns;
	unsigned int idle_count;
	struct client **idle; /* waiting for their turn under -q */
	size_t text_len;
	unsigned int domains;
	unsigned int recipients;
	FILE *log;
	const char *run;
	const char *parent;
	const char *from;
	const char *key;
	char *words;
	char date[64];
	struct strbuf body;
	struct strbuf out;
};

enum client_state {
	WANT_BANNER,
	WANT_EHLO,
	WANT_MAIL,
	WANT_RCPT,
	WANT_DATA,
	WANT_DOT,
	WANT_HTTP,
	IDLE,
};

struct client {
	struct load *load;
	struct bufferevent *bev;
	enum client_state state;
	uint64_t number; /* of the message under way */
	uint64_t begin_ns;
	int failed; /* code of the first refusal, or 0 */
};

/* Words of random letters in lines; no line begins with a dot. */
static char *
make_words(bool json)
{
	char *text = xmalloc(WORDS_LEN + 1);
	size_t column = 0;
	uint32_t seed = 2463534242u;

	for (size_t i = 0; i < WORDS_LEN; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 17;
		seed ^= seed << 5;
		if (column >= LINE_LEN && i + 2 < WORDS_LEN) {
			text[i++] = json ? '\\' : '\r';
			text[i] = json ? 'n' : '\n';
			column = 0;
			continue;
		}
		text[i] = seed % 6 == 0 && column > 0
		    ? ' '
		    : (char)('a' + (seed >> 8) % 26);
		column++;
	}
	return text;
}

/* Where the message's own piece of the words begins: at a line's start. */
static const char *
text_of(const struct load *l, uint64_t number)
{
	size_t line = LINE_LEN + 2;
	size_t lines = (WORDS_LEN - l->text_len - 64) / line;

	return l->words + number * 7919 % lines * line;
}

static void
add_recipients(struct load *l, unsigned long long n)
{
	unsigned int domain = (unsigned int)(n % l->domains);

	strbuf_add_fmt(&l->body, "\"u%llu@d%u.%s\"", n, domain, l->parent);
	for (unsigned int i = 1; i < l->recipients; i++)
		strbuf_add_fmt(&l->body, ",\"u%llux%u@d%u.%s\"", n, i, domain,
		    l->parent);
}

static void
add_http(struct load *l, uint64_t n, uint64_t now)
{
	struct strbuf *b = &l->body;

	strbuf_reset(b);
	strbuf_add_fmt(b, "{\"from\":\"Bench <%s>\",\"to\":[", l->from);
	add_recipients(l, n);
	strbuf_add_fmt(b,
	    "],\"subject\":\"Message %llu of %s\","
	    "\"headers\":{\"X-Bench-Id\":\"%s-%llu-%llu\"},"
	    "\"text\":\"Number %llu\\n",
	    (unsigned long long)n, l->run, l->run, (unsigned long long)n,
	    (unsigned long long)now, (unsigned long long)n);
	strbuf_add(b, text_of(l, n), l->text_len);
	/* The cut may fall behind a backslash. */
	strbuf_add_text(b, b->ptr[b->len - 1] == '\\' ? "n\"}" : "\"}");
	strbuf_reset(&l->out);
	strbuf_add_fmt(&l->out,
	    "POST /emails HTTP/1.1\r\nHost: bench\r\nUser-Agent: load\r\n"
	    "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    l->key, b->len);
	strbuf_add_slice(&l->out, strbuf_slice(b));
}

static void
add_smtp(struct load *l, uint64_t n, uint64_t now)
{
	unsigned int domain = (unsigned int)(n % l->domains);
	unsigned long long number = (unsigned long long)n;

	strbuf_reset(&l->body);
	strbuf_add_fmt(&l->body,
	    "From: Bench <%s>\r\nTo: u%llu@d%u.%s\r\n"
	    "Subject: Message %llu of %s\r\nDate: %s\r\n"
	    "Message-ID: <%s.%llu@bench>\r\nX-Bench-Id: %s-%llu-%llu\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; "
	    "charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	    "Number %llu\r\n",
	    l->from, number, domain, l->parent, number, l->run, l->date, l->run,
	    number, l->run, number, (unsigned long long)now, number);
	strbuf_add(&l->body, text_of(l, n), l->text_len);
	if (l->body.ptr[l->body.len - 1] == '\r')
		strbuf_truncate(&l->body, l->body.len - 1);
	strbuf_add_text(&l->body, "\r\n.\r\n");
	strbuf_reset(&l->out);
	strbuf_add_fmt(&l->out,
	    "MAIL FROM:<%s>\r\nRCPT TO:<u%llu@d%u.%s>\r\nDATA\r\n", l->from,
	    number, domain, l->parent);
}

static void client_connect(struct client *c);

static bool
may_start(const struct load *l)
{
	uint64_t due;

	if (l->rate == 0)
		return true;
	due = (tally_now_ns() - l->begin_ns) / 1000 * l->rate / 1000000;
	return l->started < due;
}

/* The next message, or rest when there is none or the rate forbids it. */
static void
client_next(struct client *c)
{
	struct load *l = c->load;

	if (l->started >= l->wanted) {
		c->state = IDLE;
		if (l->tally->done + l->tally->failed >= l->wanted)
			event_base_loopexit(l->base, NULL);
		return;
	}
	if (!may_start(l)) {
		c->state = IDLE;
		l->idle[l->idle_count++] = c;
		return;
	}
	c->number = l->started++;
	c->begin_ns = tally_now_ns();
	c->failed = 0;
	if (l->is_smtp)
		add_smtp(l, c->number, c->begin_ns);
	else
		add_http(l, c->number, c->begin_ns);
	c->state = l->is_smtp ? WANT_MAIL : WANT_HTTP;
	bufferevent_write(c->bev, l->out.ptr, l->out.len);
}

static void
client_answered(struct client *c, int code)
{
	struct load *l = c->load;
	uint64_t now = tally_now_ns();

	if (code / 100 == 2) {
		tally_add(l->tally, now, now - c->begin_ns);
		if (l->log != NULL)
			fprintf(l->log, "%llu %llu\n",
			    (unsigned long long)c->number,
			    (unsigned long long)now);
	} else {
		if (l->tally->failed++ < 5)
			warnx("message %llu: answered %d",
			    (unsigned long long)c->number, code);
	}
	client_next(c);
}

/* A reply's last line: its code; 0 when it is not all there. */
static int
read_reply(struct evbuffer *in)
{
	char *line;

	while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF)) != NULL) {
		bool is_last = strlen(line) < 4 || line[3] != '-';
		int code = (int)strtol(line, NULL, 10);

		free(line);
		if (is_last)
			return code > 0 ? code : 999;
	}
	return 0;
}

static void
on_smtp(struct client *c, int code)
{
	struct load *l = c->load;

	if (code / 100 > 3 && c->failed == 0)
		c->failed = code;
	switch (c->state) {
	case WANT_BANNER:
		bufferevent_write(c->bev, "EHLO load\r\n", 11);
		c->state = WANT_EHLO;
		break;
	case WANT_EHLO:
		client_next(c);
		break;
	case WANT_MAIL:
		c->state = WANT_RCPT;
		break;
	case WANT_RCPT:
		c->state = WANT_DATA;
		break;
	case WANT_DATA:
		if (code != 354) {
			client_answered(c, c->failed != 0 ? c->failed : code);
			break;
		}
		/* The body was overwritten by others in the meantime. */
		add_smtp(l, c->number, c->begin_ns);
		bufferevent_write(c->bev, l->body.ptr, l->body.len);
		c->state = WANT_DOT;
		break;
	case WANT_DOT:
		client_answered(c, code);
		break;
	case WANT_HTTP:
	case IDLE:
		break;
	}
}

/* True when a whole answer was taken off. */
static bool
read_http(struct client *c, struct evbuffer *in)
{
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	const char *head, *length;
	size_t head_len, body_len = 0;
	int code;

	if (end.pos < 0)
		return false;
	head_len = (size_t)end.pos + 4;
	head = (const char *)evbuffer_pullup(in, (ev_ssize_t)head_len);
	code = head_len > 12 ? (int)strtol(head + 9, NULL, 10) : 999;
	length = memmem(head, head_len, "Content-Length: ", 16);
	if (length == NULL)
		length = memmem(head, head_len, "content-length: ", 16);
	if (length != NULL)
		body_len = strtoul(length + 16, NULL, 10);
	if (evbuffer_get_length(in) < head_len + body_len)
		return false;
	evbuffer_drain(in, head_len + body_len);
	client_answered(c, code);
	return true;
}

static void
on_read(struct bufferevent *bev, void *ctx)
{
	struct client *c = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	int code;

	if (!c->load->is_smtp) {
		while (c->state == WANT_HTTP && read_http(c, in))
			;
		return;
	}
	while ((code = read_reply(in)) != 0)
		on_smtp(c, code);
}

/* A lost connection costs its message and is opened again. */
static void
on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct client *c = ctx;

	if (what & BEV_EVENT_CONNECTED) {
		if (!c->load->is_smtp)
			client_next(c);
		return;
	}
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	bufferevent_free(bev);
	c->bev = NULL;
	if (c->state == IDLE && c->load->rate == 0)
		return;
	if (c->state >= WANT_MAIL && c->state <= WANT_HTTP)
		c->load->tally->failed++;
	if (c->load->tally->failed > 1000)
		errx(1, "more than 1000 messages failed");
	client_connect(c);
}

static void
client_connect(struct client *c)
{
	struct load *l = c->load;
	int on = 1;

	c->bev = bufferevent_socket_new(l->base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	c->state = WANT_BANNER;
	if (bufferevent_socket_connect(c->bev, (struct sockaddr *)&l->addr,
		l->addr_len) != 0)
		err(1, "connect");
	setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on));
}

static void
on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct load *l = ctx;

	(void)fd;
	(void)what;
	while (l->idle_count > 0 && may_start(l) && l->started < l->wanted)
		client_next(l->idle[--l->idle_count]);
}

static void
run(struct load *l)
{
	struct timeval tick = { 0, TICK_US };
	struct event *timer = event_new(l->base, -1, EV_PERSIST, on_tick, l);
	struct client *clients = xcalloc(l->conns, sizeof(*clients));

	l->idle = xcalloc(l->conns, sizeof(struct client *));
	l->begin_ns = tally_now_ns();
	l->tally->first_ns = l->begin_ns;
	for (unsigned int i = 0; i < l->conns; i++) {
		clients[i].load = l;
		client_connect(&clients[i]);
	}
	if (l->rate > 0)
		event_add(timer, &tick);
	event_base_dispatch(l->base);
	event_free(timer);
}

static void
parse_options(struct load *l, int argc, char **argv)
{
	const char *tally = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "t:n:c:r:b:d:m:f:a:q:R:l:")) != -1) {
		switch (opt) {
		case 't':
			tally = optarg;
			break;
		case 'n':
			l->wanted = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			l->conns = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			l->run = optarg;
			break;
		case 'b':
			l->text_len = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			l->domains = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			l->parent = optarg;
			break;
		case 'f':
			l->from = optarg;
			break;
		case 'a':
			l->key = optarg;
			break;
		case 'q':
			l->rate = strtoull(optarg, NULL, 10);
			break;
		case 'R':
			l->recipients = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			l->log = fopen(optarg, "we");
			if (l->log == NULL)
				err(2, "%s", optarg);
			break;
		default:
			exit(2);
		}
	}
	if (tally == NULL || argc - optind != 2 || l->wanted == 0 ||
	    l->conns == 0 || l->domains == 0 || l->recipients == 0 ||
	    l->text_len == 0 || l->text_len > WORDS_LEN / 2)
		errx(2, "usage: see the head of load.c");
	l->is_smtp = strcmp(argv[optind], "smtp") == 0;
	l->addr_len = sizeof(l->addr);
	if (evutil_parse_sockaddr_port(argv[optind + 1],
		(struct sockaddr *)&l->addr, &l->addr_len) != 0)
		errx(2, "not an address and port: %s", argv[optind + 1]);
	l->tally = tally_open(tally);
}

int
main(int argc, char **argv)
{
	struct load l = { .conns = 64,
		.text_len = 10240,
		.domains = 1,
		.recipients = 1,
		.run = "bench",
		.parent = "rcpt.zz",
		.from = "bench@sender.zz",
		.key = "" };
	time_t now = time(NULL);
	struct tm tm;

	parse_options(&l, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	strbuf_init(&l.body, 0);
	strbuf_init(&l.out, 0);
	gmtime_r(&now, &tm);
	strftime(l.date, sizeof(l.date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	l.words = make_words(!l.is_smtp);
	l.base = event_base_new();
	run(&l);
	printf("%llu accepted, %llu failed\n",
	    (unsigned long long)l.tally->done,
	    (unsigned long long)l.tally->failed);
	return l.tally->failed == 0 ? 0 : 1;
}

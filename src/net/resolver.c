/*
 * Questions go to c-ares as packets of our own making, because only so the AD
 * bit can be asked for (ares_query clears it) and only so the whole answer
 * with its TTLs comes back.
 *
 * c-ares calls back in the middle of its own work, where nothing of it may be
 * destroyed or cancelled. So its callback only keeps the answer; waiters are
 * told after the turn, and there they may ask, cancel, or free the resolver.
 * Nobody cancels inside c-ares: a question without waiters runs on and fills
 * the cache; one that takes too long is answered for and left to run out.
 *
 *   IN FLIGHT (in asked) -> ANSWERED (to be told) -> gone
 *             \-> given up: told, kept until c-ares lets go
 */
#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "net/dns_priv.h"

#define TIMEOUT_MS_DEFAULT 15000
#define CACHE_MAX_DEFAULT 100000
#define CACHE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define FAILURE_TTL_MS 5000
#define TRIES 3 /* the pause doubles: 1 + 2 + 4 = 7 parts */
#define TRIES_PARTS 7
#define EDNS_BYTES 1232

struct socket_watch {
	struct list node;
	struct resolver *resolver;
	struct watch *watch;
	ares_socket_t fd;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	struct list sockets;   /* struct socket_watch */
	struct list questions; /* struct question, the oldest first */
	struct hash *asked;    /* key -> struct question in flight */
	struct dns_cache cache;
	struct timer *timer;	/* c-ares' own */
	struct timer *deadline; /* of the oldest question */
	struct loop_call bury;
	int64_t timeout_ms;
	int64_t (*now_ms)(void);
	bool trusts_ad;
	bool closed;
};

struct question {
	struct list node;
	struct resolver *resolver;
	struct list waiters; /* struct dns_query */
	struct loop_call tell;
	struct dns_found *found; /* set once answered */
	int64_t deadline_ms;
	bool with_ares; /* c-ares still holds it */
	bool in_asked;
	enum dns_type type;
	char key[DNS_KEY_MAX];
	size_t key_len;
};

struct dns_query {
	struct list node; /* in the question's waiters */
	struct loop *loop;
	dns_done *done; /* NULL once told */
	void *ctx;
	struct loop_call bury;
};

static struct slice
question_key(const struct question *q)
{
	return slice_mem(q->key, q->key_len);
}

static struct slice
question_name(const struct question *q)
{
	return slice_from(question_key(q), 2);
}

/* c-ares and the loop. */

static void
arm_timer(struct resolver *r)
{
	struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

	if (next == NULL)
		timer_cancel(r->timer);
	else
		timer_set(r->timer,
		    (int64_t)next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
}

static void
on_timer(void *ctx)
{
	struct resolver *r = ctx;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timer(r);
}

static void
on_socket(void *ctx, bool readable, bool writable)
{
	struct socket_watch *s = ctx;
	struct resolver *r = s->resolver;

	/* s may be freed in here. */
	ares_process_fd(r->channel, readable ? s->fd : ARES_SOCKET_BAD,
	    writable ? s->fd : ARES_SOCKET_BAD);
	arm_timer(r);
}

static struct socket_watch *
find_socket(struct resolver *r, ares_socket_t fd)
{
	list_each (node, &r->sockets) {
		struct socket_watch *s =
		    list_entry(node, struct socket_watch, node);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static void
drop_socket(struct socket_watch *s)
{
	list_remove(&s->node);
	watch_free(&s->watch);
	/* The watch may be calling with it as its context. */
	loop_defer(s->resolver->loop, free, s);
}

static void
on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = ctx;
	struct socket_watch *s = find_socket(r, fd);

	if (!readable && !writable) {
		if (s != NULL)
			drop_socket(s);
		return;
	}
	if (s == NULL) {
		s = xmalloc(sizeof(*s));
		s->resolver = r;
		s->fd = fd;
		s->watch = watch_new(r->loop, fd, on_socket, s);
		list_append(&r->sockets, &s->node);
	}
	watch_set(s->watch, readable != 0, writable != 0);
}

/* Telling. */

static void
query_free(struct dns_query *w)
{
	/* The owner may still hold it, in the callback or in this turn. */
	w->bury.is_deferred = true;
	loop_call_schedule(w->loop, &w->bury, free, w);
}

static void
question_free(struct question *q)
{
	struct list *node;

	while ((node = list_pop(&q->waiters)) != NULL)
		query_free(list_entry(node, struct dns_query, node));
	if (q->in_asked)
		(void)hash_remove(q->resolver->asked, question_key(q));
	list_remove(&q->node);
	loop_call_cancel(&q->tell);
	dns_found_unref(&q->found);
	free(q);
}

static void
read_found(struct resolver *r, const struct question *q, struct arena *arena,
    struct dns_answer *out)
{
	const struct dns_found *f = q->found;
	int64_t left_s = (f->expires_ms - r->now_ms()) / 1000;

	if (f->len == 0) {
		*out = (struct dns_answer){ .result = DNS_FAILED };
		memcpy(out->why, f->why, sizeof(out->why));
	} else {
		dns_answer_parse(arena, slice_mem(f->packet, f->len),
		    question_name(q), q->type, out);
		out->secure = out->secure && r->trusts_ad;
	}
	out->ttl_s = (uint32_t)MAX(left_s, 0);
}

static void
tell(void *ctx)
{
	struct question *q = ctx;
	struct resolver *r = q->resolver;
	struct arena arena = ARENA_INIT;
	struct dns_answer answer;
	struct list *node;

	if (list_is_empty(&q->waiters)) {
		if (!q->with_ares)
			question_free(q);
		return;
	}
	read_found(r, q, &arena, &answer);
	while (!r->closed && (node = list_pop(&q->waiters)) != NULL) {
		struct dns_query *w = list_entry(node, struct dns_query, node);
		dns_done *done = w->done;
		void *done_ctx = w->ctx;

		w->done = NULL;
		query_free(w);
		done(done_ctx, &answer);
	}
	arena_fini(&arena);
	/* resolver_free has taken q along. */
	if (!r->closed && !q->with_ares)
		question_free(q);
}

static void
answered(struct question *q, struct dns_found *found)
{
	struct resolver *r = q->resolver;

	if (q->in_asked)
		(void)hash_remove(r->asked, question_key(q));
	q->in_asked = false;
	q->found = found;
	loop_call_schedule(r->loop, &q->tell, tell, q);
}

static void
fail(struct question *q, const char *why)
{
	struct resolver *r = q->resolver;
	struct dns_found *f = dns_found_new(SLICE(""), why);

	f->expires_ms = r->now_ms() + FAILURE_TTL_MS;
	dns_cache_put(&r->cache, question_key(q), f);
	answered(q, f);
}

/* Parses once to learn how long the answer holds. */
static void
take_packet(struct question *q, struct slice packet)
{
	struct resolver *r = q->resolver;
	struct arena arena = ARENA_INIT;
	struct dns_answer answer;
	struct dns_found *f;

	dns_answer_parse(&arena, packet, question_name(q), q->type, &answer);
	arena_fini(&arena);
	f = dns_found_new(packet, "");
	f->expires_ms = r->now_ms() + (int64_t)answer.ttl_s * 1000;
	dns_cache_put(&r->cache, question_key(q), f);
	answered(q, f);
}

static void
on_ares(void *ctx, int status, int timeouts, unsigned char *abuf, int alen)
{
	struct question *q = ctx;

	(void)timeouts;
	q->with_ares = false;
	if (status == ARES_EDESTRUCTION) /* resolver_free */
		return;
	if (q->found != NULL) {
		/* We gave it up long ago. */
		if (!list_is_linked(&q->tell.node))
			question_free(q);
		return;
	}
	/* The other codes that come with a packet are in the packet. */
	if (abuf != NULL && alen > 0 && status != ARES_EBADRESP)
		take_packet(q, slice_mem(abuf, (size_t)alen));
	else if (status == ARES_ETIMEOUT)
		fail(q, "no answer from the name server in time");
	else
		fail(q, ares_strerror(status));
}

/* Asking. */

static void
on_deadline(void *ctx)
{
	struct resolver *r = ctx;
	int64_t now = loop_mono_ms(r->loop);

	list_each_safe (node, &r->questions) {
		struct question *q = list_entry(node, struct question, node);

		if (q->found != NULL)
			continue;
		if (q->deadline_ms > now) {
			timer_set(r->deadline, q->deadline_ms - now);
			return;
		}
		fail(q, "no answer from the name server in time");
	}
}

static struct question *
question_new(struct resolver *r, struct slice key, enum dns_type type)
{
	struct question *q = xmalloc(sizeof(*q));

	q->resolver = r;
	q->type = type;
	list_init(&q->waiters);
	memcpy(q->key, key.ptr, key.len);
	q->key_len = key.len;
	q->deadline_ms = loop_mono_ms(r->loop) + r->timeout_ms;
	list_append(&r->questions, &q->node);
	return q;
}

static void
send_question(struct resolver *r, struct question *q)
{
	char name[DNS_KEY_MAX];
	unsigned char *packet = NULL;
	int len = 0, status;
	unsigned short id = (unsigned short)(crypto_random_u64() & 0xffff);

	snprintf(name, sizeof(name), "%.*s", SLICE_FMT(question_name(q)));
	status = ares_create_query(name, 1, (int)q->type, id, 1, &packet, &len,
	    EDNS_BYTES);
	if (status != ARES_SUCCESS || len < 12) {
		ares_free_string(packet);
		fail(q, ares_strerror(status));
		return;
	}
	packet[3] |= 0x20; /* AD: we understand it (RFC 6840 section 5.7) */
	q->with_ares = true;
	q->in_asked = true;
	(void)hash_put(r->asked, question_key(q), q);
	if (!timer_is_set(r->deadline))
		timer_set(r->deadline, r->timeout_ms);
	ares_send(r->channel, packet, len, on_ares, q);
	ares_free_string(packet);
	arm_timer(r);
}

/* A question of that name and type that can still take a waiter. */
static struct question *
question_for(struct resolver *r, struct slice name, enum dns_type type)
{
	char buf[DNS_KEY_MAX];
	struct slice key = dns_key(buf, name, type);
	struct question *q = hash_find(r->asked, key);
	struct dns_found *hit;

	if (q != NULL)
		return q;
	q = question_new(r, key, type);
	if (!dns_name_is_valid(name, false)) {
		fail(q, "not a domain name");
		return q;
	}
	hit = dns_cache_find(&r->cache, key, r->now_ms());
	if (hit != NULL)
		answered(q, dns_found_ref(hit));
	else
		send_question(r, q);
	return q;
}

struct dns_query *
resolver_ask(struct resolver *r, struct slice name, enum dns_type type,
    dns_done *done, void *ctx)
{
	struct question *q = question_for(r, slice_first(name, 254), type);
	struct dns_query *w = xmalloc(sizeof(*w));

	w->loop = r->loop;
	w->done = done;
	w->ctx = ctx;
	list_append(&q->waiters, &w->node);
	return w;
}

void
dns_query_cancel(struct dns_query **wp)
{
	struct dns_query *w = *wp;

	*wp = NULL;
	if (w == NULL || w->done == NULL)
		return;
	w->done = NULL;
	list_remove(&w->node);
	query_free(w);
}

/* Making one. */

static bool
is_loopback(const struct ares_addr_port_node *s)
{
	static const uint8_t v6_loopback[16] = { [15] = 1 };

	if (s->family == AF_INET)
		return ntohl(s->addr.addr4.s_addr) >> 24 == 127;
	return s->family == AF_INET6 &&
	    memcmp(&s->addr.addr6, v6_loopback, 16) == 0;
}

/* AD means something only when nobody can have changed it on the way. */
static bool
servers_are_loopback(ares_channel channel)
{
	struct ares_addr_port_node *all = NULL;
	bool yes = ares_get_servers_ports(channel, &all) == ARES_SUCCESS &&
	    all != NULL;

	for (struct ares_addr_port_node *s = all; s != NULL; s = s->next)
		yes = yes && is_loopback(s);
	ares_free_data(all);
	return yes;
}

void
resolver_add_servers(const struct resolver *r, struct strbuf *out)
{
	struct ares_addr_port_node *all = NULL;
	size_t begin = out->len;

	(void)ares_get_servers_ports(r->channel, &all);
	for (struct ares_addr_port_node *s = all; s != NULL; s = s->next) {
		bool is_v6 = s->family == AF_INET6;
		char text[INET6_ADDRSTRLEN] = "?";

		(void)inet_ntop(s->family, &s->addr, text, sizeof(text));
		strbuf_add_fmt(out, is_v6 ? "%s[%s]:%d" : "%s%s:%d",
		    out->len > begin ? ", " : "", text,
		    s->udp_port != 0 ? s->udp_port : 53);
	}
	ares_free_data(all);
}

static int
open_channel(struct resolver *r, const struct resolver_options *opt,
    struct error *err)
{
	struct ares_options ares = {
		/* NOCHECKRESP: SERVFAIL and REFUSED come to us as they
		 * are, not as three questions and "no contact". */
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
		    ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP,
		.timeout = (int)(r->timeout_ms / TRIES_PARTS),
		.tries = TRIES,
		.ednspsz = EDNS_BYTES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
	    ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
	int status = ares_init_options(&r->channel, &ares, mask);
	char *csv;

	if (status != ARES_SUCCESS) {
		r->channel = NULL;
		return error_set(err, ERR_DNS, "starting the resolver: %s",
		    ares_strerror(status));
	}
	if (opt->servers == NULL || opt->servers[0] == '\0')
		return 0;
	csv = xstrdup(opt->servers);
	for (char *c = csv; *c != '\0'; c++) {
		if (*c == ' ')
			*c = ',';
	}
	status = ares_set_servers_ports_csv(r->channel, csv);
	free(csv);
	if (status != ARES_SUCCESS)
		return error_set(err, ERR_CONFIG, "name servers '%s': %s",
		    opt->servers, ares_strerror(status));
	return 0;
}

struct resolver *
resolver_new(struct loop *l, const struct resolver_options *opt,
    struct error *err)
{
	struct resolver *r;
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	if (status != ARES_SUCCESS) {
		error_set(err, ERR_DNS, "c-ares: %s", ares_strerror(status));
		return NULL;
	}
	r = xmalloc(sizeof(*r));
	r->loop = l;
	r->timeout_ms =
	    opt->timeout_ms > 0 ? opt->timeout_ms : TIMEOUT_MS_DEFAULT;
	r->now_ms = opt->now_ms != NULL ? opt->now_ms : clock_mono_ms;
	list_init(&r->sockets);
	list_init(&r->questions);
	r->asked = hash_new();
	dns_cache_init(&r->cache,
	    opt->cache_max > 0 ? opt->cache_max : CACHE_MAX_DEFAULT,
	    CACHE_BYTES_MAX);
	r->timer = timer_new(l, on_timer, r);
	r->deadline = timer_new(l, on_deadline, r);
	if (open_channel(r, opt, err) < 0) {
		resolver_free(&r);
		return NULL;
	}
	r->trusts_ad = servers_are_loopback(r->channel);
	return r;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;
	struct list *node;

	if (r == NULL)
		return;
	*rp = NULL;
	r->closed = true;
	if (r->channel != NULL)
		ares_destroy(r->channel);
	while ((node = list_first(&r->questions)) != NULL)
		question_free(list_entry(node, struct question, node));
	while ((node = list_first(&r->sockets)) != NULL)
		drop_socket(list_entry(node, struct socket_watch, node));
	timer_free(&r->timer);
	timer_free(&r->deadline);
	hash_free(&r->asked);
	dns_cache_fini(&r->cache);
	ares_library_cleanup();
	r->bury.is_deferred = true;
	loop_call_schedule(r->loop, &r->bury, free, r);
}

void
resolver_flush(struct resolver *r)
{
	size_t count_max = r->cache.count_max;

	dns_cache_fini(&r->cache);
	dns_cache_init(&r->cache, count_max, CACHE_BYTES_MAX);
}
